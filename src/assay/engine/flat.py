"""How large one example is to a classical opponent: small enough to be flattened."""

from __future__ import annotations

SIDE = 32  # pixels; larger images are averaged down
VALUES = 4096  # of one sequence; longer ones are averaged over time


def flat_shape(inputs: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that an example is averaged down to: that of `inputs` where it is small."""
    if len(inputs) == 3:
        channels, height, width = inputs
        return channels, min(height, SIDE), min(width, SIDE)
    if len(inputs) == 2:
        steps, features = inputs
        return min(steps, max(1, VALUES // features)), features
    return inputs
