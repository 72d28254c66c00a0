"""Made-up trials, for the tests beside this file and for the processes they start."""

from dataclasses import asdict
from typing import Any

from assay.engine.spec import Candidate, Measurement, Plan, Point, TrialRecord, TrialSpec


def make_spec(seed: int = 0, name: str = "resnet18") -> TrialSpec:
    return TrialSpec(
        candidate=Candidate(name=name, digest="d" * 64),
        task="image-classification",
        inputs=(1, 8, 8),
        outputs=10,
        split_hash="5" * 64,
        seed=seed,
        steps=100,
        plan=Plan(precision="bf16", fp32_layers=("depthwise",), step_seconds=0.01),
        versions={"torch": "2.15"},
    )


def make_record(spec: TrialSpec, /, **changes: Any) -> TrialRecord:
    facts: dict[str, Any] = {
        "hash": spec.hash,
        "candidate": spec.candidate.name,
        "seed": spec.seed,
        "status": "finished",
        "metrics": {"val_accuracy": 0.875},
        "curve": (Point(step=1, seconds=0.5, train_loss=2.0, val_loss=1.0, val_score=0.5),),
    }
    return TrialRecord(**{**facts, **changes})


def make_measurement(parameters: int = 7) -> Measurement:
    return Measurement(
        parameters=parameters,
        macs=1,
        latency_p50_ms=0.5,
        latency_p95_ms=0.75,
        throughput=9.0,
        artifact_bytes=3,
        peak_memory_bytes=4,
        energy_proxy_mj=0.25,
    )


def as_rows(*specs: TrialSpec) -> list[dict[str, Any]]:
    return [asdict(spec) for spec in specs]
