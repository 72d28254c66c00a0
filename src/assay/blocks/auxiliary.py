"""Classifiers in the middle of a network, whose losses count while it learns and never after.

Source: Szegedy et al., 2014, https://arxiv.org/abs/1409.4842, section 5.
"""

from typing import Protocol

from torch import Tensor


class Auxiliary(Protocol):
    """What a network that may have such classifiers offers; its forward pass leaves them out."""

    @property
    def auxiliary_weight(self) -> float:
        """What each of their losses counts for, where the head's counts 1; 0 where none can be."""
        ...

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the scores of each of them, in order, then those of the head: (B, outputs) all."""
        ...
