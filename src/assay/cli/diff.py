"""`assay diff A B`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from assay.canon.card import Architecture, Lang, Shape, Variant
from assay.canon.catalog import catalog
from assay.cli.columns import print_folded, print_labelled, print_table
from assay.cli.layers import (
    DEPTH,
    check_depth,
    does_several,
    entry,
    find_layers,
    foreign_setting,
    is_foreign,
    parse_input,
    short,
)
from assay.cli.setting import Setting, setting_of
from assay.models.difference import Change, differences
from assay.models.layer import Layer, Node, tree

SUMMARY = "show what differs between two networks, block by block, and what it costs"
_MARKS = {"equal": "=", "changed": "~", "removed": "-", "added": "+"}
_WORDS = {
    "name": "名称",
    "idea": "要点",
    "family": "家族",
    "builds on": "前身",
    "year": "年份",
    "departures": "与论文不同",
    "none": "无",
    "layer": "层",
    "param.": "参数",
    "MACs": "乘加次数",
    "total": "合计",
    "itself": "自身",
}
_EQUAL = {"en": "{count} equal", "zh": "{count} 层相同"}
_SAME = {"en": "The two are built alike.", "zh": "两者结构相同。"}
_RATIO = {
    "en": "B has {parameters} times the parameters of A and {macs} times its MACs, for {given}.",
    "zh": "{given} 时，B 的参数量是 A 的 {parameters} 倍，乘加次数是 A 的 {macs} 倍。",
}


@dataclass(frozen=True)
class Side:
    """One of the two networks.

    Attributes:
        name: As it is built.
        card: What the canon says of it, if it is an entry.
        variant: Which of the entry's it is.
    """

    name: str
    card: Architecture | None = None
    variant: Variant | None = None

    def setting(self, task: str | None, inputs: Shape | None) -> Setting:
        """Return for what it is built."""
        if self.card is None or self.variant is None:
            return foreign_setting(inputs, task)
        return setting_of(self.card, self.variant, task=task, inputs=inputs)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("first", metavar="A", help="a variant, timm:NAME, torchvision:NAME, ...")
    parser.add_argument("second", metavar="B", help="what A is compared with")
    parser.add_argument(
        "--input", metavar="SHAPE", help="of both, such as 3x224x224 (default: A's native one)"
    )
    parser.add_argument(
        "--task", help="of both (default: A's native one, or another that both can do)"
    )
    parser.add_argument(
        "--depth",
        type=int,
        metavar="N",
        default=DEPTH,
        help="how deep blocks are opened that differ (default: %(default)s)",
    )
    parser.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the text")
    parser.add_argument("--json", action="store_true", help="for programs: the same facts as JSON")


def run(args: argparse.Namespace) -> None:
    """Print which layers differ, and the totals."""
    check_depth(args.depth)
    sides = [_side(args.first), _side(args.second)]
    settings = _settings(sides, args)
    layers = [find_layers(s.name, setting) for s, setting in zip(sides, settings, strict=True)]
    changes = differences(tree(layers[0]), tree(layers[1]), depth=args.depth)
    if args.json:
        print(json.dumps(_facts(sides, settings, layers, changes), indent=2, ensure_ascii=False))
        return
    print_labelled(_heading(sides, args.lang))
    print()
    print_table(_rows(changes, layers, args.lang), right=set(range(2, 8)), shortened=1)
    print()
    several = args.task is not None or any(does_several(side.name) for side in sides)
    given = settings[0].told(args.lang, task=several)
    print_folded(_conclusion(changes, layers, given, args.lang))


def _side(name: str) -> Side:
    """Return a network with its card, if it has one."""
    return Side(name) if is_foreign(name) else Side(*entry(name))


def _settings(sides: Sequence[Side], args: argparse.Namespace) -> list[Setting]:
    """Return for what each is built: the same input, and the same task and outputs if both can."""
    given = None if args.input is None else parse_input(args.input)
    task = args.task or _common_task(sides)
    first = next((side for side in sides if side.card), sides[0])
    shared = first.setting(task, given)
    own = (side.setting(task, shared.inputs) if side.card else shared for side in sides)
    return [shared if setting.task == shared.task else setting for setting in own]


def _common_task(sides: Sequence[Side]) -> str | None:
    """Return A's native task or another that both do; None if a card is missing or none fits."""
    first, second = sides
    if first.card is None or first.variant is None or second.card is None:
        return None
    tasks = (first.card.native_task(first.variant), *first.card.tasks)
    return next((task for task in tasks if task in second.card.tasks), None)


def _heading(sides: Sequence[Side], lang: Lang) -> list[tuple[str, str]]:
    """Return the two names, and what their cards say differently."""
    rows = [("A", _title(sides[0], lang)), ("B", _title(sides[1], lang))]
    for label, values in _differing(sides, lang).items():
        for letter, value in zip("AB", values, strict=True):
            rows.append((f"{_word(label, lang)} {letter}", value))
    return rows


def _title(side: Side, lang: Lang) -> str:
    return f"{side.name}  ({side.card.prose(lang).name})" if side.card else side.name


