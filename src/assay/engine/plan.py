"""How a network is computed fastest on this machine: found by timing a few steps of each way."""

from __future__ import annotations

import copy
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from assay.blocks.attention import SelfAttention
from assay.engine import files
from assay.engine.convolution import MOST_PIXELS, can_multiply, multiply_few_pixels, pixels_out
from assay.engine.machine import processor, versions
from assay.engine.randomness import seeded
from assay.engine.spec import Candidate, Plan, digest
from assay.errors import BadArgumentError, StoreError
from assay.learners.supervised import Supervised
from assay.models.foreign import build_any

Precision = Literal["auto", "fp32", "bf16"]

_WORTH = 0.97  # of the plain way's time; whatever gains less is noise
_HOPELESS = 1.3  # times the best so far, at the first look: not timed again
_SMALL_STEP = 0.03  # seconds; networks above it get the longer time limit
_LIMIT, _LONG_LIMIT = 0.6, 1.8  # seconds of tuning
_SHORTENED = 0.15  # seconds of one step: what takes longer is tuned on fewer examples
_LEAST_BATCH = 8
_LEAST_TIMING = 2e-3  # seconds; faster steps are timed several at a time
_ROUNDS = 9
_STEADY = 0.12  # seconds spent on the time of one step of the chosen way
_SEED = 0
_FOREVER = 10**9  # steps of a schedule that never leaves its beginning


