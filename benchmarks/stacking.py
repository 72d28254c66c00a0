"""Seeds of one small network as a stack against the same seeds one after another.

    python -m benchmarks.stacking [--seeds 4] [--rounds 5] [--fp32] [NAME ...]

One process, one thread, processor time; each way of computing alternates with the other, and a
ratio is the time apart over that together of the same number of steps. Apart, a seed is computed by
the plan that `engine/plan.py` chooses here; the stack has the plan's precision. Gathering the
batches is not counted, putting them together is.
"""

import argparse
import time

import torch

from assay.engine.machine import keep_memory
from assay.engine.plan import choose_plan
from assay.engine.spec import Candidate, Plan
from assay.engine.stack_worth import StackedSupervised, Supervised, stack, stack_worth
from assay.engine.ways import apply_plan
from assay.models.foreign import build_any
from benchmarks.common import Ratio, interleave, machine, ratio, save
from benchmarks.training import recipe_of

NAMES = ["softmax_regression", "mlp", "lenet5", "whitened_cnn", "lstm"]
INPUTS = (1, 28, 28)
SECONDS = 0.25  # of processor time, of one round of one side, at least


def times(name: str, seeds: int, rounds: int, plan: Plan) -> dict[str, list[float]] | None:
    """Return CPU seconds of a step of all seeds by round, apart and together; None: no stack."""
    recipe = recipe_of(name)
    learners = [
        Supervised(
            apply_plan(build_any(name, INPUTS, 10), plan), recipe=recipe, plan=plan, steps=10**9
        )
        for _ in range(seeds)
    ]
    stacked = stack([learner.model for learner in learners], inputs=INPUTS)
    if stacked is None:
        return None
    together = StackedSupervised(stacked, learners, recipe=recipe, plan=plan, steps=10**9)
    shape = (seeds, recipe.batch_size)
    xs, ys = torch.randn(*shape, *INPUTS).unbind(0), torch.randint(10, shape).unbind(0)

    def apart() -> None:
        for x, y in zip(xs, ys, strict=True):
            learners[0].step(x, y)  # one seed at a time, whose weights stay in the cache

    def as_one() -> None:
        together.step(torch.stack(xs), torch.stack(ys))

    def timed(work) -> float:
        count, began = 0, time.process_time()
        while time.process_time() - began < SECONDS:
            work()
            count += 1
        return (time.process_time() - began) / count

    apart()
    as_one()
    return interleave({"apart": lambda: timed(apart), "together": lambda: timed(as_one)}, rounds)


def row(name: str, seeds: int, rounds: int, *, fp32: bool) -> dict:
    """Measure one network, and what the engine would decide."""
    shown = {"task": "image-classification", "inputs": INPUTS, "outputs": 10}
    candidate = Candidate(name=name, digest="benchmark", recipe=recipe_of(name))
    plan = choose_plan(candidate, **shown, precision="fp32" if fp32 else "auto")
    worth = stack_worth(candidate, **shown, plan=plan, seeds=seeds)
    found = times(name, seeds, rounds, plan)
    faster: Ratio | None = ratio(found["apart"], found["together"]) if found else None
    way = f"{plan.precision} {plan.memory_format}"
    decision = f"{worth.seeds} together" if worth.seeds > 1 else f"apart: {worth.reason}"
    took = f"{worth.seconds:.2f} s"
    print(f"{name:<19}{seeds:>3} {faster or '-'!s:<18} {way:<20} {took} {decision}", flush=True)
    return {
        "seeds": seeds,
        "ratio": None if faster is None else vars(faster),
        "seconds": found,
        "plan": way,
        "decision": decision,
        "measuring_seconds": worth.seconds,
    }


def main() -> None:
    """Print the table and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fp32", action="store_true", help="plans in fp32 only")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(machine())
    names = args.names or NAMES
    table = {name: row(name, args.seeds, args.rounds, fp32=args.fp32) for name in names}
    if not args.names and not args.fp32:
        save("stacking", {"machine": machine(), "table": table})


if __name__ == "__main__":
    main()
