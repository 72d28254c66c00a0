"""`assay show NAME`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict

from assay.canon.card import KINDS, AnyCard, Architecture, InputKind, Lang, Part, Shape, Variant
from assay.canon.catalog import Catalog, catalog
from assay.canon.idea import IDEAS
from assay.canon.task import TASKS, Task
from assay.cli import layers
from assay.cli.columns import print_labelled, print_list

SUMMARY = "print one card: idea, paper, lineage, sizes; of a variant also its layers"
_LABELS = {
    "also": "又名",
    "idea": "要点",
    "changed": "改动",
    "choose": "适用",
    "avoid": "不适用",
    "paper": "论文",
    "kind": "类别",
    "formula": "公式",
    "shape": "形状",
    "code": "代码",
    "family": "家族",
    "tasks": "任务",
    "reads": "输入",
    "small": "小图像",
    "removable": "可去掉",
    "builds on": "前身",
    "led to": "后继",
    "departures": "与论文不同",
    "variant": "变体",
    "task": "任务",
    "parameters": "参数量",
    "MACs": "乘加次数",
    "native": "原始尺寸",
    "reference": "参考实现",
    "none": "无",
}
_READS: Mapping[InputKind, tuple[str, str, str]] = {  # in English, in Chinese, the sides
    "image": ("images", "图像", "C×H×W"),
    "sequence": ("sequences", "序列", "T×F"),
    "tokens": ("T tokens out of V", "词表 V 中的 T 个词元", "T×V"),
    "either": ("sequences, or T tokens out of V", "序列，或词表 V 中的 T 个词元", "T×F, T×V"),
    "table": ("rows of a table", "表格的行", "F"),
    "any": ("anything, as one row", "任意输入，展平为一行", ""),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "name",
        metavar="NAME",
        help="a card's id, or a variant such as resnet18; resnet18-without-shortcut, timm:NAME and "
        "the like have layers only",
    )
    layers.add_arguments(parser)
    parser.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the text")
    parser.add_argument("--json", action="store_true", help="for programs: the same facts as JSON")


def run(args: argparse.Namespace) -> None:
    """Print the card, and of its variants all, or the one named with its layers."""
    if not layers.has_card(args.name):
        layers.run(args)
        return
    card, named = catalog().find(args.name)
    if args.json:
        one = _one(card, named, args.name)
        facts = {**_facts(card, one, catalog()), **layers.facts(args, named)}
        print(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    layers.check_asked(args, named)
    print(f"{card.prose(args.lang).name}  ({card.id})\n")
    print_labelled(_lines(card, args.lang, catalog()))
    if isinstance(card, Architecture):
        print()
        print_list(_table(card, _shown(card, _one(card, named, args.name)), args.lang))
    layers.print_asked(args, named)


def _one(card: AnyCard, named: Variant | None, name: str) -> Variant | None:
    """Return the only size to tell of; None where the card bears the name of one, such as lstm."""
    return None if name == card.id else named


def _shown(card: Architecture, named: Variant | None) -> list[Variant]:
    return [variant for variant in card.variants if named in (None, variant)]


def _facts(card: AnyCard, named: Variant | None, of: Catalog) -> dict[str, object]:
    facts = asdict(card)
    facts["path"] = str(card.path)
    if isinstance(card, Architecture):
        facts["variants"] = [asdict(variant) for variant in _shown(card, named)]
    facts["parents"] = [parent.id for parent in of.parents(card.id)]
    facts["children"] = [child.id for child in of.children(card.id)]
    return facts


def _lines(card: AnyCard, lang: Lang, of: Catalog) -> list[tuple[str, str]]:
    prose, paper = card.prose(lang), card.paper
    facts = {
        "also": ", ".join(card.aliases),
        "idea": prose.idea,
        "changed": prose.changed,
        "choose": prose.choose,
        "avoid": prose.avoid,
        "paper": f"{paper.title} ({paper.authors}, {paper.year}) {paper.url}",
        **(_of_part(card, lang) if isinstance(card, Part) else _of_architecture(card, lang)),
        "builds on": _names(of.parents(card.id), lang),
        "led to": _names(of.children(card.id), lang),
        "departures": card.departs(lang) or _word("none", lang),
    }
    return [(_word(label, lang), text) for label, text in facts.items() if text]


def _of_architecture(card: Architecture, lang: Lang) -> dict[str, str]:
    return {
        "family": card.family,
        "tasks": ", ".join(_task(task, lang) for task in card.tasks),
        "reads": _reads(card, lang),
        "small": _small(card, lang),
        "removable": ", ".join(f"{idea} ({IDEAS[idea].name(lang)})" for idea in card.removable),
    }


def _of_part(card: Part, lang: Lang) -> dict[str, str]:
    return {
        "kind": KINDS[card.kind] if lang == "zh" else card.kind,
        "formula": card.formula.told(lang),
        "shape": card.shape.told(lang),
        "code": card.code.replace(":", "."),
    }


def _reads(card: Architecture, lang: Lang) -> str:
    """Return what one example is, and the smallest."""
    en, zh, sides = _READS[card.input.kind]
    if lang == "zh":
        return "，".join([zh, f"{sides} ≥ {_shape(card.input.least)}".strip()])
    return ", ".join([en, f"{sides} ≥ {_shape(card.input.least)}".strip()])


def _task(task: Task, lang: Lang) -> str:
    """Return a task as `--task` takes it, in Chinese after what people call it."""
    return f"{TASKS[task].zh} ({task})" if lang == "zh" else task


def _table(card: Architecture, variants: list[Variant], lang: Lang) -> list[tuple[str, ...]]:
    """Return the sizes; the task too where they are not all counted for the same one."""
    several = len({card.native_task(v) for v in card.variants}) > 1
    words = ("variant", "parameters", "MACs", "native", *(["task"] if several else []), "reference")
    rows = [
        (
            v.name,
            f"{v.parameters:,}",
            f"{v.macs:,}",
            _shape(card.native(v)),
            *([TASKS[card.native_task(v)].zh if lang == "zh" else card.native_task(v)] * several),
            v.reference,
        )
        for v in variants
    ]
    return [tuple(_word(word, lang) for word in words), *rows]


def _small(card: Architecture, lang: Lang) -> str:
    if card.small is None:
        return ""
    return f"≤ {card.small.upto} px: {card.small.zh if lang == 'zh' else card.small.en}"


def _names(cards: list[AnyCard], lang: Lang) -> str:
    return ", ".join(f"{c.prose(lang).name} ({c.id})" for c in cards) or _word("none", lang)


def _shape(shape: Shape) -> str:
    return "×".join(map(str, shape))


def _word(label: str, lang: Lang) -> str:
    return _LABELS[label] if lang == "zh" else label
