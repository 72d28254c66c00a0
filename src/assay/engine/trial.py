"""One trial: a network, a seed and a budget become one record and three files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from assay.canon.task import TASKS
from assay.data.batches import Batches, Normalise, OnDisk, kept_on, to_tensor
from assay.data.dataset import Dataset
from assay.data.tokenizer import Tokenizer, open_tokenizer
from assay.data.windows import judged
from assay.engine import checkpoint, files
from assay.engine.accelerator import device_of, most_memory, wake
from assay.engine.glimpse import glimpse, relative_change
from assay.engine.loop import Loop, Progress
from assay.engine.machine import load
from assay.engine.outcome import OUTCOME, Answers, write_outcome
from assay.engine.randomness import seeded
from assay.engine.spec import Event, Plan, TrialRecord, TrialSpec, record_from_json
from assay.engine.ways import apply_plan, loops_of
from assay.errors import AssayError, DeviceError, Interrupted, StoreError, TrialError
from assay.learners.fine_tuning import fine_tuning
from assay.learners.objective import objective_for
from assay.learners.supervised import Supervised
from assay.metrics import evaluate
from assay.models.foreign import build_any
from assay.models.start import start

Emit = Callable[[Event], None]
Examples = Tensor | OnDisk
Part = tuple[Examples, Tensor, np.ndarray]  # the last: indices into the data set
Kind = Literal["start", "progress", "finish", "fail", "resume"]

WEIGHTS, RECORD = "weights.safetensors", "record.json"
_LOOKED_AT = 5000  # images a model may see to initialise itself, such as for whitening
_LEAST_VALIDATION = 256  # examples, at least, of one evaluation
_EVALUATION_SHARE = 0.45  # examples evaluated over examples trained on: about 15 % of the time
_VALUES_AT_ONCE = 2**17  # of inputs in an evaluation: what larger batches compute leaves the cache
_VALUES_ELSEWHERE = 2**22  # the same on an accelerator, which few keep waiting for its next kernel


def run_trial(
    spec: TrialSpec,
    dataset: Dataset,
    folder: Path,
    *,
    emit: Emit | None = None,
    stop: Callable[[], bool] | None = None,
    checkpoint_every: float = 2.0,
) -> TrialRecord:
    """Run a trial, or what is left of it, and return its record.

    Into `folder` go `outcome.parquet` (predictions on validation and test), the best
    `weights.safetensors` and, last, `record.json`; each is whole or absent. A trial that was killed
    continues from its newest checkpoint there and ends with the same bits. Where `spec.test` is
    false the test part is never looked at, and no weights are kept.

    Args:
        spec: What to run.
        dataset: Whose split hash is the spec's.
        folder: The trial's own; made if it is not there.
        emit: Told of start, resume, progress, finish and failure.
        stop: Asked before every step; true checkpoints and raises `Interrupted`.
        checkpoint_every: Seconds between checkpoints, at least.

    Raises:
        DeviceError: The plan's accelerator is not there.
        Interrupted: `stop` asked for it.
        StoreError: A file could not be written.
        TrialError: The data set is not the spec's.
    """
    check_split(spec, dataset)
    make_folder(folder)
    finished = recorded(spec, folder)
    if finished is not None:
        checkpoint.remove(folder)  # of a process that was killed just before it did so itself
        return finished
    tell = Reporter(spec, emit or _silent)
    run = Run(spec, dataset, folder, tell, stop or _never, checkpoint_every)
    return run.close(failures_recorded(run, run.complete))


class Reporter:
    """Turns progress into events."""

    def __init__(self, spec: TrialSpec, emit: Emit) -> None:
        self.spec, self.emit = spec, emit

    def __call__(self, progress: Progress) -> None:
        """Tell where a loop stands."""
        score = progress.curve[-1].val_score if progress.curve else None
        self._send("progress", step=progress.step, score=score)

    def begin(self, resumed: checkpoint.Checkpoint | None) -> None:
        """Tell that a trial starts, or from where it goes on."""
        if resumed is None:
            self._send("start")
            return
        lost = f"damaged and left out: {', '.join(resumed.damaged)}" if resumed.damaged else ""
        self._send("resume", step=resumed.step, text=lost)

    def finish(self, record: TrialRecord) -> None:
        """Tell how a trial ended."""
        if record.status == "failed":
            self._send("fail", step=record.steps, text=record.reason)
            return
        score = max(point.val_score for point in record.curve)
        self._send("finish", step=record.steps, score=score)

    def _send(
        self, kind: Kind, *, step: int = 0, score: float | None = None, text: str = ""
    ) -> None:
        self.emit(
            Event(
                kind=kind,
                candidate=self.spec.candidate.name,
                seed=self.spec.seed,
                step=step,
                steps=self.spec.steps,
                score=score,
                text=text,
            )
        )


class Run:
    """The parts of one trial while it lasts."""

    def __init__(
        self,
        spec: TrialSpec,
        dataset: Dataset,
        folder: Path,
        tell: Reporter,
        stop: Callable[[], bool],
        checkpoint_every: float,
    ) -> None:
        self.spec, self.dataset, self.folder, self.tell = spec, dataset, folder, tell
        self.stop, self.checkpoint_every = stop, checkpoint_every
        self.device = device_of(spec.plan)
        wake(self.device)
        self.normalise = Normalise(dataset.preprocessing, self.device)
        self.load = load()
        self.progress = Progress()  # where the loop stands, for the record of a failure
        self.moved: float | None = None
        self.looked_at = 0
        self.together = 1

    def complete(self) -> TrialRecord:
        """Train alone, from the first step or the newest checkpoint to the end."""
        with seeded(self.spec.seed, threads=self.spec.plan.threads, device=self.device):
            loop = self.prepare()
            loop.run()
            return self.finish(loop)

    def prepare(self, other: Run | None = None) -> Loop:
        """Return the loop at the first step, or where the newest checkpoint left it.

        Args:
            other: A prepared trial on the same data, whose examples are shared.
        """
        self.training: tuple[Examples, Tensor] = (
            other.training if other else kept_on(self.device, *to_tensor(self.dataset, "train"))
        )
        left_off = self._left_off()
        self.learner = self._learner(*self.training, fresh=left_off is None)
        self.validation: Part = other.validation if other else self._validation()
        self.looked_at = len(self.validation[1])
        x, y = self.training
        loop = self._loop(self.learner, x, y, self.validation)
        loop.start = glimpse(self.learner.model)
        self.tell.begin(loop.resume(left_off))
        self.progress = loop.progress
        return loop

    def finish(self, loop: Loop) -> TrialRecord:
        """Predict with the best weights, and write all but the record."""
        self.learner.load_weights(loop.best)
        self.moved = relative_change(loop.start, glimpse(self.learner.model))
        measured = self._predict(self.learner, self.validation)
        if self.spec.test:  # nobody asks for the weights of a trial that only chose a setting
            measured |= self._read_again(self.learner)
            weights = files.pack(loop.best, {"candidate": self.spec.candidate.name})
            files.write(self.folder / WEIGHTS, *weights)
        return self.record("finished", measured=measured)

    def close(self, record: TrialRecord) -> TrialRecord:
        """Write the record, after every other file, and tell of it."""
        files.write_json(self.folder / RECORD, asdict(record))
        checkpoint.remove(self.folder)
        self.tell.finish(record)
        return record

    def record(
        self,
        status: Literal["finished", "failed"],
        *,
        reason: str = "",
        measured: dict[str, float] | None = None,
    ) -> TrialRecord:
        """Return what is known of the trial by now."""
        progress, spec = self.progress, self.spec
        examples = progress.step * min(spec.candidate.recipe.batch_size, len(self.dataset.train))
        return TrialRecord(
            hash=spec.hash,
            candidate=spec.candidate.name,
            seed=spec.seed,
            status=status,
            reason=reason,
            steps=progress.step,
            best_step=progress.best_step,
            train_seconds=progress.train_seconds,
            cpu_seconds=progress.cpu_seconds,
            samples_per_second=examples / progress.train_seconds if progress.train_seconds else 0.0,
            peak_memory_bytes=most_memory(self.device),
            load=self.load,
            metrics=measured or {},
            curve=tuple(progress.curve),
            moved=self.moved,
            looked_at=self.looked_at,
            together=self.together,
            spec=json.loads(json.dumps(asdict(spec))),
        )

    def _left_off(self) -> checkpoint.Checkpoint | None:
        """Return the newest whole checkpoint of this trial, if there is one."""
        found = checkpoint.newest(self.folder)
        return found if found and found.facts["hash"] == self.spec.hash else None

    def _learner(self, x: Examples, y: Tensor, *, fresh: bool) -> Supervised:
        """Return what learns; where a checkpoint will overwrite it, it need not look at data."""
        spec = self.spec
        model = build_any(spec.candidate.name, spec.inputs, spec.outputs, spec.task)
        if spec.candidate.weights:
            start(model, spec.candidate.weights, self.dataset.preprocessing)
        if fresh:
            self._let_it_look(model, x)
        model = apply_plan(model, spec.plan).to(self.device)
        return Supervised(
            model,
            recipe=spec.candidate.recipe,
            plan=spec.plan,
            steps=spec.steps,
            objective=objective_for(
                spec.task,
                classes=self.dataset.classes,
                outputs=spec.outputs,
                y=y.cpu().numpy(),
                tokenizer=self._tokenizer(),
                model=model,
            ),
            fine_tuning=fine_tuning(spec.candidate, model, steps=spec.steps),
        )

    def _tokenizer(self) -> Tokenizer | None:
        """Return what turns the network's answers into text, if they are one."""
        if self.spec.task != "text-to-text":
            return None
        return open_tokenizer(self.dataset.preprocessing["tokenizer"])

    def _let_it_look(self, model: nn.Module, x: Examples) -> None:
        """Let a model that asks for it initialise itself on training images or texts."""
        initialize = getattr(model, "initialize", None)
        if callable(initialize) and self.dataset.kind in ("image", "tokens"):
            _check_loops(self.spec.plan, model)
            most = _LOOKED_AT if self.dataset.kind == "image" else len(x)
            with torch.no_grad():
                initialize(Normalise(self.dataset.preprocessing)(_rows(x, most).cpu()))

    def _validation(self) -> Part:
        """Return the validation examples that this trial looks at."""
        x, y, places = self._held_out("val")
        batch_size = min(self.spec.candidate.recipe.batch_size, len(self.dataset.train))
        looked_at = validation_size(self.spec, len(x), batch_size)
        if looked_at == len(x):
            return x, y, places
        chosen = _evenly(len(x), looked_at)
        return x[chosen], y[chosen], places[chosen.numpy()]

    def _held_out(self, part: Literal["val", "test"]) -> Part:
        return *to_tensor(self.dataset, part), getattr(self.dataset, part)

    def _loop(self, learner: Supervised, x: Examples, y: Tensor, validation: Part) -> Loop:
        recipe = self.spec.candidate.recipe
        self.batches = Batches(
            x,
            y,
            recipe.batch_size,
            self.spec.seed,
            normalise=self.normalise,
            augment=recipe.augment,
            reach=recipe.reach,
        )
        val_x, val_y, _ = validation
        return Loop(
            self.spec,
            learner,
            self.batches,
            lambda: learner.evaluate(self.in_batches(val_x), val_y),
            folder=self.folder,
            tick=self.tell,
            stop=self.stop,
            checkpoint_every=self.checkpoint_every,
        )

    def _predict(self, learner: Supervised, validation: Part) -> dict[str, float]:
        """Predict what is held out, write `outcome.parquet`, return the metrics."""
        answers: dict[str, Answers] = {}
        measured: dict[str, float] = {}
        parts = {"val": validation}
        if self.spec.test:
            parts["test"] = self._held_out("test")
        for part, (x, y, places) in parts.items():
            predicted, truth = learner.predict(self.in_batches(x), y), y.numpy()
            if self.spec.task == "forecasting":
                predicted, truth = judged(predicted, self.dataset, places)
            answers[part] = Answers(example=places, truth=truth, predicted=predicted)
            scores = evaluate(predicted, truth, self.spec.task)
            measured |= {f"{part}_{name}": value for name, value in scores.items()}
        facts = {"hash": self.spec.hash}
        write_outcome(self.folder / OUTCOME, answers, facts, TASKS[self.spec.task].answers)
        return measured

    def _read_again(self, learner: Supervised) -> dict[str, float]:
        """Return the metrics on as many training examples as validation has, not augmented."""
        if self.dataset.answers not in ("label", "value"):
            return {}
        x, y = self.training
        some, truth = _rows(x, self.looked_at), _rows(y, self.looked_at).cpu()
        predicted = learner.predict(self.in_batches(some), truth)
        scores = evaluate(predicted, truth.numpy(), self.spec.task)
        return {f"train_{name}": value for name, value in scores.items()}

    def in_batches(self, x: Examples, *, seeds: int = 1) -> Iterator[Tensor]:
        """Yield examples as models read them, as many at once as so many seeds evaluate fast."""
        values = seeds * math.prod(x.shape[1:])
        if TASKS[self.spec.task].sums:  # a token's answer is as wide as the vocabulary
            values *= self.spec.outputs
        at_once = _VALUES_AT_ONCE if self.device.type == "cpu" else _VALUES_ELSEWHERE
        size = max(at_once // values, self.spec.candidate.recipe.batch_size)
        for piece in x.split(size):
            yield self.normalise(piece)


def validation_size(spec: TrialSpec, available: int, batch_size: int) -> int:
    """Return how many validation examples one evaluation uses: all, unless that were slow.

    A short budget on a large data set would otherwise be spent on evaluations.
    """
    affordable = _EVALUATION_SHARE * spec.steps * batch_size / spec.evaluations
    return min(available, max(_LEAST_VALIDATION, int(affordable)))


def failures_recorded(run: Run, work: Callable[[], TrialRecord]) -> TrialRecord:
    """A candidate's own failure becomes a record; the system's and the user's go on upwards."""
    try:
        return work()
    except (DeviceError, Interrupted, StoreError):
        raise
    except AssayError as error:
        return run.record("failed", reason=str(error))
    except Exception as error:  # noqa: BLE001 - foreign networks may raise anything
        return run.record("failed", reason=_reason(error, run))


def _reason(error: Exception, run: Run) -> str:
    where = f"at step {run.progress.step + 1}"
    if out_of_memory(error):
        peak = most_memory(run.device) / 2**30
        return (
            f"out of memory {where} with {run.spec.candidate.recipe.batch_size} examples a batch, "
            f"{peak:.1f} GiB held; a smaller batch or smaller images need less"
        )
    first_line = next(iter(str(error).strip().splitlines()), "")
    return f"crashed {where}: {type(error).__name__}: {first_line[:300]}"


def out_of_memory(error: BaseException) -> bool:
    """Return whether `error` is the way Python, numpy or torch says that memory ran out."""
    text = str(error).lower()
    told = ("out of memory", "can't allocate memory", "not enough memory", "unable to mmap")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in text for words in told)
    )


