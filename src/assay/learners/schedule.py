"""How the learning rate moves in a run, as a share of its peak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt


def one_cycle(step: int, *, steps: int, warmup: float) -> float:
    """Return the share of the peak at `step`: up in a line, down in a line.

    Args:
        step: From 0; the last one is `steps - 1`.
        steps: Of the whole run.
        warmup: Fraction of all steps before the peak, in [0, 1).
    """
    rise = warmup * steps
    up = (step + 1) / rise if rise else 1.0
    return min(up, (steps - step) / max(steps - rise, 1.0), 1.0)


def inverse_square_root(step: int, *, steps: int, warmup: float) -> float:
    """Return the share of the peak at `step`: up in a line, then down with the root of the steps.

    The peak is what Vaswani et al. set to (width · warm-up steps) ** -0.5.

    Args:
        step: From 0; the last one is `steps - 1`.
        steps: Of the whole run.
        warmup: Fraction of all steps before the peak, in [0, 1).

    Source:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, equation 3.
    """
    rise = max(warmup * steps, 1.0)
    return min((step + 1) / rise, sqrt(rise / (step + 1)))


SCHEDULES: Mapping[str, Callable[..., float]] = {
    "one-cycle": one_cycle,
    "inverse-square-root": inverse_square_root,
}
