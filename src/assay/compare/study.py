"""`Study(data).run()`: everything from raw data to a recommended network, ready to use."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from assay.compare import findings
from assay.compare.campaign import Campaign, Planned
from assay.compare.candidates import resolve
from assay.compare.findings import Trained
from assay.compare.pretraining import left_out
from assay.compare.recommend import recommend
from assay.compare.request import Request
from assay.compare.requirement import check_task
from assay.compare.result import StudyResult
from assay.compare.verdicts import judge
from assay.data.dataset import Dataset
from assay.data.load import load, load_arrays
from assay.engine.machine import machine, processor, versions
from assay.engine.spec import (
    Candidate,
    Event,
    Measurement,
    TrialRecord,
    TrialSpec,
    digest,
    spec_from_json,
)
from assay.errors import AssayError, BadArgumentError, Interrupted, UnknownNameError, nearest
from assay.models.foreign import foreign_digest
from assay.ship.artifact import FACTS, save_artifact
from assay.ship.find import WINNER, trial_facts, validation_score
from assay.store.place import default_store, locate, without_password
from assay.store.store import Store, StudyEntry

OnEvent = Callable[[Event], None]
RESULTS = "results.json"
_PASSING = ("seconds", "trials_run", "machine", "command")  # of a result; say nothing new

_PASSING_FAILURES = (  # how reasons name a lack of memory, and an end brought from outside
    "out of memory",
    "allocate memory",
    "not enough memory",
    "MemoryError",
    "killed by signal",
    "asked to stop by somebody else",
)


class Study:
    """A comparison of networks on one data set, under one budget, on one division of the data.

    What has been measured is never measured again: a study that was stopped continues, and one
    that is finished reports at once.

    Args:
        data: digits, fashion-mnist, a path, or a pair of arrays (x, y).
        models: Names of candidates; None takes those that the cards propose.
        require: What a recommended candidate must keep, such as ["latency<5ms"].
        options: The other fields of `Request`: seeds, budget, prefer, store and so on.

    Attributes:
        request: Every option.
        id: The study's name in its store; known once `run` has looked at the data.
        folder: Where report and winner are; known once there is something to run.

    Example:
        result = Study("digits", models=["mlp", "lenet5"], budget="2s").run()
    """

    def __init__(
        self,
        data: str | Path | tuple[Any, Any],
        *,
        models: Sequence[str] | None = None,
        require: Sequence[str] = (),
        **options: Any,
    ) -> None:
        self._arrays = data if isinstance(data, tuple) else None
        self.request = _request(
            "arrays" if isinstance(data, tuple) else data, models, require, options
        )
        self.id = ""
        self.folder = Path()
        self._expected = ""

    @classmethod
    def again(cls, prefix: str, *, store: str | None = None, workers: int | None = None) -> Study:
        """Return the study of that id, or whose id begins so, as it was asked for.

        Args:
            prefix: Of the id.
            store: Where it is recorded; None is assay-runs/ here.
            workers: Trials at once, when other than asked for at first.

        Raises:
            UnknownNameError: No study, or more than one, is called so.
            MissingPathError: There is no store.
        """
        with Store.open(store, readonly=True) as opened:
            entry = opened.study(prefix)
            where = opened.where if store is None else store
        request = Request.from_json({**entry.request, "store": where})
        study = cls.of(replace(request, workers=workers) if workers is not None else request)
        study._expected = entry.id
        return study

    @classmethod
    def of(cls, request: Request) -> Study:
        """Return the study that a request asks for."""
        facts = request.as_json()
        return cls(facts.pop("data"), **facts)

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.folder / "report.html"

    def run(
        self,
        on_event: OnEvent | None = None,
        on_data: Callable[[Dataset, list[Candidate]], None] | None = None,
    ) -> StudyResult:
        """Run what has not been run, write the report and the winner, and return the result.

        Args:
            on_event: Called with every sign of life.
            on_data: Called once with the data and the candidates, before any training.

        Raises:
            Interrupted: A signal came; everything measured is kept.
            AssayError: The data, the options or the store cannot be used.
        """
        began = time.monotonic()
        for name in self.request.models or ():
            foreign_digest(name)  # an unknown name is told before anything is written
        where = self._where()
        dataset = self._load(locate(where).files)
        candidates = self._candidates(dataset)
        dataset = self._noted(dataset, candidates)
        self._name(dataset, candidates)
        with Store.open(where) as store, store.lock():
            if on_data:
                on_data(dataset, candidates)
            work = _Work(self, store, dataset, candidates, on_event or _ignore)
            return work.complete(began)

    def _where(self) -> str | Path:
        return self.request.store or default_store(None if self._arrays else self.request.data)

    def _load(self, files: Path) -> Dataset:
        """Return the prepared data; data that cannot be used leave no new folder behind."""
        new = [folder for folder in (files / "data", files) if not folder.exists()]
        try:
            return self._prepared(files / "data")
        except AssayError:
            for folder in new:
                with suppress(OSError):  # not empty, or never made
                    folder.rmdir()
            raise

    def _prepared(self, folder: Path) -> Dataset:
        asked = self.request
        if self._arrays is not None:
            x, y = self._arrays
            return load_arrays(x, y, folder=folder, task=asked.task, seed=asked.split_seed)
        return load(
            asked.data,
            folder=folder,
            task=asked.task,
            target=asked.target,
            seed=asked.split_seed,
            data_dir=asked.data_dir,
            skip_bad=asked.skip_bad,
        )

    def _candidates(self, dataset: Dataset) -> list[Candidate]:
        for requirement in self.request.requirements:
            check_task(requirement, dataset.task)
        asked = self.request
        return resolve(
            asked.models,
            asked.family,
            task=dataset.task,
            inputs=dataset.inputs,
            pretrained=asked.pretrained,
        )

    def _noted(self, dataset: Dataset, candidates: Sequence[Candidate]) -> Dataset:
        """Return the data with a note of the proposals that no published weights are had for."""
        asked = self.request
        if asked.pretrained is None or asked.models is not None:
            return dataset
        proposed = resolve(None, asked.family, task=dataset.task, inputs=dataset.inputs)
        note = left_out(proposed, candidates)
        return replace(dataset, notes=(*dataset.notes, note)) if note else dataset

    def _name(self, dataset: Dataset, candidates: Sequence[Candidate]) -> None:
        """Give the study its name: a digest of everything that decides its outcome."""
        facts = {
            "options": self.request.deciding,
            "data": [dataset.split_hash, dataset.task, list(dataset.inputs), dataset.outputs],
            "candidates": sorted((asdict(c) for c in candidates), key=lambda c: str(c["name"])),
            "machine": [processor(), versions()],
        }
        self.id = digest(facts)[:12]
        if self._expected and self.id != self._expected:
            raise BadArgumentError(
                f"Run {self._expected} continues only with the data, code, versions and machine it "
                "was started with. One of them has changed; what it measured is kept, and "
                f"`{_told(self.request).command()}` starts anew."
            )


class _Work:
    """One run of a study: what is on record, what is left to do, what came out."""

    def __init__(
        self,
        study: Study,
        store: Store,
        dataset: Dataset,
        candidates: Sequence[Candidate],
        on_event: OnEvent,
    ) -> None:
        self.study, self.store, self.dataset = study, store, dataset
        self.candidates, self.request = candidates, study.request
        self.on_event = on_event
        self.campaign = Campaign(study.request, dataset, store, on_event)
        self.trials_run = 0

    def complete(self, began: float) -> StudyResult:
        entry = self._entry()
        try:
            with self.campaign.running():
                planned = self._continued(entry) if entry else self._plan()
                self.study.folder = self.store.run_folder(self.study.id)
                self.campaign.hint = self._hint()
                records = self._train(planned)
                costs = self._measure(planned, records)
        except Interrupted:
            self._set_status("stopped")
            raise
        trained = [self._trained(c, planned, records, costs) for c in self.candidates]
        result = self._result(trained, began)
        self._save_winner(result, trained)
        result = replace(result, seconds=time.monotonic() - began)
        _write(result, self.study.folder, self.request.lang)
        self._set_status("finished" if any(c.score for c in result.candidates) else "failed")
        return result

    def _entry(self) -> StudyEntry | None:
        with suppress(UnknownNameError):
            return self.store.study(self.study.id)
        return None

    def _hint(self) -> str:
        """Return how to continue, as the end of a sentence; the store is named where needed."""
        elsewhere = self.store.where != str(default_store().absolute())
        where = f" --store {shlex.quote(self.store.where)}" if elsewhere else ""
        return f"continue with: assay resume {self.study.id}{where}"

    def _set_status(self, status: Any) -> None:
        with suppress(UnknownNameError):  # stopped before anything was planned
            if self.store.study(self.study.id).status != status:
                self.store.set_status(self.study.id, status)

    def _plan(self) -> Planned:
        """Plan every candidate, and write down what will be run."""
        planned = self.campaign.plan(self.candidates)
        facts = {**_data_facts(self.dataset), "failures": planned.failures}
        specs = [asdict(spec) for spec in planned.specs]
        self.store.add_study(self.study.id, self._asked(), specs, facts)
        return planned

    def _continued(self, entry: StudyEntry) -> Planned:
        """Return what was planned; what failed through the machine's state is planned again."""
        before = _planned(entry)
        again = [c for c in self.candidates if _may_pass(before.failures.get(c.name, ""))]
        if not again:
            return before
        now = self.campaign.plan(again)
        kept = {k: v for k, v in before.failures.items() if k not in {c.name for c in again}}
        failures = kept | now.failures
        specs = [asdict(spec) for spec in now.specs]
        self.store.extend_study(self.study.id, specs, {**entry.data, "failures": failures})
        return Planned(specs=before.specs + now.specs, failures=failures)

    def _asked(self) -> dict[str, Any]:
        """Return the request so that it works from any folder."""
        facts = _told(self.request).as_json()
        if Path(self.request.data).exists():
            facts["data"] = str(Path(self.request.data).resolve())
        return facts

    def _train(self, planned: Planned) -> dict[str, TrialRecord]:
        known = self._known(planned)
        for record in known.values():
            self.on_event(_from_record(record))
        left = [spec for spec in planned.specs if spec.hash not in known]
        if left:
            self._set_status("running")
            self.store.note_test_opened(self.dataset.split_hash, self.study.id)
        made = self.campaign.train(left)
        self.trials_run = len(made)
        return known | made

    def _known(self, planned: Planned) -> dict[str, TrialRecord]:
        """Return the trials on record, without those that another try may finish."""
        found = self.store.trials(spec.hash for spec in planned.specs)
        again = {h for h, r in found.items() if r.status == "failed" and _may_pass(r.reason)}
        self.store.forget_failures(again)
        return {name: record for name, record in found.items() if name not in again}

    def _measure(
        self, planned: Planned, records: Mapping[str, TrialRecord]
    ) -> dict[str, Measurement]:
        """Measure each candidate's first finished trial, unless that is on record."""
        first: dict[str, tuple[TrialSpec, TrialRecord]] = {}
        for spec in sorted(planned.specs, key=lambda s: s.seed):
            if records[spec.hash].status == "finished":
                first.setdefault(spec.candidate.name, (spec, records[spec.hash]))
        stored = {name: self.store.measurement(spec.hash) for name, (spec, _) in first.items()}
        left = [pair for name, pair in first.items() if stored[name] is None]
        return {k: v for k, v in stored.items() if v} | self.campaign.measure(left)

    def _trained(
        self,
        candidate: Candidate,
        planned: Planned,
        records: Mapping[str, TrialRecord],
        costs: Mapping[str, Measurement],
    ) -> Trained:
        specs = [s for s in planned.specs if s.candidate.name == candidate.name]
        specs.sort(key=lambda s: s.seed)
        mine = tuple(records[s.hash] for s in specs)
        folders = [self.store.trial_folder(r.hash) for r in mine if r.status == "finished"]
        regression = not self.dataset.classes
        return Trained(
            candidate=candidate,
            specs=tuple(specs),
            records=mine,
            predicted=findings.read_predictions(folders, regression=regression),
            cost=costs.get(candidate.name),
            failure=planned.failures.get(candidate.name, ""),
        )

    def _result(self, trained: Sequence[Trained], began: float) -> StudyResult:
        regression = not self.dataset.classes
        rows = findings.rank(trained, self.dataset)
        tables = findings.score_tables(trained, self.dataset)
        ordered = {row.name: tables[row.name] for row in rows if row.name in tables}
        verdicts = tuple(judge(ordered, squared_errors=regression))
        advice = recommend(
            rows, verdicts, prefer=self.request.prefer, require=self.request.requirements
        )
        return StudyResult(
            id=self.study.id,
            created=self.store.study(self.study.id).created,
            command=_told(self.request).command(),
            data=_data_facts(self.dataset),
            metric="rmse" if regression else "accuracy",
            higher_is_better=not regression,
            budget=_budget_in_words(self.request, trained),
            candidates=tuple(replace(r, recommended=r.name == advice.candidate) for r in rows),
            verdicts=verdicts,
            recommendation=advice,
            hardest=findings.hardest(trained, self.dataset),
            settings=_told(self.request).as_json(),
            versions=versions(),
            machine=machine(),
            seconds=time.monotonic() - began,
            trials_run=self.trials_run,
            folder=str(self.study.folder),
        )

    def _save_winner(self, result: StudyResult, trained: Sequence[Trained]) -> None:
        """Save the recommended candidate's best seed, chosen by its score on validation."""
        name = result.recommendation.candidate
        if name is None:
            return
        winner = next(t for t in trained if t.candidate.name == name)
        done = [r for r in winner.records if r.status == "finished"]
        best = max(done, key=validation_score)
        folder = self.study.folder / WINNER
        if _saved_trial(folder) == best.hash:
            return
        cost = asdict(winner.cost) if winner.cost else {}
        save_artifact(
            folder,
            weights=self.store.trial_folder(best.hash) / "weights.safetensors",
            candidate=winner.candidate,
            dataset=self.dataset,
            facts={**trial_facts(best), "cost": cost, "study": self.study.id},
        )


