"""RUN is a folder, a study's id, or one candidate of a study."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from ship_models import Trained, labelled_rows, trial_spec

from assay.data.load import load_arrays
from assay.engine.trial import run_trial
from assay.errors import AssayError, DataError, MissingPathError, UnknownNameError
from assay.ship.find import WINNER, validation_score
from assay.ship.load import load
from assay.store.store import Store


@pytest.fixture
def store(tmp_path: Path, row_model: Trained) -> Path:
    """A finished study of two candidates, one of two seeds, and its winner."""
    home = tmp_path / "assay-runs"
    with Store.open(home) as opened:
        dataset = load_arrays(*labelled_rows(), folder=opened.files / "data")
        names = [("softmax_regression", 0), ("softmax_regression", 1), ("mlp", 0)]
        specs = [trial_spec(name, dataset, seed=seed) for name, seed in names]
        facts = {"folder": str(dataset.folder)}
        opened.add_study("run-1", {}, [asdict(spec) for spec in specs], facts)
        for spec in specs[:2]:
            opened.add_trial(run_trial(spec, dataset, opened.trial_folder(spec.hash)))
        opened.set_status("run-1", "finished")
        shutil.copytree(row_model.folder, opened.run_folder("run-1") / WINNER)
    return home


def refusal(run: str, store: Path | None, kind: type[AssayError]) -> str:
    with pytest.raises(kind) as caught:
        load(run, store=store)
    return str(caught.value)


def test_a_runs_winner_is_found_by_its_id_its_beginning_and_its_folder(store: Path):
    runs = [load("run-1", store=store), load("run", store=store), load(store / "runs" / "run-1")]
    answers = [run.predict_proba(np.eye(3)) for run in runs]
    for answer in answers:
        np.testing.assert_array_equal(answer, answers[0])


def test_a_store_that_is_open_already_is_used(store: Path):
    with Store.open(store) as opened:
        assert load("run-1", store=opened).artifact.name == "softmax_regression"
        assert opened.study("run-1").status == "finished"  # and stays open


def test_the_store_beside_the_user_is_the_default(store: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(store.parent)
    assert load("run-1").artifact.name == "softmax_regression"


def test_another_candidate_is_its_seed_that_was_best_on_validation(store: Path):
    with Store.open(store) as opened:
        records = list(opened.trials(opened.study("run-1").trials).values())
    best = max(records, key=validation_score)
    facts = load("run-1/softmax_regression", store=store).artifact.facts
    assert sorted(r.seed for r in records) == [0, 1]
    assert facts["hash"] == best.hash
    assert facts["metrics"] == best.metrics


def test_a_store_that_was_moved_still_gives_its_candidates(store: Path, tmp_path: Path):
    moved = store.rename(tmp_path / "moved")
    assert load("run-1/softmax_regression", store=moved).predict(np.eye(3)).shape == (3,)


def test_an_unknown_candidate_is_answered_with_the_nearest(store: Path):
    assert refusal("run-1/softmax_regresion", store, UnknownNameError) == (
        "Run run-1 has no candidate 'softmax_regresion'. Did you mean 'softmax_regression'? "
        "It has mlp, softmax_regression."
    )


def test_a_candidate_that_never_finished_has_no_model(store: Path):
    assert refusal("run-1/mlp", store, MissingPathError) == (
        "No trial of mlp in run run-1 has finished, so there is no model; continue it with "
        "`assay resume run-1` or choose another candidate."
    )


def test_a_run_without_a_winner_offers_its_candidates(store: Path):
    shutil.rmtree(store / "runs" / "run-1" / WINNER)
    assert refusal("run-1", store, MissingPathError) == (
        "Run run-1 has no saved winner: no candidate met what was required, or its folder was "
        "removed. Name a candidate, run-1/NAME, with NAME one of: mlp, softmax_regression."
    )


def test_a_run_that_was_stopped_is_to_be_continued(store: Path):
    shutil.rmtree(store / "runs" / "run-1" / WINNER)
    with Store.open(store) as opened:
        opened.set_status("run-1", "stopped")
    assert refusal("run-1", store, MissingPathError) == (
        "A run has a winner when it is finished. Run run-1 is stopped (2 of 3 trials done); "
        "continue it with `assay resume run-1`."
    )


def test_prepared_data_that_is_gone_is_named(store: Path):
    shutil.rmtree(store / "data")
    text = refusal("run-1/softmax_regression", store, DataError)
    assert text.startswith(
        "A candidate's model is put together with the prepared data of its run. That of run "
        f"run-1 is not at {store / 'data'}/"
    )
    assert text.endswith("; run the same `assay compare` again.")


def test_without_a_store_the_sentence_says_where_was_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert refusal("run-9", None, MissingPathError) == (
        "RUN is a folder with a saved model, or the id of a run in a store. Received 'run-9': "
        f"there is no such folder here, and no store at {tmp_path / 'assay-runs'}; give the "
        "folder, or name the store with --store."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("run", ["x" * 5000, "a\nb", "a\0b"])
def test_a_strange_name_is_refused_on_one_line(run: str, store: Path):
    assert "\n" not in refusal(run, store, UnknownNameError)
