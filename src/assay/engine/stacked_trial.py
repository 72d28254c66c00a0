"""Several seeds of one candidate in one process: the records and files that each alone would get.

Each seed has its own first weights, order of batches, augmentation, dropout, curve, best weights
and patience. What differs from a trial alone: sums are rounded in another order, images with their
channels innermost get other dropout masks, `train_seconds` and `cpu_seconds` are an equal share of
the stack's (`together` says of how many), and `peak_memory_bytes` is that of the whole process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from assay.data.dataset import Dataset
from assay.engine.grouping import stackable
from assay.engine.loop import Loop, due_again, evaluation_steps
from assay.engine.randomness import generator_states, load_generator_states, seeded
from assay.engine.spec import Event, TrialRecord, TrialSpec
from assay.engine.stacking import keep, stack
from assay.engine.trial import (
    Emit,
    Reporter,
    Run,
    check_split,
    failures_recorded,
    make_folder,
    recorded,
    run_trial,
)
from assay.errors import AssayError, DeviceError, Interrupted, StoreError, TrialError
from assay.learners.stacked import StackedSupervised

_TORCH = "random.torch"


def run_stack(
    specs: Sequence[TrialSpec],
    dataset: Dataset,
    folders: Sequence[Path],
    *,
    emit: Emit | None = None,
    stop: Callable[[], bool] | None = None,
    checkpoint_every: float = 2.0,
) -> list[TrialRecord]:
    """Run trials that differ in their seed alone, or what is left of them; return their records.

    Each folder gets what `run_trial` writes, checkpoints too: a stopped or killed stack continues
    together if all its seeds stand at the same step, and otherwise, or where the network has no
    stacked form, one trial after another.

    Args:
        specs: What to run.
        dataset: Whose split hash is the specs'.
        folders: One for each; made if they are not there.
        emit: Told what each trial tells.
        stop: Asked before every step; true checkpoints and raises `Interrupted`.
        checkpoint_every: Seconds between checkpoints, at least.

    Raises:
        Interrupted: `stop` asked for it.
        StoreError: A file could not be written.
        TrialError: The data set is not the specs', or they differ in more than their seed.
    """
    _check_alike(specs)
    tell, asked = emit or _silent, stop or _never
    for spec, folder in zip(specs, folders, strict=True):
        check_split(spec, dataset)
        make_folder(folder)
    waiting = [pair for pair in zip(specs, folders, strict=True) if recorded(*pair) is None]
    if len(waiting) > 1 and stackable(waiting[0][0]):
        _together(
            [
                Run(spec, dataset, folder, Reporter(spec, tell), asked, checkpoint_every)
                for spec, folder in waiting
            ],
            asked,
            checkpoint_every,
        )
    return [
        run_trial(s, dataset, f, emit=emit, stop=stop, checkpoint_every=checkpoint_every)
        for s, f in zip(specs, folders, strict=True)
    ]


class _Seat:
    """One seed of a stack: its trial, its loop and its own chance."""

    def __init__(self, run: Run, other: Run | None) -> None:
        self.run = run
        with seeded(run.spec.seed, threads=1, device=run.device):
            self.loop: Loop = run.prepare(other)
            self._states = generator_states(run.device)
        self.generator = torch.Generator()
        self.generator.set_state(self._states[_TORCH])

    @contextmanager
    def chance(self) -> Iterator[None]:
        """Make the default generators the seed's own; what it draws is kept."""
        load_generator_states({**self._states, _TORCH: self.generator.get_state()})
        yield
        self.generator.set_state(torch.get_rng_state())

    def close(self, work: Callable[[], TrialRecord]) -> None:
        """Write the record of what `work` does."""
        self.run.close(failures_recorded(self.run, work))


def _together(runs: Sequence[Run], stop: Callable[[], bool], checkpoint_every: float) -> None:
    """Run trials as a stack as far as that goes; whatever has no record then is run alone."""
    try:
        seats = [_Seat(run, runs[0] if i else None) for i, run in enumerate(runs)]
    except (DeviceError, Interrupted, StoreError, torch.AcceleratorError):
        raise
    except Exception:  # noqa: BLE001 - the trial alone fails in the same way and is recorded
        return
    if len({seat.loop.progress.step for seat in seats}) > 1:
        return
    try:
        with seeded(runs[0].spec.seed, threads=1, device=runs[0].device):
            ride = _ride(seats, stop, checkpoint_every)
            if ride is not None:
                ride.to_the_end()
    except (AssayError, torch.AcceleratorError):  # after the latter, only a new process can go on
        raise
    except Exception:  # noqa: BLE001 - alone, each trial says what was wrong with it
        return


def _ride(
    seats: Sequence[_Seat], stop: Callable[[], bool], checkpoint_every: float
) -> _Ride | None:
    """Return the loop of these seeds as a stack, or None where they have no stacked form."""
    spec = seats[0].run.spec
    generators = [seat.generator for seat in seats]
    learners = [seat.run.learner for seat in seats]
    networks = [learner.model for learner in learners]
    if any(getattr(network, "auxiliary_weight", 0.0) for network in networks):
        return None
    stacked = stack(networks, inputs=spec.inputs, generators=generators)
    if stacked is None:
        return None
    learner = StackedSupervised(
        stacked, learners, recipe=spec.candidate.recipe, plan=spec.plan, steps=spec.steps
    )
    for seat in seats:
        seat.run.together = len(seats)
    return _Ride(seats, learner, generators, stop, checkpoint_every)


