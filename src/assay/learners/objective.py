"""What a network is asked, batch by batch, and how its answers are scored: one class per form.

What is kept of a held-out example is small: its scores where it has one answer, sums over its
tokens where it has many (`assay.metrics.tokens.COLUMNS`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.generation import Generative
from assay.canon.task import TASKS, Task
from assay.data.target import spread
from assay.data.tokenizer import Tokenizer
from assay.data.tokens import BEGIN, NOT_SCORED, PAD
from assay.decoding import Uncached, decode, greedy
from assay.learners.masking import (
    exchange_second,
    leave,
    mask,
    mask_by_example,
    swap_sentences,
)
from assay.metrics.spans import count_spans
from assay.metrics.text import count_texts
from assay.metrics.tokens import count_tokens

Arguments = tuple[Tensor, ...]  # what a network is called with


class Objective(Protocol):
    """One form of question.

    Attributes:
        training_method: Of the network, by which it is asked in training.
    """

    training_method: str

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Tensor]:
        """Return what the network gets and the truth to score, from a batch as it is stored."""
        ...

    def weight(self, x: Tensor, y: Tensor) -> int:
        """Return of how many answers the loss of a stored batch is the mean."""
        ...

    def loss(self, outputs: Tensor, y: Tensor, *, smoothing: float) -> Tensor:
        """Return the mean loss of a batch."""
        ...

    def keep(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return what is needed of the outputs to a batch, (B, ...)."""
        ...

    def finish(self, model: nn.Module, given: Arguments, truth: Tensor, kept: Tensor) -> Tensor:
        """Return what was kept of a batch, with what is only found out once, at the end."""
        ...

    def score(self, kept: Tensor, y: Tensor) -> tuple[float, float]:
        """Return the loss without smoothing, and a score of at most 1; higher is better."""
        ...

    def answers(self, kept: Tensor) -> np.ndarray:
        """Return what the outcome of a trial holds of what was kept."""
        ...


class _Plain:
    """What most objectives share."""

    training_method = "forward"

    def weight(self, x: Tensor, y: Tensor) -> int:
        """Return the number of examples."""
        del x
        return len(y)

    def finish(self, model: nn.Module, given: Arguments, truth: Tensor, kept: Tensor) -> Tensor:
        """Return what was kept: there is nothing more to find out."""
        del model, given, truth
        return kept


class Labels(_Plain):
    """One of K classes; the network returns logits (B, K). The score is the accuracy."""

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Tensor]:
        """Return the batch as it is; tokens as int64."""
        del training
        return (_trimmed(x).long() if x.dtype == torch.int32 else x,), y

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


class Values(_Plain):
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


