"""`assay list`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable

from assay.canon.card import Card, Lang
from assay.canon.catalog import catalog
from assay.cli.columns import print_columns
from assay.errors import UnknownNameError, nearest

SUMMARY = "list what the canon holds"
_HEADINGS = {
    "en": ("id", "family", "year", "name", "variants"),
    "zh": ("编号", "家族", "年份", "名称", "变体"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--kind", help="only this kind, for example architecture")
    parser.add_argument("--family", help="only this family, for example cnn")
    parser.add_argument("--task", help="only what fits this task, for example image-classification")
    parser.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the names")
    parser.add_argument("--json", action="store_true", help="for programs: the same facts as JSON")


def run(args: argparse.Namespace) -> None:
    """Print one line a card."""
    cards = _chosen(args)
    if args.json:
        print(json.dumps([_facts(card) for card in cards], indent=2, ensure_ascii=False))
        return
    print_columns([_HEADINGS[args.lang], *(_row(card, args.lang) for card in cards)])


def _chosen(args: argparse.Namespace) -> list[Card]:
    cards = catalog().cards
    _require("--kind", args.kind, {card.kind for card in cards})
    _require("--family", args.family, {card.family for card in cards})
    _require("--task", args.task, {task for card in cards for task in card.tasks})
    return [
        card
        for card in cards
        if args.kind in (None, card.kind)
        and args.family in (None, card.family)
        and (args.task is None or args.task in card.tasks)
    ]


def _require(option: str, value: str | None, known: Iterable[str]) -> None:
    if value is not None and value not in known:
        raise UnknownNameError(
            f"Unknown {option} {value!r}.{nearest(value, known)} "
            f"There are {', '.join(sorted(known))}."
        )


def _row(card: Card, lang: Lang) -> tuple[str, ...]:
    variants = ", ".join(variant.name for variant in card.variants)
    return (card.id, card.family, str(card.paper.year), card.prose(lang).name, variants)


def _facts(card: Card) -> dict[str, object]:
    return {
        "id": card.id,
        "kind": card.kind,
        "family": card.family,
        "tasks": card.tasks,
        "year": card.paper.year,
        "name": {"en": card.en.name, "zh": card.zh.name},
        "variants": [variant.name for variant in card.variants],
    }
