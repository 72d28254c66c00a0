"""`assay diff A B`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass

from assay.canon.card import Architecture, Lang, Shape, Variant
from assay.canon.catalog import catalog
from assay.cli.columns import print_labelled, print_table
from assay.cli.layers import (
    DEPTH,
    NATIVE,
    OUTPUTS,
    check_depth,
    entry,
    find_layers,
    is_foreign,
    parse_input,
    short,
    shown,
)
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
    "en": "B has {parameters} times the parameters of A and {macs} times its MACs, "
    "for an input of {inputs}.",
    "zh": "输入 {inputs} 时，B 的参数量是 A 的 {parameters} 倍，乘加次数是 A 的 {macs} 倍。",
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

    @property
    def inputs(self) -> Shape | None:
        """The native shape."""
        return self.card.native(self.variant) if self.card and self.variant else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("first", metavar="A", help="a variant, timm:NAME, torchvision:NAME, ...")
    parser.add_argument("second", metavar="B", help="what A is compared with")
    parser.add_argument(
        "--input", metavar="SHAPE", help="of both, such as 3x224x224 (default: A's native one)"
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
    inputs = _inputs(args.input, sides)
    outputs = next((side.variant.outputs for side in sides if side.variant), OUTPUTS)
    layers = [find_layers(side.name, inputs, outputs) for side in sides]
    changes = differences(tree(layers[0]), tree(layers[1]), depth=args.depth)
    if args.json:
        print(json.dumps(_facts(sides, inputs, layers, changes), indent=2, ensure_ascii=False))
        return
    print_labelled(_heading(sides, args.lang))
    print()
    print_table(_rows(changes, layers, args.lang), right=set(range(2, 8)), shortened=1)
    print()
    print(_conclusion(changes, layers, inputs, args.lang))


def _side(name: str) -> Side:
    """Return a network with its card, if it has one."""
    return Side(name) if is_foreign(name) else Side(*entry(name))


def _inputs(given: str | None, sides: Sequence[Side]) -> Shape:
    if given is not None:
        return parse_input(given)
    return next((side.inputs for side in sides if side.inputs), NATIVE)


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
        "departures": "; ".join(card.departures) or _word("none", lang),
    }


def _rows(
    changes: Sequence[Change], layers: Sequence[list[Layer]], lang: Lang
) -> list[tuple[str, ...] | str]:
    parameters, macs = _word("param.", lang), _word("MACs", lang)
    heading = ("", _word("layer", lang), f"{parameters} A", "B", "B − A", f"{macs} A", "B", "B − A")
    rows: list[tuple[str, ...] | str] = [heading]
    for change in changes:
        if change.sort == "equal" and not any((*change.parameters, *change.macs)):
            continue
        cells = (*_costs(change.parameters), *_costs(change.macs))
        rows.append((_MARKS[change.sort], _path(change, lang), *cells))
        rows += [f"     {line}" for line in _kinds(change)]
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
    if not nodes:
        return ""
    first, last = nodes[0].layer.path, nodes[-1].layer.path
    if first == last:
        return first
    same = first.rpartition(".")[0] == last.rpartition(".")[0]
    return f"{first}–{last.rpartition('.')[2] if same else last}"


def _kinds(change: Change) -> list[str]:
    """Return what the layers are, where that differs or only one network has them."""
    kinds = [nodes[0].layer.kind if nodes else "" for nodes in (change.first, change.second)]
    if change.own or change.sort == "equal" or kinds[0] == kinds[1]:
        return []
    return [f"{mark} {kind}" for mark, kind in zip("-+", kinds, strict=True) if kind]


def _conclusion(
    changes: Sequence[Change], layers: Sequence[list[Layer]], inputs: Shape, lang: Lang
) -> str:
    if all(change.sort == "equal" for change in changes):
        return _SAME[lang]
    first, second = (of[0] for of in layers)
    ratios = {
        "parameters": _ratio(second.parameters, first.parameters),
        "macs": _ratio(second.macs, first.macs),
    }
    return _RATIO[lang].format(**ratios, inputs=shown(inputs))


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "∞"


def _facts(
    sides: Sequence[Side],
    inputs: Shape,
    layers: Sequence[list[Layer]],
    changes: Sequence[Change],
) -> dict[str, object]:
    return {
        "input": inputs,
        "networks": [
            {"name": side.name, "parameters": of[0].parameters, "macs": of[0].macs}
            for side, of in zip(sides, layers, strict=True)
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
