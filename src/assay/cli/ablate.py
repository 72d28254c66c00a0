"""`assay ablate NAME --without IDEA --data DATA`."""

from __future__ import annotations

import argparse
from dataclasses import replace

from assay.canon.catalog import catalog
from assay.canon.idea import EACH, ablated, check_removable
from assay.cli.compare import add_options, request_of, show

SUMMARY = "run a network against itself with one idea removed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; but for the first three they are those of `assay compare`."""
    parser.add_argument("name", metavar="NAME", help="of the canon, for example resnet18")
    parser.add_argument(
        "--without",
        type=lambda text: [idea.strip() for idea in text.split(",") if idea.strip()],
        metavar="IDEA,IDEA",
        help="what to remove, one candidate for each; the default is each idea that `assay show "
        "NAME` calls removable",
    )
    parser.add_argument(
        "--data", required=True, metavar="DATA", help="what `assay compare` reads, such as digits"
    )
    add_options(parser)


def run(args: argparse.Namespace) -> int | None:
    """Compare the whole network with what is left of it, and say what each removal did."""
    from assay.compare.study import Study

    models = _models(args.name, args.without or [EACH])
    study = Study.of(replace(request_of(args), models=models))
    return show(study, as_json=args.json)


def _models(name: str, ideas: list[str]) -> tuple[str, ...]:
    """Return the whole network's name and one for each idea, which its card must list."""
    card, variant = catalog().entry(name)
    for idea in ideas:
        if idea != EACH or not card.removable:
            check_removable(card, variant.name, idea)
    return (variant.name, *(ablated(variant.name, idea) for idea in dict.fromkeys(ideas)))
