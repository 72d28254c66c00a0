"""Which seeds go together."""

from dataclasses import replace

import pytest
from trials import make_dataset, make_spec

from assay.engine.grouping import group_seeds, stacks_to_try
from assay.engine.spec import Plan, TrialSpec

SLOW = Plan(step_seconds=0.1)  # 24 steps: 2.4 seconds a trial


def study(*names: str, seeds: int, plan: Plan = SLOW) -> list[TrialSpec]:
    dataset = make_dataset("table")
    return [make_spec(n, dataset, seed=s, plan=plan) for s in range(seeds) for n in names]


@pytest.mark.parametrize(
    ("seeds", "workers", "most", "sizes"),
    [
        (8, 2, 8, [4, 4]),
        (5, 2, 8, [3, 2]),
        (5, 2, 2, [2, 2, 1]),
        (5, 1, 8, [5]),
        (3, 4, 8, [1, 1, 1]),
        (40, 2, 99, [14, 13, 13]),
        (4, 1, 1, [1, 1, 1, 1]),
    ],
)
def test_every_worker_has_something_to_do(seeds: int, workers: int, most: int, sizes: list[int]):
    groups = group_seeds(study("mlp", seeds=seeds), {"mlp": most}, workers)
    assert [len(group) for group in groups] == sizes


def test_groups_hold_every_spec_once_and_run_in_the_order_of_the_study():
    specs = study("mlp", "lstm", "lenet5", seeds=4)
    groups = group_seeds(specs, {"mlp": 4, "lenet5": 2}, workers=2)
    assert sorted(s.hash for g in groups for s in g) == sorted(s.hash for s in specs)
    names = [(g[0].candidate.name, [s.seed for s in g]) for g in groups]
    assert names == [
        ("mlp", [0, 1, 2, 3]),
        ("lstm", [0]), ("lenet5", [0, 2]),
        ("lstm", [1]), ("lenet5", [1, 3]),
        ("lstm", [2]), ("lstm", [3]),
    ]  # fmt: skip


def test_seeds_with_other_budgets_do_not_go_together():
    specs = study("mlp", seeds=4)
    specs[2:] = [replace(spec, steps=48) for spec in specs[2:]]
    groups = group_seeds(specs, {"mlp": 8}, workers=1)
    assert [[s.seed for s in g] for g in groups] == [[0, 1], [2, 3]]


def test_only_what_can_gain_more_than_the_measurement_takes_is_tried():
    assert stacks_to_try(study("mlp", seeds=8), workers=2) == {"mlp": 4}
    assert stacks_to_try(study("mlp", seeds=3), workers=2) == {}  # 7.2 s: saves 1.7 s
    assert stacks_to_try(study("mlp", seeds=2), workers=2) == {}
    assert stacks_to_try(study("mlp", seeds=8, plan=Plan()), workers=2) == {}
    for plan in (
        replace(SLOW, threads=2), replace(SLOW, compile=True), replace(SLOW, devices=2),
        replace(SLOW, nodes=2), replace(SLOW, fp32_layers=("norm",)),
    ):  # fmt: skip
        assert stacks_to_try(study("mlp", seeds=8, plan=plan), workers=2) == {}


def test_networks_that_start_from_weights_and_classical_opponents_go_alone():
    for change in ({"weights": "0" * 64}, {"tune": "head"}, {"family": "baseline"}):
        specs = study("mlp", seeds=8)
        specs = [replace(s, candidate=replace(s.candidate, **change)) for s in specs]
        assert stacks_to_try(specs, workers=2) == {}
