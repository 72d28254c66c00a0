"""A whole comparison in the time of one baseline: every default candidate × 5 seeds, with verdicts.

    python -m benchmarks.grid [--budget 2s] [--epochs 10]

The baseline is LeNet-5 by the plain loop on Fashion-MNIST, `--epochs` passes for each of 5 seeds;
one pass is timed and the rest is computed from it. The comparison is a real one, from an empty
store, planning, measuring and the report included.
"""

import argparse
import tempfile
import time

import torch

from assay.compare.study import Study
from assay.models.build import build
from benchmarks import user_loop
from benchmarks.common import machine, save

SEEDS = 5


def baseline_seconds(epochs: int) -> float:
    """Return what the plain loop needs for all seeds, from one timed pass, default threads."""
    loader = user_loop.fashion_loader()
    step = user_loop.plain_steps(build("lenet5", inputs=(1, 28, 28), outputs=10), loader)
    began, seen = time.perf_counter(), 0
    while seen < len(loader.dataset):
        seen += step()
    return (time.perf_counter() - began) * epochs * SEEDS


def main() -> None:
    """Print both times and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", default="2s")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)  # on a shared machine two threads are slower: see processes.py
    print(machine())
    plain = baseline_seconds(args.epochs)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        result = Study("fashion-mnist", seeds=SEEDS, budget=args.budget, store=folder).run()
        ours = time.perf_counter() - began
    facts = {
        "machine": machine(),
        "plain_seconds": plain,
        "study_seconds": ours,
        "candidates": len(result.candidates),
        "trials": result.trials_run,
        "budget": result.budget,
        "why": result.recommendation.why["en"],
        "ranking": {
            c.name: [round(v, 4) for v in (c.score.mean, c.score.low, c.score.high)]
            for c in result.candidates
            if c.score
        },
    }
    print(f"plain loop, one baseline x {SEEDS} seeds x {args.epochs} epochs: {plain:.0f} s")
    print(f"{len(result.candidates)} candidates x {SEEDS} seeds, ranked: {ours:.0f} s")
    print(f"ratio {plain / ours:.2f}; {facts['why']}")
    for name, (mean, low, high) in facts["ranking"].items():
        print(f"  {name:<20} {100 * mean:.2f} [{100 * low:.2f}-{100 * high:.2f}]")
    save("grid", facts)


if __name__ == "__main__":
    main()
