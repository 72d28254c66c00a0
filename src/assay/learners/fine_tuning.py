"""Which layers of a network with published weights learn, and when."""

from __future__ import annotations

from typing import Literal

from torch import nn

from assay.engine.spec import Candidate
from assay.models.start import head_of

BODY_RATE = 0.1  # of the head's learning rate: what has learned already moves little
PARTS = 4  # into which gradual fine-tuning divides the layers before the head
Mode = Literal["full", "head", "frozen", "gradual"]


def fine_tuning(candidate: Candidate, model: nn.Module, *, steps: int | None) -> FineTuning | None:
    """Return what governs a candidate's fine-tuning; None for one that starts at random.

    Args:
        candidate: Its mode and weights.
        model: Built for it.
        steps: Of the whole run; None counts every layer that will ever learn, for timing.
    """
    if not candidate.tune:
        return None
    mode: Mode = "full" if steps is None and candidate.tune == "gradual" else candidate.tune
    return FineTuning(model, mode=mode, head=head_of(model, candidate.weights), steps=steps or 1)


class FineTuning:
    """Freezes and thaws the layers before the head.

    "full" leaves all free; "head" frees the head alone, while normalisations follow the data;
    "frozen" keeps those and every chance in the body still as well, so that the head learns on
    fixed features; "gradual" begins with the head and adds a quarter of the rest, in the order of
    the network and the last first, with each fifth of the run.

    Args:
        model: Whose parameters are frozen, in place.
        mode: One of the four.
        head: Names of the parameters that are new.
        steps: Of the whole run.

    Source:
        Howard and Ruder, 2018, https://arxiv.org/abs/1801.06146, section 3.3: gradual unfreezing.
    """

    def __init__(self, model: nn.Module, *, mode: Mode, head: frozenset[str], steps: int) -> None:
        self._model, self._mode, self._head, self._steps = model, mode, head, steps
        self._body = [(n, p) for n, p in model.named_parameters() if n not in head]
        self._thawed = PARTS
        if mode in ("head", "frozen"):
            self._thaw(0)

    @property
    def body(self) -> frozenset[str]:
        """Names of the parameters that learn slowly."""
        return frozenset(name for name, _ in self._body)

    def train(self) -> None:
        """Set the model to training, but for what is to stay as it is."""
        self._model.train()
        if self._mode == "frozen":
            for name, module in self._model.named_modules():
                prefix = f"{name}." if name else ""
                module.training = any(own.startswith(prefix) for own in self._head)

    def advance(self, taken: int) -> None:
        """Thaw what is due after so many steps."""
        if self._mode == "gradual":
            due = min(PARTS, taken * (PARTS + 1) // self._steps)
            if due != self._thawed:
                self._thaw(due)

    def _thaw(self, parts: int) -> None:
        """Let the last `parts` of the body learn, and no other of it."""
        self._thawed = parts
        frozen = len(self._body) * (PARTS - parts) // PARTS
        for i, (_, parameter) in enumerate(self._body):
            parameter.requires_grad_(i >= frozen)
