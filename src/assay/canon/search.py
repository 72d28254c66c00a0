"""What fair tuning may vary: the knobs of a recipe, their limits, the space around a default."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.canon.card import Range
from assay.canon.task import TASKS, Task
from assay.engine.spec import Recipe

DECADE = 10.0  # the generic space reaches so many times up and down, on a logarithmic scale


@dataclass(frozen=True)
class Knob:
    """The values that one field of a recipe may take at all, both ends included."""

    least: float
    most: float


KNOBS: Mapping[str, Knob] = {  # in the order in which they are shown
    "lr": Knob(1e-7, 10.0),
    "batch_size": Knob(1, 2**20),
    "weight_decay": Knob(0.0, 10.0),
    "label_smoothing": Knob(0.0, 0.9),
    "reach": Knob(0.0, 0.5),
    "warmup": Knob(0.0, 0.9),
    "clip": Knob(1e-3, 1e3),
    "momentum": Knob(0.0, 0.999),
}


def value_of(recipe: Recipe, knob: str) -> float | None:
    """Return where a recipe has a knob; None where it does not use it, such as clipping."""
    if knob == "reach":
        return recipe.reach if recipe.augment == "shift" else 0.0
    value: float | None = getattr(recipe, knob)
    return value


def generic_space(recipe: Recipe) -> dict[str, Range]:
    """Return the space of a network whose card declares none, around its recipe.

    Learning rate and weight decay reach a decade up and down, the batch from half to double its
    size, label smoothing from none to 0.2, and shifts from none to a quarter of the image.
    """
    size, decay = recipe.batch_size, recipe.weight_decay
    half = size / 2 if size % 2 == 0 else size
    return {
        "lr": _decades(recipe.lr),
        "batch_size": Range(default=size, low=half, high=size * 2, log=True),
        "weight_decay": _decades(decay) if decay else Range(default=0.0, low=0.0, high=0.1),
        "label_smoothing": _from_none(recipe.label_smoothing, 0.2),
        "reach": _from_none(value_of(recipe, "reach") or 0.0, 0.25),
    }


def space(
    declared: Mapping[str, Range],
    recipe: Recipe,
    *,
    task: Task,
    inputs: tuple[int, ...],
    train_size: int | None = None,
) -> dict[str, Range]:
    """Return the ranges in which one candidate is tuned on one data set.

    What the card declares comes before the generic range of the same knob. Left out are knobs that
    would change nothing here: those that are `idle`, and batches larger than the training part.

    Args:
        declared: The card's `[search]`; empty for foreign networks.
        recipe: The candidate's, which is the default of every range.
        task: Of the data.
        inputs: Shape of one example.
        train_size: Examples in the training part; None is unknown, and large.
    """
    own = {name: span for name, span in declared.items() if span.default == value_of(recipe, name)}
    ranges = {**generic_space(recipe), **own}
    sizes = batch_sizes(ranges["batch_size"], math.inf if train_size is None else train_size)
    useless = set(idle(task, inputs=inputs, optimizer=recipe.optimizer))
    if recipe.batch_size in sizes and len(sizes) > 1:
        ranges["batch_size"] = Range(
            default=recipe.batch_size, low=sizes[0], high=sizes[-1], log=True
        )
    else:
        useless.add("batch_size")
    return {name: ranges[name] for name in KNOBS if name in ranges and name not in useless}


def idle(task: Task, *, inputs: tuple[int, ...], optimizer: str) -> frozenset[str]:
    """Return the fields of a recipe that change nothing.

    They are label smoothing of what is neither one label nor an answered text, shifts of what is no
    image, and what the other optimizer alone has.

    Args:
        task: Of the data.
        inputs: Shape of one example.
        optimizer: Of the recipe.
    """
    found = {"beta2", "epsilon"} if optimizer == "sgd" else {"momentum"}
    if not (TASKS[task].labels or task == "text-to-text"):
        found.add("label_smoothing")
    if len(inputs) != 3:
        found |= {"augment", "reach"}
    return frozenset(found)


def batch_sizes(span: Range, most: float = math.inf) -> list[int]:
    """Return the sizes that a range of batches holds: its default, doubled and halved."""
    sizes = (span.default * 2.0**power for power in range(-40, 41))
    inside = [size for size in sizes if span.low <= size <= min(span.high, most)]
    return [int(size) for size in inside if size == int(size)]


def fault(name: str, span: Range, recipe: Recipe) -> tuple[str, str, Any] | None:
    """Return what is wrong with a declared range: key, rule and value; None if nothing is."""
    knob, own = KNOBS[name], value_of(recipe, name)
    if not knob.least <= span.low:
        return "low", f"a number of at least {knob.least:g}", span.low
    if not span.high <= knob.most:
        return "high", f"a number of at most {knob.most:g}", span.high
    if not span.low < span.high:
        return "high", f"a number above low, {span.low:g}", span.high
    if span.log and span.low <= 0:
        return "low", "a number above 0 where log is true", span.low
    if span.default != own:
        return "default", f"the recipe's own value, {'none' if own is None else own}", span.default
    if not span.low <= span.default <= span.high:
        return "default", f"between low and high, {span.low:g} and {span.high:g}", span.default
    if name == "batch_size" and not {span.low, span.high} <= set(batch_sizes(span)):
        return (
            "",
            "sizes that double from low to high, the default among them",
            [
                span.low,
                span.default,
                span.high,
            ],
        )
    return None


def _decades(default: float) -> Range:
    return Range(default=default, low=default / DECADE, high=default * DECADE, log=True)


def _from_none(default: float, high: float) -> Range:
    return Range(default=default, low=0.0, high=max(default, high))
