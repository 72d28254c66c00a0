"""Which trials go together as stacks, so that every worker has something to do. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from assay.engine.classical import FAMILY
from assay.engine.spec import TrialSpec

WORTH = 1.15  # times as fast in steps; less is lost in evaluations, or to a busy cache
MOST = 16  # seeds in a stack
_MEASURING = 2.0  # seconds, about, of finding out whether a stack pays
_HOPED_FOR = 1.3  # times as fast: what a stack must be expected to save to be worth measuring


def stacks_to_try(specs: Sequence[TrialSpec], workers: int) -> dict[str, int]:
    """Return the candidates whose seeds may be worth stacking, and how many seeds at once.

    A candidate is left out where its plan cannot be stacked, where it starts from published
    weights, where each worker has only one trial anyway, or where all its trials together are so
    short that measuring would cost more than stacking could save.

    Args:
        specs: All that wait; those of one candidate may be of several kinds.
        workers: That run beside each other, at least 1.
    """
    tried: dict[str, int] = {}
    for group in _alike(specs):
        size = _size(len(group), len(specs), workers)
        seconds = sum(_seconds(spec) for spec in group)
        saved = seconds * (1 - 1 / _HOPED_FOR)
        if size > 1 and stackable(group[0]) and saved > _MEASURING:
            name = group[0].candidate.name
            tried[name] = max(size, tried.get(name, 1))
    return tried


def group_seeds(
    specs: Sequence[TrialSpec], sizes: Mapping[str, int], workers: int
) -> list[list[TrialSpec]]:
    """Return the specs as groups that each run as one job, in the order of their first members.

    Seeds of one candidate are divided evenly, so that no worker stands idle: 5 seeds on 2 workers
    go as 3 and 2.

    Args:
        specs: All that wait, in the order they are to run.
        sizes: Candidate's name to the most seeds that pay together, `StackWorth.seeds`; who is not
            in it goes alone.
        workers: That run beside each other, at least 1.
    """
    place = {id(spec): i for i, spec in enumerate(specs)}
    groups: list[list[TrialSpec]] = []
    for group in _alike(specs):
        size = min(_size(len(group), len(specs), workers), sizes.get(group[0].candidate.name, 1))
        count = -(-len(group) // max(size, 1))
        groups += [group[i::count] for i in range(count)]
    return sorted(groups, key=lambda group: place[id(group[0])])


def stackable(spec: TrialSpec) -> bool:
    """Return whether a stack can do what a spec asks for, as far as its network may be stacked.

    Compilation, layers kept in fp32, several threads, several devices, published weights and
    classical opponents have no stacked form.
    """
    plan, candidate = spec.plan, spec.candidate
    shared = plan.threads * plan.devices * plan.nodes > 1
    other = shared or plan.compile or plan.fp32_layers
    return not (other or candidate.weights or candidate.tune or candidate.family == FAMILY)


def _alike(specs: Sequence[TrialSpec]) -> list[list[TrialSpec]]:
    """Return the specs in groups that differ in the seed alone."""
    groups: dict[str, list[TrialSpec]] = {}
    for spec in specs:
        facts: dict[str, Any] = {**asdict(spec), "seed": None}
        groups.setdefault(json.dumps(facts, sort_keys=True), []).append(spec)
    return list(groups.values())


def _size(seeds: int, trials: int, workers: int) -> int:
    """Return how many seeds may go together while every worker still has a job."""
    return min(seeds, -(-trials // workers), MOST)


def _seconds(spec: TrialSpec) -> float:
    return spec.steps * (spec.plan.step_seconds or 0.0)
