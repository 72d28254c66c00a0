"""Text in columns on a terminal, where a Chinese character takes two places."""

import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import zip_longest
from unicodedata import east_asian_width

_LEAST = 8  # places of a column, however narrow the terminal
_CJK, _END = r"\u2e80-\uffef", r"[，。；：、！？）”]*"  # no line begins with an end
_WORDS = re.compile(rf"\s+|[{_CJK}]{_END}|[^\s{_CJK}]+{_END}")
_PARTS = re.compile(  # a line may also end after a mark inside a word
    rf"\s+|[{_CJK}]{_END}|[^\s{_CJK}.:-]*[.:-]+{_END}|[^\s{_CJK}.:-]+{_END}"
)


def print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows so that their cells stand under each other."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(_line(row, widths, frozenset()))


def print_list(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows under each other; on a terminal the last two columns share what the others leave.

    Their longer cells go on in the lines below.
    """
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    free = _room() - sum(widths[:-2]) - 2 * (len(widths) - 1)
    if sum(widths[-2:]) > free:
        longest = [_longest_part(row[i] for row in rows) for i in (-2, -1)]
        widths[-2] = min(widths[-2], max(2 * free // 5, longest[0]))
        widths[-1] = max(free - widths[-2], longest[1])
    for row in rows:
        folded = [list(fold(row[i], widths[i], _PARTS)) for i in (-2, -1)]
        for number, pair in enumerate(zip_longest(*folded, fillvalue="")):
            left = row[:-2] if number == 0 else ("",) * (len(row) - 2)
            print(_line((*left, *pair), widths, frozenset()))


def _longest_part(cells: Iterable[str]) -> int:
    return max(_width(part) for cell in cells for part in ("", *_PARTS.findall(cell)))


def print_folded(text: str) -> None:
    """Print a sentence, on a terminal in as many lines as it needs."""
    for line in fold(text, _room()):
        print(line)


def print_table(rows: Sequence[tuple[str, ...] | str], *, right: Set[int], shortened: int) -> None:
    """Print rows under each other, and on a terminal no wider than it is.

    Args:
        rows: Of equally many cells, the first the heading; a text stands across all columns.
        right: Columns that end under each other, as numbers do.
        shortened: The column whose longest cells are cut to fit.
    """
    cells = [row for row in rows if not isinstance(row, str)]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    over = sum(widths) + 2 * (len(widths) - 1) - _room()
    widths[shortened] = max(widths[shortened] - max(over, 0), _LEAST)
    for row in rows:
        print(_fitted(row, _room()) if isinstance(row, str) else _line(row, widths, right))


def _line(row: tuple[str, ...], widths: Sequence[int], right: Set[int]) -> str:
    cells = (
        _padded(_fitted(cell, wide), wide, right=number in right)
        for number, (cell, wide) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def _padded(cell: str, wide: int, *, right: bool) -> str:
    space = " " * (wide - _width(cell))
    return space + cell if right else cell + space


def _fitted(cell: str, wide: int) -> str:
    """Return a cell cut to its column."""
    if _width(cell) <= wide:
        return cell
    while _width(cell) >= wide:
        cell = cell[:-1]
    return f"{cell.rstrip()}…"


def print_labelled(rows: Sequence[tuple[str, str]]) -> None:
    """Print a label and its text a row, all lines of the text beside the label.

    On a terminal long lines are folded.
    """
    room = _room() - max(_width(label) for label, _ in rows) - 2
    print_columns(
        [
            (label if i == 0 else "", line)
            for label, text in rows
            for i, line in enumerate(
                line for given in text.split("\n") for line in fold(given, room)
            )
        ]
    )


def fold(text: str, room: int, words: re.Pattern[str] = _WORDS) -> Iterator[str]:
    """Yield lines of at most `room` places; only a longer word stands out."""
    line = ""
    for word in words.findall(text):
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
