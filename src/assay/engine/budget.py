"""How long a trial may learn: seconds, steps, epochs or floating-point operations."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from assay.errors import BadArgumentError, TrialError

Unit = Literal["seconds", "steps", "epochs", "flops", "auto"]

_UNITS: dict[str, Unit] = {"s": "seconds", "steps": "steps", "epochs": "epochs", "flops": "flops"}
_FORM = re.compile(r"\s*([0-9.]+(?:e\+?[0-9]+)?)\s*([a-z]+)\s*", re.IGNORECASE)
_BACKWARD = 3  # a training step computes about three forward passes


@dataclass(frozen=True)
class Budget:
    """An amount of training that is the same for all candidates of a study."""

    amount: float
    unit: Unit

    def __str__(self) -> str:
        """Return the form that `parse_budget` reads."""
        if self.unit == "auto":
            return "auto"
        return f"{self.amount:g}{'s' if self.unit == 'seconds' else self.unit}"

    def steps(
        self, *, train_size: int, batch_size: int, step_seconds: float | None, macs: int
    ) -> int:
        """Return the optimizer steps that this budget buys, at least 1.

        Args:
            train_size: Examples in the training part.
            batch_size: Examples in one step.
            step_seconds: Of one step, processor time, from the plan. Time budgets are cut to two
                significant digits, so that the noise of one measurement seldom makes a new trial.
            macs: Multiply-accumulates of one example, forward; used by budgets of operations.

        Raises:
            TrialError: A time budget without a measured step, or operations without `macs`.
        """
        if self.unit == "steps":
            return max(1, round(self.amount))
        if self.unit == "epochs":
            return max(1, round(self.amount * max(1, train_size // batch_size)))
        if self.unit == "flops":
            return max(1, int(self.amount / self._step_flops(batch_size, macs)))
        seconds = auto_budget(train_size).amount if self.unit == "auto" else self.amount
        if not step_seconds or step_seconds <= 0:
            raise TrialError(
                f"A budget of {self} needs the time of one step, which the plan does not hold "
                f"(step_seconds={step_seconds}). Give the budget in steps or epochs."
            )
        return max(1, _two_digits(seconds / step_seconds))

    def _step_flops(self, batch_size: int, macs: int) -> int:
        if macs < 1:
            raise TrialError(
                f"A budget of {self} needs the operations of one example, which are unknown "
                f"(macs={macs}). Give the budget in steps or epochs."
            )
        return 2 * _BACKWARD * macs * batch_size


def parse_budget(text: str) -> Budget:
    """Return the budget that `text` states; "auto" is resolved by `auto_budget` in `steps`.

    Raises:
        BadArgumentError: `text` is not a positive number and a unit.

    Example:
        >>> parse_budget("20epochs")
        Budget(amount=20.0, unit='epochs')
    """
    if text.strip().lower() == "auto":
        return Budget(0.0, "auto")
    match = _FORM.fullmatch(text)
    unit = _UNITS.get(match[2].lower()) if match else None
    amount = _number(match[1]) if match else 0.0
    if unit is None or not 0 < amount < math.inf:
        raise BadArgumentError(
            "`budget` must be a positive number with a unit: 30s, 2000steps, 20epochs, 1e13flops, "
            f"or auto. Received budget={text!r}."
        )
    if unit == "steps" and amount != int(amount):
        raise BadArgumentError(f"`budget` in steps must be whole. Received budget={text!r}.")
    return Budget(amount, unit)


def auto_budget(train_size: int) -> Budget:
    """Return 2 seconds for every 1,000 training examples, between 2.5 and 60 seconds."""
    return Budget(min(60.0, max(2.5, float(round(2 * train_size / 1000)))), "seconds")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _two_digits(value: float) -> int:
    scale = 10 ** max(0, math.floor(math.log10(max(value, 1))) - 1)
    return int(value / scale) * scale
