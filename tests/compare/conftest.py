"""Small candidates and verdicts to judge."""

import math

import pytest

from assay.compare.result import CandidateResult, Estimate, PairVerdict, SeedResult
from assay.engine.spec import Measurement


def measurement(**changes) -> Measurement:
    facts = {
        "parameters": 1_000,
        "macs": 2_000,
        "latency_p50_ms": 1.0,
        "latency_p95_ms": 2.0,
        "throughput": 100.0,
        "artifact_bytes": 4_000,
        "peak_memory_bytes": 300_000_000,
        "energy_proxy_mj": 0.5,
    }
    return Measurement(**{**facts, **changes})


def row(name: str, mean: float | None, *, rank: int = 1, seeds: int = 3, cost="default", **metrics):
    done = [SeedResult(seed=i, hash=f"{name}{i}", status="finished") for i in range(seeds)]
    return CandidateResult(
        name=name,
        family="cnn",
        adaptation={},
        rank=rank,
        score=None if mean is None else Estimate(mean, mean - 0.01, mean + 0.01),
        metrics=metrics or {"test_accuracy": mean or math.nan},
        seeds=tuple(done),
        cost=measurement() if cost == "default" else cost,
        train_seconds=1.0,
        samples_per_second=10.0,
    )


def pair(a: str, b: str, verdict: str = "not distinguishable") -> PairVerdict:
    return PairVerdict(
        a=a,
        b=b,
        difference=0.1,
        low=0.0,
        high=0.2,
        p=0.01,
        p_holm=0.02,
        verdict=verdict,
        better=0.995,
        loss=0.001,
    )


@pytest.fixture
def make_row():
    return row


@pytest.fixture
def make_pair():
    return pair


@pytest.fixture
def make_measurement():
    return measurement
