"""What a trial leaves behind, and how it fails."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from trials import make_dataset, make_spec

from assay.engine import loop, trial
from assay.engine.loop import evaluation_steps
from assay.engine.outcome import read_outcome
from assay.engine.spec import Event, Plan, record_from_json
from assay.engine.trial import out_of_memory, run_trial, validation_size
from assay.errors import Interrupted, StoreError, TrialError
from assay.models.vision.whitened_cnn import Whitening

Network = Callable[[str], str]
FILES = ["outcome.parquet", "record.json", "weights.safetensors"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("image", "lenet5"), ("image", "lstm"), ("sequence", "gru"), ("table", "mlp")],
)
def test_a_trial_learns_and_leaves_its_files(tmp_path: Path, kind: str, name: str):
    dataset = make_dataset(kind)
    events: list[Event] = []
    spec = make_spec(name, dataset, steps=60, lr=5e-3)
    record = run_trial(spec, dataset, tmp_path, emit=events.append, checkpoint_every=600)
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES
    assert (record.status, record.reason) == ("finished", "")
    assert record.steps == 60
    assert [point.step for point in record.curve] == [15, 30, 45, 60]
    assert record.curve[-1].train_loss < record.curve[0].train_loss
    assert record.metrics["test_accuracy"] > 0.6  # chance is a third
    assert [e.kind for e in events] == ["start", *["progress"] * 4, "finish"]
    assert events[-1].score == max(point.val_score for point in record.curve)


def test_the_outcome_holds_what_the_metrics_say(tmp_path: Path):
    dataset = make_dataset()
    record = run_trial(make_spec("mlp", dataset), dataset, tmp_path)
    for part, places in (("val", dataset.val), ("test", dataset.test)):
        answers = read_outcome(tmp_path / "outcome.parquet", part)
        assert answers.example.tolist() == places.tolist()
        assert answers.truth.tolist() == dataset.y[places].tolist()
        probs = answers.predicted
        assert (probs.dtype, probs.shape) == (np.float32, (len(places), 3))
        np.testing.assert_allclose(probs.sum(1), 1, rtol=1e-6)
        right = probs.argmax(1) == dataset.y[places]
        assert record.metrics[f"{part}_accuracy"] == right.mean()


def test_a_validation_of_few_examples_names_them(tmp_path: Path):
    dataset = replace(make_dataset(count=640), train=np.arange(100), val=np.arange(100, 620))
    run_trial(make_spec("mlp", dataset, steps=2, evaluations=2), dataset, tmp_path)
    answers = read_outcome(tmp_path / "outcome.parquet", "val")
    assert len(answers.example) == 256 < len(dataset.val)
    assert answers.truth.tolist() == dataset.y[answers.example].tolist()
    assert set(answers.example) <= set(dataset.val)


def test_regression_answers_in_the_targets_own_unit(tmp_path: Path):
    dataset = make_dataset("values", count=400)
    spec = make_spec("mlp", dataset, steps=300, lr=5e-3)
    record = run_trial(spec, dataset, tmp_path)
    values = read_outcome(tmp_path / "outcome.parquet", "test").predicted
    truth = dataset.y[dataset.test]
    assert values.shape == truth.shape
    error = np.sqrt(np.square(values.astype("f8") - truth).mean())
    assert record.metrics["test_rmse"] == pytest.approx(error)
    assert error < 0.5 * truth.std()
    assert record.metrics["test_r2"] > 0.75


def test_the_best_weights_are_kept(tmp_path: Path):
    dataset = make_dataset()
    record = run_trial(make_spec("mlp", dataset, steps=48, evaluations=8), dataset, tmp_path)
    best = max(record.curve, key=lambda point: (point.val_score, -point.val_loss))
    assert record.best_step == best.step
    assert record.metrics["val_accuracy"] == best.val_score


def test_the_written_record_is_the_returned_one(tmp_path: Path):
    dataset = make_dataset()
    record = run_trial(make_spec("mlp", dataset), dataset, tmp_path)
    read = record_from_json(json.loads((tmp_path / "record.json").read_text()))
    assert json.dumps(asdict(read)) == json.dumps(asdict(record))
    assert record.hash == make_spec("mlp", dataset).hash
    assert record.spec == json.loads(json.dumps(asdict(make_spec("mlp", dataset))))


def test_a_finished_trial_is_not_run_again(tmp_path: Path):
    dataset = make_dataset()
    first = run_trial(make_spec("mlp", dataset), dataset, tmp_path)
    events: list[Event] = []
    again = run_trial(make_spec("mlp", dataset), dataset, tmp_path, emit=events.append)
    assert (again, events) == (first, [])


def test_a_set_too_large_for_memory_is_read_from_disk_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dataset = make_dataset()
    in_memory = run_trial(make_spec("lenet5", dataset), dataset, tmp_path / "memory")
    monkeypatch.setattr(trial, "to_tensor", partial(trial.to_tensor, most_bytes=100))
    on_disk = run_trial(make_spec("lenet5", dataset), dataset, tmp_path / "disk")
    assert on_disk.metrics == in_memory.metrics != {}
    weights = [(tmp_path / w / "weights.safetensors").read_bytes() for w in ("memory", "disk")]
    assert weights[0] == weights[1]


def test_patience_ends_a_trial_early(tmp_path: Path):
    dataset = make_dataset()
    spec = make_spec("mlp", dataset, steps=200, evaluations=100, patience=3, lr=1e-12)
    record = run_trial(spec, dataset, tmp_path)
    assert record.steps < 200
    assert record.steps == record.best_step + 3 * 2  # three evaluations, two steps apart


def test_the_users_own_generators_are_left_alone(tmp_path: Path):
    dataset = make_dataset()
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(5)
    np.random.seed(5)
    run_trial(make_spec("mlp", dataset), dataset, tmp_path)
    assert (torch.rand(1), np.random.rand()) == expected


def test_the_seed_decides_the_outcome(tmp_path: Path):
    dataset = make_dataset()
    weights = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        run_trial(make_spec("lenet5", dataset, seed=seed), dataset, folder)
        weights.append((folder / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_a_diverging_trial_is_recorded_with_its_step(tmp_path: Path):
    dataset = make_dataset()
    events: list[Event] = []
    spec = make_spec("mlp", dataset, lr=1e30, warmup=0.0)
    record = run_trial(spec, dataset, tmp_path, emit=events.append)
    assert record.status == "failed"
    step = record.reason.removeprefix("diverged at step ").split(":")[0]
    assert int(step) in range(2, 7)
    assert record.reason in {
        f"diverged at step {step}: the training loss became {value}" for value in ("nan", "inf")
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == ["record.json"]
    assert (events[-1].kind, events[-1].text) == ("fail", record.reason)
    assert record.metrics == {}


def test_a_trial_that_runs_out_of_memory_is_recorded(tmp_path: Path, network: Network):
    dataset = make_dataset()
    record = run_trial(make_spec(network("Hungry"), dataset), dataset, tmp_path / "t")
    assert record.status == "failed"
    assert record.reason.startswith("out of memory at step 1 with 16 examples a batch, ")
    assert record.reason.endswith(" GiB held; a smaller batch or smaller images need less")


def test_a_crash_is_recorded_with_its_step(tmp_path: Path, network: Network):
    dataset = make_dataset()
    record = run_trial(make_spec(network("Crashing"), dataset), dataset, tmp_path / "t")
    assert record.status == "failed"
    assert record.steps in (3, 4)  # building may have tried one forward pass
    assert record.reason == f"crashed at step {record.steps + 1}: IndexError: tables turned"


def test_a_failed_trial_is_not_run_again(tmp_path: Path, network: Network):
    dataset = make_dataset()
    spec = make_spec(network("Crashing"), dataset)
    assert run_trial(spec, dataset, tmp_path / "t") == run_trial(spec, dataset, tmp_path / "t")


def test_another_division_of_the_data_is_refused(tmp_path: Path):
    dataset = make_dataset()
    spec = make_spec("mlp", dataset, split_hash="2" * 64)
    with pytest.raises(TrialError) as caught:
        run_trial(spec, dataset, tmp_path)
    assert str(caught.value) == (
        "A trial runs on the data it was planned for. Received a data set of split "
        "1111111111111111, planned 2222222222222222; start a new study."
    )


def test_a_stopped_trial_leaves_a_checkpoint_and_no_record(tmp_path: Path):
    dataset = make_dataset()
    asked = iter(range(100))
    with pytest.raises(Interrupted) as caught:
        run_trial(make_spec("mlp", dataset), dataset, tmp_path, stop=lambda: next(asked) >= 8)
    assert str(caught.value) == "The trial was stopped after step 8 of 24 and can be resumed."
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("checkpoint-")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "trial"
    dataset = make_dataset()
    with pytest.raises(StoreError) as caught:
        run_trial(make_spec("mlp", dataset), dataset, folder)
    assert str(caught.value) == (
        f"Cannot make the folder {folder}: Not a directory. Choose another with --store."
    )


def test_a_full_disk_stops_the_trial_and_is_not_the_candidates_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dataset = make_dataset()

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(StoreError):
            run_trial(make_spec("mlp", dataset), dataset, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert run_trial(make_spec("mlp", dataset), dataset, tmp_path).status == "finished"


def test_the_loss_is_never_asked_for_between_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    dataset, asked = make_dataset(), []
    item = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda t: asked.append(t) or item(t))
    counts = []
    for steps in (24, 96):
        asked.clear()
        run_trial(make_spec("mlp", dataset, steps=steps), dataset, tmp_path / str(steps))
        counts.append(len(asked))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(24, 4, [6, 12, 18, 24]), (10, 4, [3, 5, 8, 10]), (3, 20, [1, 2, 3]), (1, 1, [1])],
)
def test_evaluations_are_evenly_spaced_and_the_last_is_at_the_end(
    steps: int, evaluations: int, expected: list[int]
):
    assert evaluation_steps(steps, evaluations) == expected


def test_a_short_budget_is_not_spent_on_evaluating():
    spec = make_spec("mlp", make_dataset(), steps=2000, evaluations=20)
    assert validation_size(spec, 9000, 64) == 2880
    assert validation_size(replace(spec, steps=20), 9000, 64) == 256
    assert validation_size(spec, 270, 64) == 270


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_running_out_of_memory_is_recognised(error: Exception, told: bool):
    assert out_of_memory(error) == told


def test_checkpoints_take_at_most_their_share_of_the_time():
    assert loop._SAVING_SHARE <= 0.03


def test_word_vectors_learn_in_the_loops_that_were_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Whitening, "loops", "torch", raising=False)
    dataset = make_dataset("image")
    plan = Plan(loops="compiled")
    record = run_trial(make_spec("whitened_cnn", dataset, plan=plan), dataset, tmp_path)
    assert (record.status, record.reason) == (
        "failed",
        "Word vectors learn in the loops that were planned. Received a plan for loops='compiled' "
        "where there are 'torch'; have a C compiler on every machine of the study, or on none.",
    )