def _request(
    data: str | Path, models: Sequence[str] | None, require: Sequence[str], options: dict[str, Any]
) -> Request:
    known = Request.__dataclass_fields__
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise BadArgumentError(
            f"Study has no option {unknown[0]!r}.{nearest(unknown[0], known)} "
            f"It has {', '.join(sorted(known))}."
        )
    values: dict[str, Any] = {k: str(v) if isinstance(v, Path) else v for k, v in options.items()}
    names = None if models is None else tuple([models] if isinstance(models, str) else models)
    needs = tuple([require] if isinstance(require, str) else require)
    return Request(data=str(data), models=names, require=needs, **values)


def _may_pass(reason: str) -> bool:
    """Return whether a failure came of the machine's state, so that another try may succeed."""
    return any(words in reason for words in _PASSING_FAILURES)


def _told(request: Request) -> Request:
    """Return the request as it is written down and shown: without the password of a server."""
    return replace(request, store=request.store and without_password(request.store))


def _planned(entry: StudyEntry) -> Planned:
    """Return what was planned when the study was started."""
    specs = tuple(spec_from_json(facts) for facts in entry.specs)
    return Planned(specs=specs, failures=dict(entry.data.get("failures", {})))


def _data_facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "source": dataset.source,
        "task": dataset.task,
        "inputs": list(dataset.inputs),
        "classes": list(dataset.classes),
        "sizes": {part: len(getattr(dataset, part)) for part in ("train", "val", "test")},
        "content_hash": dataset.content_hash,
        "split_hash": dataset.split_hash,
        "split_seed": dataset.split_seed,
        "notes": [dict(note) for note in dataset.notes],
        "folder": str(dataset.folder),
    }


def _budget_in_words(request: Request, trained: Sequence[Trained]) -> str:
    """Return the budget as asked and as resolved."""
    steps = sorted({spec.steps for t in trained for spec in t.specs})
    if not steps:
        return request.budget
    span = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
    return f"{request.budget} a trial: {span} steps"


def _saved_trial(folder: Path) -> str:
    """Return which trial the saved winner is of, or an empty string."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / FACTS).read_text(encoding="utf-8"))["facts"]["hash"])
    return ""


def _from_record(record: TrialRecord) -> Event:
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


def _write(result: StudyResult, folder: Path, lang: str) -> None:
    """Write the report, unless the one that is there says the same."""
    from assay.report.codec import result_to_json
    from assay.report.write import write_report

    with suppress(OSError, ValueError, TypeError):
        before = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        if (folder / "report.html").is_file() and _news(before) == _news(result_to_json(result)):
            return
    write_report(result, folder, lang)


def _news(facts: Mapping[str, Any]) -> str:
    return digest({key: value for key, value in facts.items() if key not in _PASSING})


def _ignore(event: Event) -> None:
    """Do nothing with an event."""
