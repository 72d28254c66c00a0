"""Text as it lies in files: read in pieces of bounded size, checked, its line ends made one.

Files are UTF-8, with or without a byte-order mark. What cannot be text (NUL, other encodings) is
refused with the number of the line; Windows line ends become plain ones, which is noted.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from assay.data.arrays import memory_limit
from assay.data.names import Note, shown
from assay.data.prepare import Options
from assay.data.tokenizer import KINDS, LEAST
from assay.errors import BadArgumentError, DataError, nearest

PIECE = 2**20  # bytes read at once
LONGEST_LINE = 16 * 2**20  # bytes of one record
LEAST_LENGTH, MOST_LENGTH = 8, 65_536  # tokens of an example
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_MARK = b"\xef\xbb\xbf"
_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_WORD = re.compile(r"[^\W\d_]+")
LINE_ENDS: Note = {
    "en": "Windows line ends were read as plain ones.",
    "zh": "Windows 换行符已按普通换行符读取。",
}


class TextFile:
    """A file of running text or of lines.

    Args:
        path: UTF-8.

    Attributes:
        windows: Whether a line end other than a plain one has been met so far.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.windows = path, False

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces of about a megabyte that end with a line or a word.

        Raises:
            DataError: It is too large, is not UTF-8, or holds a NUL.
        """
        most = memory_limit() // 8
        size = _size(self.path)
        if size > most:
            raise DataError(
                f"{shown(self.path)} has {size:,} bytes. Running text may have {most:,} bytes "
                "here, a thirty-second of this machine's memory; give a part of it."
            )
        rest = ""
        for text in self._decoded():
            rest += text
            cut = _last_break(rest)
            if len(rest) >= PIECE // 4 and cut:
                yield rest[:cut]
                rest = rest[cut:]
        if rest:
            yield rest

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the number of each line and its text without the line end.

        Raises:
            DataError: A line is too long, is not UTF-8, or holds a NUL.
        """
        with self._open() as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                line = self._without_mark(line) if number == 1 else line
                if len(line) > LONGEST_LINE:
                    raise DataError(
                        f"A line of {shown(self.path)} may have {LONGEST_LINE:,} bytes. Line "
                        f"{number} has more; put one example on each line."
                    )
                self._refuse_nul(line, number)
                try:
                    text = line.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise self._not_text(number, error) from error
                if text.endswith("\r\n"):
                    self.windows = True
                yield number, text.rstrip("\r\n")

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was made the same while reading."""
        return (LINE_ENDS,) if self.windows else ()

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        newlines = io.IncrementalNewlineDecoder(None, translate=True)
        before, column = 0, 0  # whole lines, and bytes of the last one, before the block
        with self._open() as file:
            block = self._without_mark(file.read(PIECE))
            ended = False
            while not ended:
                self._refuse_nul(block, before + 1)
                try:
                    text = decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    line = before + error.object[: error.start].count(b"\n") + 1
                    ahead = column - (len(error.object) - len(block))
                    raise self._not_text(line, error, ahead=ahead) from error
                before += block.count(b"\n")
                at = block.rfind(b"\n")
                column = len(block) - at - 1 if at >= 0 else column + len(block)
                yield newlines.decode(text, final=not block)
                ended, block = not block, file.read(PIECE)
        self.windows = newlines.newlines not in (None, "\n")

    def _open(self) -> io.BufferedReader:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise DataError(
                f"{shown(self.path)} cannot be read ({error.strerror or shown(error)}); allow "
                "reading it."
            ) from error

    def _without_mark(self, block: bytes) -> bytes:
        if block.startswith(_UTF16):
            raise DataError(
                f"{shown(self.path)} must be UTF-8. It is UTF-16; save the text as UTF-8."
            )
        return block.removeprefix(_MARK)

    def _refuse_nul(self, block: bytes, line: int) -> None:
        at = block.find(b"\0")
        if at >= 0:
            line += block.count(b"\n", 0, at)
            raise DataError(
                f"{shown(self.path)} must be text. Line {line} holds a NUL byte; remove it, or "
                "save the text as UTF-8."
            )

    def _not_text(self, line: int, error: UnicodeDecodeError, *, ahead: int = 0) -> DataError:
        """Return what to raise; `ahead` bytes of the line were read before these."""
        end = error.object.rfind(b"\n", 0, error.start)
        at = error.start - end if end >= 0 else ahead + error.start + 1
        return DataError(
            f"{shown(self.path)} must be UTF-8. Line {line} is not, at byte {at}; save the text "
            "as UTF-8."
        )


def clean(text: str, what: str) -> str:
    """Return text as it is encoded: line ends made plain, a byte-order mark removed.

    Args:
        text: Of one example.
        what: The example, for messages.

    Raises:
        DataError: It holds a NUL, half of a character, or nothing but white space.
    """
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise DataError(f"{what} must be text. It holds a NUL character; remove it.")
    if not text.strip():
        state = "only white space" if text else "empty"
        raise DataError(f"{what} must have text. It is {state}; fill it in or remove it.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"{what} must be text. At character {error.start + 1} it has half of a surrogate "
                "pair; write it again as UTF-8."
            ) from error
    return text


def is_chinese(texts: Sequence[str], most: int = 200_000) -> bool:
    """Return whether the texts are mostly Chinese: a character counts as much as a word.

    Args:
        texts: From any source.
        most: Characters to look at.
    """
    step = max(1, len(texts) // 1000)
    sample = "".join(text[:2000] for text in texts[::step])[:most]
    characters = len(_CHINESE.findall(sample))
    return characters > len(_WORD.findall(_CHINESE.sub(" ", sample)))


def same_text(text: str) -> str:
    """Return what two texts have in common that differ only in case and white space."""
    return " ".join(text.casefold().split())


def check_options(options: Options) -> None:
    """Check what was chosen for text.

    Raises:
        BadArgumentError: The tokenizer is unknown, or a number is outside its range.
    """
    kind, vocabulary, length = options.tokenizer, options.vocabulary, options.length
    known = ("auto", *KINDS)
    if kind not in known:
        raise BadArgumentError(
            f"`tokenizer` must be one of {', '.join(known)}. Received {shown(kind)!r}."
            f"{nearest(kind, known)}"
        )
    least = LEAST.get(kind, LEAST["bpe"])
    if vocabulary is not None and not least <= vocabulary <= 2**20:
        raise BadArgumentError(
            f"`vocabulary` must be in [{least}, {2**20:,}] for tokenizer={kind!r}. Received "
            f"{vocabulary}; choose another."
        )
    if length is not None and not LEAST_LENGTH <= length <= MOST_LENGTH:
        raise BadArgumentError(
            f"`length` must be in [{LEAST_LENGTH}, {MOST_LENGTH:,}] tokens. Received {length}; "
            "choose another."
        )


def _size(path: Path) -> int:
    return path.stat().st_size


def _last_break(text: str) -> int:
    """Return the place after the last line end, else before the last space, else the end."""
    line = text.rfind("\n") + 1
    if line:
        return line
    word = text.rfind(" ")
    return word if word > 0 else len(text)
