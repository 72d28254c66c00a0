"""What goes into a trial and what comes out. Plain values only: no torch, all of it JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from assay.canon.task import Task


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a candidate learns. A card's `[recipe]` overrides these defaults field by field."""

    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = 2e-3  # at its peak, for `batch_size`
    weight_decay: float = 0.01
    momentum: float = 0.9  # sgd only, Nesterov
    beta2: float = 0.999  # adamw only: memory of squared gradients; that of gradients is 0.9
    epsilon: float = 1e-8  # adamw only: added to their root
    batch_size: int = 64
    schedule: Literal["one-cycle", "inverse-square-root"] = "one-cycle"  # of the rate
    warmup: float = 0.2  # fraction of all steps to the peak, in [0, 1)
    label_smoothing: float = 0.1  # of single labels and of answering texts, in [0, 1)
    clip: float | None = None  # largest gradient norm
    augment: Literal["none", "shift"] = "none"  # "shift": random crop after padding; images only
    reach: float = 0.125  # of "shift": the largest, as a share of the shorter side, in [0, 0.5]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a candidate is computed on this machine; chosen by measurement, written to the record.

    Attributes:
        precision: fp32, or bf16 autocast.
        fp32_layers: Layer kinds kept in fp32 under bf16; the engine knows "depthwise",
            "strided_depthwise" and "norm".
        memory_format: Of image tensors and convolution weights.
        attention: "fused" is torch's scaled_dot_product_attention as it comes, "matmul" the
            written-out form.
        convolution: "direct" is torch's own, "matmul" multiplies matrices where pixels are few.
        loops: Those that word vectors learn in: "compiled", or torch's own where there is no
            C compiler, which round differently; "" where none are learned.
        threads: Of one trial.
        compile: Whether torch.compile is applied.
        step_seconds: One training step at the recipe's batch size, CPU seconds, by the clock on an
            accelerator; None if unmeasured.
        devices: Processes (ranks) on each host that share the training; see engine/distributed.
        nodes: Hosts that share it.
        strategy: What each rank holds: "ddp" all of the network, "fsdp" its share of the weights.
        accelerator: Torch's name of the device: "cpu" or "cuda".
    """

    precision: Literal["fp32", "bf16"] = "fp32"
    fp32_layers: tuple[str, ...] = ()
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    attention: Literal["fused", "matmul"] = "fused"
    convolution: Literal["direct", "matmul"] = "direct"
    loops: Literal["", "compiled", "torch"] = ""
    threads: int = 1
    compile: bool = False
    step_seconds: float | None = None
    devices: int = 1
    nodes: int = 1
    strategy: Literal["ddp", "fsdp"] = "ddp"
    accelerator: Literal["cpu", "cuda"] = "cpu"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network that takes part in a study."""

    name: str  # resnet18, timm:resnet10t, my_net.py:Net
    digest: str  # sha256 of its code (canon: model file and card; file.py: the file; else version)
    family: str = ""  # of its card, or "timm", "torchvision", "file"
    recipe: Recipe = field(default_factory=Recipe)
    adaptation: Mapping[str, str] = field(default_factory=dict)  # {"en", "zh"}; what was adapted
    weights: str = ""  # sha256 of those it starts from, see models/start; none is at random
    tune: Literal["", "full", "head", "frozen", "gradual"] = ""  # what learns, when it has weights


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """Everything that decides a trial's outcome; its hash is the trial's address."""

    candidate: Candidate
    task: Task
    inputs: tuple[int, ...]
    outputs: int
    split_hash: str
    seed: int
    steps: int  # the budget, resolved
    evaluations: int = 20  # on the validation part, evenly spaced; the best one's weights are kept
    patience: int | None = 10  # evaluations without improvement before stopping; None is never
    plan: Plan = field(default_factory=Plan)
    versions: Mapping[str, str] = field(default_factory=dict)  # python, torch, assay
    machine: str = ""  # the names of processor and accelerator: other chips round differently
    test: bool = True  # whether the test part is predicted; never while settings are chosen

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits. What decides nothing is left out.

        That is how long a step took, and which ranks are on which host: their number counts.
        """
        facts = asdict(self)
        facts["plan"].pop("step_seconds")
        facts["plan"]["ranks"] = facts["plan"].pop("devices") * facts["plan"].pop("nodes")
        return digest(facts)[:16]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One evaluation during training."""

    step: int
    seconds: float  # of training so far, wall clock
    train_loss: float  # mean since the last point
    val_loss: float
    val_score: float  # accuracy, R² of values, or the mean probability of a true token


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """What one trial measured. Written once, as `record.json`, after every other file of it."""

    hash: str
    candidate: str
    seed: int
    status: Literal["finished", "failed"]
    reason: str = ""  # why it failed, one sentence
    steps: int = 0  # taken
    best_step: int = 0  # whose weights were kept
    train_seconds: float = 0.0  # wall clock of the training loop without evaluation
    cpu_seconds: float = 0.0  # processor time of the same
    samples_per_second: float = 0.0
    peak_memory_bytes: int = 0
    load: float = 0.0  # one-minute load average at the start
    metrics: Mapping[str, float] = field(default_factory=dict)  # "val_accuracy", "test_accuracy"...
    curve: tuple[Point, ...] = ()
    moved: float | None = None  # relative change of the weights, start to best, in [0, 2]
    looked_at: int = 0  # validation examples of each evaluation
    together: int = 1  # seeds that trained as one stack; the seconds are this one's share
    spec: Mapping[str, Any] = field(default_factory=dict)  # the TrialSpec, whole


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one candidate costs once trained, on this machine, one thread."""

    parameters: int
    macs: int  # multiply-accumulates of one example
    latency_p50_ms: float  # batch 1
    latency_p95_ms: float
    throughput: float  # examples per second at the best batch size tried
    artifact_bytes: int
    peak_memory_bytes: int  # of the process or the graphics card, training
    energy_proxy_mj: float  # millijoules an inference: see engine/measure for the model


@dataclass(frozen=True, kw_only=True)
class Event:
    """A sign of life from a running study, for the progress display."""

    kind: Literal["plan", "start", "progress", "finish", "fail", "resume", "measure"]
    candidate: str
    seed: int = -1
    step: int = 0
    steps: int = 0
    score: float | None = None  # the last validation score
    text: str = ""


def digest(value: Any) -> str:
    """Return the sha256 of a JSON-able value, the same whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def spec_from_json(facts: Mapping[str, Any]) -> TrialSpec:
    """Return the TrialSpec that `asdict` and JSON made `facts` of."""
    plan = dict(facts["plan"])
    plan["fp32_layers"] = tuple(plan["fp32_layers"])
    candidate = dict(facts["candidate"])
    candidate["recipe"] = Recipe(**candidate["recipe"])
    rest = {k: v for k, v in facts.items() if k not in ("plan", "candidate", "inputs")}
    return TrialSpec(
        candidate=Candidate(**candidate), plan=Plan(**plan), inputs=tuple(facts["inputs"]), **rest
    )


def record_from_json(facts: Mapping[str, Any]) -> TrialRecord:
    """Return the TrialRecord that `asdict` and JSON made `facts` of."""
    return TrialRecord(**{**facts, "curve": tuple(Point(**p) for p in facts["curve"])})
