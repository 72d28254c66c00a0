"""Training speed: the loop people write today against what `assay compare` does by default.

    python -m benchmarks.training [--rounds 5] [--seconds 2]

Same network; batch 64 against the batch size of the card's recipe; examples per CPU second on one
thread; the two alternate in one process. "plan" is the way of computing chosen by measurement.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict

import torch

from assay.canon.catalog import catalog
from assay.data.batches import Batches, Normalise
from assay.engine.plan import apply_plan, choose_plan
from assay.engine.spec import Candidate, Recipe
from assay.learners.supervised import Supervised
from assay.models.foreign import build_any
from benchmarks import user_loop
from benchmarks.common import interleave, machine, rate, ratio, save

GOALS = {
    "lenet5": 2.3, "resnet18": 1.95, "mobilenet_v2": 2.2, "vit_tiny": 1.85, "lstm": 1.6,
    "timm:resnet10t": 1.0,
}  # fmt: skip
SEQUENCE = (128, 128)


def assay_steps(name: str, x: torch.Tensor, y: torch.Tensor) -> tuple[Callable[[], int], str]:
    """Return a function that takes one step as the engine does, and the plan in words."""
    recipe = recipe_of(name)
    batch_size = recipe.batch_size
    inputs = tuple(x.shape[1:])
    task = "image-classification" if len(inputs) == 3 else "sequence-classification"
    candidate = Candidate(name=name, digest="benchmark", recipe=recipe)
    plan = choose_plan(candidate, task=task, inputs=inputs, outputs=10)
    model = apply_plan(build_any(name, inputs, 10), plan)
    learner = Supervised(model, recipe=recipe, plan=plan, steps=10**9)
    facts = {"kind": "image", "mean": [0.286], "std": [0.353]} if len(inputs) == 3 else {}
    batches = Batches(x, y, batch_size, 0, normalise=Normalise(facts), augment=recipe.augment)
    count = iter(range(10**9))

    def step() -> int:
        learner.step(*batches(next(count)))
        return batch_size

    words = [plan.precision, plan.memory_format, plan.attention, *plan.fp32_layers]
    return step, " ".join(words)


def recipe_of(name: str) -> Recipe:
    """Return the card's recipe, or the default one for a foreign network."""
    return catalog().find(name)[0].recipe if ":" not in name else Recipe()


def compare(name: str, rounds: int, seconds: float) -> dict:
    """Alternate the two loops and return rates, ratio and plan."""
    torch.manual_seed(0)
    batch_size = 32 if name == "lstm" else 64
    if name == "lstm":
        loader = user_loop.random_sequences(length=SEQUENCE[0], width=SEQUENCE[1], batch_size=32)
        x, y = loader.dataset.tensors
        inputs = SEQUENCE
    else:
        loader = user_loop.fashion_loader(batch_size=batch_size)
        x, y = loader.dataset.data.unsqueeze(1), loader.dataset.targets
        inputs = (1, 28, 28)
    plain = user_loop.plain_steps(build_any(name, inputs, 10), loader)
    ours, plan = assay_steps(name, x, y)
    for step in (plain, ours):
        step()
    figures = interleave(
        {"plain": lambda: rate(plain, seconds), "assay": lambda: rate(ours, seconds)}, rounds
    )
    found = ratio(figures["assay"], figures["plain"])
    print(f"{name:<16} {found!s:<20} goal {GOALS[name]:<5} {plan}", flush=True)
    return {"ratio": asdict(found), "goal": GOALS[name], "plan": plan, "rates": figures}


def main() -> None:
    """Print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("names", nargs="*", default=list(GOALS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    table = {name: compare(name, args.rounds, args.seconds) for name in args.names}
    save("training", {"machine": machine(), "table": table})


if __name__ == "__main__":
    main()
