"""Text in columns on a terminal, where a Chinese character takes two places."""

import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width

_WORDS = re.compile(r"\s+|[\u2e80-\uffef][，。；：、！？）”]*|[^\s\u2e80-\uffef]+")


def print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows so that their cells stand under each other."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell + " " * (wide - _width(cell)) for cell, wide in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def print_labelled(rows: Sequence[tuple[str, str]]) -> None:
    """Print a label and a text a row; on a terminal long texts are folded beside their label."""
    room = _room() - max(_width(label) for label, _ in rows) - 2
    print_columns(
        [
            (label if i == 0 else "", line)
            for label, text in rows
            for i, line in enumerate(fold(text, room))
        ]
    )


def fold(text: str, room: int) -> Iterator[str]:
    """Yield lines of at most `room` places; only a longer word stands out."""
    line = ""
    for word in _WORDS.findall(text):
        if line and _width(line + word) > room:
            yield line.rstrip()
            line = word.lstrip()
        else:
            line += word
    yield line.rstrip()


def _room() -> int:
    """Return the places in a line: the terminal's, or no limit for a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def _width(text: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