def _differing(sides: Sequence[Side], lang: Lang) -> dict[str, tuple[str, str]]:
    """Return what both cards say, where they do not say the same."""
    first, second = (_said(side.card, lang) for side in sides)
    return {
        label: (first[label], second[label])
        for label in first
        if label in second and first[label] != second[label]
    }


def _said(card: Architecture | None, lang: Lang) -> dict[str, str]:
    if card is None:
        return {}
    parents = catalog().parents(card.id)
    return {
        "idea": card.prose(lang).idea,
        "family": card.family,
        "year": str(card.paper.year),
        "builds on": ", ".join(p.prose(lang).name for p in parents) or _word("none", lang),
        "departures": card.departs(lang) or _word("none", lang),
    }


def _rows(
    changes: Sequence[Change], layers: Sequence[list[Layer]], lang: Lang
) -> list[tuple[str, ...] | str]:
    parameters, macs = _word("param.", lang), _word("MACs", lang)
    heading = ("", _word("layer", lang), f"{parameters} A", "B", "B − A", f"{macs} A", "B", "B − A")
    rows: list[tuple[str, ...] | str] = [heading]
    for change in changes:
        kinds = _kinds(change)
        if not kinds and not any((*change.parameters, *change.macs)):
            continue
        cells = (*_costs(change.parameters), *_costs(change.macs))
        rows.append((_MARKS[change.sort], _path(change, lang), *cells))
        rows += [f"     {line}" for line in kinds]
    first, second = (of[0] for of in layers)
    totals = (
        *_costs((first.parameters, second.parameters)),
        *_costs((first.macs, second.macs)),
    )
    return [*rows, ("", _word("total", lang), *totals)]


def _costs(pair: tuple[int, int]) -> tuple[str, str, str]:
    """Return both numbers and their difference; nothing for zeros."""
    change = pair[1] - pair[0]
    sign = "+" if change > 0 else "−"
    told = f"{sign}{short(abs(change))}" if change else ""
    first, second = (short(n) if n else "" for n in pair)
    return first, second, told


def _path(change: Change, lang: Lang) -> str:
    """Return where it is, in A or in B, or in both if that differs."""
    here, there = (_span(nodes) for nodes in (change.first, change.second))
    path = here if here == there or not there else f"{here} → {there}" if here else there
    if change.own:
        path = f"{path} ({_word('itself', lang)})".strip()
    count = max(len(change.first), len(change.second))
    if change.sort == "equal" and not change.own:
        return f"{path}: {_EQUAL[lang].format(count=count)}" if count > 1 else path
    return path


def _span(nodes: Sequence[Node]) -> str:
    """Return "blocks.0–3.norm" for the same layer of several blocks, or "stage.1–2"."""
    if not nodes:
        return ""
    paths = [node.layer.path.split(".") for node in nodes]
    if len({len(path) for path in paths}) == 1:
        sides = [list(dict.fromkeys(side)) for side in zip(*paths, strict=True)]
        if prod(map(len, sides)) == len(paths):
            return ".".join(_ends(side) for side in sides)
    return _ends([node.layer.path for node in nodes])


def _ends(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]}–{names[-1]}"


def _kinds(change: Change) -> list[str]:
    """Return what the layers are, where that differs or only one network has them."""
    kinds = [nodes[0].layer.kind if nodes else "" for nodes in (change.first, change.second)]
    if change.own or change.sort == "equal" or kinds[0] == kinds[1]:
        return []
    return [f"{mark} {kind}" for mark, kind in zip("-+", kinds, strict=True) if kind]


def _conclusion(
    changes: Sequence[Change], layers: Sequence[list[Layer]], given: str, lang: Lang
) -> str:
    if all(change.sort == "equal" for change in changes):
        return _SAME[lang]
    first, second = (of[0] for of in layers)
    ratios = {
        "parameters": _ratio(second.parameters, first.parameters),
        "macs": _ratio(second.macs, first.macs),
    }
    return _RATIO[lang].format(**ratios, given=given)


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "∞"


def _facts(
    sides: Sequence[Side],
    settings: Sequence[Setting],
    layers: Sequence[list[Layer]],
    changes: Sequence[Change],
) -> dict[str, object]:
    return {
        "input": settings[0].inputs,
        "networks": [
            {
                "name": side.name,
                "task": setting.task,
                "parameters": of[0].parameters,
                "macs": of[0].macs,
            }
            for side, setting, of in zip(sides, settings, layers, strict=True)
        ],
        "cards": _differing(sides, "en"),
        "layers": [
            {
                "change": change.sort,
                "paths": [[n.layer.path for n in side] for side in (change.first, change.second)],
                "kinds": [[n.layer.kind for n in side] for side in (change.first, change.second)],
                "itself": change.own,
                "parameters": change.parameters,
                "macs": change.macs,
            }
            for change in changes
        ],
    }


def _word(label: str, lang: Lang) -> str:
    return _WORDS[label] if lang == "zh" else label
