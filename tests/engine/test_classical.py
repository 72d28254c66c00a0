"""Classical opponents learn, stay within their time, and leave what a network's trial leaves."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from trials import make_dataset, make_spec

from assay.engine import classical_trial, worker
from assay.engine.classical import (
    FAMILY,
    METHODS,
    Sizes,
    best_scale,
    fit_neighbours,
    fit_rbf_svm,
    probabilities,
    sample,
)
from assay.engine.classical_trial import run_classical
from assay.engine.flat import flat_shape
from assay.engine.outcome import OUTCOME, read_outcome
from assay.errors import TrialError

MAJORITY, MEAN = "baseline:majority", "baseline:mean"


def spec_of(name, dataset, **changes):
    spec = make_spec(name, dataset, evaluations=1, patience=None, **changes)
    return replace(spec, candidate=replace(spec.candidate, family=FAMILY), steps=len(dataset.train))


def methods_of(task):
    return [name for name, method in METHODS.items() if task in method.fits]


CASES = [
    (kind, name)
    for kind in ("image", "sequence", "table", "values")
    for name in methods_of(make_dataset(kind).task)
]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_every_opponent_does_its_task(tmp_path: Path, kind: str, name: str):
    dataset = make_dataset(kind, 200)
    record = run_classical(spec_of(name, dataset), dataset, tmp_path)
    assert (record.status, record.reason, record.steps) == ("finished", "", 160)
    answers = read_outcome(tmp_path / OUTCOME, "test")
    assert answers.example.tolist() == dataset.test.tolist()
    assert np.isfinite(answers.predicted).all()
    if kind == "values":
        assert (record.metrics["test_r2"] > 0.5) == (name != MEAN)
        return
    np.testing.assert_allclose(answers.predicted.sum(axis=1), 1.0, atol=1e-5)
    assert (record.metrics["test_accuracy"] > 0.6) == (name != MAJORITY)
    assert record.metrics["val_log_loss"] < math.log(3) or name == MAJORITY


def test_a_trial_repeated_gives_the_same_bytes_and_a_finished_one_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dataset = make_dataset("table")
    spec = spec_of("baseline:linear_svm", dataset)
    first = run_classical(spec, dataset, tmp_path / "a")
    run_classical(spec, dataset, tmp_path / "b")
    assert (tmp_path / "a" / OUTCOME).read_bytes() == (tmp_path / "b" / OUTCOME).read_bytes()
    monkeypatch.delattr(classical_trial, "_complete")
    assert run_classical(spec, dataset, tmp_path / "a") == first


def test_a_worker_sends_an_opponent_to_scikit_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dataset, told = make_dataset("table"), []
    monkeypatch.setattr("assay.data.load.open_prepared", lambda folder: dataset)
    spec = spec_of("baseline:nearest_neighbours", dataset)
    payload = {"spec": asdict(spec), "data": "", "folder": str(tmp_path)}
    facts = worker.handle_trial(payload, told.append, lambda: False)
    assert (facts["status"], facts["curve"], facts["steps"]) == ("finished", (), 80)
    assert [(event.kind, event.step) for event in told] == [("start", 0), ("finish", 80)]
    assert told[1].score == facts["metrics"]["val_accuracy"]


def test_an_opponent_that_fails_says_why(tmp_path: Path):
    dataset = make_dataset("table")
    one_class = replace(dataset, y=np.zeros_like(dataset.y))
    record = run_classical(spec_of("baseline:logistic_regression", one_class), one_class, tmp_path)
    assert record.status == "failed"
    assert record.reason.startswith("ValueError: This solver needs samples of at least 2 classes")


def test_other_data_than_planned_are_refused(tmp_path: Path):
    dataset = make_dataset("table")
    with pytest.raises(TrialError, match="A trial runs on the data it was planned for"):
        run_classical(spec_of(MAJORITY, dataset), replace(dataset, split_hash="2" * 64), tmp_path)


def test_the_kernel_machine_is_scikit_learns():
    from sklearn.svm import SVC

    dataset = make_dataset("table")
    x, y = dataset.x, dataset.y
    theirs = SVC(C=10.0).fit(x[:80], y[:80]).decision_function(x[80:])
    np.testing.assert_allclose(fit_rbf_svm(x[:80], y[:80], 3)(x[80:]), theirs, atol=1e-3)


def test_two_classes_and_one_that_training_lacks():
    x = np.array([[0.0], [0.1], [1.0], [1.1]] * 5, np.float32)
    y = np.array([0, 0, 2, 2] * 5)
    scores = fit_rbf_svm(x, y, 3)(np.array([[0.0], [1.0]], np.float32))
    assert scores.argmax(axis=1).tolist() == [0, 2]
    shares = probabilities(scores, 4.0)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert (shares[:, 1] < shares[:, [0, 2]].min(axis=1)).all()
    votes = fit_neighbours(x, y, 3)(np.array([[0.0]], np.float32))
    np.testing.assert_allclose(votes, [[(5 + 0.5) / 6, 0.0, 0.5 / 6]])


def test_the_scale_of_a_decision_function_is_the_one_it_was_drawn_with():
    random = np.random.default_rng(0)
    scores = random.normal(size=(4000, 3))
    chances = probabilities(scores, 4.0)
    truth = (random.random((4000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    assert best_scale(scores, truth) == 4.0


def test_a_sample_keeps_the_shares_of_classes_and_has_one_of_each():
    y = np.array([0] * 700 + [1] * 290 + [2] * 10)
    chosen = sample(y, 100, classes=3)
    assert len(set(chosen.tolist())) == 100
    assert np.abs(np.bincount(y[chosen]) - [70, 29, 1]).max() <= 1
    assert set(y[sample(y, 3, classes=3)].tolist()) == {0, 1, 2}
    assert sample(y, 5000, classes=3).tolist() == list(range(1000))


def test_a_sample_of_values_keeps_their_quantiles():
    y = np.random.default_rng(1).permutation(1000).astype(np.float32)
    assert sorted(y[sample(y, 10, classes=0)].tolist()) == [50 + 100 * i for i in range(10)]


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.seconds])
def test_what_can_be_afforded_is_the_most_that_takes_no_longer(name: str):
    method = METHODS[name]
    sizes = Sizes(train=10**7, queries=10_000, features=784, outputs=10)
    limit = method.seconds(replace(sizes, train=1234))
    assert method.affordable(sizes, limit) == 1234
    assert method.affordable(replace(sizes, train=1), limit) == 1
    assert method.affordable(sizes, 1e9) == 2**26 // 784  # more would fill the memory


def test_large_examples_are_averaged_down(tmp_path: Path):
    assert flat_shape((3, 224, 100)) == (3, 32, 32)
    assert flat_shape((1, 28, 28)) == (1, 28, 28)
    assert flat_shape((10_000, 8)) == (512, 8)
    assert flat_shape((300_000,)) == (300_000,)
    dataset = make_dataset("image")
    large = replace(dataset, x=dataset.x.repeat(12, axis=2).repeat(12, axis=3), inputs=(1, 96, 96))
    record = run_classical(spec_of("baseline:nearest_neighbours", large), large, tmp_path)
    assert record.metrics["test_accuracy"] > 0.8
