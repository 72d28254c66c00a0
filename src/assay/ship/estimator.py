"""The engine behind scikit-learn's interface: `fit` trains candidates, the best one predicts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from assay.data.dataset import PARTS, Dataset
from assay.data.load import load_arrays
from assay.data.names import shown
from assay.engine.budget import Budget, parse_budget
from assay.engine.executor import Inline, Job
from assay.engine.machine import processor, versions
from assay.engine.spec import Candidate, Plan, TrialRecord, TrialSpec, record_from_json
from assay.errors import BadArgumentError, DataError, Interrupted, TrialError
from assay.ship.artifact import save_artifact
from assay.ship.find import trial_facts, validation_score
from assay.ship.load import is_own_code, load
from assay.ship.predictor import Predictor

if TYPE_CHECKING:
    from assay.store.store import Store


class _NetworkEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the two estimators share; see `AssayClassifier` for the arguments."""

    _task = ""

    def __init__(
        self,
        models: Sequence[str] = ("softmax_regression", "mlp"),
        *,
        budget: str = "2000steps",
        seeds: int = 1,
        evaluations: int = 20,
        patience: int | None = 10,
        test_size: float = 0.1,
        store: str | Path | None = None,
        random_state: int = 0,
    ) -> None:
        self.models = models
        self.budget = budget
        self.seeds = seeds
        self.evaluations = evaluations
        self.patience = patience
        self.test_size = test_size
        self.store = store
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True  # missing values are filled in, and marked
        return tags

    def _train(self, x: np.ndarray, y: np.ndarray) -> None:
        """Run the trials and keep the model that is best on the validation part."""
        budget = parse_budget(self.budget)
        for name in ("seeds", "evaluations"):
            if getattr(self, name) < 1:
                raise BadArgumentError(
                    f"`{name}` must be at least 1. Received {name}={getattr(self, name)}."
                )
        with _files(self.store) as (folder, store):
            dataset = load_arrays(
                x,
                y,
                folder=folder / "data",
                task=self._task,
                seed=self._first_seed(),
                test_size=self.test_size,
            )
            specs = self._specs(dataset, budget)
            self.trials_ = _run(specs, dataset, folder, store)
            best = max(self.trials_, key=_rank)
            if best.status == "failed":
                reasons = "; ".join(f"{r.candidate}: {r.reason}" for r in self.trials_)
                raise TrialError(f"At least one candidate must finish. All failed: {reasons}.")
            self.model_name_ = best.candidate
            self.predictor_ = _predictor(best, specs, dataset, folder)

    def _first_seed(self) -> int:
        seed = 0 if self.random_state is None else self.random_state
        if isinstance(seed, np.random.RandomState):
            seed = seed.randint(2**31)
        return int(seed)

    def _specs(self, dataset: Dataset, budget: Budget) -> list[TrialSpec]:
        first = self._first_seed()
        return [
            self._spec(dataset, candidate, plan, budget, seed)
            for candidate, plan in _planned(self.models, dataset, budget)
            for seed in range(first, first + self.seeds)
        ]

    def _spec(
        self, dataset: Dataset, candidate: Candidate, plan: Plan, budget: Budget, seed: int
    ) -> TrialSpec:
        steps = budget.steps(
            train_size=len(dataset.train),
            batch_size=min(candidate.recipe.batch_size, len(dataset.train)),
            step_seconds=plan.step_seconds,
            macs=0,
        )
        return TrialSpec(
            candidate=candidate,
            task=dataset.task,
            inputs=dataset.inputs,
            outputs=dataset.outputs,
            split_hash=dataset.split_hash,
            seed=seed,
            steps=steps,
            evaluations=min(self.evaluations, steps),
            patience=self.patience,
            plan=plan,
            versions=versions(),
            machine=processor(),
        )

    def _checked(self, x: Any) -> np.ndarray:
        check_is_fitted(self, "predictor_")
        return validate_data(self, x, reset=False, ensure_all_finite="allow-nan")


