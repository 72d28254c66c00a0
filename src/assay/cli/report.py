"""`assay report RUN`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from assay.data.names import shown
from assay.errors import MissingPathError
from assay.report.text import LANGUAGES

SUMMARY = "write the report of a run again"
RESULTS = "results.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("id", metavar="RUN", help="a run's id, or how it begins, or its folder")
    parser.add_argument(
        "--lang",
        choices=LANGUAGES,
        default="en",
        help="of the page and the plots (default: %(default)s)",
    )
    parser.add_argument(
        "--store", metavar="WHERE", help="folder or URL; the default is assay-runs/ here"
    )


def run(args: argparse.Namespace) -> int | None:
    """Write every file of the report from the saved result."""
    from assay.report.codec import read_result
    from assay.report.write import write_report

    folder = find_folder(args.id, args.store)
    result = replace(read_result(folder / RESULTS), folder=str(folder))
    for path in write_report(result, folder, args.lang).values():
        print(shown(path, most=4096))
    return None


def find_folder(run: str, store: str | None) -> Path:
    """Return the folder with the saved result of `run`.

    Args:
        run: A run's folder, or its id or the beginning of one.
        store: Where ids are looked up; `assay-runs` in the working folder when None.
    """
    folder = Path(run)
    if not run or not _is_folder(folder):
        return _in_store(run, store)
    if not (folder / RESULTS).is_file():
        raise MissingPathError(
            f"A run's folder holds {RESULTS}. {shown(folder)} does not; `assay runs` lists the "
            "runs, and `assay runs show ID` where their files are."
        )
    return folder.absolute()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long, or with a NUL inside
        return False


def _in_store(run: str, where: str | None) -> Path:
    from assay.store.store import Store  # a database takes half a second; `--help` must not wait

    with Store.open(where, readonly=True) as store:
        study = store.study(run)
        folder = store.run_folder(study.id)
    if (folder / RESULTS).is_file():
        return folder
    told = f" --store {where}" if where else ""
    raise MissingPathError(
        f"A run has a report when it is finished. Run {study.id} is {study.status} and "
        f"{shown(folder)} has no {RESULTS}; continue it with `assay resume {study.id}{told}`."
    )
