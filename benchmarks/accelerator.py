"""What many seeds of one network cost on an accelerator, in whole trials, beside one seed alone.

    python -m benchmarks.accelerator [--accelerator cuda] [--seeds 16] [--steps 1000] [--rounds 3]
                                     [NAME]

Wall clock, from the built network to the last file: batches, evaluations and predictions count. The
data are made up, of Fashion-MNIST's shape. The two ways alternate; a cost is that of all seeds as
one stack over that of one alone, and issue 4 asks for at most 3 with 16 seeds of LeNet-5. The
seeds of a stack must end as they do alone: the largest difference of their last validation losses
is told.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from assay.data.dataset import Dataset
from assay.engine.accelerator import name_of
from assay.engine.machine import keep_memory
from assay.engine.plan import choose_plan
from assay.engine.spec import Candidate, TrialRecord, TrialSpec
from assay.engine.stacked_trial import run_stack
from assay.engine.trial import run_trial
from benchmarks.common import interleave, machine, ratio, save
from benchmarks.training import recipe_of

INPUTS, CLASSES = (1, 28, 28), 10
TRAIN, HELD_OUT = 50_000, 2_000  # examples; of the latter as many again to test on


def made_up() -> Dataset:
    """Return images of noise, each class brighter than the one before."""
    random = np.random.default_rng(0)
    count = TRAIN + 2 * HELD_OUT
    y = random.integers(CLASSES, size=count)
    x = random.normal(100, 30, size=(count, *INPUTS)) + 5 * y.reshape(-1, 1, 1, 1)
    return Dataset(
        folder=Path(),
        name="made-up",
        source="made up",
        task="image-classification",
        inputs=INPUTS,
        classes=tuple(map(str, range(CLASSES))),
        preprocessing={"kind": "image", "mean": [0.5], "std": [0.15]},
        content_hash="0" * 64,
        split_hash="1" * 64,
        split_seed=0,
        x=x.clip(0, 255).astype(np.uint8),
        y=y,
        train=np.arange(TRAIN),
        val=np.arange(TRAIN, TRAIN + HELD_OUT),
        test=np.arange(TRAIN + HELD_OUT, count),
    )


def timed(work) -> tuple[float, list[TrialRecord]]:
    """Return the seconds that some trials took, and their records."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        records = work(Path(folder))
        return time.perf_counter() - began, records


def main() -> None:
    """Print the cost and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accelerator", default="cuda")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("name", nargs="?", default="lenet5")
    args = parser.parse_args()
    keep_memory()
    device = name_of(args.accelerator) or "the processor"
    print(f"{machine()}, on {device}")
    data = made_up()
    candidate = Candidate(name=args.name, digest="benchmark", recipe=recipe_of(args.name))
    plan = choose_plan(
        candidate,
        task=data.task,
        inputs=INPUTS,
        outputs=CLASSES,
        accelerator=args.accelerator,
    )
    first = TrialSpec(
        candidate=candidate,
        task=data.task,
        inputs=INPUTS,
        outputs=CLASSES,
        split_hash=data.split_hash,
        seed=0,
        steps=args.steps,
        patience=None,
        plan=replace(plan, fp32_layers=(), compile=False),
    )
    specs = [replace(first, seed=seed) for seed in range(args.seeds)]
    ends: dict[str, list[TrialRecord]] = {}

    def alone() -> float:
        seconds, ends["alone"] = timed(lambda folder: [run_trial(first, data, folder)])
        return seconds

    def together() -> float:
        seconds, ends["together"] = timed(
            lambda folder: run_stack(specs, data, [folder / str(s.seed) for s in specs])
        )
        return seconds

    alone()  # makes the kernels
    found = interleave({"alone": alone, "together": together}, args.rounds)
    cost = ratio(found["together"], found["alone"])
    stacked = ends["together"][0].together
    apart = abs(ends["together"][0].curve[-1].val_loss - ends["alone"][0].curve[-1].val_loss)
    print(f"{args.name}: {stacked} seeds as one stack cost {cost} times one seed alone")
    print(f"the first seed's last validation loss differs by {apart:.2g}")
    facts = {"machine": machine(), "accelerator": device, "plan": vars(plan), "steps": args.steps}
    if args.accelerator != "cpu":
        save("accelerator", {**facts, "stacked": stacked, "cost": vars(cost), "seconds": found})


if __name__ == "__main__":
    main()
