"""How a network is computed fastest on this machine: measured once, kept, and looked up then."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from assay.canon.task import TASKS, Task
from assay.engine import files
from assay.engine.accelerator import name_of
from assay.engine.cache import cache_dir as cache_dir
from assay.engine.machine import processor, versions
from assay.engine.randomness import seeded
from assay.engine.spec import Candidate, Plan, digest
from assay.engine.tuning import Tuning
from assay.engine.ways import loops_of
from assay.errors import BadArgumentError, StoreError

_SEED = 0
_LONG = 120.0  # seconds of training; below it, compiling would cost what it could gain


def choose_plan(
    candidate: Candidate,
    *,
    task: Task,
    inputs: tuple[int, ...],
    outputs: int,
    precision: str = "auto",
    autotune: bool = True,
    threads: int = 1,
    accelerator: str = "cpu",
    duration: Callable[[float], float] | None = None,
) -> Plan:
    """Return the fastest way found to train `candidate` here, with the time of one step.

    A way other than plain fp32 is chosen only when it is at least 3 % faster, another doubling of
    the threads when it saves 10 %, compilation when it saves more than it takes. The answers are
    kept in `cache_dir()`, so that the same study repeats with the same plan.

    Args:
        candidate: Name and recipe; its digest is part of the cache's key.
        task: One of `data.dataset.TASKS`; regression stays in fp32 unless bf16 is asked for.
        inputs: Shape of one example.
        outputs: Width of the last layer.
        precision: "auto", or "fp32" or "bf16" for that and nothing else.
        autotune: False takes the plain way in the given precision (fp32 for "auto").
        threads: The most that one trial may use.
        accelerator: As `Plan` has it; nothing is compiled there.
        duration: Seconds that a trial trains for when a step takes so many; None is unknown, and
            compilation is not tried.

    Raises:
        BadArgumentError: `precision` is none of the three.
        DeviceError: There is no such accelerator.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise BadArgumentError(
            f"`precision` must be auto, fp32 or bf16. Received precision={precision!r}."
        )
    question = {
        "candidate": [candidate.name, candidate.digest, candidate.tune],
        "recipe": asdict(candidate.recipe),
        "data": [task, list(inputs), outputs],
        "how": [precision, autotune, threads],
        "machine": [versions(), processor(), name_of(accelerator)],
    }

    def tuning() -> Tuning:
        return Tuning(candidate, task=task, inputs=inputs, outputs=outputs, accelerator=accelerator)

    def measured() -> tuple[Plan, dict[str, Any]]:
        contest = tuning()
        plan = contest.fastest(precision, autotune=autotune)
        if autotune and threads > 1:
            plan = contest.threaded(plan, threads)
        return plan, {"seconds": contest.seen}

    def compiled() -> tuple[Plan, dict[str, Any]]:
        faster, took = tuning().compiled(plan)
        return faster, {"compiling": took}

    plan, _ = _known(question, measured)
    if plan.loops:  # a compiler may have come or gone since
        plan = replace(plan, loops=loops_of(tuning().model))
    planned = duration(plan.step_seconds or 0.0) if duration else 0.0
    short = planned < _LONG
    if not autotune or short or accelerator != "cpu" or TASKS[task].reads == "tokens":
        return plan  # batches of tokens are as long as their longest text: compiled again and again
    with suppress(RuntimeError):  # no compiler for C++, or one that cannot cope
        faster, facts = _known({**question, "compiled": asdict(plan)}, compiled)
        saved = 1 - (faster.step_seconds or 0.0) / (plan.step_seconds or 1.0)
        if saved * planned > facts["compiling"]:
            return faster
    return plan


def _known(
    question: Mapping[str, Any], measure: Callable[[], tuple[Plan, dict[str, Any]]]
) -> tuple[Plan, Mapping[str, Any]]:
    """Return the answer that is kept for a question, or measure it and keep it."""
    path = cache_dir() / "plans" / f"{digest(question)[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        facts = json.loads(path.read_text(encoding="utf-8"))
        layers = tuple(facts["plan"]["fp32_layers"])
        return Plan(**{**facts["plan"], "fp32_layers": layers}), facts
    with seeded(_SEED, threads=1):
        plan, facts = measure()
    with suppress(StoreError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, {"plan": asdict(plan), **facts, "for": question})
    return plan, facts
