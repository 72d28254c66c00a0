"""What a network is asked, batch by batch, and how its answers are scored: one class per form.

What is kept of a held-out example is small: its scores where it has one answer, sums over its
tokens where it has many (`assay.metrics.tokens.COLUMNS`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from assay.canon.task import TASKS, Task
from assay.data.tokens import BEGIN, PAD
from assay.engine.target import spread

Arguments = tuple[Tensor, ...]  # what a network is called with
IGNORED = -100  # the label of a token that is not scored, as torch has it


class Objective(Protocol):
    """One form of question."""

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Tensor]:
        """Return what the network gets and the truth to score, from a batch as it is stored."""
        ...

    def loss(self, outputs: Tensor, y: Tensor, *, smoothing: float) -> Tensor:
        """Return the mean loss of a batch."""
        ...

    def keep(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return what is needed of the outputs to a batch, (B, ...)."""
        ...

    def score(self, kept: Tensor, y: Tensor) -> tuple[float, float]:
        """Return the loss without smoothing, and a score of at most 1; higher is better."""
        ...

    def answers(self, kept: Tensor) -> np.ndarray:
        """Return what the outcome of a trial holds of what was kept."""
        ...


class Labels:
    """One of K classes; the network returns logits (B, K). The score is the accuracy."""

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Tensor]:
        """Return the batch as it is; tokens as int64."""
        del training
        return (x.long() if x.dtype == torch.int32 else x,), y

    def loss(self, outputs: Tensor, y: Tensor, *, smoothing: float) -> Tensor:
        """Return the cross-entropy."""
        return F.cross_entropy(outputs, y, label_smoothing=smoothing)

    def keep(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the logits."""
        del y
        return outputs

    def score(self, kept: Tensor, y: Tensor) -> tuple[float, float]:
        """Return cross-entropy and accuracy."""
        loss = self.loss(kept, y, smoothing=0.0).item()
        return loss, (kept.argmax(1) == y).double().mean().item()

    def answers(self, kept: Tensor) -> np.ndarray:
        """Return probabilities (N, K)."""
        return kept.softmax(1).numpy()


class Values:
    """One value or several; the network returns (B, 1) or (B, H). The score is R².

    Args:
        mean: Of the target in the training part.
        deviation: Likewise; the network learns (target - mean) / deviation.
        several: Whether an example has H values.
    """

    def __init__(self, mean: float, deviation: float, *, several: bool = False) -> None:
        self.mean, self.deviation, self._several = mean, deviation, several

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Tensor]:
        """Return the batch as it is."""
        del training
        return (x,), y

    def loss(self, outputs: Tensor, y: Tensor, *, smoothing: float) -> Tensor:
        """Return the mean squared error in units of the target's deviation."""
        del smoothing
        return F.mse_loss(self._shaped(outputs), self.standard(y))

    def keep(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the outputs."""
        del y
        return outputs

    def score(self, kept: Tensor, y: Tensor) -> tuple[float, float]:
        """Return the mean squared error and R²."""
        truth = self.standard(y)
        return self.loss(kept, y, smoothing=0.0).item(), _r2(self._shaped(kept), truth)

    def answers(self, kept: Tensor) -> np.ndarray:
        """Return values in the target's own unit, (N,) or (N, H)."""
        return (self._shaped(kept) * self.deviation + self.mean).numpy()

    def standard(self, y: Tensor) -> Tensor:
        """Return the target as the network learns it."""
        return (y - self.mean) / self.deviation

    def _shaped(self, outputs: Tensor) -> Tensor:
        return outputs if self._several else outputs.squeeze(1)


class Tokens:
    """A choice for each token; the network returns logits (B, T, K).

    The score is exp(-loss): the probability that a true token is given, their geometric mean.
    """

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Tensor]:
        """Return tokens and labels as int64."""
        del training
        return (x.long(),), y.long()

    def loss(self, outputs: Tensor, y: Tensor, *, smoothing: float) -> Tensor:
        """Return the mean cross-entropy of the tokens that are scored, never smoothed."""
        del smoothing
        return F.cross_entropy(outputs.flatten(0, 1), y.flatten(), ignore_index=IGNORED)

    def keep(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the columns nats, right and tokens of each example, (B, 3)."""
        scored = y != IGNORED
        nats = F.cross_entropy(
            outputs.flatten(0, 1), y.flatten(), ignore_index=IGNORED, reduction="none"
        )
        right = (outputs.argmax(2) == y) & scored
        columns = (nats.view_as(y), right, scored)
        return torch.stack([column.sum(1, dtype=torch.float32) for column in columns], dim=1)

    def score(self, kept: Tensor, y: Tensor) -> tuple[float, float]:
        """Return the mean cross-entropy of a token, and exp of minus it."""
        del y
        nats, _, tokens = kept[:, :3].sum(0, dtype=torch.float64).tolist()
        loss = nats / max(tokens, 1.0)
        return loss, float(np.exp(-loss))

    def answers(self, kept: Tensor) -> np.ndarray:
        """Return the columns (N, C)."""
        return kept.numpy()


class Tags(Tokens):
    """A label for each token. Spans of labels are counted too.

    Args:
        classes: Names of the labels.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes

    def keep(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the columns of `Tokens`, then found, named and there, (B, 6)."""
        from assay.metrics.tokens import count_spans

        counted = count_spans(outputs.argmax(2).numpy(), y.numpy(), self._classes)
        return torch.cat([super().keep(outputs, y), torch.from_numpy(counted).float()], dim=1)


class TextToText(Tokens):
    """The tokens of an answer to a source; the network is called with both.

    Each token of the answer is predicted from those before it, the true ones.
    """

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Tensor]:
        """Return the source, the answer one place to the right, and the answer."""
        del training
        truth = y.long()
        begin = torch.full_like(truth[:, :1], BEGIN)
        given = torch.cat([begin, truth[:, :-1]], dim=1)
        return (x.long(), given), truth.masked_fill(truth == PAD, IGNORED)

    def loss(self, outputs: Tensor, y: Tensor, *, smoothing: float) -> Tensor:
        """Return the mean cross-entropy of a token."""
        return F.cross_entropy(
            outputs.flatten(0, 1), y.flatten(), ignore_index=IGNORED, label_smoothing=smoothing
        )


class Masked(Tokens):
    """The tokens that were masked; in training they are drawn anew in every batch.

    Args:
        vocabulary: Tokens to choose from.
    """

    def __init__(self, vocabulary: int) -> None:
        self._vocabulary = vocabulary

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Tensor]:
        """Return the masked tokens and the labels of those that are to be found."""
        from assay.learners.masking import mask

        del y
        tokens = x.long()
        generator = None if training else torch.Generator().manual_seed(_steady_seed(tokens))
        masked, labels = mask(tokens, self._vocabulary, generator=generator)
        return (masked,), labels


def objective_for(
    task: Task, *, classes: tuple[str, ...], outputs: int, y: np.ndarray | None = None
) -> Objective:
    """Return the objective of a task.

    Args:
        task: Of the data.
        classes: Names of the labels, where there are any.
        outputs: Width of the network's answer.
        y: The training part's targets, which say on what scale values are learned; None is for
            targets of mean 0 and deviation 1.
    """
    answers = TASKS[task].answers
    if answers == "label":
        return Labels()
    if answers in ("value", "values"):
        mean, deviation = (0.0, 1.0) if y is None else spread(y)
        return Values(mean, deviation, several=answers == "values")
    if answers == "labels":
        return Tags(classes)
    forms: Mapping[str, Any] = {
        "language-modeling": Tokens,
        "text-to-text": TextToText,
        "masked-language-modeling": lambda: Masked(outputs),
    }
    return forms[task]()


def _steady_seed(tokens: Tensor) -> int:
    """Return a number that the tokens alone decide, so that evaluations mask alike."""
    weights = torch.arange(1, tokens.numel() + 1).view_as(tokens)
    return int((tokens * weights).sum()) % 2**31


def _r2(predicted: Tensor, truth: Tensor) -> float:
    spread = (truth - truth.mean()).square().sum().item()
    return 1.0 - (predicted - truth).square().sum().item() / spread if spread > 0 else 0.0

