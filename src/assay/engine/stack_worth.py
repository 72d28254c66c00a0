"""Whether a stack of seeds trains faster here than the seeds one after another: measured once."""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from assay.canon.task import TASKS, Task
from assay.engine import files
from assay.engine.accelerator import device_of, name_of, wait_for, wake
from assay.engine.cache import cache_dir
from assay.engine.grouping import WORTH
from assay.engine.machine import processor, versions
from assay.engine.randomness import seeded
from assay.engine.spec import Candidate, Plan, digest
from assay.engine.stacking import stack
from assay.engine.ways import apply_plan
from assay.errors import StoreError
from assay.learners.objective import objective_for
from assay.learners.stacked import StackedSupervised
from assay.learners.supervised import Supervised
from assay.models.example import drawn, drawn_truth
from assay.models.foreign import build_any

MOST_PARAMETERS = 1_000_000  # of one network; larger ones fill the processor alone
_SMALL_STACK = 4  # also tried where more seeds could go together: more need more cache
_LIMIT = 0.5  # seconds of processor time for each size of a stack
_ROUNDS = 9
_FEWEST = 3  # rounds, however long they take
_LEAST_TIMING = 0.025  # seconds; several steps at a time, so that each way has its own cache
_FOREVER = 10**9  # steps of a schedule that never leaves its beginning


@dataclass(frozen=True, kw_only=True)
class StackWorth:
    """What is known of stacking one candidate on this machine.

    Attributes:
        seeds: How many to train together; 1 is apart.
        gain: Processor time apart over that together, in the best size; 1 where none was timed.
        gains: The same for each size that was timed.
        reason: Why the seeds are better apart, one sentence; "" where they are not.
        seconds: Processor time that the measurement took.
    """

    seeds: int
    gain: float
    gains: dict[str, float]
    reason: str
    seconds: float


def stack_worth(
    candidate: Candidate,
    *,
    task: Task,
    inputs: tuple[int, ...],
    outputs: int,
    plan: Plan,
    seeds: int,
) -> StackWorth:
    """Return how many seeds to train together, at most `seeds`, by timing steps on one thread.

    A stack must be `grouping.WORTH` times as fast as its seeds one after another, in processor time
    or, on an accelerator, by the clock. Answers are kept
    in `cache_dir()`, so that the same study repeats in the same way.

    Args:
        candidate: Name and recipe; its digest is part of the cache's key.
        task: One of `data.dataset.TASKS`.
        inputs: Shape of one example.
        outputs: Width of the last layer.
        plan: How one seed is computed.
        seeds: That could go together; at least 2.
    """
    facts = asdict(plan)
    facts.pop("step_seconds")
    question = {
        "stack": [candidate.name, candidate.digest, seeds],
        "recipe": asdict(candidate.recipe),
        "data": [task, list(inputs), outputs],
        "plan": facts,
        "machine": [versions(), processor(), name_of(plan.accelerator)],
    }
    path = cache_dir() / "stacks" / f"{digest(question)[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return StackWorth(**json.loads(path.read_text(encoding="utf-8"))["worth"])
    wake(device_of(plan))
    with seeded(0, threads=1, device=device_of(plan)):
        found = _measured(candidate, task, inputs, outputs, plan, seeds)
    with suppress(StoreError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, {"worth": asdict(found), "for": question})
    return found


def gain(
    learner: Supervised, together: StackedSupervised, batches: Sequence[tuple[Tensor, Tensor]]
) -> float:
    """Return the time of S steps apart over that of one step of the stack, the median of rounds.

    Args:
        learner: One seed alone.
        together: S of its like.
        batches: One for each seed.
    """

    def apart() -> None:
        for x, y in batches:
            learner.step(x, y)

    def stacked() -> None:
        xs, ys = zip(*batches, strict=True)
        together.step(torch.stack(xs), torch.stack(ys))

    return _ratio(apart, stacked, batches[0][0].device)


def _measured(
    candidate: Candidate, task: Task, inputs: tuple[int, ...], outputs: int, plan: Plan, seeds: int
) -> StackWorth:
    began = time.process_time()
    gains: dict[str, float] = {}

    def answer(seeds: int, reason: str) -> StackWorth:
        return StackWorth(
            seeds=seeds,
            gain=max(gains.values(), default=1.0),
            gains=gains,
            reason=reason,
            seconds=time.process_time() - began,
        )

    if TASKS[task].reads == "tokens" or TASKS[task].answers == "values":
        return answer(1, f"there are no stacks for {task}")
    model = build_any(candidate.name, inputs, outputs, task)
    parameters = sum(p.numel() for p in model.parameters())
    if parameters > MOST_PARAMETERS:
        return answer(1, f"{parameters:,} parameters are more than {MOST_PARAMETERS:,}")
    device = device_of(plan)
    model = apply_plan(model, plan).to(device)
    objective = objective_for(task, classes=(), outputs=outputs)
    for size in sorted({seeds, min(seeds, _SMALL_STACK)}):
        learners = [
            Supervised(
                copy.deepcopy(model),
                recipe=candidate.recipe,
                plan=plan,
                steps=_FOREVER,
                objective=objective,
            )
            for _ in range(size)
        ]
        stacked = stack([learner.model for learner in learners], inputs=inputs)
        if stacked is None:
            return answer(1, "a layer of it has no stacked form")
        together = StackedSupervised(
            stacked, learners, recipe=candidate.recipe, plan=plan, steps=_FOREVER
        )
        batch = candidate.recipe.batch_size
        batches = [
            (
                drawn(batch, inputs, task)[0].to(device),
                drawn_truth(batch, inputs, outputs, task).to(device),
            )
            for _ in range(size)
        ]
        gains[str(size)] = gain(learners[0], together, batches)
    best = max(gains, key=lambda size: gains[size])
    if gains[best] < WORTH:
        return answer(1, f"{best} seeds together are {gains[best]:.2f} times as fast as apart")
    return answer(int(best), "")


def _ratio(apart: Callable[[], None], stacked: Callable[[], None], device: torch.device) -> float:
    """Time the two in turn, after a first call of each that also makes its kernels."""
    apart()
    stacked()
    count = max(1, round(_LEAST_TIMING / max(_time(stacked, 1, device), 1e-6)))
    ratios: list[float] = []
    end = time.process_time() + _LIMIT
    while len(ratios) < _FEWEST or (len(ratios) < _ROUNDS and time.process_time() < end):
        ratios.append(_time(apart, count, device) / _time(stacked, count, device))
    return statistics.median(ratios)


def _time(work: Callable[[], None], count: int, device: torch.device) -> float:
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    wait_for(device)
    began = clock()
    for _ in range(count):
        work()
    wait_for(device)
    return clock() - began
