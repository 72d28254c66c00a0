"""`assay predict RUN FILE...`."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import TYPE_CHECKING

from assay.data.names import shown

if TYPE_CHECKING:
    from assay.ship.files import Answer

SUMMARY = "label files with the winner of a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "model",  # not "run": that is what the router calls
        metavar="RUN",
        help="a run's id or the beginning of it, ID/CANDIDATE, or a folder with a saved model",
    )
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="an image, a folder of images, a table (.csv, .tsv, .parquet), a .npz, a text (.txt), "
        ".jsonl or .conll",
    )
    parser.add_argument("--top", type=int, default=3, metavar="N", help="classes to name (3)")
    parser.add_argument("--json", action="store_true", help="for programs: one JSON line each")
    parser.add_argument("--store", metavar="URL", help="where the run is (assay-runs here)")
    parser.add_argument(
        "--code",
        metavar="FILE.py:Class",
        help="for a network of your own: its code, which a saved model never names",
    )


def run(args: argparse.Namespace) -> None:
    """Print one line for every example."""
    from assay.ship.files import (
        predict_files,
    )  # torch takes seconds to import; --help must not wait
    from assay.ship.load import load

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        predictor = load(args.model, store=args.store, code=args.code)
    for warning in told:
        print(f"assay: {warning.message}", file=sys.stderr)
    for answer in predict_files(predictor, args.files, top=args.top):
        print(_as_json(answer) if args.json else _as_text(answer))


def _as_json(answer: Answer) -> str:
    facts: dict[str, object] = {"input": answer.source}
    if answer.words:
        facts |= {"words": answer.words, "tags": answer.tags}
    elif answer.value is None:
        facts["label"] = answer.label
        if answer.probabilities:
            facts["probabilities"] = answer.probabilities
    else:
        facts["value"] = answer.value
    return json.dumps(facts)  # in ASCII: whatever a file is called, the line stays one line


def _as_text(answer: Answer) -> str:
    if answer.words:
        return _as_conll(answer)
    if answer.value is not None:
        return f"{shown(answer.source)}  {answer.value:.6g}"
    if not answer.probabilities:
        return f"{shown(answer.source)}  {shown(answer.label, most=len(answer.label))}"
    named = [f"{shown(label)} {share:.1%}" for label, share in answer.probabilities.items()]
    return f"{shown(answer.source)}  {'  '.join(named)}"


def _as_conll(answer: Answer) -> str:
    """Return a sentence as files of tagged words have it: a word and its tag on each line."""
    pairs = zip(answer.words, answer.tags, strict=True)
    lines = [f"{shown(word, most=len(word))}\t{shown(tag)}" for word, tag in pairs]
    return "\n".join([f"# {shown(answer.source)}", *lines, ""])
