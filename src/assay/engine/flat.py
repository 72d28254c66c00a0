"""How large one example is to a classical opponent: small enough to be flattened."""

from __future__ import annotations

from assay.canon.task import TASKS, Task

SIDE = 32  # pixels; larger images are averaged down
VALUES = 4096  # of one sequence; longer ones are averaged over time


def flat_shape(inputs: tuple[int, ...], task: Task | None = None) -> tuple[int, ...]:
    """Return the shape that an example is averaged down to: that of `inputs` where it is small.

    Args:
        inputs: Of one example.
        task: Of the data; tokens (T, V) are counted and never averaged, which leaves (T,).
    """
    if task and TASKS[task].reads == "tokens":
        return inputs[:1]
    if len(inputs) == 3:
        channels, height, width = inputs
        return channels, min(height, SIDE), min(width, SIDE)
    if len(inputs) == 2:
        steps, features = inputs
        return min(steps, max(1, VALUES // features)), features
    return inputs
