"""Training speed: the loop people write today against what `assay compare` does by default.

    python -m benchmarks.training [--rounds 5] [--seconds 2]

Same network; batch 64 against the batch size of the card's recipe; examples per CPU second on one
thread. The two alternate, each in a process of its own, set up as its users' process is: ours as
`engine/worker.py` sets it up. "plan" is the way of computing chosen by measurement.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection

import torch
from torch.utils.data import DataLoader

from assay.canon.catalog import catalog
from assay.data.batches import Batches, Normalise
from assay.engine.machine import keep_memory
from assay.engine.plan import choose_plan
from assay.engine.spec import Candidate, Recipe
from assay.engine.ways import apply_plan
from assay.learners.supervised import Supervised
from assay.models.foreign import build_any
from benchmarks import user_loop
from benchmarks.common import apart, interleave, load, machine, ratio, save, serve

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

    words = [plan.precision, plan.memory_format, plan.attention, plan.convolution]
    words += plan.fp32_layers
    return step, " ".join(words)


def recipe_of(name: str) -> Recipe:
    """Return the card's recipe, or the default one for a foreign network."""
    return catalog().find(name)[0].recipe if ":" not in name else Recipe()


def loader_of(name: str) -> tuple[DataLoader, tuple[int, ...]]:
    """Return the user's loader, and the shape of one example."""
    if name == "lstm":
        length, width = SEQUENCE
        return user_loop.random_sequences(length=length, width=width, batch_size=32), SEQUENCE
    return user_loop.fashion_loader(batch_size=64), (1, 28, 28)


def serve_plain(name: str, pipe: Connection) -> None:
    """Be the user's process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    loader, inputs = loader_of(name)
    serve(user_loop.plain_steps(build_any(name, inputs, 10), loader), "plain", pipe)


def serve_assay(name: str, pipe: Connection) -> None:
    """Be one of our workers."""
    keep_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    loader, _ = loader_of(name)
    data = loader.dataset
    x, y = data.tensors if name == "lstm" else (data.data.unsqueeze(1), data.targets)
    serve(*assay_steps(name, x, y), pipe)


def compare(name: str, rounds: int, seconds: float) -> dict:
    """Alternate the two loops and return rates, ratio and plan."""
    with apart(serve_plain, name) as plain, apart(serve_assay, name) as ours:
        plan = ours.words
        figures = interleave(
            {"plain": lambda: plain.rate(seconds), "assay": lambda: ours.rate(seconds)}, rounds
        )
    found = ratio(figures["assay"], figures["plain"])
    print(f"{name:<16} {found!s:<20} goal {GOALS[name]:<5} {plan}", flush=True)
    return {"ratio": asdict(found), "goal": GOALS[name], "plan": plan, "rates": figures}


def main() -> None:
    """Print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("names", nargs="*", help="the others keep their rows; default: all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    kept = load("training")["table"] if args.names else {}
    names = args.names or list(GOALS)
    table = {name: compare(name, args.rounds, args.seconds) for name in names}
    save("training", {"machine": machine(), "table": kept | table})


if __name__ == "__main__":
    main()
