"""The work of a study: plans, then trials, then measurements, through an executor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Union

from assay.canon.catalog import catalog
from assay.canon.idea import parted
from assay.canon.pretrained import untrained
from assay.compare.baselines import baselines_for, modules
from assay.compare.request import Request
from assay.compare.requirement import check_met, known_early
from assay.data.dataset import Dataset
from assay.engine.classical import FAMILY
from assay.engine.executor import Inline, Job, JobResult, Pool
from assay.engine.grouping import group_seeds, stacks_to_try
from assay.engine.machine import cores, processor, versions
from assay.engine.place import place, shape, shared_plan
from assay.engine.ray_address import parse_executor
from assay.engine.signals import Stop, stop_on_signals
from assay.engine.spec import (
    Candidate,
    Event,
    Measurement,
    Plan,
    TrialRecord,
    TrialSpec,
    record_from_json,
)
from assay.errors import DeviceError, TrialError, UnknownNameError
from assay.models.foreign import origin
from assay.store.lock import Claim
from assay.store.store import Store

if TYPE_CHECKING:
    from assay.engine.ray_pool import RayPool

_EVALUATED = 0.45  # examples evaluated for each one trained on, at most: about 15 % of the time
_FORWARD = 1 / 3  # of a training step is its forward pass, about
_FEWEST = 2  # evaluations of a trial, however few its steps
_LOOK_AGAIN = 0.3  # seconds between two looks at what other processes have finished

Executor = Union[Pool, Inline, "RayPool"]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What is to be trained, and what could not even be planned."""

    specs: tuple[TrialSpec, ...]  # in the order they run
    failures: dict[str, str]  # candidate: reason


