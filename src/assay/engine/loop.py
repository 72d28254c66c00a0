"""The one training loop: steps, evaluations, checkpoints; the same for every learner."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assay.engine import checkpoint
from assay.engine.accelerator import device_of
from assay.engine.randomness import generator_states, load_generator_states
from assay.engine.spec import Point, TrialSpec
from assay.errors import Interrupted, TrialError
from assay.learners.base import Learner

Batch = Callable[[int], tuple[Tensor, Tensor]]
_SAVING_SHARE = 0.03  # of wall time that may go into checkpoints
_LEARNER, _BEST, _LOSSES, _START = "learner.", "best.", "losses", "start"


@dataclass
class Progress:
    """Where a run stands; together with the tensors, all that a checkpoint holds."""

    step: int = 0
    best_step: int = 0
    best_score: float = -math.inf
    best_loss: float = math.inf
    stale: int = 0  # evaluations since the best one
    train_seconds: float = 0.0
    cpu_seconds: float = 0.0
    curve: list[Point] = field(default_factory=list)

    @classmethod
    def of_json(cls, facts: Mapping[str, Any]) -> Progress:
        """Return the progress that `asdict` and JSON made `facts` of."""
        return cls(**{**facts, "curve": [Point(**point) for point in facts["curve"]]})


class Loop:
    """One learner's way from its first step to its last.

    Args:
        spec: Steps, evaluations and patience.
        learner: What learns.
        batch: Step number to (x, y); a function of nothing else.
        validate: Returns loss and score on the validation part.
        folder: Where checkpoints go.
        tick: Called about every second with the progress, and at every evaluation.
        stop: Asked before every step; true checkpoints and raises `Interrupted`.
        checkpoint_every: Seconds between checkpoints, at least; costly ones come more rarely, and
            none where less than that is left to train.

    Attributes:
        start: A glimpse of the first weights.
    """

    def __init__(
        self,
        spec: TrialSpec,
        learner: Learner,
        batch: Batch,
        validate: Callable[[], tuple[float, float]],
        *,
        folder: Path,
        tick: Callable[[Progress], None],
        stop: Callable[[], bool],
        checkpoint_every: float,
    ) -> None:
        self.spec, self.learner, self.batch, self.validate = spec, learner, batch, validate
        self.folder, self.tick, self.stop = folder, tick, stop
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self.start = torch.empty(0)
        self._losses: list[Tensor] = []  # since the last point: pieces of one dimension
        self._every = checkpoint_every
        self._due = time.monotonic() + checkpoint_every

    def run(self) -> None:
        """Train to the end of the budget or of patience; the best weights are in `best`.

        Raises:
            TrialError: The loss is no longer a number.
            Interrupted: `stop` asked for it; a checkpoint was written.
        """
        for mark in evaluation_steps(self.spec.steps, self.spec.evaluations):
            if self.progress.curve and mark <= self.progress.curve[-1].step:
                continue
            if self.out_of_patience():
                break
            while self.progress.step < mark:
                self._advance(mark)
                self._pause()
            self.evaluate()

    def resume(self, found: checkpoint.Checkpoint | None) -> checkpoint.Checkpoint | None:
        """Continue from a checkpoint of this trial, if there is one, and return it."""
        if found is None:
            return None
        self.start = found.tensors[_START]
        self.progress = Progress.of_json(found.facts["progress"])
        self.learner.load_state(_under(_LEARNER, found.tensors))
        self.best = _under(_BEST, found.tensors)
        self._losses = [found.tensors[_LOSSES]]
        load_generator_states(found.tensors)
        return found

    def _advance(self, mark: int) -> None:
        """Take steps until `mark`, a checkpoint is due or the user asks to stop."""
        learn, batch, losses, progress = self.learner.step, self.batch, [], self.progress
        stop, now, due = self.stop, time.monotonic, self._due
        wall, cpu, step = time.perf_counter(), time.process_time(), progress.step
        try:
            while step < mark:
                losses.append(learn(*batch(step)))
                step += 1
                if now() >= due or stop():
                    break
        finally:
            progress.step = step
        taken = torch.stack(losses).cpu() if losses else torch.empty(0)  # waits for the device
        self.add(taken, seconds=time.perf_counter() - wall, cpu=time.process_time() - cpu)

    def add(self, losses: Tensor, *, seconds: float, cpu: float) -> None:
        """Count the losses of the steps just taken, one number each, and their time."""
        self.progress.train_seconds += seconds
        self.progress.cpu_seconds += cpu
        self._losses.append(losses)

    def _pause(self) -> None:
        """Between steps: look at the losses, and checkpoint when it is time."""
        self.refuse_divergence()
        if self.stop():
            self.save()
            raise Interrupted(
                f"The trial was stopped after step {self.progress.step} of {self.spec.steps} "
                "and can be resumed."
            )
        if time.monotonic() >= self._due:
            if self.seconds_left() >= self._every:
                self.save()
            else:
                self._due = time.monotonic() + self._every
            self.tick(self.progress)

    def seconds_left(self) -> float:
        """Return how long the rest of the training takes, if patience lasts."""
        progress = self.progress
        left = self.spec.steps - progress.step
        return left * progress.train_seconds / max(progress.step, 1)

    def refuse_divergence(self) -> None:
        """Raise TrialError where a loss since the last point is no number."""
        losses = torch.cat(self._losses)
        self._losses = [losses]
        finite = losses.isfinite()
        if not finite.all():
            first = int((~finite).nonzero()[0])
            step = self.progress.step - len(losses) + first + 1
            raise TrialError(f"diverged at step {step}: the training loss became {losses[first]}")

    def evaluate(self, found: tuple[float, float] | None = None) -> None:
        """Enter a point into the curve, and keep the weights if it is the best.

        Args:
            found: Loss and score, where somebody else has validated.
        """
        loss, score = found or self.validate()
        progress = self.progress
        if not (math.isfinite(loss) and math.isfinite(score)):
            raise TrialError(f"diverged at step {progress.step}: the validation loss became {loss}")
        mean = torch.cat(self._losses).double().mean().item()
        point = Point(
            step=progress.step,
            seconds=progress.train_seconds,
            train_loss=mean,
            val_loss=loss,
            val_score=score,
        )
        progress.curve.append(point)
        self._losses = []
        self._keep_if_best(point)
        self.tick(progress)

    def _keep_if_best(self, point: Point) -> None:
        """Equal scores are common on small validation parts: the lower loss decides."""
        progress = self.progress
        progress.stale += 1
        if (point.val_score, -point.val_loss) > (progress.best_score, -progress.best_loss):
            progress.best_score, progress.best_loss = point.val_score, point.val_loss
            progress.best_step, progress.stale = point.step, 0
            self._copy_weights()

    def _copy_weights(self) -> None:
        for name, tensor in self.learner.weights().items():
            if name in self.best:
                self.best[name].copy_(tensor)
            else:
                self.best[name] = tensor.detach().clone()

    def out_of_patience(self) -> bool:
        """Return whether the last evaluations brought nothing better."""
        return self.spec.patience is not None and self.progress.stale >= self.spec.patience

    def save(self) -> None:
        """Write a checkpoint."""
        began = time.monotonic()
        tensors = {
            **_prefixed(_LEARNER, self.learner.state()),
            **_prefixed(_BEST, self.best),
            **generator_states(device_of(self.spec.plan)),
            _LOSSES: torch.cat(self._losses) if self._losses else torch.empty(0),
            _START: self.start,
        }
        facts = {"hash": self.spec.hash, "progress": asdict(self.progress)}
        checkpoint.save(self.folder, self.progress.step, tensors, facts)
        self._due = due_again(began, self._every)


def due_again(began: float, every: float) -> float:
    """Return when a checkpoint is due after one begun at `began`, on the monotonic clock."""
    ended = time.monotonic()
    return ended + max(every, (ended - began) / _SAVING_SHARE)


def evaluation_steps(steps: int, evaluations: int) -> list[int]:
    """Return the steps after which the validation part is looked at; the last is `steps`."""
    return sorted({math.ceil(steps * i / evaluations) for i in range(1, evaluations + 1)})


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
