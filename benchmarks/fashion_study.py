"""The small variants trained on Fashion-MNIST, with the published figures beside ours.

    python -m benchmarks.fashion_study [--models A,B] [--seeds 3] [--budget 900s]
                                       [--accelerator cuda]

`make study-fashion` runs it with MODELS, SEEDS, BUDGET and ACCELERATOR. It is a study like any
other, kept in assay-runs/: what was measured is not measured again, and after a stop the same
command continues. Selection sees the validation part only. The table goes to
docs/results/fashion-mnist.md and the result to the .json beside it, without curves and images.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from assay.canon.card import Architecture, Variant
from assay.canon.catalog import catalog
from assay.compare.result import CandidateResult, StudyResult
from assay.compare.study import Study
from assay.engine.spec import Event
from assay.errors import AssayError
from assay.models.build import build
from assay.models.macs import count_macs
from assay.report.codec import result_to_json

RESULTS = Path(__file__).parents[1] / "docs" / "results"
INPUTS, CLASSES = (1, 28, 28), 10
VISION = "assay.models.vision."
MOST_WORK = 500_000_000  # multiply-accumulates of an image; more are a few hundred steps in BUDGET
SEEDS, BUDGET = 3, "900s"

# Test accuracy in per cent, from the data set's own list, as their authors reported them.
PUBLISHED: Mapping[str, tuple[str, float]] = {
    "lenet-5": ("two-layer CNN under 100 K parameters", 92.5),
    "resnet": ("ResNet-18", 94.9),
    "mobilenet-v1": ("MobileNet", 95.0),
    "densenet": ("DenseNet-BC", 95.4),
    "wide-resnet": ("WRN-28-10; WRN-40-4 with augmentation has 96.7", 95.9),
}
OTHER_METHODS = {"XGBoost": 89.8, "HOG and a support vector machine": 92.6}


@cache
def small_variants() -> list[str]:
    """Return of each card of the vision canon the small form that takes the least work.

    That of its default variant, else of its cheapest, or the cheapest network that was published
    for small images. Cards whose small form is an enlarged image, or takes more than `MOST_WORK`,
    are left out.
    """
    cards = [c for c in catalog().architectures if c.variants[0].code.startswith(VISION)]
    found = filter(None, map(small_variant, cards))
    return [variant.name for variant in found if work(variant) <= MOST_WORK]


def small_variant(card: Architecture) -> Variant | None:
    """Return a card's small form that takes the least work; None where images are enlarged."""
    large = [v for v in card.variants if not card.made_small(v)]
    usual = next((v for v in large if v.default), min(large, key=lambda v: v.macs))
    forms = [usual, *(v for v in card.variants if card.made_small(v))]
    read = [v for v in forms if (a := card.adapt(v, INPUTS)) is None or a.kind != "upsample"]
    return min(read, key=work, default=None)


@cache
def work(variant: Variant) -> int:
    """Return the multiply-accumulates of one image."""
    with torch.device("meta"):
        return count_macs(build(variant.name, inputs=INPUTS, outputs=CLASSES), INPUTS)


def tell(event: Event) -> None:
    """Print the end of a trial."""
    if event.kind in ("finish", "fail"):
        score = f", best on validation {event.score:.4f}" if event.score is not None else ""
        print(
            f"{time.strftime('%H:%M:%S')} {event.candidate} seed {event.seed}: {event.kind}{score} "
            f"{event.text}".rstrip(),
            file=sys.stderr,
            flush=True,
        )


def per_cent(value: float) -> str:
    """Return a share as per cent."""
    return f"{100 * value:.2f}"