class Campaign:
    """Runs what is not on record yet. The executor starts with the first job and not before.

    Args:
        request: What was asked.
        dataset: Prepared.
        store: Where records go.
        on_event: Told of everything that happens.
    """

    def __init__(self, request: Request, dataset: Dataset, store: Store, on_event: OnEvent) -> None:
        self.request, self.dataset, self.store, self.on_event = request, dataset, store, on_event
        self._executor: Executor | None = None
        self._modules: tuple[str, ...] = ()  # that networks need
        self._later: tuple[str, ...] = ()  # that opponents need, which come last
        self._stop = Stop()
        self.hint = "run the same command again to continue"  # ends the sentence after a stop
        self.trials_run = 0  # by this process
        self._accelerator = ""  # its own name; known once it was found
        self.cluster = parse_executor(request.executor)  # None is this machine
        self.place = place(request.devices, request.nodes)  # alone, unless hosts share a training

    @contextmanager
    def running(self) -> Iterator[None]:
        """Give jobs somewhere to run; a signal stops them, kept for another day."""
        with stop_on_signals(self._pass_on) as self._stop:
            try:
                yield
            finally:
                self._close()

    def plan(self, candidates: Sequence[Candidate]) -> Planned:
        """Choose how each candidate is computed and how many steps the budget buys it.

        Raises:
            UnknownNameError: A library has no network of a candidate's name.
            BadArgumentError: No candidate can meet a requirement.
            DeviceError: There is no such accelerator.
        """
        self._preload(candidates)
        self._find_accelerator()
        plans: dict[str, Plan] = {}
        failures: dict[str, str] = {}
        macs = self._count(candidates)
        threads = self._threads(len(candidates) * self.request.seeds)
        jobs = [
            Job("plan", c.name, self._plan_payload(c, threads, macs.get(c.name, 0)))
            for c in candidates
        ]
        for job, result in self._run(jobs, at_once=self._when_timed):
            if result.status == "done":
                plans[job.key] = self._shared(_plan(result.value))
                self._tell("plan", job.key, text=_in_words(plans[job.key]))
            else:
                _refuse_unknown(result.reason)
                failures[job.key] = result.reason
                self._tell("fail", job.key, text=result.reason)
        planned = [(c, plans[c.name], macs.get(c.name, 0)) for c in candidates if c.name in plans]
        return self._in_order(planned, failures)

    def _find_accelerator(self) -> None:
        """Learn what the accelerator is called, if one was asked for."""
        asked = self.request.accelerator
        if asked == "cpu" or self._accelerator:
            return
        for _, result in self._run([Job("accelerator", asked, {"accelerator": asked})]):
            if result.status != "done":
                raise DeviceError(result.reason)
            self._accelerator = result.value["name"]

    def _check_accelerator(self, specs: Sequence[TrialSpec]) -> None:
        """Raise DeviceError where trials were planned for another accelerator than is here."""
        self._find_accelerator()
        for spec in specs:
            if spec.plan.accelerator != "cpu" and spec.machine != self._machine:
                raise DeviceError(
                    "A study continues on the accelerator that it began on. Received "
                    f"{self._machine}, begun on {spec.machine}; what was measured is kept."
                )

    def train(self, specs: Sequence[TrialSpec]) -> dict[str, TrialRecord]:
        """Run the trials that have no record, and return the records made.

        Other processes may work on the same trials: each is run by whoever claims it first, and
        what others have claimed is waited for.
        """
        self._preload([spec.candidate for spec in specs])
        self._check_accelerator(specs)
        sizes = self._stacks(specs)
        waiting = {spec.hash: spec for spec in specs}
        made: dict[str, TrialRecord] = {}
        while waiting:
            for record in self._run_claimed(waiting, sizes):
                made[record.hash] = record
            waiting = {name: spec for name, spec in waiting.items() if name not in made}
            theirs = self._of_others(waiting)
            made |= theirs
            waiting = {name: spec for name, spec in waiting.items() if name not in theirs}
            if waiting:
                self._wait()
        return made

    def _stacks(self, specs: Sequence[TrialSpec]) -> dict[str, int]:
        """Return how many seeds of a candidate train faster together, where that was measured."""
        if not self.request.autotune or self.cluster is not None or self.place.world > 1:
            return {}
        tried = stacks_to_try(specs, self.at_once)
        first = {spec.candidate.name: spec for spec in reversed(specs)}
        jobs = [
            Job("stacking", name, {**self._shapes(first[name].candidate), **_facts(first[name], n)})
            for name, n in tried.items()
        ]
        found = self._run(jobs, at_once=self._when_timed)
        return {j.key: r.value["seeds"] for j, r in found if r.status == "done"}

    def _run_claimed(
        self, waiting: Mapping[str, TrialSpec], sizes: dict[str, int]
    ) -> Iterator[TrialRecord]:
        """Run every trial that nobody else runs, and yield its record."""
        claims: dict[str, Claim] = {}
        groups: dict[str, list[TrialSpec]] = {}
        try:
            for job, result in self._run(self._claimed(waiting, sizes, claims, groups)):
                group = groups[job.key]
                if len(group) > 1 and result.status == "failed":  # each will tell its own reason
                    sizes[group[0].candidate.name] = 1
                    for spec in group:
                        claims.pop(spec.hash).release()
                    continue
                for record in _records(group, result):
                    if result.status == "failed":  # otherwise the trial itself has told
                        self._tell("fail", record.candidate, seed=record.seed, text=record.reason)
                    self.store.add_trial(record)
                    claims.pop(record.hash).release()
                    self.trials_run += 1
                    yield record
        finally:
            for claim in claims.values():
                claim.release()

    def _claimed(
        self,
        waiting: Mapping[str, TrialSpec],
        sizes: Mapping[str, int],
        claims: dict[str, Claim],
        groups: dict[str, list[TrialSpec]],
    ) -> Iterator[Job]:
        """Yield a job for all that can be claimed, at the moment it is asked for."""
        for group in group_seeds(list(waiting.values()), sizes, self.at_once):
            mine = [spec for spec in group if self._claim(spec.hash, claims)]
            if mine:
                groups[mine[0].hash] = mine
                yield self._job(mine)

    def _claim(self, trial: str, claims: dict[str, Claim]) -> bool:
        claim = self.store.claim(trial)
        if claim is None:
            return False
        if self.store.trial(trial) is not None:  # somebody has just finished it
            claim.release()
            return False
        claims[trial] = claim
        return True

    def _job(self, specs: Sequence[TrialSpec]) -> Job:
        """Return one trial, or several seeds of one candidate that train together."""
        if len(specs) == 1:
            return Job("trial", specs[0].hash, self._trial_payload(specs[0]))
        folders = [str(self.store.trial_folder(spec.hash)) for spec in specs]
        facts = {"specs": [asdict(spec) for spec in specs], "folders": folders}
        return Job("stack", specs[0].hash, {**facts, "data": str(self.dataset.folder)})

    def _of_others(self, waiting: Mapping[str, TrialSpec]) -> dict[str, TrialRecord]:
        """Return what is on record by now, and tell of what other processes did."""
        found = self.store.trials(waiting)
        for record in found.values():
            self.on_event(from_record(record))
        return found

    def _wait(self) -> None:
        """Let other processes get on with what they have claimed."""
        if self._stop.requested:
            raise self._stop.error(f"Stopped; {self.hint}")
        time.sleep(_LOOK_AGAIN)

    def measure(self, trained: Iterable[tuple[TrialSpec, TrialRecord]]) -> dict[str, Measurement]:
        """Measure one trained network per candidate, one at a time, and return what it costs."""
        waiting = {spec.hash: spec for spec, _ in trained}
        self._preload([spec.candidate for spec in waiting.values()])
        jobs = [Job("measure", s.hash, self._measure_payload(s, r)) for s, r in trained]
        found = {}
        for job, result in self._run(jobs, at_once=1):
            name = waiting[job.key].candidate.name
            if result.status == "done":
                found[name] = Measurement(**result.value)
                self.store.add_measurement(job.key, found[name])
                self._tell("measure", name, text=f"{found[name].latency_p50_ms:.3g} ms")
            else:
                self._tell("fail", name, text=f"not measured: {result.reason}")
        return found

    @property
    def at_once(self) -> int:
        """Trials that run beside each other; hosts that share a training do one at a time."""
        if self.request.workers == 0 or not self.place.alone:
            return 1
        if self.request.accelerator != "cpu":  # which one trial at a time has for itself
            return self.request.workers or 1
        return self.request.workers or max(1, cores() // self.place.count)

    @property
    def _machine(self) -> str:
        return " + ".join(filter(None, (processor(), self._accelerator)))

    @property
    def _when_timed(self) -> int | None:
        """Jobs at once that time something: the clock of an accelerator counts the neighbours."""
        return None if self.request.accelerator == "cpu" else 1

    def _shared(self, plan: Plan) -> Plan:
        """Return a plan as it is computed by the processes that share a training, if they do."""
        devices, nodes = shape(self.request.devices, self.request.nodes)
        return shared_plan(plan, devices=devices, nodes=nodes, strategy=self.request.strategy)

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.requested

    def _run(
        self, jobs: Iterable[Job], at_once: int | None = None
    ) -> Iterator[tuple[Job, JobResult]]:
        """Yield what ended; raise once a stop was asked for and everything has ended."""
        line = iter(jobs)
        first = next(line, None)
        if first is None:
            return
        executor = self._start()
        if not self._stop.requested:
            for job, result in executor.run(chain([first], line), self.on_event, at_once=at_once):
                if result.status != "stopped":
                    yield job, result
        if executor.stopping or self._stop.requested:
            raise self._stop.error(f"Stopped; {self.hint}")

    def _start(self) -> Executor:
        if self._executor is None:
            self._executor = self._new_executor()
            self._executor.__enter__()
        return self._executor

    def _new_executor(self) -> Executor:
        accelerated = self.request.accelerator != "cpu"
        if self.cluster is not None:
            from assay.engine.ray_pool import RayPool

            every = (*self._modules, *self._later)
            return RayPool(
                self.cluster,
                workers=self.request.workers,
                preload=every,
                accelerated=accelerated,
            )
        if self.request.workers == 0:
            return Inline()
        return Pool(self.at_once, preload=self._modules, later=self._later, accelerated=accelerated)

    def _close(self) -> None:
        if self._executor is not None:
            self._executor.__exit__(None, None, None)
        self._executor = None

    def _pass_on(self) -> None:
        """Tell the executor to stop; called inside the signal handler."""
        if self._executor is not None:
            self._executor.stop()

    def _preload(self, candidates: Iterable[Candidate]) -> None:
        networks = {_module(c.name) for c in candidates if c.family != FAMILY} - {""}
        opponents = (
            baselines_for(self.dataset, self.request.limit) if self.request.baselines else ()
        )
        shared = ["lightning_fabric.strategies"] if self.place.world > 1 else []
        self._modules, self._later = (*sorted(networks), *shared), modules(opponents)

    def _threads(self, trials: int) -> int:
        """Return the most threads of a trial: more than one only where cores are left over."""
        if self.request.workers == 0 or self.place.world > 1 or self.request.accelerator != "cpu":
            return 1
        if self.cluster is not None:
            return max(1, int(self.cluster.cpus))
        return max(1, cores() // min(trials, self.request.workers or cores()))

    def _plan_payload(self, candidate: Candidate, threads: int, macs: int) -> dict[str, Any]:
        return {
            **self._shapes(candidate),
            "precision": self.request.precision,
            "autotune": self.request.autotune,
            "threads": threads,
            "accelerator": self.request.accelerator,
            "budget": str(self.request.limit),
            "train_size": len(self.dataset.train),
            "macs": macs,
        }

    def _trial_payload(self, spec: TrialSpec) -> dict[str, Any]:
        folder = self.store.trial_folder(spec.hash)
        return {"spec": asdict(spec), "data": str(self.dataset.folder), "folder": str(folder)}

    def _measure_payload(self, spec: TrialSpec, record: TrialRecord) -> dict[str, Any]:
        weights = self.store.trial_folder(spec.hash) / "weights.safetensors"
        return {
            **self._shapes(spec.candidate),
            "weights": str(weights),
            "record": asdict(record),
            "plan": asdict(spec.plan),
        }

    def _shapes(self, candidate: Candidate) -> dict[str, Any]:
        return {
            "candidate": asdict(candidate),
            "task": self.dataset.task,
            "inputs": list(self.dataset.inputs),
            "outputs": self.dataset.outputs,
        }

    def _count(self, candidates: Sequence[Candidate]) -> dict[str, int]:
        """Return each candidate's multiply-accumulates, where the budget or a requirement asks.

        One that cannot be built fails to plan.

        Raises:
            BadArgumentError: No candidate can meet a requirement.
        """
        asked = known_early(self.request.requirements)
        if not asked and self.request.limit.unit != "flops":
            return {}
        jobs = [Job("count", c.name, self._shapes(c)) for c in candidates]
        costs = {j.key: r.value for j, r in self._run(jobs) if r.status == "done"}
        check_met(asked, costs)
        return {name: int(cost["macs"]) for name, cost in costs.items()}

    def _in_order(
        self, planned: Sequence[tuple[Candidate, Plan, int]], failures: dict[str, str]
    ) -> Planned:
        """Seed by seed, so that a study that is stopped has every candidate; longest first."""
        specs: list[TrialSpec] = []
        for seed in range(self.request.seeds):
            same_seed = []
            for candidate, plan, macs in planned:
                try:
                    same_seed.append(self._spec(candidate, plan, macs, seed))
                except TrialError as error:
                    failures[candidate.name] = str(error)
            specs += sorted(same_seed, key=self._seconds, reverse=True)
        return Planned(specs=tuple(specs), failures=failures)

    def _spec(self, candidate: Candidate, plan: Plan, macs: int, seed: int) -> TrialSpec:
        steps = self.request.limit.steps(
            train_size=len(self.dataset.train),
            batch_size=min(candidate.recipe.batch_size, len(self.dataset.train)),
            step_seconds=plan.step_seconds,
            macs=macs,
        )
        return TrialSpec(
            candidate=candidate,
            task=self.dataset.task,
            inputs=self.dataset.inputs,
            outputs=self.dataset.outputs,
            split_hash=self.dataset.split_hash,
            seed=seed,
            steps=steps,
            evaluations=self._evaluations(candidate, steps),
            patience=self.request.patience,
            plan=plan,
            versions=versions(),
            machine=self._machine,
        )

    def _seconds(self, spec: TrialSpec) -> float:
        """Return how long a trial takes, about, with its evaluations; those go forward only."""
        data, batch = self.dataset, min(spec.candidate.recipe.batch_size, len(self.dataset.train))
        held_out = (spec.evaluations + 2) * len(data.val) + len(data.test)
        return (spec.steps + _FORWARD * held_out / batch) * (spec.plan.step_seconds or 0.0)

    def _evaluations(self, candidate: Candidate, steps: int) -> int:
        """Return as many as were asked for, or fewer where they would take long beside training."""
        trained = steps * min(candidate.recipe.batch_size, len(self.dataset.train))
        affordable = int(_EVALUATED * trained / len(self.dataset.val))
        return min(self.request.evaluations, max(affordable, _FEWEST), steps)

    def _tell(self, kind: Any, candidate: str, *, seed: int = -1, text: str = "") -> None:
        self.on_event(Event(kind=kind, candidate=candidate, seed=seed, text=text))


def from_record(record: TrialRecord) -> Event:
    """Return the event that tells of a trial that need not be run."""
    score = max((p.val_score for p in record.curve), default=None)
    return Event(
        kind="finish" if record.status == "finished" else "fail",
        candidate=record.candidate,
        seed=record.seed,
        step=record.steps,
        steps=record.steps,
        score=score,
        text=record.reason or "from records",
    )


def _module(name: str) -> str:
    """Return what must be imported to build a candidate; "" for one from a file."""
    library, local = origin(name)
    if library != "canon":
        return "" if library == "file" else library
    whole, _ = parted(untrained(local)[0])
    return catalog().entry(whole)[1].code.partition(":")[0]


def _plan(facts: Any) -> Plan:
    return Plan(**{**facts, "fp32_layers": tuple(facts["fp32_layers"])})


def _in_words(plan: Plan) -> str:
    words = [plan.precision, plan.memory_format.replace("_", " ")]
    if plan.step_seconds:
        words.append(f"{1000 * plan.step_seconds:.3g} ms/step")
    return ", ".join(words)


def _facts(spec: TrialSpec, seeds: int) -> dict[str, Any]:
    return {"plan": asdict(spec.plan), "seeds": seeds}


def _records(specs: Sequence[TrialSpec], result: JobResult) -> list[TrialRecord]:
    """Return the records of a job's trials, in the order of `specs`."""
    if result.status == "done":
        found = result.value["records"] if len(specs) > 1 else [result.value]
        return [record_from_json(facts) for facts in found]
    return [
        TrialRecord(
            hash=spec.hash,
            candidate=spec.candidate.name,
            seed=spec.seed,
            status="failed",
            reason=result.reason,
            spec=asdict(spec),
        )
        for spec in specs
    ]


def _refuse_unknown(reason: str) -> None:
    """A name that a library does not have is the user's mistake, not the network's failure."""
    if reason.startswith("Unknown name"):
        raise UnknownNameError(reason)
