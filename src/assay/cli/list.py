"""`assay list`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable

from assay.canon.card import KINDS, AnyCard, Architecture, Lang
from assay.canon.catalog import catalog
from assay.cli.columns import print_list
from assay.errors import UnknownNameError, nearest

SUMMARY = "list what the canon holds"
_WORDS = {
    **KINDS,
    "family": "家族",
    "year": "年份",
    "name": "名称",
    "variants": "变体",
    "code": "代码",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--kind", help="only this kind, for example architecture")
    parser.add_argument("--family", help="only this family, for example cnn")
    parser.add_argument("--task", help="only what fits this task, for example image-classification")
    parser.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the names")
    parser.add_argument("--json", action="store_true", help="for programs: the same facts as JSON")


def run(args: argparse.Namespace) -> None:
    """Print one line a card, under one heading a kind."""
    cards = _chosen(args)
    if args.json:
        print(json.dumps([_facts(card) for card in cards], indent=2, ensure_ascii=False))
        return
    kinds = dict.fromkeys(card.kind for card in cards)
    for kind in kinds:
        if kind != cards[0].kind:
            print()
        rows = [_row(card, args.lang) for card in cards if card.kind == kind]
        print_list([_heading(kind, args.lang), *rows])


def _chosen(args: argparse.Namespace) -> list[AnyCard]:
    """Return what fits every option, kind by kind; only architectures have a family or a task."""
    networks = catalog().architectures
    _require("--kind", args.kind, {card.kind for card in catalog().cards})
    _require("--family", args.family, {card.family for card in networks})
    _require("--task", args.task, {task for card in networks for task in card.tasks})
    fitting = [card for card in catalog().cards if _fits(card, args)]
    return sorted(fitting, key=lambda card: list(KINDS).index(card.kind))


def _fits(card: AnyCard, args: argparse.Namespace) -> bool:
    if args.kind not in (None, card.kind):
        return False
    if not isinstance(card, Architecture):
        return args.family is None and args.task is None
    return args.family in (None, card.family) and (args.task is None or args.task in card.tasks)


def _require(option: str, value: str | None, known: Iterable[str]) -> None:
    if value is not None and value not in known:
        raise UnknownNameError(
            f"Unknown {option} {value!r}.{nearest(value, known)} "
            f"There are {', '.join(sorted(known))}."
        )


def _heading(kind: str, lang: Lang) -> tuple[str, ...]:
    network = (kind, "family", "year", "name", "variants")
    words = network if kind == "architecture" else (kind, "year", "name", "code")
    return tuple(_WORDS[word] if lang == "zh" else word for word in words)


def _row(card: AnyCard, lang: Lang) -> tuple[str, ...]:
    year, name = str(card.paper.year), card.prose(lang).name
    if isinstance(card, Architecture):
        return card.id, card.family, year, name, ", ".join(v.name for v in card.variants)
    return card.id, year, name, card.code


def _facts(card: AnyCard) -> dict[str, object]:
    names = {"en": card.en.name, "zh": card.zh.name}
    facts = {"id": card.id, "kind": card.kind, "year": card.paper.year, "name": names}
    if isinstance(card, Architecture):
        variants = [variant.name for variant in card.variants]
        return facts | {"family": card.family, "tasks": card.tasks, "variants": variants}
    return facts | {"code": card.code}
