"""One run of a study: what is on record, what is left to do, and what came out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from assay.compare import findings
from assay.compare.answer import Evidence, answer, data_facts, told
from assay.compare.baselines import baseline_specs, on_what_they_learned
from assay.compare.campaign import Campaign, Planned, from_record
from assay.compare.findings import Trained
from assay.compare.keep import save_winner, write
from assay.compare.margin import margin_for
from assay.compare.outcomes import read_predicted, score_table
from assay.compare.racing import MOST, Race, parse_until
from assay.compare.recommend import PREFERENCES
from assay.compare.request import Request
from assay.compare.result import StudyResult
from assay.compare.tuning import TuningResult, tune
from assay.data.check import check
from assay.data.concern import Concern
from assay.data.dataset import Dataset
from assay.engine.classical import FAMILY
from assay.engine.spec import (
    Candidate,
    Event,
    Measurement,
    TrialRecord,
    TrialSpec,
    spec_from_json,
)
from assay.errors import Interrupted, UnknownNameError
from assay.metrics import Metric, metric_for
from assay.store.place import default_store
from assay.store.store import Store, StudyEntry

OnEvent = Callable[[Event], None]
Records = dict[str, TrialRecord]

_PASSING_FAILURES = (  # how reasons name a lack of memory, and an end brought from outside
    "out of memory",
    "allocate memory",
    "not enough memory",
    "MemoryError",
    "killed by signal",
    "asked to stop by somebody else",
)


class Work:
    """Everything between a prepared data set and a result.

    Args:
        id: Of the study.
        request: What was asked.
        store: Open.
        dataset: Prepared.
        candidates: That take part.
        on_event: Told of everything that happens.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - the store's name for it
        request: Request,
        store: Store,
        dataset: Dataset,
        candidates: Sequence[Candidate],
        on_event: OnEvent,
    ) -> None:
        self.id, self.request, self.store, self.dataset = id, request, store, dataset
        self.candidates, self.on_event = candidates, on_event
        self.campaign = Campaign(request, dataset, store, on_event)
        self.metric: Metric = metric_for(request.metric, dataset.task, dataset.classes)
        self.race = self._race() if request.until else None
        self.tuning: dict[str, TuningResult] = {}
        self.records: Records = {}
        self.costs: dict[str, Measurement] = {}
        self._read: dict[str, tuple[np.ndarray, np.ndarray]] = {}  # of a trial: labels and scores

    @property
    def folder(self) -> Path:
        """Where report and winner go."""
        return self.store.run_folder(self.id)

    def complete(self, began: float) -> StudyResult:
        """Do what is left; other processes may be doing other trials of the same study."""
        try:
            with self.campaign.running():
                with self._turn():
                    planned = self._continued() if self._entry() else self._plan()
                self.campaign.hint = self._hint()
                planned = self._tuned(planned)
                self._train(planned.specs)
                self._measure(planned.specs)
                if self.race:
                    planned = self._run_race(self.race, planned, began)
        except Interrupted:
            self._set_status("stopped")
            raise
        result = answer(self._evidence(planned), began)
        with self._turn():
            self._keep(result, planned)
        self._set_status("finished" if any(c.score for c in result.candidates) else "failed")
        return replace(result, seconds=time.monotonic() - began)

    def _turn(self) -> AbstractContextManager[None]:
        return self.store.turn(lambda: self.campaign.stopping)

    def _entry(self) -> StudyEntry | None:
        with suppress(UnknownNameError):
            return self.store.study(self.id)
        return None

    def _hint(self) -> str:
        """Return how to continue, as the end of a sentence; the store is named where needed."""
        elsewhere = self.store.where != str(default_store().absolute())
        where = f" --store {shlex.quote(self.store.where)}" if elsewhere else ""
        return f"continue with: assay resume {self.id}{where}"

    def _set_status(self, status: Any) -> None:
        with suppress(UnknownNameError):  # stopped before anything was planned
            if self.store.study(self.id).status != status:
                self.store.set_status(self.id, status)

    def _plan(self) -> Planned:
        """Plan every candidate and the baselines, and write down what will be run."""
        planned = self.campaign.plan(self.candidates)
        opponents = self._opponents()
        concerns = (
            *check(self.dataset, group=self.request.group, time=self.request.time),
            *on_what_they_learned(opponents, self.dataset),
        )
        facts = {
            **data_facts(self.dataset),
            "failures": planned.failures,
            "concerns": [asdict(c) for c in concerns],
        }
        specs = (*planned.specs, *opponents)
        whole = replace(planned, specs=specs)
        written = [asdict(spec) for spec in specs]
        if self.request.tune:  # the trials are planned once the settings have been chosen
            facts, written = {**facts, "untuned": written}, []
        self.store.add_study(self.id, self._asked(), written, facts)
        return whole

    def _opponents(self) -> tuple[TrialSpec, ...]:
        return baseline_specs(self.dataset, self.request.limit) if self.request.baselines else ()

    def _continued(self) -> Planned:
        """Return what was planned; what failed through the machine's state is planned again."""
        entry = self.store.study(self.id)
        before = _planned(entry)
        again = [c for c in self.candidates if _may_pass(before.failures.get(c.name, ""))]
        if not again:
            return before
        now = self.campaign.plan(again)
        kept = {k: v for k, v in before.failures.items() if k not in {c.name for c in again}}
        failures = kept | now.failures
        whole = Planned(specs=before.specs + now.specs, failures=failures)
        facts = {**entry.data, "failures": failures}
        if entry.specs or not self.request.tune:
            self.store.extend_study(self.id, [asdict(spec) for spec in now.specs], facts)
        else:
            facts["untuned"] = [asdict(spec) for spec in whole.specs]
            self.store.extend_study(self.id, [], facts)
        return whole

    def _asked(self) -> dict[str, Any]:
        """Return the request so that it works from any folder."""
        facts = told(self.request).as_json()
        if Path(self.request.data).exists():
            facts["data"] = str(Path(self.request.data).resolve())
        return facts

    def _tuned(self, planned: Planned) -> Planned:
        """Choose each candidate's settings, and plan its trials with them."""
        if not self.request.tune:
            return planned
        entry = self.store.study(self.id)
        untuned = [spec_from_json(facts) for facts in entry.data["untuned"]]
        networks = [spec for spec in untuned if spec.candidate.family != FAMILY]
        self.tuning = tune(
            [spec for spec in networks if spec.seed == 0],
            self.request.tune,
            run=lambda specs: self._train(specs),
            train_size=len(self.dataset.train),
        )
        if entry.specs:
            return _planned(entry)
        settled = [
            spec
            if spec.candidate.family == FAMILY
            else self.tuning[spec.candidate.name].settled(spec)
            for spec in untuned
        ]
        self.store.extend_study(self.id, [asdict(spec) for spec in settled], entry.data)
        return replace(planned, specs=tuple(settled))

    def _train(self, specs: Sequence[TrialSpec]) -> Records:
        """Return the records of these trials; those that are on record are not run."""
        known = self._known(specs)
        for record in known.values():
            self.on_event(from_record(record))
        left = [spec for spec in specs if spec.hash not in known]
        if left:
            self._set_status("running")
            self.store.note_test_opened(self.dataset.split_hash, self.id)
        made = known | self.campaign.train(left)
        self.records |= made
        return made

    def _known(self, specs: Sequence[TrialSpec]) -> Records:
        """Return the trials on record, without those that another try may finish."""
        found = self.store.trials(spec.hash for spec in specs)
        again = {h for h, r in found.items() if r.status == "failed" and _may_pass(r.reason)}
        self.store.forget_failures(again)
        return {name: record for name, record in found.items() if name not in again}

    def _measure(self, specs: Sequence[TrialSpec]) -> None:
        """Measure each candidate's first finished trial, unless that is on record."""
        first: dict[str, tuple[TrialSpec, TrialRecord]] = {}
        for spec in sorted(specs, key=lambda s: s.seed):
            network = spec.candidate.family != FAMILY
            if network and self.records[spec.hash].status == "finished":
                first.setdefault(spec.candidate.name, (spec, self.records[spec.hash]))
        with self._turn():
            stored = {name: self.store.measurement(s.hash) for name, (s, _) in first.items()}
            left = [pair for name, pair in first.items() if stored[name] is None]
            found = {k: v for k, v in stored.items() if v} | self.campaign.measure(left)
        self.costs |= found

    def _race(self) -> Race:
        asked = self.request
        return Race(
            [c.name for c in self.candidates],
            confidence=asked.confidence,
            first=asked.seeds,
            most=max(MOST, 2 * asked.seeds),
            correction=asked.correction,
            margin=margin_for(asked.margin, share=self.metric.share),
            until=parse_until(asked.until or ""),
        )

    def _run_race(self, race: Race, planned: Planned, began: float) -> Planned:
        """Add seeds where they can still change the recommendation."""
        cost = PREFERENCES.get(self.request.prefer)  # none: by score
        costs = {name: cost.of(found) for name, found in self.costs.items()} if cost else {}
        while True:
            trained = self._trained(planned)
            rows = findings.rank(trained, self.dataset, self.metric, self.request.confidence)
            names = race.next(
                findings.score_tables(trained),
                costs=costs,
                elapsed=time.monotonic() - began,
                failed=_failed(trained),
                excluded=[
                    row.name
                    for row in rows
                    if row.score and not all(r.met(row) for r in self.request.requirements)
                ],
            )
            if not names:
                return planned
            planned = self._one_more(planned, names)

    def _one_more(self, planned: Planned, names: Sequence[str]) -> Planned:
        """Give each of these candidates the next seed."""
        latest = {spec.candidate.name: spec for spec in sorted(planned.specs, key=lambda s: s.seed)}
        specs = [replace(latest[n], seed=latest[n].seed + 1) for n in names if n in latest]
        with self._turn():
            entry = self.store.study(self.id)
            known = set(entry.trials)
            new = [asdict(spec) for spec in specs if spec.hash not in known]
            if new:
                self.store.extend_study(self.id, new, entry.data)
        self._train(specs)
        return replace(planned, specs=(*planned.specs, *specs))

    def _trained(self, planned: Planned) -> list[Trained]:
        return [self._one(c, planned) for c in self.candidates]

    def _one(self, candidate: Candidate, planned: Planned) -> Trained:
        """Return a candidate with its trials; a tuned one is what its trials say it is."""
        specs = [s for s in planned.specs if s.candidate.name == candidate.name]
        specs.sort(key=lambda s: s.seed)
        mine = tuple(self.records[s.hash] for s in specs)
        read = [self._predicted(r.hash) for r in mine if r.status == "finished"]
        none = np.empty((0, 0))
        return Trained(
            candidate=specs[0].candidate if specs else candidate,
            specs=tuple(specs),
            records=mine,
            predicted=np.stack([labels for labels, _ in read]) if read else none,
            scores=np.stack([scores for _, scores in read]) if read else none,
            cost=self.costs.get(candidate.name),
            failure=planned.failures.get(candidate.name, ""),
        )

    def _predicted(self, trial: str) -> tuple[np.ndarray, np.ndarray]:
        """Return what a trial answered on the test part, and what the metric makes of it."""
        if trial not in self._read:
            folder = self.store.trial_folder(trial)
            (labels,) = read_predicted([folder])
            self._read[trial] = labels, self._scores(folder, labels)
        return self._read[trial]

    def _scores(self, folder: Path, labels: np.ndarray) -> np.ndarray:
        if self.metric.name == "accuracy" and self.dataset.answers == "label":
            # needs no probabilities, which are most of the file
            return (labels == self.dataset.y[self.dataset.test]).astype(np.float64)
        return np.asarray(score_table([folder], self.metric)[0])

    def _evidence(self, planned: Planned) -> Evidence:
        opponents = {s.candidate.name: s.candidate for s in planned.specs if _is_opponent(s)}
        entry = self.store.study(self.id)
        return Evidence(
            id=self.id,
            created=entry.created,
            request=self.request,
            dataset=self.dataset,
            metric=self.metric,
            networks=self._trained(planned),
            opponents=[self._one(c, planned) for c in opponents.values()],
            race=self.race,
            tuning=tuple(self.tuning.values()),
            concerns=tuple(Concern(**_tuples(c)) for c in entry.data.get("concerns", ())),
            trials_run=self.campaign.trials_run,
            at_once=self.campaign.at_once,
            folder=self.folder,
            outcomes=self.store.trial_folder,
        )

    def _keep(self, result: StudyResult, planned: Planned) -> None:
        """Write the winner and the report, unless those that are there say the same."""
        name = result.recommendation.candidate
        winner = next((t for t in self._trained(planned) if t.candidate.name == name), None)
        if winner is not None:
            save_winner(self.id, winner, self.dataset, self.store)
        write(result, self.folder, self.request.lang)


def _is_opponent(spec: TrialSpec) -> bool:
    return spec.candidate.family == FAMILY


def _failed(trained: Sequence[Trained]) -> dict[str, int]:
    return {
        t.candidate.name: sum(r.status == "failed" for r in t.records) + bool(t.failure)
        for t in trained
    }


def _may_pass(reason: str) -> bool:
    """Return whether a failure came of the machine's state, so that another try may succeed."""
    return any(words in reason for words in _PASSING_FAILURES)


def _planned(entry: StudyEntry) -> Planned:
    """Return what was planned when the study was started."""
    written = entry.specs or entry.data.get("untuned", ())
    specs = tuple(spec_from_json(facts) for facts in written)
    return Planned(specs=specs, failures=dict(entry.data.get("failures", {})))


def _tuples(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**facts, "where": tuple(facts["where"])}