class Tokens(_Plain):
    """A choice for each token; the network returns logits (B, T, K).

    The score is exp(-loss): the probability that a true token is given, their geometric mean.
    """

    def weight(self, x: Tensor, y: Tensor) -> int:
        """Return the number of tokens that are scored."""
        del x
        return int((y != NOT_SCORED).sum())

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Tensor]:
        """Return tokens and labels as int64."""
        del training
        tokens = _trimmed(x)
        return (tokens.long(),), y[:, : tokens.shape[1]].long()

    def loss(self, outputs: Tensor, y: Tensor, *, smoothing: float) -> Tensor:
        """Return the mean cross-entropy of the tokens that are scored, never smoothed."""
        del smoothing
        return _mean_loss(outputs, y)

    def keep(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the columns nats, right and tokens of each example, (B, 3)."""
        return count_tokens(outputs, y)

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
        counted = count_spans(outputs.argmax(2).cpu().numpy(), y.cpu().numpy(), self._classes)
        return torch.cat([super().keep(outputs, y).cpu(), torch.from_numpy(counted).float()], dim=1)


class TextToText(Tokens):
    """The tokens of an answer to a source; the network is called with both.

    Each token of the answer is predicted from those before it, the true ones. At the end the
    network writes answers of its own, the likeliest token each time, and they are counted too.

    Args:
        tokenizer: Turns tokens into text; None leaves the own answers out.
        most: Tokens of an own answer, whatever the true ones beside it have; as many as the
            longest of these if not given.
    """

    def __init__(self, tokenizer: Tokenizer | None, most: int | None = None) -> None:
        self._tokenizer, self._most = tokenizer, most

    def weight(self, x: Tensor, y: Tensor) -> int:
        """Return the number of tokens of the true answers."""
        del x
        return int((y != PAD).sum())

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Tensor]:
        """Return the source, the answer one place to the right, and the answer."""
        del training
        truth = _trimmed(y).long()
        begin = torch.full_like(truth[:, :1], BEGIN)
        given = torch.cat([begin, truth[:, :-1]], dim=1)
        return (_trimmed(x).long(), given), truth.masked_fill(truth == PAD, NOT_SCORED)

    def loss(self, outputs: Tensor, y: Tensor, *, smoothing: float) -> Tensor:
        """Return the mean cross-entropy of a token."""
        return _mean_loss(outputs, y, smoothing)

    def finish(self, model: nn.Module, given: Arguments, truth: Tensor, kept: Tensor) -> Tensor:
        """Return the columns of `kept`, then those of the texts that the network writes."""
        if self._tokenizer is None:
            return kept
        begin = torch.full((len(truth), 1), BEGIN, device=truth.device)
        writer = model if isinstance(model, Generative) else Uncached(model)
        most = self._most or truth.shape[1]
        written = decode(writer, begin, most=most, choose=greedy, source=given[0])
        said, meant = (
            [self._tokenizer.decode(row) for row in rows.tolist()]
            for rows in (written, truth.masked_fill(truth == NOT_SCORED, PAD))
        )
        counted = torch.from_numpy(count_texts(said, meant)).float()
        return torch.cat([kept.cpu(), counted], dim=1)


class Masked(Tokens):
    """The tokens that were hidden; in training they are drawn anew in every batch.

    In training the network also says how two sentences belong together, where rows have two.

    Args:
        vocabulary: Tokens to choose from.
        part: What makes the pairs of sentences: `masking.exchange_second` or `swap_sentences`.
    """

    training_method = "forward_pair"

    def __init__(self, vocabulary: int, part: Callable[[Tensor], tuple[Tensor, Tensor]]) -> None:
        self._vocabulary, self._part = vocabulary, part

    def weight(self, x: Tensor, y: Tensor) -> int:
        """Return the number of tokens, of which each example has the same share hidden."""
        del y
        return int((x != PAD).sum())

    def ask(self, x: Tensor, y: Tensor, *, training: bool) -> tuple[Arguments, Any]:
        """Return the rows with hidden tokens, and what they were (in training: and the pairs).

        What is hidden is drawn on the processor, row by row.
        """
        del y
        tokens = _trimmed(x.cpu()).long()
        if not training:
            masked, labels = mask_by_example(tokens, self._vocabulary)
            return (masked.to(x.device),), labels.to(x.device)
        rows, pairs = self._part(tokens)
        masked, labels = mask(rows, self._vocabulary)
        return (masked.to(x.device),), (labels.to(x.device), pairs.to(x.device))

    def loss(self, outputs: Any, y: Any, *, smoothing: float) -> Tensor:
        """Return the cross-entropy of the hidden tokens, in training plus that of the pairs."""
        if isinstance(y, Tensor):
            return super().loss(outputs, y, smoothing=smoothing)
        if isinstance(outputs, Tensor):  # a network that says nothing of pairs
            return super().loss(outputs, y[0], smoothing=smoothing)
        (tokens, pairs), (labels, belong) = outputs, y
        found = super().loss(tokens.float(), labels, smoothing=smoothing)
        if (belong != NOT_SCORED).any():
            found = found + F.cross_entropy(pairs.float(), belong, ignore_index=NOT_SCORED)
        return found


_PAIRS = {"next": exchange_second, "order": swap_sentences}  # asked of two sentences


def objective_for(
    task: Task,
    *,
    classes: tuple[str, ...],
    outputs: int,
    y: np.ndarray | None = None,
    tokenizer: Tokenizer | None = None,
    model: nn.Module | None = None,
) -> Objective:
    """Return the objective of a task.

    Args:
        task: Of the data.
        classes: Names of the labels, where there are any.
        outputs: Width of the network's answer.
        y: The training part's targets, which say on what scale values are learned, and how long
            an answer may be; None is for targets of mean 0 and deviation 1.
        tokenizer: Of the text, where a network writes some.
        model: Which says what its pairs of sentences are, where it learns from some.
    """
    answers = TASKS[task].answers
    if answers == "label":
        return Labels()
    if answers in ("value", "values"):
        mean, deviation = (0.0, 1.0) if y is None else spread(y)
        return Values(mean, deviation, several=answers == "values")
    if answers == "labels":
        return Tags(classes)
    if task == "masked-language-modeling":
        pairs = "next" if model is None else getattr(model, "pairs", "")
        return Masked(outputs, _PAIRS.get(pairs, leave))
    if task == "text-to-text":
        return TextToText(tokenizer, None if y is None else y.shape[1])
    return Tokens()


def _mean_loss(outputs: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of the tokens that are scored; 0 where none is."""
    total = F.cross_entropy(
        outputs.flatten(0, 1),
        y.flatten(),
        ignore_index=NOT_SCORED,
        label_smoothing=smoothing,
        reduction="sum",
    )
    return total / (y != NOT_SCORED).sum().clamp(min=1)


def _trimmed(tokens: Tensor) -> Tensor:
    """Return tokens (B, T) without the columns at the end that are padding in every row."""
    real = (tokens != PAD).any(dim=0).nonzero()
    return tokens[:, : int(real[-1]) + 1] if len(real) else tokens[:, :1]


def _r2(predicted: Tensor, truth: Tensor) -> float:
    spread = (truth - truth.mean()).square().sum().item()
    return 1.0 - (predicted - truth).square().sum().item() / spread if spread > 0 else 0.0