def choose_plan(
    candidate: Candidate,
    *,
    task: str,
    inputs: tuple[int, ...],
    outputs: int,
    precision: str = "auto",
    autotune: bool = True,
    threads: int = 1,
) -> Plan:
    """Return the fastest way found to train `candidate` here, with the time of one step.

    A way other than plain fp32 is chosen only when it is at least 3 % faster. The answer is kept
    in `cache_dir()`, so that the same study repeats with the same plan.

    Args:
        candidate: Name and recipe; its digest is part of the cache's key.
        task: One of `data.dataset.TASKS`; regression stays in fp32 unless bf16 is asked for.
        inputs: Shape of one example.
        outputs: Width of the last layer.
        precision: "auto", or "fp32" or "bf16" for that and nothing else.
        autotune: False takes the plain way in the given precision (fp32 for "auto").
        threads: Of one trial.

    Raises:
        BadArgumentError: `precision` is none of the three.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise BadArgumentError(
            f"`precision` must be auto, fp32 or bf16. Received precision={precision!r}."
        )
    question = {
        "candidate": [candidate.name, candidate.digest],
        "recipe": asdict(candidate.recipe),
        "data": [task, list(inputs), outputs],
        "how": [precision, autotune, threads],
        "machine": [versions(), processor()],
    }
    path = cache_dir() / "plans" / f"{digest(question)[:32]}.json"
    cached = _read(path)
    if cached is not None:
        return cached
    with seeded(_SEED, threads=threads):
        tuning = _Tuning(candidate, task, inputs, outputs, threads)
        ways = list(_ways(tuning.model, task, inputs, precision, threads=threads))
        plan = tuning.fastest(ways if autotune else ways[:1])
    with suppress(StoreError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, {"plan": asdict(plan), "seconds": tuning.seen, "for": question})
    return plan


def apply_plan(model: nn.Module, plan: Plan) -> nn.Module:
    """Prepare `model` in place for `plan` and return it; its state dict keeps names and values.

    Memory format, attention and layers kept in fp32 are set here; the inputs' memory format and
    autocast itself belong to the learner's forward pass.
    """
    if plan.memory_format == "channels_last":
        model.to(memory_format=torch.channels_last)
    for module in model.modules():
        _set_attention(module, plan.attention)
        if plan.convolution == "matmul" and isinstance(module, nn.Conv2d) and can_multiply(module):
            multiply_few_pixels(module)
        if plan.precision == "bf16" and _kept_in_fp32(module, plan.fp32_layers):
            _compute_in_fp32(module)
    return model


def cache_dir() -> Path:
    """Return where measurements of this machine are kept: ASSAY_CACHE, or the XDG cache."""
    chosen = os.environ.get("ASSAY_CACHE")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "assay"


@dataclass
class _Contender:
    """One way of computing, ready to step, and what its steps took."""

    plan: Plan
    step: Callable[[], None]
    timings: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        return min(self.timings)


class _Tuning:
    """Times ways of training one network on made-up batches."""

    def __init__(
        self,
        candidate: Candidate,
        task: str,
        inputs: tuple[int, ...],
        outputs: int,
        threads: int,
    ) -> None:
        self.recipe, self.task = candidate.recipe, task
        self.inputs, self.outputs = inputs, outputs
        self.model = build_any(candidate.name, inputs, outputs)
        self.clock = time.thread_time if threads == 1 else time.perf_counter
        self.seen: dict[str, float] = {}  # what was timed, for those who read the cache

    def fastest(self, ways: list[Plan]) -> Plan:
        batch = min(_LEAST_BATCH, self.recipe.batch_size)
        chosen = plain = self._contender(ways[0], batch)
        if len(ways) > 1:
            batch = self._tuning_batch(plain)
            plain = self._contender(ways[0], batch)
            limit = _LIMIT if plain.best < _SMALL_STEP else _LONG_LIMIT
            chosen = self._contest(plain, ways[1:], batch, deadline=time.monotonic() + limit)
        return replace(chosen.plan, step_seconds=self._steady(chosen, batch))

    def _tuning_batch(self, few: _Contender) -> int:
        """The recipe's batch size, or as many examples as a short step takes."""
        example = few.best / min(_LEAST_BATCH, self.recipe.batch_size)
        return max(
            min(_LEAST_BATCH, self.recipe.batch_size),
            min(self.recipe.batch_size, round(_SHORTENED / example)),
        )

    def _contest(
        self, plain: _Contender, ways: list[Plan], batch: int, *, deadline: float
    ) -> _Contender:
        contenders = [plain]
        for way in ways:
            if time.monotonic() > deadline:
                break
            contenders.append(self._contender(way, batch))
        self._repeat(contenders, deadline)
        self.seen = {_label(c.plan): c.best for c in contenders}
        best = min(contenders, key=lambda contender: contender.best)
        return best if best.best < _WORTH * plain.best else plain

    def _repeat(self, contenders: list[_Contender], deadline: float) -> None:
        """Time the plain way and the promising ones in turn; each keeps its best."""
        for _ in range(_ROUNDS):
            bar = _HOPELESS * min(contender.best for contender in contenders)
            for contender in contenders:
                if time.monotonic() > deadline:
                    return
                if contender is contenders[0] or contender.best <= bar:
                    contender.timings.append(self._time(contender.step, contender.best))

    def _contender(self, plan: Plan, batch: int) -> _Contender:
        """Prepare a way: its first step, which also makes its kernels, does not count."""
        step = self._step(plan, batch)
        step()
        contender = _Contender(plan, step)
        contender.timings.append(self._time(step, _LEAST_TIMING))
        return contender

    def _time(self, step: Callable[[], None], expected: float) -> float:
        count = max(1, round(_LEAST_TIMING / max(expected, 1e-6)))
        began = self.clock()
        for _ in range(count):
            step()
        return (self.clock() - began) / count

    def _steady(self, chosen: _Contender, batch: int) -> float:
        """Return the median time of one step at the recipe's own batch size."""
        if batch != self.recipe.batch_size:
            chosen = self._contender(chosen.plan, self.recipe.batch_size)
        timings: list[float] = []
        end = time.monotonic() + _STEADY
        while not timings or time.monotonic() < end:
            timings.append(self._time(chosen.step, chosen.best))
        return statistics.median(timings)

    def _step(self, plan: Plan, batch: int) -> Callable[[], None]:
        model = apply_plan(copy.deepcopy(self.model), plan)
        regression = self.task == "tabular-regression"
        learner = Supervised(
            model,
            recipe=self.recipe,
            plan=plan,
            steps=_FOREVER,
            target=(0.0, 1.0) if regression else None,
        )
        x, y = torch.randn(batch, *self.inputs), self._targets(batch, regression=regression)

        def step() -> None:
            learner.step(x, y)

        return step

    def _targets(self, batch: int, *, regression: bool) -> Tensor:
        return torch.randn(batch) if regression else torch.randint(self.outputs, (batch,))


