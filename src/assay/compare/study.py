"""`Study(data).run()`: everything from raw data to a recommended network, ready to use."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any

from assay.compare.answer import told
from assay.compare.candidates import resolve
from assay.compare.keep import write
from assay.compare.margin import margin_for
from assay.compare.pretraining import left_out
from assay.compare.request import Request
from assay.compare.requirement import check_task
from assay.compare.result import StudyResult
from assay.compare.splits import run_splits
from assay.compare.work import Work
from assay.data.dataset import Dataset
from assay.data.load import load, load_arrays, open_prepared
from assay.engine.machine import processor, versions
from assay.engine.place import place
from assay.engine.ray_address import check_within_reach, parse_executor
from assay.engine.spec import Candidate, Event, digest
from assay.errors import AssayError, BadArgumentError, Interrupted, nearest
from assay.metrics import metric_for
from assay.models.foreign import foreign_digest
from assay.ship.find import WINNER, find_artifact
from assay.store.place import default_store, locate
from assay.store.store import Store

OnEvent = Callable[[Event], None]
OnData = Callable[[Dataset, list[Candidate]], None]


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
    def follows(self) -> bool:
        """Whether another host leads, and this process only helps to train: see `follow`."""
        return not place(self.request.devices, self.request.nodes).leads

    def follow(self) -> int:
        """Help the host that leads until its study is over; return how many trials that took.

        Raises:
            HostError: The host that leads was lost, or runs other code.
            AssayError: The data cannot be used.
        """
        from assay.engine.distributed import follow

        dataset = self._load(locate(self._where()).files)
        here = place(self.request.devices, self.request.nodes)
        return follow(partial(open_prepared, dataset.folder), here)

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.folder / "report.html"

    def run(
        self,
        on_event: OnEvent | None = None,
        on_data: OnData | None = None,
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
        cluster = parse_executor(self.request.executor)
        if cluster is not None:
            check_within_reach(cluster)
        if self.request.splits > 1:
            return self._over_splits(on_event, on_data)
        where = self._where()
        dataset = self._load(locate(where).files)
        candidates = self._candidates(dataset)
        dataset = self._noted(dataset, candidates)
        self._name(dataset, candidates)
        with Store.open(where) as store, store.joined(self.id):
            if on_data:
                on_data(dataset, candidates)
            self.folder = store.files / "runs" / self.id
            work = Work(self.id, self.request, store, dataset, candidates, on_event or _ignore)
            try:
                return work.complete(began)
            finally:
                self._dismiss()

    def _over_splits(self, on_event: OnEvent | None, on_data: OnData | None) -> StudyResult:
        """Run one study for each division of the data, and write down what they say together."""
        parts: list[str] = []

        def run_one(asked: Request) -> StudyResult:
            facts = asked.as_json()
            data = facts.pop("data")
            found = Study(self._arrays or data, **facts).run(on_event, on_data)
            parts.append(found.id)
            return found

        try:
            result = run_splits(self.request, run_one)
        except Interrupted as error:
            command = told(self.request).command()
            error.args = (f"Stopped; run the same command again to continue: {command}",)
            raise
        self._be(result.id)
        with Store.open(self._where()) as store, store.joined(self.id):
            return self._keep_joined(result, parts, store)

    def _keep_joined(self, result: StudyResult, parts: Sequence[str], store: Store) -> StudyResult:
        """Write down a joined study; its winner is the one trained on the first division."""
        self.folder = store.run_folder(self.id)
        result = replace(result, folder=str(self.folder))
        specs = [spec for part in parts for spec in store.study(part).specs]
        facts = {**result.data, "parts": list(parts)}
        store.add_study(self.id, told(self.request).as_json(), specs, facts)
        name = result.recommendation.candidate
        if name is not None:
            copytree(
                find_artifact(f"{parts[0]}/{name}", store), self.folder / WINNER, dirs_exist_ok=True
            )
        write(result, self.folder, self.request.lang)
        finished = any(c.score for c in result.candidates)
        store.set_status(self.id, "finished" if finished else "failed")
        return result

    def _dismiss(self) -> None:
        """Tell the hosts that helped, if any, that the study is over."""
        here = place(self.request.devices, self.request.nodes)
        if not here.alone:
            from assay.engine.distributed import dismiss

            dismiss(here)

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
            if asked.group or asked.time:
                raise BadArgumentError(
                    "`group` and `time` name columns, which arrays have none of. Received "
                    f"{asked.group or asked.time!r}; save them as a .npz with one array more."
                )
            return load_arrays(x, y, folder=folder, task=asked.task, seed=asked.split_seed)
        return load(
            asked.data,
            folder=folder,
            task=asked.task,
            target=asked.target,
            seed=asked.split_seed,
            data_dir=asked.data_dir,
            skip_bad=asked.skip_bad,
            group=asked.group,
            time=asked.time,
            text=asked.text,
            tokenizer=asked.tokenizer,
            vocabulary=asked.vocabulary,
            length=asked.length,
            series=asked.series,
            window=asked.window,
            horizon=asked.horizon,
        )

    def _candidates(self, dataset: Dataset) -> list[Candidate]:
        metric = metric_for(self.request.metric, dataset.task, dataset.classes)
        margin_for(self.request.margin, share=metric.share)
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
        self._be(digest(facts)[:12])

    def _be(self, name: str) -> None:
        """Take a name, which must be the one that was asked for, if any was."""
        self.id = name
        if self._expected and self.id != self._expected:
            raise BadArgumentError(
                f"Run {self._expected} continues only with the data, code, versions and machine it "
                "was started with. One of them has changed; what it measured is kept, and "
                f"`{told(self.request).command()}` starts anew."
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


def _ignore(event: Event) -> None:
    """Do nothing with an event."""