class AssayClassifier(ClassifierMixin, _NetworkEstimator):  # type: ignore[misc]
    """Trains neural networks on a numeric table and predicts with the one best on validation.

    Of the rows given to `fit`, 75 % train, 15 % choose (among candidates, seeds and steps) and
    10 % are never looked at: `test_score_` is the accuracy there. Cross-validation keeps rows of
    its own back: a smaller `test_size` leaves more to learn from.

    Args:
        models: Candidates, as `assay compare --models` takes them.
        budget: Of each trial: "2000steps", "20epochs" or "30s". Only steps and epochs give the
            same model again on another day.
        seeds: Trials of each candidate.
        evaluations: On the validation part, in the course of one trial.
        patience: Evaluations without improvement before a trial stops; None is never.
        test_size: Share of the rows that is never looked at; above 0, at most 0.8.
        store: Where trials are kept, so that none is run twice; None keeps nothing.
        random_state: The first seed, and the seed of the division.

    Attributes:
        classes_: The labels, sorted.
        model_name_: The candidate that was chosen.
        predictor_: Its model, as `assay.load` gives it; `predictor_.save(folder)` keeps it.
        trials_: A `TrialRecord` for each trial.
        test_score_: Accuracy on the part that took no part in training or choosing.
    """

    _task = "tabular-classification"

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Train the candidates on rows `X` with labels `y`."""
        X, y = validate_data(  # noqa: N806
            self, X, y, ensure_min_samples=2, ensure_all_finite="allow-nan"
        )
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise BadArgumentError(
                "A classifier needs at least two classes in `y`. Received one class, "
                f"{shown(self.classes_[0])!r}; add examples of another."
            )
        _refuse_rare(self.classes_, labels)
        self._train(X, labels)
        self.test_score_ = _best_metric(self.trials_, "test_accuracy")
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the probability of each class (N, K), columns in the order of `classes_`."""
        X = self._checked(X)  # noqa: N806
        return self.predictor_.predict_proba(X)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the most probable label of each row."""
        chosen = self.predict_proba(X).argmax(axis=1)
        return self.classes_[chosen]


class AssayRegressor(RegressorMixin, _NetworkEstimator):  # type: ignore[misc]
    """The same for one number per row; the arguments are those of `AssayClassifier`.

    Attributes:
        model_name_: The candidate that was chosen.
        predictor_: Its model, as `assay.load` gives it.
        trials_: A `TrialRecord` for each trial.
        test_score_: R² on the part that took no part in training or choosing.
    """

    _task = "tabular-regression"

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Train the candidates on rows `X` with values `y`."""
        X, y = validate_data(  # noqa: N806
            self, X, y, y_numeric=True, ensure_min_samples=2, ensure_all_finite="allow-nan"
        )
        self._train(X, np.asarray(y, dtype=np.float64))
        self.test_score_ = _best_metric(self.trials_, "test_r2")
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return one value per row."""
        X = self._checked(X)  # noqa: N806
        return self.predictor_.predict(X).astype(np.float64)


def _refuse_rare(classes: np.ndarray, labels: np.ndarray) -> None:
    """Name the class as the caller does; behind this door classes are numbers."""
    counts = np.bincount(labels)
    rare = int(counts.argmin())
    if counts[rare] < len(PARTS):
        raise DataError(
            f"Each class of `y` needs at least {len(PARTS)} examples, one for each part of the "
            f"division. Class {shown(classes[rare])!r} has {counts[rare]}; add examples or remove "
            "the class."
        )


@contextmanager
def _files(where: str | Path | None) -> Iterator[tuple[Path, Store | None]]:
    """Give a folder for the files of a fit, and the store when they are to be kept."""
    if where is None:
        with tempfile.TemporaryDirectory(prefix="assay-fit-") as folder:
            yield Path(folder), None
        return
    from assay.store.store import Store

    with Store.open(where) as store:
        yield store.files, store


def _planned(
    models: Sequence[str], dataset: Dataset, budget: Budget
) -> list[tuple[Candidate, Plan]]:
    from assay.compare.candidates import resolve

    names = [models] if isinstance(models, str) else list(models)
    found = resolve(names, None, task=dataset.task, inputs=dataset.inputs)
    if budget.unit in ("steps", "epochs"):  # a plan of the clock would change the model
        return [(each, Plan()) for each in found]
    return [(each, _timed(each, dataset)) for each in found]


def _timed(candidate: Candidate, dataset: Dataset) -> Plan:
    payload = {
        "candidate": asdict(candidate),
        "task": dataset.task,
        "inputs": list(dataset.inputs),
        "outputs": dataset.outputs,
        "precision": "fp32",
        "autotune": False,
        "threads": 1,
        "accelerator": "cpu",
    }
    with Inline() as executor:
        (_, result) = next(executor.run([Job("plan", candidate.name, payload)]))
    if result.status != "done":
        raise TrialError(f"{candidate.name} cannot be planned: {result.reason}.")
    return Plan(**{**result.value, "fp32_layers": tuple(result.value["fp32_layers"])})


def _run(
    specs: Sequence[TrialSpec], dataset: Dataset, folder: Path, store: Store | None
) -> tuple[TrialRecord, ...]:
    """Return one record per spec, running those that are not in the store."""
    known = store.trials(spec.hash for spec in specs) if store else {}
    jobs = [
        Job(
            "trial",
            spec.hash,
            {
                "spec": asdict(spec),
                "data": str(dataset.folder),
                "folder": str(folder / "trials" / spec.hash),
            },
        )
        for spec in specs
        if spec.hash not in known
    ]
    with Inline() as executor:
        for job, result in executor.run(jobs):
            if result.status == "stopped":
                raise Interrupted("The fit was stopped; with a `store`, call `fit` again to go on.")
            if result.status == "failed":
                raise TrialError(f"A trial could not be run: {result.reason}.")
            known[job.key] = record_from_json(result.value)
            if store:
                store.add_trial(known[job.key])
    return tuple(known[spec.hash] for spec in specs)


def _rank(record: TrialRecord) -> float:
    return validation_score(record) if record.status == "finished" else float("-inf")


def _best_metric(trials: Sequence[TrialRecord], name: str) -> float:
    """Return a metric of the trial that was chosen."""
    return float(max(trials, key=_rank).metrics[name])


def _predictor(
    best: TrialRecord, specs: Sequence[TrialSpec], dataset: Dataset, folder: Path
) -> Predictor:
    """Return the chosen trial's model, through the same files that a study ships."""
    (spec,) = [spec for spec in specs if spec.hash == best.hash]
    home = save_artifact(
        folder / "fits" / best.hash,
        weights=folder / "trials" / best.hash / "weights.safetensors",
        candidate=spec.candidate,
        dataset=dataset,
        facts=trial_facts(best),
    )
    return load(home, code=spec.candidate.name if is_own_code(spec.candidate.name) else None)
