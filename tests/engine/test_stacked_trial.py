"""Seeds trained together leave the records and files that each leaves alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode
from trials import make_dataset, make_spec

from assay.data import load
from assay.data.dataset import Dataset
from assay.engine import loop, stacked_trial
from assay.engine.outcome import read_outcome
from assay.engine.spec import Event, Plan, TrialRecord, TrialSpec, record_from_json
from assay.engine.stacked_trial import run_stack
from assay.engine.trial import run_trial
from assay.engine.worker import HANDLERS, attempt
from assay.errors import Interrupted, TrialError
from assay.learners.stacked import StackedSupervised

SMALL = '''
from torch import nn

class Small(nn.Sequential):
    """No bias before a norm: it has no slope but rounding, which Adam makes a step of."""

    def __init__(self, inputs, outputs):
        super().__init__(
            nn.Conv2d(inputs[0], 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
            nn.Conv2d(6, 4, 3), nn.ReLU(), nn.Flatten(),
            nn.Dropout(0.3), nn.Linear(4 * 16, 12, bias=False), nn.BatchNorm1d(12), nn.Tanh(),
            nn.Dropout(0.2), nn.Linear(12, outputs),
        )
'''
SEEDS = 3
CHANNELS_LAST = Plan(memory_format="channels_last")


@pytest.fixture
def small(tmp_path: Path) -> str:
    (tmp_path / "small.py").write_text(SMALL, encoding="utf-8")
    return f"{tmp_path / 'small.py'}:Small"


def specs_of(name: str, dataset: Dataset, **changes: Any) -> list[TrialSpec]:
    changes = {"steps": 36, "evaluations": 9, "patience": 2, "lr": 5e-3, **changes}
    return [make_spec(name, dataset, seed=seed, **changes) for seed in range(SEEDS)]


def folders_of(folder: Path) -> list[Path]:
    return [folder / str(seed) for seed in range(SEEDS)]


def alone(specs: list[TrialSpec], dataset: Dataset, folder: Path) -> list[TrialRecord]:
    return [run_trial(s, dataset, f) for s, f in zip(specs, folders_of(folder), strict=True)]


def assert_alike(
    one: TrialRecord, other: TrialRecord, first: Path, second: Path, rtol: float = 1e-3
) -> None:
    """The same but for rounding: records and, in their folders, outcomes and weights."""
    assert (one.hash, one.status, one.reason) == (other.hash, other.status, other.reason)
    assert (one.steps, one.best_step, one.looked_at) == (
        other.steps, other.best_step, other.looked_at,
    )  # fmt: skip
    assert one.moved == pytest.approx(other.moved, rel=rtol)
    assert one.metrics == pytest.approx(other.metrics, rel=rtol)
    assert len(one.curve) == len(other.curve)
    for mine, theirs in zip(one.curve, other.curve, strict=True):
        for name in ("step", "train_loss", "val_loss", "val_score"):
            assert getattr(mine, name) == pytest.approx(getattr(theirs, name), rel=rtol), name
    assert sorted(p.name for p in first.iterdir()) == sorted(p.name for p in second.iterdir())
    outcomes = [read_outcome(f / "outcome.parquet", "test").predicted for f in (first, second)]
    np.testing.assert_allclose(*outcomes, rtol=10 * rtol, atol=rtol)
    weights = [load_file(folder / "weights.safetensors") for folder in (first, second)]
    torch.testing.assert_close(*weights, rtol=10 * rtol, atol=rtol)


@pytest.mark.parametrize(
    ("name", "kind", "changes"),
    [
        ("softmax_regression", "table", {"patience": None}),
        ("mlp", "values", {"clip": 0.5}),
        ("mlp", "table", {"optimizer": "sgd", "clip": 1.0, "weight_decay": 0.1}),
        ("lenet5", "image", {"plan": CHANNELS_LAST, "augment": "shift", "weight_decay": 0.3}),
        ("small", "image", {}),
    ],
    ids=["softmax_regression", "regression", "sgd", "lenet5", "small"],
)
def test_records_and_files_are_those_of_separate_trials(
    tmp_path: Path, small: str, name: str, kind: str, changes: dict[str, Any]
):
    dataset = make_dataset(kind)
    specs = specs_of(small if name == "small" else name, dataset, **changes)
    events: list[Event] = []
    folders = folders_of(tmp_path / "together")
    records = run_stack(specs, dataset, folders, emit=events.append, checkpoint_every=600)
    expected = alone(specs, dataset, tmp_path / "alone")
    for mine, theirs, *both in zip(
        records, expected, folders, folders_of(tmp_path / "alone"), strict=True
    ):
        assert_alike(mine, theirs, *both)
    assert {(r.together, r.samples_per_second > 0) for r in records} == {(SEEDS, True)}
    assert {r.together for r in expected} == {1}
    for seed in range(SEEDS):
        kinds = [event.kind for event in events if event.seed == seed]
        progress = ["progress"] * len(expected[seed].curve)
        assert kinds == ["start", *progress, "finish"]


def test_seeds_end_at_their_own_patience(tmp_path: Path):
    dataset = make_dataset("values")
    specs = specs_of("mlp", dataset)
    records = run_stack(specs, dataset, folders_of(tmp_path))
    assert len({record.steps for record in records}) > 1
    assert {record.together for record in records} == {SEEDS}


def test_the_time_of_a_step_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = iter(range(0, 10**6, 3))
    monkeypatch.setattr(stacked_trial.time, "perf_counter", lambda: float(next(clock)))
    dataset = make_dataset("table")
    specs = specs_of("softmax_regression", dataset, steps=4, evaluations=2)
    records = run_stack(specs, dataset, folders_of(tmp_path))
    assert [record.train_seconds for record in records] == [2.0] * SEEDS  # 2 x 3 s, thirds


def test_a_seed_that_diverges_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dataset = make_dataset("table")
    specs = specs_of("mlp", dataset, patience=None)
    step, calls = StackedSupervised.step, []

    def bad_at_6(self: StackedSupervised, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        losses = step(self, x, y)
        calls.append(len(losses))
        return losses.index_fill(0, torch.tensor(1), torch.nan) if len(calls) == 6 else losses

    monkeypatch.setattr(StackedSupervised, "step", bad_at_6)
    folders = folders_of(tmp_path / "together")
    records = run_stack(specs, dataset, folders)
    assert calls == [3] * 8 + [2] * 28
    assert records[1].status == "failed"
    assert records[1].reason == "diverged at step 6: the training loss became nan"
    expected = alone(specs, dataset, tmp_path / "alone")
    for seed in (0, 2):
        both = folders[seed], folders_of(tmp_path / "alone")[seed]
        assert_alike(records[seed], expected[seed], *both)


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(10**6))
    return lambda: next(asked) >= steps


@pytest.mark.parametrize("together", [True, False], ids=["together", "apart"])
def test_a_stopped_stack_goes_on(
    tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch, together: bool
):
    monkeypatch.setattr(loop, "_SAVING_SHARE", float("inf"))
    dataset = make_dataset()
    specs = specs_of(small, dataset, patience=None, weight_decay=0.3, plan=CHANNELS_LAST)
    expected_in, folders = folders_of(tmp_path / "whole"), folders_of(tmp_path / "stopped")
    expected = run_stack(specs, dataset, expected_in)
    with pytest.raises(Interrupted) as caught:
        run_stack(specs, dataset, folders, stop=stop_after(19), checkpoint_every=0.0)
    taken = int(str(caught.value).split("after step ")[1].split()[0])
    assert 0 < taken < 36
    assert str(caught.value) == (
        f"3 trials were stopped after step {taken} of 36 and can be resumed."
    )
    events: list[Event] = []
    if together:
        records = run_stack(specs, dataset, folders, emit=events.append)
    else:
        records = [
            run_trial(s, dataset, f, emit=events.append)
            for s, f in zip(specs, folders, strict=True)
        ]
    assert [e.step for e in events if e.kind == "resume"] == [taken] * SEEDS
    for mine, theirs, *both in zip(records, expected, folders, expected_in, strict=True):
        assert_alike(mine, theirs, *both, rtol=1e-7 if together else 1e-3)


def test_seeds_at_different_steps_go_on_one_by_one(tmp_path: Path):
    dataset = make_dataset("table")
    specs = specs_of("mlp", dataset)
    folders = folders_of(tmp_path)
    with pytest.raises(Interrupted):
        run_trial(specs[1], dataset, folders[1], stop=stop_after(7))
    records = run_stack(specs, dataset, folders)
    assert [record.together for record in records] == [1] * SEEDS
    assert {record.status for record in records} == {"finished"}


def test_a_seed_on_record_is_not_run_again(tmp_path: Path):
    dataset = make_dataset("table")
    specs, folders = specs_of("mlp", dataset), folders_of(tmp_path)
    first = run_trial(specs[0], dataset, folders[0])
    events: list[Event] = []
    records = run_stack(specs, dataset, folders, emit=events.append)
    assert records[0] == first
    assert [record.together for record in records] == [1, 2, 2]
    assert {event.seed for event in events} == {1, 2}
    assert run_stack(specs, dataset, folders) == records


@pytest.mark.parametrize("why", ["layer", "plan", "step"])
def test_what_cannot_be_stacked_is_run_alone_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
):
    dataset = make_dataset("sequence")
    plan = Plan(precision="bf16", fp32_layers=("norm",)) if why == "plan" else Plan()
    specs = specs_of("gru" if why == "layer" else "mlp", dataset, plan=plan, steps=8, evaluations=2)

    def fail(self: StackedSupervised, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        raise MemoryError

    if why == "step":
        monkeypatch.setattr(StackedSupervised, "step", fail)
    records = run_stack(specs, dataset, folders_of(tmp_path / "together"))
    expected = alone(specs, dataset, tmp_path / "alone")
    assert [r.metrics for r in records] == [r.metrics for r in expected]
    assert {(r.together, r.status) for r in records} == {(1, "finished")}


def test_denormal_numbers_count_as_zero_as_in_a_trial_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    step, seen = StackedSupervised.step, []

    def look(self: StackedSupervised, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append((torch.tensor(1e-38) * 0.1).item())
        return step(self, x, y)

    monkeypatch.setattr(StackedSupervised, "step", look)
    dataset = make_dataset("table")
    run_stack(specs_of("mlp", dataset, steps=2), dataset, folders_of(tmp_path))
    assert seen == [0.0, 0.0]


def test_the_users_own_generators_are_left_alone(tmp_path: Path):
    dataset = make_dataset("table")
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    run_stack(specs_of("mlp", dataset, steps=4), dataset, folders_of(tmp_path))
    assert torch.rand(1) == expected


def test_trials_that_differ_in_more_than_the_seed_are_refused(tmp_path: Path):
    dataset = make_dataset("table")
    specs = specs_of("mlp", dataset)
    specs[1] = replace(specs[1], steps=99)
    with pytest.raises(TrialError) as caught:
        run_stack(specs, dataset, folders_of(tmp_path))
    assert str(caught.value) == (
        "The trials of a stack must differ in their seed and in nothing else. Received 3 specs of "
        "2 kinds; run the others in jobs of their own."
    )


def test_a_worker_runs_a_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import json
    from dataclasses import asdict

    dataset = make_dataset("table")
    monkeypatch.setattr(load, "open_prepared", lambda folder: dataset)
    specs = specs_of("softmax_regression", dataset)
    payload = {
        "specs": [asdict(spec) for spec in specs],
        "data": "",
        "folders": [str(folder) for folder in folders_of(tmp_path)],
    }
    job = {"kind": "stack", "payload": json.loads(json.dumps(payload))}
    outcome = attempt(HANDLERS, job, lambda event: None, lambda: False)
    answer = json.loads(json.dumps(outcome))["value"]["records"]
    records = [record_from_json(facts) for facts in answer]
    assert [(r.hash, r.together) for r in records] == [(s.hash, SEEDS) for s in specs]
    stopped = {**payload, "folders": [str(f) for f in folders_of(tmp_path / "stopped")]}
    job = {"kind": "stack", "payload": stopped}
    assert attempt(HANDLERS, job, lambda event: None, lambda: True) == {"stopped": True}


class Counting(TorchDispatchMode):
    """Counts what computes; views do not."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.asked += not func.is_view
        return func(*args, **(kwargs or {}))


def test_a_step_of_sixteen_seeds_asks_for_little_more_than_one_seed_s(tmp_path: Path):
    """On an accelerator that has room for them all, a step costs what it asks for, not how much."""
    data = make_dataset()
    counts = {}
    for seeds in (1, 16):
        asked = []
        for steps in (10, 20):
            specs = [
                make_spec("lenet5", data, seed=s, steps=steps, evaluations=1) for s in range(seeds)
            ]
            folders = [tmp_path / f"{seeds} {steps} {s}" for s in range(seeds)]
            with Counting() as counted:
                run_stack(specs, data, folders)
            asked.append(counted.asked)
        counts[seeds] = (asked[1] - asked[0]) / 10
    assert counts[16] < 2 * counts[1]
