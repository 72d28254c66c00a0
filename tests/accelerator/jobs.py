"""What the tests of this folder do in processes of their own, where torch knows a second device.

`python jobs.py DEVICE JOB WORDS...` writes the job's answer as JSON. DEVICE is "pretended", or
"cuda" where there is a card.
"""

import json
import os
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pretended import NAME, pretended_device, register

from assay.canon.card import Architecture, Variant
from assay.canon.catalog import catalog
from assay.canon.task import TASKS, Task
from assay.engine.spec import Plan, Recipe
from assay.engine.ways import apply_plan
from assay.learners.objective import objective_for
from assay.learners.supervised import Supervised
from assay.models.example import drawn, drawn_truth
from assay.models.foreign import build_any

DEVICE = sys.argv[1]


def known(accelerator: str) -> AbstractContextManager[Any]:
    """Return what has torch take tensors to a device."""
    return pretended_device() if accelerator == NAME else nullcontext()


def networks(*ids: str) -> dict[str, Any]:
    """Return of each card and task the losses of a step and of evaluations around it, both ways."""
    found = {}
    for card in catalog().architectures:
        if card.id in ids:
            for task in card.tasks if card.input.kind != "image" else card.tasks[:1]:
                found[f"{card.id} {task}"] = _both(card, task)
    return found


def smallest(card: Architecture) -> Variant:
    proposed = (variant for variant in card.variants if variant.default)
    return next(proposed, min(card.variants, key=lambda variant: variant.macs))


def _both(card: Architecture, task: Task) -> Any:
    here = _losses(card, task, "cpu")
    try:
        with known(DEVICE):
            return here, _losses(card, task, DEVICE)
    except Exception as error:  # noqa: BLE001 - the test tells it
        return here, f"{type(error).__name__}: {error}"


def _losses(card: Architecture, task: Task, accelerator: str) -> list[float]:
    torch.manual_seed(0)
    inputs, outputs = _shapes(card, task)
    model = build_any(smallest(card).name, inputs, outputs, task)
    x, y = drawn(4, inputs, task)[0], drawn_truth(4, inputs, outputs, task)
    if callable(getattr(model, "initialize", None)):
        with torch.no_grad():
            model.initialize(drawn(64, inputs, task)[0])
    plan = Plan(accelerator=accelerator)
    classes = tuple(map(str, range(outputs)))
    learner = Supervised(
        apply_plan(model, plan).to(accelerator),
        recipe=Recipe(clip=1.0),
        plan=plan,
        steps=10,
        objective=objective_for(task, classes=classes, outputs=outputs, model=model),
    )
    torch.manual_seed(1)
    there = x.to(accelerator)
    before = learner.evaluate([there], y)[0]
    loss = learner.step(there, y.to(accelerator)).item()
    return [before, loss, learner.evaluate([there], y)[0]]


def _shapes(card: Architecture, task: Task) -> tuple[tuple[int, ...], int]:
    facts = TASKS[task]
    if facts.reads == "tokens":
        return (16, 50), 5 if facts.answers in ("label", "labels") else 50
    native = card.native(smallest(card))
    inputs = (3, 32, 32) if len(native) == 3 else native
    return inputs, {"value": 1, "values": 3}.get(facts.answers, 10)


def narrowed() -> dict[str, Any]:
    """Return what a network's first layer answers in, by a plan of each precision."""
    found = {}
    with known(DEVICE):
        for precision in ("fp32", "bf16"):
            model = build_any("lenet5", (1, 28, 28), 10, "image-classification")
            seen: list[str] = []
            first = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
            first.register_forward_hook(lambda m, i, o, seen=seen: seen.append(str(o.dtype)))
            plan = Plan(accelerator=DEVICE, precision=precision)
            learner = Supervised(model.to(DEVICE), recipe=Recipe(), plan=plan, steps=9)
            x = torch.randn(4, 1, 28, 28, device=DEVICE)
            learner.step(x, torch.zeros(4, dtype=torch.int64, device=DEVICE))
            found[precision] = seen[0]
    return found


def trials(name: str) -> dict[str, Any]:
    """Return how trials go on both devices: alone, stopped and resumed, and three as one stack."""
    return {"here": _trials(name, "cpu"), "there": _trials(name, DEVICE)}


def _trials(name: str, accelerator: str) -> dict[str, Any]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
    from trials import make_dataset, make_spec

    from assay.engine.stacked_trial import run_stack
    from assay.engine.trial import run_trial
    from assay.errors import Interrupted

    data = make_dataset("image")
    plan = Plan(accelerator=accelerator)
    specs = [make_spec(name, data, plan=plan, seed=seed, augment="shift") for seed in range(3)]
    folder, calls = Path(tempfile.mkdtemp()), iter(range(99))
    with known(accelerator):
        alone = [run_trial(s, data, folder / f"alone{s.seed}") for s in specs]
        try:
            run_trial(specs[0], data, folder / "resumed", stop=lambda: next(calls) > 20)
        except Interrupted as error:
            stopped = str(error)
        resumed = run_trial(specs[0], data, folder / "resumed")
        stack = run_stack(specs, data, [folder / f"stacked{s.seed}" for s in specs])
    return {
        "stopped": stopped,
        "resumed": asdict(resumed),
        "alone": [asdict(record) for record in alone],
        "stack": [asdict(record) for record in stack],
    }


def study(data: str, models: str, *options: str) -> dict[str, Any]:
    """Return the scores of a study of twelve steps a trial, whose workers know the device."""
    from functools import partial

    from assay.compare import campaign, request
    from assay.compare.study import Study

    if DEVICE == NAME:
        request.ACCELERATORS = ("cpu", NAME)
        campaign.Pool = partial(campaign.Pool, options=("--handlers", "device_handlers"))
    found = {}
    for place, accelerator in (("here", "cpu"), ("there", DEVICE)):
        asked = dict(option.split("=") for option in options)
        result = Study(
            data, models=models.split(","), accelerator=accelerator, seeds=2, budget="12steps",
            baselines=False, store=tempfile.mkdtemp(), **asked,
        ).run()  # fmt: skip
        found[place] = {
            "machine": result.machine["processor"],
            "failures": [s.reason for c in result.candidates for s in c.seeds if s.reason],
            "metrics": {c.name: dict(c.metrics) for c in result.candidates},
            "cost": {c.name: c.cost is not None for c in result.candidates},
        }
    return found


if __name__ == "__main__":
    register()
    job, *words = sys.argv[2:]
    sys.stdout.write(json.dumps(globals()[job](*words)) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the device's thread would be in the way
