"""Whether a stack pays is measured, and remembered."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from trials import make_dataset, make_spec

from assay.engine import stack_worth as module
from assay.engine.spec import Plan
from assay.engine.stack_worth import StackWorth, stack_worth
from assay.engine.worker import HANDLERS, attempt


def worth(name: str, kind: str = "table", seeds: int = 6) -> StackWorth:
    dataset = make_dataset(kind)
    spec = make_spec(name, dataset)
    return stack_worth(
        spec.candidate,
        task=spec.task,
        inputs=spec.inputs,
        outputs=spec.outputs,
        plan=Plan(),
        seeds=seeds,
    )


@pytest.fixture(autouse=True)
def _own_answers(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))


def test_the_smallest_networks_gain(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_LIMIT", 0.1)
    found = worth("softmax_regression")
    assert list(found.gains) == ["4", "6"]
    assert (found.seeds, found.reason) == (int(max(found.gains, key=found.gains.get)), "")
    assert found.gain == max(found.gains.values()) > 1.1


@pytest.mark.parametrize(
    ("gains", "seeds", "reason"),
    [
        ([1.2, 1.4], 6, ""),
        ([1.4, 1.2], 4, ""),
        ([0.8, 1.09], 1, "6 seeds together are 1.09 times as fast as apart"),
    ],
)
def test_the_best_size_is_chosen_and_kept(
    monkeypatch: pytest.MonkeyPatch, gains: list[float], seeds: int, reason: str
):
    left = iter(gains)
    monkeypatch.setattr(module, "gain", lambda *args: next(left))
    found = worth("mlp", "values")
    assert (found.seeds, found.gain, found.reason) == (seeds, max(gains), reason)
    assert worth("mlp", "values") == found  # `gain` would have none left


def test_a_network_without_a_stacked_form_stays_apart():
    found = worth("gru", "sequence")
    assert (found.seeds, found.reason) == (1, "a layer of it has no stacked form")


def test_a_large_network_stays_apart_unmeasured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MOST_PARAMETERS", 1000)
    found = worth("mlp")
    assert found.seeds == 1
    assert found.reason == "68,611 parameters are more than 1,000"
    assert found.gains == {}


def test_a_worker_answers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "gain", lambda *args: 1.5)
    dataset = make_dataset("table")
    spec = make_spec("mlp", dataset)
    payload = {
        "candidate": asdict(spec.candidate),
        "task": spec.task,
        "inputs": list(spec.inputs),
        "outputs": spec.outputs,
        "plan": asdict(Plan()),
        "seeds": 3,
    }
    job = json.loads(json.dumps({"kind": "stacking", "payload": payload}))
    answer = attempt(HANDLERS, job, lambda event: None, lambda: False)["value"]
    assert (answer["seeds"], answer["gain"]) == (3, 1.5)
