"""Time to accuracy on Fashion-MNIST: whitened_cnn by the engine, on one core.

    python -m benchmarks.fashion [--seeds 5] [--threads 1]

Test accuracy and training seconds (wall clock, without evaluations) after each of `--epochs`
passes over the training part. The recipe was tuned on validation only, and the default epochs were
settled on seeds 100 to 104; these are others, 200 to 204, run once.
"""

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from assay.canon.catalog import catalog
from assay.data.load import load
from assay.engine.plan import choose_plan
from assay.engine.spec import Candidate, TrialSpec
from assay.engine.trial import run_trial
from benchmarks.common import machine, save

FIRST = 200  # seed; nobody had looked at it or the next four


def main() -> None:
    """Print accuracy and seconds for each number of epochs, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=float, nargs="*", default=[1.5, 3.5])
    parser.add_argument("--model", default="whitened_cnn")
    args = parser.parse_args()
    print(machine())
    facts = {"machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        data = load("fashion-mnist", folder=Path(folder))
        recipe = catalog().find(args.model)[0].recipe
        candidate = Candidate(name=args.model, digest="benchmark", recipe=recipe)
        plan = choose_plan(
            candidate, task=data.task, inputs=data.inputs, outputs=10, threads=args.threads
        )
        plan = replace(plan, threads=args.threads)
        for epochs in args.epochs:
            runs = []
            for seed in range(FIRST, FIRST + args.seeds):
                spec = TrialSpec(
                    candidate=candidate, task=data.task, inputs=data.inputs, outputs=10,
                    split_hash=data.split_hash, seed=seed, plan=plan, evaluations=1,
                    steps=round(epochs * len(data.train) / recipe.batch_size),
                )  # fmt: skip
                runs.append(run_trial(spec, data, Path(folder) / spec.hash))
            right = [r.metrics["test_accuracy"] for r in runs]
            took = [r.train_seconds for r in runs]
            line = (
                f"{args.model}, {epochs:g} epochs of {len(data.train)}: "
                f"accuracy {statistics.mean(right):.4f} [{min(right):.4f}-{max(right):.4f}], "
                f"{statistics.median(took):.1f} s [{min(took):.1f}-{max(took):.1f}], "
                f"{args.seeds} seeds, {plan.precision}, {plan.threads} threads"
            )
            print(line, flush=True)
            facts[f"{epochs:g} epochs"] = line
    save("fashion", facts)


if __name__ == "__main__":
    main()
