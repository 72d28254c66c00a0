"""Made-up examples in the form that a network reads: for counting, timing and checking."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.canon.task import TASKS, Task

_FIRST_WORD = 5  # below it are padding, unknown, begin, end and mask: see `data.tokens`


def blank(count: int, inputs: tuple[int, ...], task: Task | None = None) -> tuple[Tensor, ...]:
    """Return what a network is called with: `count` examples of zeros, or of one word.

    Args:
        count: Examples.
        inputs: Shape of one, (T, V) for tokens.
        task: Of the network; None stands for one that reads vectors.
    """
    if not _tokens(task):
        return (torch.zeros(count, *inputs),)
    words = torch.full((count, inputs[0]), min(_FIRST_WORD, inputs[1] - 1))
    return (words, words.clone()) if task == "text-to-text" else (words,)


def drawn(count: int, inputs: tuple[int, ...], task: Task | None = None) -> tuple[Tensor, ...]:
    """Return what a network is called with: `count` examples of random values, or of words."""
    if not _tokens(task):
        return (torch.randn(count, *inputs),)
    length, vocabulary = inputs
    words = torch.randint(min(_FIRST_WORD, vocabulary - 1), vocabulary, (2, count, length))
    return tuple(words) if task == "text-to-text" else (words[0],)


def drawn_truth(count: int, inputs: tuple[int, ...], outputs: int, task: Task) -> Tensor:
    """Return made-up answers to `count` examples, as a prepared data set holds them."""
    answers = TASKS[task].answers
    if answers == "label":
        return torch.randint(outputs, (count,))
    if answers == "value":
        return torch.randn(count)
    if answers == "values":
        return torch.randn(count, outputs)
    return torch.randint(min(_FIRST_WORD, outputs - 1), outputs, (count, inputs[0]))


def answer_shape(
    count: int, inputs: tuple[int, ...], outputs: int, task: Task | None
) -> tuple[int, ...]:
    """Return the shape of what a network answers to `count` examples."""
    each = task is not None and TASKS[task].sums
    return (count, inputs[0], outputs) if each else (count, outputs)


def _tokens(task: Task | None) -> bool:
    return task is not None and TASKS[task].reads == "tokens"