def _check_loops(plan: Plan, model: nn.Module) -> None:
    """Raise TrialError where word vectors would learn in other loops than was planned."""
    if plan.loops and plan.loops != loops_of(model):
        raise TrialError(
            "Word vectors learn in the loops that were planned. Received a plan for "
            f"loops={plan.loops!r} where there are {loops_of(model)!r}; have a C compiler on every "
            "machine of the study, or on none."
        )


def check_split(spec: TrialSpec, dataset: Dataset) -> None:
    """Raise TrialError where the data are not those the trial was planned for."""
    if dataset.split_hash != spec.split_hash:
        raise TrialError(
            "A trial runs on the data it was planned for. Received a data set of split "
            f"{dataset.split_hash[:16]}, planned {spec.split_hash[:16]}; start a new study."
        )


def recorded(spec: TrialSpec, folder: Path) -> TrialRecord | None:
    """Return the record of that trial in its folder, or None where it has not finished."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        record = record_from_json(json.loads((folder / RECORD).read_text(encoding="utf-8")))
        if record.hash == spec.hash:
            return record
    return None


def make_folder(folder: Path) -> None:
    """Make a trial's folder, or raise StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"Cannot make the folder {folder}: {error.strerror or error}. "
            "Choose another with --store."
        ) from error


def _rows(x: Examples, wanted: int) -> Tensor:
    """Return so many of the rows, evenly spaced."""
    return x[_evenly(len(x), wanted).to(x.device)]


def _evenly(available: int, wanted: int) -> Tensor:
    """Indices of `wanted` of `available` examples, evenly spaced: classes keep their shares."""
    if wanted >= available:
        return torch.arange(available)
    return torch.arange(wanted) * available // wanted


def _silent(event: Event) -> None:
    del event


def _never() -> bool:
    return False