def _ways(
    model: nn.Module, task: str, inputs: tuple[int, ...], precision: str, *, threads: int
) -> list[Plan]:
    """The plain way first, then the others, the likeliest winners before the rest."""
    lowest: Literal["fp32", "bf16"] = "bf16" if precision == "bf16" else "fp32"
    plain = Plan(precision=lowest, threads=threads)
    others = [
        replace(plain, precision=p, memory_format=m, attention=a, fp32_layers=kept, convolution=c)
        for p in _precisions(precision, task)
        for kept in _fp32_layers(model, p)
        for m in _memory_formats(model, inputs)
        for a in _attentions(model)
        for c in _convolutions(model, inputs, m)
    ]
    return [plain, *(way for way in others if way != plain)]


def _precisions(precision: str, task: str) -> Iterator[Literal["bf16", "fp32"]]:
    if precision == "bf16" or (precision == "auto" and task != "tabular-regression"):
        yield "bf16"
    if precision != "bf16":
        yield "fp32"


def _memory_formats(
    model: nn.Module, inputs: tuple[int, ...]
) -> Iterator[Literal["channels_last", "contiguous"]]:
    if len(inputs) == 3 and any(isinstance(m, nn.Conv2d) for m in model.modules()):
        yield "channels_last"
    yield "contiguous"


def _attentions(model: nn.Module) -> Iterator[Literal["matmul", "fused"]]:
    if any(_has_choice_of_attention(module) for module in model.modules()):
        yield "matmul"
    yield "fused"


def _fp32_layers(model: nn.Module, precision: str) -> Iterator[tuple[str, ...]]:
    if precision == "bf16" and any(_depthwise(module) for module in model.modules()):
        yield ("depthwise",)
    yield ()


def _convolutions(
    model: nn.Module, inputs: tuple[int, ...], memory_format: str
) -> Iterator[Literal["matmul", "direct"]]:
    if memory_format == "channels_last" and _has_few_pixels(model, inputs):
        yield "matmul"
    yield "direct"


def _has_few_pixels(model: nn.Module, inputs: tuple[int, ...]) -> bool:
    """Return whether any convolution's output is small enough to be multiplied instead."""
    found: list[bool] = []

    def look(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d):
            found.append(pixels_out(module, arguments[0]) <= MOST_PIXELS)

    hooks = [m.register_forward_pre_hook(look) for m in model.modules() if can_multiply(m)]
    try:
        if hooks:
            _look_through(model, torch.zeros(1, *inputs))
    finally:
        for hook in hooks:
            hook.remove()
    return any(found)


def _look_through(model: nn.Module, x: Tensor) -> None:
    model.eval()
    with torch.no_grad():
        model(x)
    model.train()


def _has_choice_of_attention(module: nn.Module) -> bool:
    """Our own `SelfAttention`, and timm's, whose switch is called `fused_attn`."""
    ours = isinstance(module, SelfAttention)
    return ours or isinstance(getattr(module, "fused_attn", None), bool)


def _set_attention(module: Any, form: Literal["fused", "matmul"]) -> None:
    if not _has_choice_of_attention(module):
        return
    if isinstance(module, SelfAttention):
        module.kernel = form
    else:
        module.fused_attn = form == "fused"


def _depthwise(module: nn.Module) -> bool:
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return isinstance(module, convolutions) and 1 < module.groups == module.in_channels


def _kept_in_fp32(module: nn.Module, kinds: tuple[str, ...]) -> bool:
    norms = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
    return ("depthwise" in kinds and _depthwise(module)) or (
        "norm" in kinds and isinstance(module, norms)
    )


def _compute_in_fp32(module: nn.Module) -> None:
    """Have `module` compute in fp32 and answer in what it was given, so that little is moved."""
    inner = module.forward

    def forward(x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return inner(x.float()).to(x.dtype)

    module.forward = forward


def _label(plan: Plan) -> str:
    forms = (plan.precision, plan.memory_format, plan.attention, plan.convolution)
    return " ".join((*forms, *plan.fp32_layers))


def _read(path: Path) -> Plan | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        facts = json.loads(path.read_text(encoding="utf-8"))["plan"]
        return Plan(**{**facts, "fp32_layers": tuple(facts["fp32_layers"])})
    return None
