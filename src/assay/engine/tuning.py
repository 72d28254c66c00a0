"""Times ways of training one network on made-up batches, and keeps the fastest."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import torch

from assay.canon.task import Task
from assay.engine.accelerator import wait_for, wake
from assay.engine.spec import Candidate, Plan
from assay.engine.ways import apply_plan, ways
from assay.learners.fine_tuning import fine_tuning
from assay.learners.objective import objective_for
from assay.learners.supervised import Supervised
from assay.models.example import drawn, drawn_truth
from assay.models.foreign import build_any

_WORTH = 0.97  # of the plain way's time; whatever gains less is noise
_WORTH_A_THREAD = 0.9  # of the time with half as many threads
_HOPELESS = 0.3  # slower than the best at the first look: not timed again; a third at the third
_SMALL_STEP = 0.03  # seconds; networks above it get the longer time limit
_LIMIT, _LONG_LIMIT = 0.6, 2.0  # seconds of tuning
_SHORTENED = 0.3  # seconds of one step: what takes longer is tuned on fewer examples
_LEAST_BATCH = 8
_LEAST_TIMING = 2e-3  # seconds; faster steps are timed several at a time
_ROUNDS = 9
_STEADY = 0.12  # seconds spent on the time of one step of the chosen way
_FOREVER = 10**9  # steps of a schedule that never leaves its beginning


@dataclass
class _Contender:
    """One way of computing, ready to step, and what its steps took."""

    plan: Plan
    batch: int
    step: Callable[[], None]
    timings: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        return min(self.timings)


class Tuning:
    """The contest of one network on one shape of data.

    Args:
        candidate: Name and recipe.
        task: One of `data.dataset.TASKS`.
        inputs: Shape of one example.
        outputs: Width of the last layer.
        accelerator: As `Plan` has it; off the processor a step is timed by the clock.

    Attributes:
        seen: Seconds of a step in each way that was timed.
    """

    def __init__(
        self,
        candidate: Candidate,
        *,
        task: Task,
        inputs: tuple[int, ...],
        outputs: int,
        accelerator: str = "cpu",
    ) -> None:
        self.candidate, self.recipe, self.task = candidate, candidate.recipe, task
        self.inputs, self.outputs = inputs, outputs
        self.model = build_any(candidate.name, inputs, outputs, task)
        self.accelerator, self.device = accelerator, torch.device(accelerator)
        self.clock = time.thread_time if accelerator == "cpu" else time.perf_counter
        self.seen: dict[str, float] = {}
        wake(self.device)

    def fastest(self, precision: str, *, autotune: bool) -> Plan:
        """Return the fastest way on one thread, with the time of one step."""
        candidates = ways(self.model, self.task, self.inputs, precision, self.accelerator)
        batch = min(_LEAST_BATCH, self.recipe.batch_size)
        chosen = plain = self._contender(candidates[0], batch)
        if autotune and len(candidates) > 1:
            batch = self._tuning_batch(plain)
            plain = self._contender(candidates[0], batch)
            limit = _LIMIT if plain.best < _SMALL_STEP else _LONG_LIMIT
            chosen = self._contest(plain, candidates[1:], batch, time.monotonic() + limit)
        return self._timed(chosen.plan, chosen)

    def threaded(self, plan: Plan, most: int) -> Plan:
        """Return the plan with as many threads, up to `most`, as make each doubling worth it."""
        before = torch.get_num_threads()
        self.clock = time.perf_counter
        try:
            plan = best = self._timed(plan)
            while plan.threads * 2 <= most:
                torch.set_num_threads(plan.threads * 2)
                plan = self._timed(replace(plan, threads=plan.threads * 2))
                if _seconds(plan) > _WORTH_A_THREAD * _seconds(best):
                    break
                best = plan
        finally:
            torch.set_num_threads(before)
        return best

    def compiled(self, plan: Plan) -> tuple[Plan, float]:
        """Return the plan with compilation, and the seconds that compiling takes."""
        began = time.monotonic()
        plan = replace(plan, compile=True)
        self._contender(plan, self.recipe.batch_size)
        took = time.monotonic() - began
        return self._timed(plan), took

    def _timed(self, plan: Plan, ready: _Contender | None = None) -> Plan:
        """Return the plan with the median time of a step at the recipe's own batch size."""
        size = self.recipe.batch_size
        chosen = ready if ready and ready.batch == size else self._contender(plan, size)
        timings: list[float] = []
        end = time.monotonic() + _STEADY
        while not timings or time.monotonic() < end:
            timings.append(self._time(chosen.step, chosen.best))
        plan = replace(plan, step_seconds=statistics.median(timings))
        self.seen[_label(plan)] = _seconds(plan)
        return plan

    def _tuning_batch(self, few: _Contender) -> int:
        """The recipe's batch size, or as many examples as a short step takes."""
        example = few.best / min(_LEAST_BATCH, self.recipe.batch_size)
        return max(
            min(_LEAST_BATCH, self.recipe.batch_size),
            min(self.recipe.batch_size, round(_SHORTENED / example)),
        )

    def _contest(
        self, plain: _Contender, others: list[Plan], batch: int, deadline: float
    ) -> _Contender:
        contenders = [plain]
        for way in others:
            if time.monotonic() > deadline:
                break
            with suppress(torch.OutOfMemoryError):  # of an accelerator, which holds them all
                contenders.append(self._contender(way, batch))
        self._repeat(contenders, deadline)
        self.seen |= {_label(c.plan): c.best for c in contenders}
        best = min(contenders, key=lambda contender: contender.best)
        return best if best.best < _WORTH * plain.best else plain

    def _repeat(self, contenders: list[_Contender], deadline: float) -> None:
        """Time the promising ways in turn until one is left; each keeps its best."""
        for looks in range(1, _ROUNDS + 1):
            bar = (1 + _HOPELESS / looks) * min(contender.best for contender in contenders)
            promising = [contender for contender in contenders if contender.best <= bar]
            for contender in promising:
                if len(promising) == 1 or time.monotonic() > deadline:
                    return
                contender.timings.append(self._time(contender.step, contender.best))

    def _contender(self, plan: Plan, batch: int) -> _Contender:
        """Prepare a way: its first step, which also makes its kernels, does not count."""
        step = self._step(plan, batch)
        step()
        contender = _Contender(plan, batch, step)
        contender.timings.append(self._time(step, _LEAST_TIMING))
        return contender

    def _time(self, step: Callable[[], None], expected: float) -> float:
        count = max(1, round(_LEAST_TIMING / max(expected, 1e-6)))
        wait_for(self.device)
        began = self.clock()
        for _ in range(count):
            step()
        wait_for(self.device)
        return (self.clock() - began) / count

    def _step(self, plan: Plan, batch: int) -> Callable[[], None]:
        model = apply_plan(copy.deepcopy(self.model), plan).to(self.device)
        classes = tuple(map(str, range(self.outputs)))
        learner = Supervised(
            model,
            recipe=self.recipe,
            plan=plan,
            steps=_FOREVER,
            objective=objective_for(self.task, classes=classes, outputs=self.outputs, model=model),
            fine_tuning=fine_tuning(self.candidate, model, steps=None),
        )
        x = drawn(batch, self.inputs, self.task)[0].to(self.device)
        y = drawn_truth(batch, self.inputs, self.outputs, self.task).to(self.device)

        def step() -> None:
            learner.step(x, y)

        return step


def _seconds(plan: Plan) -> float:
    return plan.step_seconds or 0.0


def _label(plan: Plan) -> str:
    forms: list[str] = [plan.precision, plan.memory_format, plan.attention, plan.convolution]
    forms += plan.fp32_layers
    if plan.threads > 1:
        forms.append(f"{plan.threads} threads")
    if plan.compile:
        forms.append("compiled")
    return " ".join(forms)
