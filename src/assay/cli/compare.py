"""`assay compare DATA`."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import fields
from typing import TYPE_CHECKING, Literal

from assay.compare.pretraining import TUNES
from assay.compare.recommend import CHOICES
from assay.compare.request import (
    ACCELERATORS,
    CORRECTIONS,
    LANGUAGES,
    PRECISIONS,
    TOKENIZERS,
    Request,
)
from assay.errors import Interrupted

if TYPE_CHECKING:
    from assay.compare.result import StudyResult
    from assay.compare.study import Study
    from assay.data.dataset import Dataset
    from assay.engine.spec import Candidate

SUMMARY = "train candidates on your data and say which differences are real"
_DEFAULT = {f.name: f.default for f in fields(Request)}
SKIP_BAD = "leave out images, texts and series that cannot be used instead of stopping"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of `Request`."""
    add = parser.add_argument
    add("data", metavar="DATA", help="digits, python-docs, a folder, .csv, .txt, .jsonl, .npz ...")
    add(
        "--models",
        type=_names,
        metavar="A,B",
        help="canon names, timm:NAME, torchvision:NAME, file.py:Class",
    )
    add("--family", metavar="NAME", help="only this family of the proposed candidates, such as cnn")
    add(
        "--pretrained",
        nargs="?",
        const="full",
        choices=tuple(TUNES),
        help="start from published weights; what learns then: full (the default), head, frozen or "
        "gradual",
    )
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that every study has."""
    add = parser.add_argument
    add("--seeds", type=int, metavar="N", help="trials of each candidate (default: %(default)s)")
    add(
        "--budget",
        metavar="B",
        help="of each trial: 30s, 2000steps, 20epochs, 1e13flops (default: %(default)s)",
    )
    add("--task", help="when the data are not what they look like")
    add("--target", metavar="COLUMN", help="what to predict, for tables")
    add(
        "--prefer",
        choices=CHOICES,
        help="recommend the cheapest by this, or the best mean by score (default: %(default)s)",
    )
    add(
        "--margin",
        metavar="M",
        help="how far from the best mean the cheapest may be: 0.3%%, 0.003 (default: 0.3 points "
        "of a share such as accuracy, 1%% of any other score)",
    )
    add(
        "--require",
        action="append",
        metavar="TEXT",
        help='such as "latency<5ms" or "params<1e6"; repeatable',
    )
    add(
        "--store",
        metavar="WHERE",
        help="folder or URL of the records (default: assay-runs/ beside the data)",
    )
    add("--precision", choices=PRECISIONS, help="of training (default: %(default)s)")
    add(
        "--no-autotune",
        dest="autotune",
        action="store_false",
        help="do not look for the fastest way to compute",
    )
    add(
        "--accelerator",
        choices=ACCELERATORS,
        help="what trains; costs are always the processor's (default: %(default)s)",
    )
    add(
        "--workers",
        type=int,
        metavar="N",
        help="trials at once (default: one for each core, or one on an accelerator)",
    )
    add("--data-dir", metavar="FOLDER", help="where fashion-mnist's files are")
    add("--skip-bad", action="store_true", help=SKIP_BAD)
    add(
        "--split-seed",
        type=int,
        metavar="N",
        help="of the division of the data (default: %(default)s)",
    )
    add(
        "--patience",
        type=_patience,
        metavar="N",
        help="evaluations without improvement before a trial stops, or none (default: %(default)s)",
    )
    add(
        "--evaluations",
        type=int,
        metavar="N",
        help="of each trial on the validation part (default: %(default)s)",
    )
    add("--lang", choices=LANGUAGES, help="of the report (default: %(default)s)")
    add_reading(parser)
    _add_evidence(parser)
    add("--json", action="store_true", help="for programs: the result as JSON")
    shown = {k: v for k, v in _DEFAULT.items() if k not in ("data", "require")}
    parser.set_defaults(**shown)


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Declare how text and series are read; `assay data check` reads them alike."""
    add = parser.add_argument_group("text and series").add_argument
    add("--text", metavar="COLUMN", help="what holds the text, for tables")
    add(
        "--tokenizer",
        choices=TOKENIZERS,
        default=_DEFAULT["tokenizer"],
        help="of text (default: %(default)s)",
    )
    add("--vocabulary", type=int, metavar="N", help="tokens to choose from, at most")
    add("--length", type=int, metavar="N", help="tokens of an example, at most")
    add("--series", metavar="COLUMN", help="which series a row belongs to")
    add("--window", type=int, metavar="N", help="steps that a forecast sees")
    add("--horizon", type=int, metavar="N", help="steps that it predicts")


