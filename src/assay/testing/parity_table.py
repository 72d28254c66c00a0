"""The table of every entry that a library has too, computed and kept in docs/parity.md.

python -m assay.testing.parity_table [NAME ...]

Without names every entry is computed anew; with names only these, on the machine and with the
versions of the others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from assay.engine.machine import processor
from assay.errors import BadArgumentError, DataError
from assay.testing.language_parity import compare, pairs
from assay.testing.parity import ALIGNED, Parity, ParityError, compare_to_reference, referenced

PATH = Path("docs/parity.md")
TOLERANCE = 1e-4  # of every difference in the table
PACKAGES = ("torch", "torchvision", "timm", "transformers")

_TITLE = """# Parity: the entries that a library has too

Each entry has the parameters of its reference, loads the reference's random weights and then gives
its numbers, in float32: the scores in evaluation, the loss and the norm of each parameter's
gradient in one training step. A difference is a share of the largest value; 0 means equal to the
last bit. `make parity` writes this page.

Networks of images are compared at their native shape, on two images and a step on four. Dropout
draws the same numbers on both sides; the dropout or stochastic depth that only one side has is off.
Networks of tokens and sequences are compared in a small configuration with larger random weights,
on three rows of which two are padded, without dropout. Their parameters are those of the full size
where the reference is built in it too, else of the small one.
"""
_HEAD = "| entry | reference | parameters | scores | loss | gradients | date |"
_RULE = "| --- | --- | ---: | ---: | ---: | ---: | --- |"
_COLUMNS = _HEAD.count("|") - 1


def conditions() -> str:
    """Return the line that says where a table was computed."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{processor()}, {packages}"


def render(rows: Mapping[str, str], where: str) -> str:
    """Return the page.

    Args:
        rows: Lines of the table by entry.
        where: What `conditions` returned when they were computed.
    """
    notes = [f"- `{reference}`: {note}." for reference, (note, _) in sorted(ALIGNED.items())]
    table = [_HEAD, _RULE, *(rows[name] for name in sorted(rows))]
    return "\n".join([_TITLE, where, "", *table, "", *notes, ""])


def line(found: Parity, date: str) -> str:
    """Return one line of the table."""
    apart = (f"{value:.1e}" if value else "0" for value in _differences(found))
    cells = (found.name, found.reference, f"{found.parameters:,}", *apart, date)
    return f"| {' | '.join(cells)} |"


def _differences(found: Parity) -> tuple[float, float, float]:
    return found.outputs, found.loss, found.gradients


def parse(page: str) -> dict[str, Parity]:
    """Return the comparisons that a page lists, by entry.

    Raises:
        DataError: A line of the table has another number of cells.
    """
    return {name: _parity(text) for name, text in lines(page).items()}


def lines(page: str) -> dict[str, str]:
    """Return the lines of a page's table, by entry."""
    body = page.partition(_RULE)[2].strip().splitlines()
    rows = [text for text in body if text.startswith("| ")]
    return {text.split(" | ")[0].removeprefix("| "): text for text in rows}


def _parity(text: str) -> Parity:
    cells = text.strip("| ").split(" | ")
    if len(cells) != _COLUMNS:
        raise DataError(
            f"A line of {PATH} must have {_COLUMNS} cells. Received {text!r}; write the page anew "
            "with `make parity`."
        )
    return Parity(
        name=cells[0],
        reference=cells[1],
        parameters=int(cells[2].replace(",", "")),
        outputs=float(cells[3]),
        loss=float(cells[4]),
        gradients=float(cells[5]),
    )


def kept(page: str, where: str) -> dict[str, str]:
    """Return the lines that stay when some entries are computed again.

    Raises:
        BadArgumentError: They were computed elsewhere or with other versions.
    """
    if where not in page.splitlines():
        raise BadArgumentError(
            f"Entries can be added to {PATH} only where the others were computed. Received "
            f"{where!r}; compute all entries anew, without names."
        )
    return lines(page)


def write(names: Sequence[str], path: Path) -> bool:
    """Compute entries, writing the page after each; return whether all are their reference.

    Args:
        names: Variants; none for all.
        path: Of the page.

    Raises:
        BadArgumentError: An entry has no reference, or the page was computed elsewhere.
    """
    where = conditions()
    rows = kept(path.read_text(encoding="utf-8"), where) if names and path.exists() else {}
    equal = True
    language = pairs()
    for name in names or [*(variant.name for _, variant in referenced()), *language]:
        try:
            found = compare(language[name]) if name in language else compare_to_reference(name)
        except ParityError as error:
            sys.stderr.write(f"{error}\n")
            equal = False
            continue
        equal &= found.worst <= TOLERANCE
        rows[found.name] = line(found, time.strftime("%Y-%m-%d"))
        sys.stderr.write(f"{rows[found.name]}\n")
        path.write_text(render(rows, where), encoding="utf-8")
    return equal


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; return 1 when an entry is not its reference, or further than allowed."""
    parser = argparse.ArgumentParser(prog="python -m assay.testing.parity_table")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these entries")
    names = parser.parse_args(arguments).names
    return 0 if write(names, PATH) else 1


if __name__ == "__main__":
    sys.exit(main())
