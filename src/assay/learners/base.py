"""What the engine asks of anything that learns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
from torch import Tensor


class Learner(Protocol):
    """One way of learning: owns its modules and optimizer; the engine owns time and files.

    Everything that decides the next step is in `state()`; the learner draws random numbers only
    from torch's, numpy's and Python's default generators, whose states the engine keeps.
    """

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Learn from one batch and return its loss, detached; never waits for the value."""
        ...

    def evaluate(self, batches: Iterable[Tensor], y: Tensor) -> tuple[float, float]:
        """Return the loss and the score (higher is better) over `batches`, whose truth is `y`."""
        ...

    def predict(self, batches: Iterable[Tensor], y: Tensor) -> np.ndarray:
        """Return float32 answers to examples whose truth is `y`: see `engine.outcome.Answers`."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return everything that the next step depends on, by name; tensors may be live."""
        ...

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """Return the model's state dict, live."""
        ...

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite the model's state dict."""
        ...