def _add_evidence(parser: argparse.ArgumentParser) -> None:
    """Declare what decides how much a verdict can be trusted."""
    add = parser.add_argument_group("evidence").add_argument
    add("--metric", metavar="M", help="rank by this: accuracy, auroc, file.py:function and others")
    add("--tune", type=int, metavar="N", help="settings to try for each candidate")
    add("--until", metavar="WHEN", help='add seeds until "decided", "30m" or "decided or 30m"')
    add(
        "--confidence",
        type=float,
        metavar="P",
        help="of verdicts and intervals (default: %(default)s)",
    )
    add(
        "--correction",
        choices=CORRECTIONS,
        help="of p values for the number of pairs (default: %(default)s)",
    )
    add("--splits", type=int, metavar="K", help="divisions of the data (default: %(default)s)")
    add(
        "--no-baselines",
        dest="baselines",
        action="store_false",
        help="leave out the simple opponents that every network should beat",
    )
    add("--group", metavar="COLUMN", help="rows of one group stay in one part, for tables")
    add("--time", metavar="COLUMN", help="test on the latest rows, for tables")
    add("--executor", metavar="WHERE", help="local or ray[://ADDRESS] (default: %(default)s)")
    add("--devices", type=int, metavar="N", help="processes that share one training on each host")
    add("--nodes", type=int, metavar="N", help="hosts that share one training")
    add("--strategy", choices=("ddp", "fsdp"), help="how they share it (default: %(default)s)")


def run(args: argparse.Namespace) -> int | None:
    """Compare."""
    from assay.compare.study import Study

    return show(Study.of(request_of(args)), as_json=args.json)


def request_of(args: argparse.Namespace) -> Request:
    """Return what the parsed words ask for."""
    facts = {name: getattr(args, name) for name in _DEFAULT}
    return Request(**{**facts, "require": tuple(facts["require"] or ())})


def show(study: Study, *, as_json: bool) -> int | None:
    """Run a study with a live display, then print what it found; 1 when no candidate finished."""
    if study.follows:
        study.follow()
        return None
    lang = study.request.lang
    try:
        result = study.run() if as_json else _with_progress(study, lang)
    except KeyboardInterrupt as error:
        raise Interrupted("Stopped before any training; run the same command again.") from error
    if as_json:
        from assay.report.codec import result_to_json

        print(json.dumps(result_to_json(result), ensure_ascii=False, indent=2))
    else:
        _print(result, study)
    return None if any(c.score for c in result.candidates) else 1


def _with_progress(study: Study, lang: Literal["en", "zh"]) -> StudyResult:
    from rich.console import Console

    from assay.report.progress import Progress

    console = Console(stderr=True, emoji=False)
    with Progress(console, lang) as progress:

        def begin(dataset: Dataset, candidates: list[Candidate]) -> None:
            from assay.data.describe import describe

            console.print(describe(dataset, lang), markup=False, highlight=False)
            progress.expect([c.name for c in candidates], study.request.seeds, dataset.task)

        return study.run(on_event=progress, on_data=begin)


def _print(result: StudyResult, study: Study) -> None:
    from rich.console import Console

    from assay.report.terminal import print_result

    print_result(Console(emoji=False), result, study.request.lang)
    for line in _next_commands(result, study):
        print(line)


def _next_commands(result: StudyResult, study: Study) -> list[str]:
    from assay.store.place import default_store, without_password

    asked = study.request
    where = asked.store or str(study.folder.parents[1])
    elsewhere = where != str(default_store().absolute())
    store = ["--store", without_password(where)] if elsewhere else []
    return [
        "",
        *([shlex.join([*_use(result), *store])] if result.recommendation.candidate else []),
        shlex.join(
            ["assay", "report", result.id, "--lang", "zh" if asked.lang == "en" else "en", *store]
        ),
        shlex.join(["assay", "runs", "show", result.id, *store]),
    ]


def _use(result: StudyResult) -> list[str]:
    """Return the command that uses the winner."""
    if result.data["task"] in ("language-modeling", "text-to-text"):
        return ["assay", "generate", result.id, "--prompt", "TEXT"]
    return ["assay", "predict", result.id, "FILE"]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _patience(text: str) -> int | None:
    if text != "none" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number or none, not {text!r}")
    return None if text == "none" else int(text)