class _Ride:
    """The loop of a stack: steps together; evaluations, patience and checkpoints seed by seed."""

    def __init__(
        self,
        seats: Sequence[_Seat],
        learner: StackedSupervised,
        generators: list[torch.Generator],
        stop: Callable[[], bool],
        checkpoint_every: float,
    ) -> None:
        self.seats, self.learner, self.generators = list(seats), learner, generators
        self.spec = seats[0].run.spec
        self.stop, self._every = stop, checkpoint_every
        self._due = time.monotonic() + checkpoint_every

    def to_the_end(self) -> None:
        """Train until every seed has its record."""
        for mark in evaluation_steps(self.spec.steps, self.spec.evaluations):
            curve = self.seats[0].loop.progress.curve
            if curve and mark <= curve[-1].step:
                continue
            self._leave([seat for seat in self.seats if seat.loop.out_of_patience()])
            if len(self.seats) < 2:
                break
            while self.seats and self._step < mark:
                self._advance(mark)
                self._pause()
            self._evaluate()
        for place, seat in enumerate(self.seats):
            self.learner.hand_out(place)
            self._finish_alone(seat)

    @property
    def _step(self) -> int:
        return self.seats[0].loop.progress.step

    def _advance(self, mark: int) -> None:
        """Take steps until `mark`, a checkpoint is due or the user asks to stop."""
        wall, cpu, step = time.perf_counter(), time.process_time(), self._step
        losses: list[Tensor] = []
        while step < mark:
            losses.append(self.learner.step(*self._batch(step)))
            step += 1
            if time.monotonic() >= self._due or self.stop():
                break
        taken = torch.stack(losses, dim=1).cpu()  # waits for the device
        seconds = (time.perf_counter() - wall) / len(self.seats)
        cpu_seconds = (time.process_time() - cpu) / len(self.seats)
        for seat, own in zip(self.seats, taken, strict=True):
            seat.loop.progress.step = step
            seat.loop.add(own, seconds=seconds, cpu=cpu_seconds)

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        batches = [seat.run.batches for seat in self.seats]
        return batches[0].of_all(batches, step)

    def _pause(self) -> None:
        """Between steps: let go of what has diverged, and checkpoint when it is time."""
        self._close_failing(lambda seat: seat.loop.refuse_divergence())
        if not self.seats:
            return
        if self.stop():
            self._save()
            raise Interrupted(
                f"{len(self.seats)} trials were stopped after step {self._step} of "
                f"{self.spec.steps} and can be resumed."
            )
        if time.monotonic() >= self._due:
            if len(self.seats) * self.seats[0].loop.seconds_left() >= self._every:
                self._save()
            else:
                self._due = time.monotonic() + self._every
            for seat in self.seats:
                seat.loop.tick(seat.loop.progress)

    def _evaluate(self) -> None:
        if not self.seats:
            return
        run = self.seats[0].run
        x, y, _ = run.validation
        answers = self.learner.evaluate(run.in_batches(x, seeds=len(self.seats)), y)
        found = dict(zip(self.seats, answers, strict=True))

        def enter(seat: _Seat) -> None:
            self.learner.hand_out(self.seats.index(seat))
            seat.loop.evaluate(found[seat])

        self._close_failing(enter)

    def _close_failing(self, work: Callable[[_Seat], None]) -> None:
        """Do `work` for every seed; one that fails gets its record and leaves the stack."""
        failed = []
        for seat in self.seats:
            try:
                work(seat)
            except TrialError as error:
                seat.close(_raiser(error))
                failed.append(seat)
        self._remove(failed)

    def _leave(self, seats: Sequence[_Seat]) -> None:
        """Finish these seeds; their best weights are the loops' own."""
        leaving = list(seats)
        for seat in leaving:
            self._finish_alone(seat)
        self._remove(leaving)

    def _finish_alone(self, seat: _Seat) -> None:
        """Take what steps are left, which only the last of a stack has, and close the trial."""

        def work() -> TrialRecord:
            seat.loop.run()
            return seat.run.finish(seat.loop)

        with seat.chance():
            seat.close(work)

    def _remove(self, leaving: Sequence[_Seat]) -> None:
        staying = [i for i, seat in enumerate(self.seats) if seat not in leaving]
        if staying and len(staying) < len(self.seats):
            keep(self.learner.model, self.generators, staying)
            self.learner.keep(staying)
        self.seats = [self.seats[i] for i in staying]

    def _save(self) -> None:
        began = time.monotonic()
        for place, seat in enumerate(self.seats):
            self.learner.hand_out(place)
            with seat.chance():
                seat.loop.save()
        self._due = due_again(began, self._every)


def _check_alike(specs: Sequence[TrialSpec]) -> None:
    kinds = {str({**asdict(spec), "seed": 0}) for spec in specs}
    if len(kinds) != 1 or len({spec.seed for spec in specs}) != len(specs):
        raise TrialError(
            "The trials of a stack must differ in their seed and in nothing else. Received "
            f"{len(specs)} specs of {len(kinds)} kinds; run the others in jobs of their own."
        )


def _raiser(error: TrialError) -> Callable[[], TrialRecord]:
    def work() -> TrialRecord:
        raise error

    return work


def _silent(event: Event) -> None:
    del event


def _never() -> bool:
    return False
