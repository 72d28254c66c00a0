"""What the engine costs beside a bare PyTorch loop with the same settings, and what input costs.

    python -m benchmarks.overhead [--rounds 7]

LeNet-5 on Fashion-MNIST, batch 64, fp32, the same optimizer, schedule and prepared batches on both
sides; the bare loop is written out here. The engine side is `Loop`, with its evaluations cut to the
last one, its checkpoints and its progress events.
"""

import argparse
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from assay.data.batches import Batches, Normalise
from assay.engine.loop import Loop
from assay.engine.spec import Candidate, Plan, Recipe, TrialSpec
from assay.learners.optimization import one_cycle
from assay.learners.supervised import Supervised
from assay.models.build import build
from benchmarks import user_loop
from benchmarks.common import interleave, machine, ratio, save

RECIPE = Recipe(batch_size=64, label_smoothing=0.0)
FACTS = {"kind": "image", "mean": [0.286], "std": [0.353]}


def bare(batches: Batches, steps: int) -> float:
    """Train by a loop written out; return examples per CPU second."""
    torch.manual_seed(0)
    model = build("lenet5", inputs=(1, 28, 28), outputs=10).train()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RECIPE.lr, fused=True)
    began = time.process_time()
    for step in range(steps):
        x, y = batches(step)
        for group in optimizer.param_groups:
            group["lr"] = RECIPE.lr * one_cycle(step, steps=steps, warmup=RECIPE.warmup)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return steps * RECIPE.batch_size / (time.process_time() - began)


def engine(batches: Batches, steps: int) -> float:
    """Train by the engine's loop, everything on; return examples per CPU second."""
    torch.manual_seed(0)
    model = build("lenet5", inputs=(1, 28, 28), outputs=10)
    learner = Supervised(model, recipe=RECIPE, plan=Plan(), steps=steps)
    spec = TrialSpec(
        candidate=Candidate(name="lenet5", digest="benchmark", recipe=RECIPE),
        task="image-classification", inputs=(1, 28, 28), outputs=10, split_hash="", seed=0,
        steps=steps, evaluations=1,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(
            spec, learner, batches, lambda: (0.0, 0.0), folder=Path(folder),
            tick=lambda _: None, stop=lambda: False, checkpoint_every=2.0,
        )  # fmt: skip
        began = time.process_time()
        loop.run()
        return steps * RECIPE.batch_size / (time.process_time() - began)


def input_share(batches: Batches, examples_per_second: float) -> float:
    """Return the fraction of a training step that gathering and normalising a batch takes."""
    began = time.process_time()
    for step in range(500):
        batches(step)
    seconds = (time.process_time() - began) / 500
    return seconds * examples_per_second / RECIPE.batch_size


def fashion() -> tuple[Tensor, Tensor]:
    """Return the training images as one uint8 tensor, and their labels."""
    data = user_loop.fashion_loader().dataset
    return data.data.unsqueeze(1), data.targets


def main() -> None:
    """Print the two figures and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    batches = Batches(*fashion(), RECIPE.batch_size, 0, normalise=Normalise(FACTS))
    bare(batches, 50)
    figures = interleave(
        {"bare": lambda: bare(batches, args.steps), "engine": lambda: engine(batches, args.steps)},
        args.rounds,
    )
    found = ratio(figures["engine"], figures["bare"])
    share = input_share(batches, max(figures["engine"]))
    print(f"engine over bare loop: {found} (goal 0.97)")
    print(f"input's share of a LeNet-5 step: {share:.2%} (goal under 2 %)")
    save("overhead", {"machine": machine(), "ratio": asdict(found), "input_share": share})


if __name__ == "__main__":
    main()
