"""What a trained candidate costs to run: size, operations, time, and a proxy of its energy."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from assay.canon.task import Task
from assay.engine import files
from assay.engine.randomness import seeded
from assay.engine.spec import Candidate, Measurement, Plan, TrialRecord
from assay.errors import TrialError
from assay.models.example import answer_shape, drawn
from assay.models.foreign import build_any
from assay.models.macs import count_macs as count_macs  # the worker asks for it here

Example = tuple[Tensor, ...]  # what a network is called with

_MAC_PICOJOULES = 4.6  # a float32 multiplication, 3.7, and an addition, 0.9, at 45 nm
_WORD_PICOJOULES = 640.0  # 32 bits to or from DRAM, at 45 nm
_BATCHES = (32, 256)
_LATENCY_SECONDS, _THROUGHPUT_SECONDS = 0.25, 0.15  # spent on each figure
_LEAST_CALLS, _MOST_CALLS = 10, 400
_TOO_SLOW = 0.5  # seconds for one batch: larger ones are not tried
_MOST_SCORES = 2**28  # of one batch, a gigabyte: larger ones are not tried
_SEED = 0


def measure(
    candidate: Candidate,
    *,
    task: Task,
    inputs: tuple[int, ...],
    outputs: int,
    weights: Path,
    record: TrialRecord,
    plan: Plan,
) -> Measurement:
    """Return the costs of one trained candidate: plain eager float32, one thread, inference mode.

    Args:
        candidate: What was trained.
        task: One of `data.dataset.TASKS`.
        inputs: Shape of one example.
        outputs: Width of the last layer.
        weights: Its `weights.safetensors`.
        record: Of the trial it comes from; says how much memory training held.
        plan: How it was trained. Inference is measured plain, as the artifact runs.

    Raises:
        TrialError: The weights cannot be read.
    """
    del plan
    with seeded(_SEED, threads=1):
        model = _trained(candidate, task, inputs, outputs, weights)
        example = drawn(1, inputs, task)
        macs = count_macs(model, inputs, task)
        words = _words_moved(model, example)
        with torch.inference_mode():
            latencies = _latencies(model, example)
            throughput = _throughput(model, inputs, outputs, task)
    return Measurement(
        parameters=count_learned(model),
        macs=macs,
        latency_p50_ms=_quantile(latencies, 0.5) * 1e3,
        latency_p95_ms=_quantile(latencies, 0.95) * 1e3,
        throughput=throughput,
        artifact_bytes=weights.stat().st_size,
        peak_memory_bytes=record.peak_memory_bytes,
        energy_proxy_mj=energy_proxy(macs=macs, words=words),
    )


def count_learned(model: nn.Module) -> int:
    """Return how many numbers a network learned: parameters, and what `initialize` makes of data.

    Word vectors are such: no gradient reaches them, and without them the network is nothing.
    """
    tables = (m.buffers(recurse=False) for m in model.modules() if hasattr(m, "initialize"))
    return sum(t.numel() for t in (*model.parameters(), *chain.from_iterable(tables)))


def energy_proxy(*, macs: int, words: int) -> float:
    """Return millijoules of one inference under a simple model of the hardware.

    Every multiply-accumulate costs 4.6 pJ and every 32-bit word moved 640 pJ; caches are ignored.
    It ranks networks, it does not predict a meter.

    Args:
        macs: Multiply-accumulates.
        words: Parameters read, and layer outputs written and read again.

    Source:
        Horowitz, ISSCC 2014, https://doi.org/10.1109/ISSCC.2014.6757323, figure 1.1.9.
    """
    return (macs * _MAC_PICOJOULES + words * _WORD_PICOJOULES) * 1e-9


def _trained(
    candidate: Candidate, task: Task, inputs: tuple[int, ...], outputs: int, weights: Path
) -> nn.Module:
    model = build_any(candidate.name, inputs, outputs, task)
    try:
        tensors, _ = files.unpack(weights.read_bytes())
        model.load_state_dict(tensors)
    except (OSError, ValueError, RuntimeError) as error:
        raise TrialError(
            f"The weights {weights} of {candidate.name} cannot be read: {error}. "
            "Remove its trial folder and run the study again."
        ) from error
    return model.eval()


def _words_moved(model: nn.Module, example: Example) -> int:
    """Parameters once, and the output of every innermost layer twice: written, then read."""
    outputs: list[int] = []

    def note(module: nn.Module, arguments: object, output: object) -> None:
        outputs.extend(t.numel() for t in _tensors(output))

    leaves = [module for module in model.modules() if not any(module.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        with torch.inference_mode():
            model(*example)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(p.numel() for p in model.parameters()) + 2 * sum(outputs)


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)


def _latencies(model: nn.Module, example: Example) -> list[float]:
    for _ in range(3):
        model(*example)
    return _timings(model, example, _LATENCY_SECONDS)


def _throughput(model: nn.Module, inputs: tuple[int, ...], outputs: int, task: Task) -> float:
    """Return examples a second at the best of the batch sizes that are tried."""
    best = 0.0
    for size in _BATCHES:
        if best and math.prod(answer_shape(size, inputs, outputs, task)) > _MOST_SCORES:
            break
        batch = drawn(size, inputs, task)
        first = _timings(model, batch, 0.0)[0]
        timings = [first] if first > _TOO_SLOW else _timings(model, batch, _THROUGHPUT_SECONDS)
        best = max(best, size / _quantile(timings, 0.5))
        if first > _TOO_SLOW:
            break
    return best


def _timings(model: nn.Module, batch: Example, seconds: float) -> list[float]:
    """Time calls for so many seconds, but at least a few and not needlessly many."""
    timings: list[float] = []
    end = time.perf_counter() + seconds
    while not timings or (
        len(timings) < _MOST_CALLS and (time.perf_counter() < end or _few(timings, seconds))
    ):
        began = time.perf_counter()
        model(*batch)
        timings.append(time.perf_counter() - began)
    return timings


def _few(timings: list[float], seconds: float) -> bool:
    """Slow networks get three times the time to reach the least number of calls."""
    return len(timings) < _LEAST_CALLS and sum(timings) < 3 * seconds


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
