"""How a study's work is laid out over the machine."""

from types import SimpleNamespace
from typing import Any

import pytest

from assay.compare import campaign
from assay.compare.campaign import Campaign
from assay.compare.request import Request
from assay.engine.spec import Candidate, Plan


@pytest.mark.parametrize(
    ("trials", "workers", "threads"),
    [(1, None, 8), (3, None, 2), (8, None, 1), (100, None, 1), (100, 2, 4), (100, 0, 1)],
)
def test_a_trial_may_use_the_cores_that_no_other_trial_needs(
    monkeypatch: pytest.MonkeyPatch, trials: int, workers: int | None, threads: int
):
    monkeypatch.setattr(campaign, "cores", lambda: 8)
    work = Campaign(Request(data="digits", workers=workers), None, None, print)  # type: ignore[arg-type]
    assert work._threads(trials) == threads


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("resnet34", "assay.models.vision.resnet"),
        ("resnet34-without-shortcut", "assay.models.vision.resnet"),
        ("resnet34-pretrained", "assay.models.vision.resnet"),
        ("timm:resnet10t", "timm"),
        ("torchvision:resnet18", "torchvision"),
        ("nets/mine.py:Net", ""),
    ],
)
def test_the_code_of_a_network_is_imported_once_for_all_its_trials(name: str, module: str):
    assert campaign._module(name) == module


def test_of_trials_of_one_budget_those_that_evaluate_longest_come_first():
    data: Any = SimpleNamespace(
        train=range(1000),
        val=range(200),
        test=range(400),
        task="image-classification",
        inputs=(1, 8, 8),
        outputs=10,
        split_hash="0",
    )
    work = Campaign(Request(data="digits", budget="2s", seeds=2), data, None, print)  # type: ignore[arg-type]
    planned = [
        (Candidate(name=name, digest="0"), Plan(step_seconds=seconds), 0)
        for name, seconds in (("quick", 0.001), ("slow", 0.1), ("medium", 0.01))
    ]
    specs = work._in_order(planned, {}).specs
    assert [(s.candidate.name, s.seed) for s in specs] == [
        (name, seed) for seed in range(2) for name in ("slow", "medium", "quick")
    ]
