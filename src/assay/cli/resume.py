"""`assay resume ID`."""

from __future__ import annotations

import argparse

SUMMARY = "continue a run that was stopped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("id", metavar="ID", help="a run's id, or how it begins")
    parser.add_argument(
        "--store", metavar="WHERE", help="folder or URL; the default is assay-runs/ here"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="trials at once; the default is as before"
    )
    parser.add_argument("--json", action="store_true", help="for programs: the result as JSON")


def run(args: argparse.Namespace) -> int | None:
    """Run what is left of a study, and print what it found."""
    from assay.cli.compare import show
    from assay.compare.study import Study

    return show(Study.again(args.id, store=args.store, workers=args.workers), as_json=args.json)