def row(candidate: CandidateResult) -> str:
    """Return a candidate's line of the table."""
    scores = [seed.score for seed in candidate.seeds if seed.status == "finished"]
    if candidate.score is None:
        reason = candidate.seeds[0].reason if candidate.seeds else "not planned"
        return f"| {candidate.name} | failed: {reason} |" + " |" * 7
    steps = statistics.mean(seed.steps for seed in candidate.seeds if seed.status == "finished")
    _, published = PUBLISHED.get(catalog().entry(candidate.name)[0].id, ("", None))
    cells = (
        candidate.name,
        per_cent(candidate.score.mean),
        f"{per_cent(candidate.score.low)} to {per_cent(candidate.score.high)}",
        f"{per_cent(min(scores))} to {per_cent(max(scores))}",
        str(len(scores)),
        f"{candidate.cost.parameters:,}" if candidate.cost else "",
        f"{steps:,.0f}",
        f"{candidate.train_seconds:.0f}",
        f"{published:.1f}" if published else "",
    )
    return f"| {' | '.join(cells)} |"


def what_was_run(result: StudyResult) -> str:
    """Return the sentence that says whether this is the whole study or a part of it."""
    whole = small_variants()
    names = {candidate.name for candidate in result.candidates}
    asked = result.settings
    if names == set(whole) and asked["seeds"] >= SEEDS and asked["budget"] == BUDGET:
        return f"The whole study: {len(whole)} networks, {asked['seeds']} seeds, {BUDGET} a trial."
    return (
        f"**A part of the study, not a full training**: {len(names)} networks of {len(whole)}, "
        f"seeds: {asked['seeds']}, a trial: {asked['budget']}. The whole one is "
        f"`make study-fashion`: {len(whole)} networks, {SEEDS} seeds, {BUDGET} a trial."
    )


def page(result: StudyResult) -> str:
    """Return the table with all that it depends on."""
    machine, versions = result.machine, result.versions
    sizes = result.data["sizes"]
    steps = " to ".join(f"{count:,}" for count in result.planned_steps)
    return "\n".join(
        [
            "# Fashion-MNIST",
            "",
            what_was_run(result),
            "",
            f"- command: `{result.command}`",
            f"- data: {sizes['train']:,} images to train, {sizes['val']:,} to select by, "
            f"{sizes['test']:,} (the published test part) to report, opened once a trial",
            f"- budget: {result.budget} a trial: {steps} steps",
            f"- machine: {machine['processor']}, {machine['cores']} cores, load "
            f"{machine['load']:.1f}; Python {versions['python']}, torch {versions['torch']}",
            f"- date: {result.created[:10]}",
            "",
            "Test accuracy in per cent; the interval is the study's 95 % one over seeds and "
            "examples, the spread runs from the worst to the best seed. Published figures are "
            "their authors' own, from the data set's list, and stand beside the card whose idea "
            "they share: sizes and training differ.",
            "",
            "| network | accuracy | 95 % interval | spread | seeds | parameters | steps | "
            "training seconds | published |",
            "| --- | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |",
            *map(row, result.candidates),
            "",
            "| published | accuracy | our card |",
            "| --- | ---: | --- |",
            *(f"| {name} | {value:.1f} | {card} |" for card, (name, value) in PUBLISHED.items()),
            *(f"| {name} | {value:.1f} | |" for name, value in OTHER_METHODS.items()),
            "",
            f"Verdict: {result.recommendation.why['en']}",
            "",
        ]
    )


def lean(result: StudyResult) -> StudyResult:
    """Return the result without curves, confusions and images, which the store keeps."""
    candidates = (
        replace(c, confusion=(), seeds=tuple(replace(seed, curve=()) for seed in c.seeds))
        for c in result.candidates
    )
    return replace(result, candidates=tuple(candidates), hardest=(), folder="assay-runs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, or what is left of it, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--budget", default=BUDGET)
    parser.add_argument("--accelerator", default="cpu")
    args = parser.parse_args(arguments)
    names = args.models.split(",") if args.models else small_variants()
    try:
        study = Study(
            "fashion-mnist",
            models=names,
            seeds=args.seeds,
            budget=args.budget,
            accelerator=args.accelerator,
        )
        result = study.run(on_event=tell)
    except AssayError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    RESULTS.mkdir(parents=True, exist_ok=True)
    facts = json.dumps(result_to_json(lean(result)), ensure_ascii=False, indent=1)
    (RESULTS / "fashion-mnist.json").write_text(facts + "\n", encoding="utf-8")
    (RESULTS / "fashion-mnist.md").write_text(page(result), encoding="utf-8")
    print(page(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
