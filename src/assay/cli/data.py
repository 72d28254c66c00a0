"""`assay data check DATA`."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from assay.cli.columns import print_labelled
from assay.cli.compare import SKIP_BAD, add_reading

if TYPE_CHECKING:
    from assay.data.concern import Concern
    from assay.data.dataset import Dataset

SUMMARY = "look for faults in data before anything is trained on them"
_WORDS = {
    "en": {"error": "error", "warning": "warning", "note": "note", "none": "Nothing was found."},
    "zh": {"error": "错误", "warning": "警告", "note": "提示", "none": "未发现问题。"},
}
_MORE = {"en": "such as ", "zh": "例如 "}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("action", choices=("check",), help="check DATA")
    add("data", metavar="DATA", help="what `assay compare` reads: digits, a folder, .csv, .txt ...")
    add("--target", metavar="COLUMN", help="what to predict, for tables")
    add("--task", help="when the data are not what they look like")
    add("--group", metavar="COLUMN", help="rows with one value of it stay in one part")
    add("--time", metavar="COLUMN", help="the latest rows by it are the test part")
    add(
        "--split-seed",
        type=int,
        default=0,
        metavar="N",
        help="of the division of the data (default: %(default)s)",
    )
    add("--data-dir", metavar="FOLDER", help="where fashion-mnist's files are")
    add("--skip-bad", action="store_true", help=SKIP_BAD)
    add(
        "--store",
        metavar="WHERE",
        help="where `assay compare` will find the prepared data (default: they are not kept)",
    )
    add("--lang", choices=("en", "zh"), default="en", help="language of the findings")
    add_reading(parser)
    add("--json", action="store_true", help="for programs: the same facts as JSON")


def run(args: argparse.Namespace) -> int | None:
    """Check; 1 when a finding makes every result on these data void."""
    from pathlib import Path

    from assay.data.check import check
    from assay.data.load import load
    from assay.store.place import locate

    with TemporaryDirectory(prefix="assay-") as place:
        folder = locate(args.store).files / "data" if args.store else Path(place)
        dataset = load(
            args.data,
            folder=folder,
            task=args.task,
            target=args.target,
            seed=args.split_seed,
            data_dir=args.data_dir,
            skip_bad=args.skip_bad,
            group=args.group,
            time=args.time,
            text=args.text,
            tokenizer=args.tokenizer,
            vocabulary=args.vocabulary,
            length=args.length,
            series=args.series,
            window=args.window,
            horizon=args.horizon,
        )
        concerns = check(dataset, group=args.group, time=args.time)
    (_print_json if args.json else _print)(dataset, concerns, args.lang)
    return 1 if any(concern.severity == "error" for concern in concerns) else None


def _print_json(dataset: Dataset, concerns: tuple[Concern, ...], lang: str) -> None:
    del lang  # both languages are told
    facts = {
        "data": dataset.name,
        "task": dataset.task,
        "examples": len(dataset.x),
        "notes": [dict(note) for note in dataset.notes],
        "concerns": [asdict(concern) for concern in concerns],
    }
    print(json.dumps(facts, ensure_ascii=False, indent=2))


def _print(dataset: Dataset, concerns: tuple[Concern, ...], lang: str) -> None:
    from assay.data.describe import describe

    print(describe(dataset, "zh" if lang == "zh" else "en"))
    print()
    words = _WORDS[lang]
    if not concerns:
        print(words["none"])
        return
    rows = []
    for concern in concerns:
        rows.append((words[concern.severity], concern.zh if lang == "zh" else concern.en))
        if concern.where:
            rows.append(("", _MORE[lang] + _listed(concern.where)))
    print_labelled(rows)


def _listed(names: tuple[str, ...]) -> str:
    from assay.data.names import shown

    return ", ".join(shown(name) for name in names[:3])
