"""What `learn.c` does, for machines without a C compiler: many examples at once, in torch.

Each batch adds up the changes of its examples, where the compiled loop applies them one by one.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.embeddings.vocabulary import Floats, Ids, Tree
from assay.embeddings.windows import NONE, Examples, Step

BATCH = 256  # examples whose changes are added up


def learn_examples(
    vectors: Floats,
    outputs: Floats,
    examples: Examples,
    step: Step,
    told: tuple[Ids, Floats],
) -> None:
    """Change the tables in place so that the inputs tell the targets better.

    Args:
        vectors: (rows, d).
        outputs: (rows, d).
        examples: Their inputs are rows of `vectors`.
        step: Of how much, and what.
        told: For each example the rows of `outputs` that it is scored against, `NONE` for none,
            and the answers, 1 or 0: two arrays (m, n).
    """
    tables = torch.from_numpy(vectors), torch.from_numpy(outputs)
    rows, wanted = (torch.from_numpy(part) for part in told)
    inputs = torch.from_numpy(examples.inputs)
    for given, row, want in zip(
        *(torch.split(part, BATCH) for part in (inputs, rows, wanted)), strict=True
    ):
        _learn_batch(*tables, given.long(), row.long(), want, step)


def _learn_batch(
    vectors: Tensor,
    outputs: Tensor,
    given: Tensor,
    rows: Tensor,
    wanted: Tensor,
    step: Step,
) -> None:
    there, scored = given != NONE, rows != NONE
    taken = vectors[given.clamp_min(0)] * there[..., None]  # (b, width, d)
    hidden = taken.sum(1) / there.sum(1, keepdim=True).clamp_min(1)  # (b, d)
    against = outputs[rows.clamp_min(0)]  # (b, n, d)
    scores = (against @ hidden[..., None]).squeeze(-1)
    steps = (wanted - scores.sigmoid()) * step.rate * scored  # (b, n)
    change = (steps[:, None] @ against).expand(-1, given.shape[1], -1)  # (b, width, d)
    if step.learn_outputs:
        to_rows = steps[..., None] * hidden[:, None]
        outputs.index_add_(0, rows[scored], to_rows[scored])
    learning = there & (given >= step.frozen)
    vectors.index_add_(0, given[learning], change[learning])


def noise_answers(
    targets: Ids, negative: int, keep: Floats, other: Ids, rng: np.random.Generator
) -> tuple[Ids, Floats]:
    """Return each target with `negative` noise words, and the answers 1, 0, 0, ...

    Args:
        targets: (m,).
        negative: Noise words of each.
        keep: Of `vocabulary.alias_table`.
        other: The same.
        rng: Draws them.
    """
    drawn = rng.integers(0, len(keep), (len(targets), negative), np.int32)
    noise = np.where(rng.random(drawn.shape, np.float32) < keep[drawn], drawn, other[drawn])
    noise[noise == targets[:, None]] = NONE
    rows = np.concatenate([targets[:, None], noise], axis=1).astype(np.int32)
    return rows, _answers(rows.shape)


def tree_answers(targets: Ids, tree: Tree) -> tuple[Ids, Floats]:
    """Return the inner nodes on the way to each target, and 1 where the way turns to 0.

    Args:
        targets: (m,).
        tree: Of `vocabulary.huffman`.
    """
    begins, lengths = tree.starts[targets], np.diff(tree.starts)[targets]
    steps = np.arange(lengths.max(initial=0))
    inside = steps < lengths[:, None]
    at = np.where(inside, begins[:, None] + steps, 0)
    rows = np.where(inside, tree.nodes[at], NONE).astype(np.int32)
    return rows, (1 - tree.turns[at]).astype(np.float32)


def learn_counts(
    tables: tuple[Floats, ...],
    past: tuple[Floats, ...],
    pairs: tuple[Ids, Ids],
    logs: Floats,
    weights: Floats,
    rate: float,
) -> float:
    """Change GloVe's tables in place; return the loss before the steps.

    Args:
        tables: Of words and contexts, (V, d + 1), the bias last.
        past: Sums of squared gradients, of the same shapes.
        pairs: Words and contexts that occur together, (n,) each.
        logs: Of how often they do.
        weights: Of each pair.
        rate: Step size.
    """
    loss = 0.0
    words, contexts = (torch.from_numpy(part) for part in tables)
    past_words, past_contexts = (torch.from_numpy(part) for part in past)
    entries = (torch.from_numpy(part) for part in (*pairs, logs, weights))
    for first, second, log, weight in zip(*(torch.split(e, BATCH) for e in entries), strict=True):
        loss += _count_step(
            words,
            contexts,
            past_words,
            past_contexts,
            first.long(),
            second.long(),
            log,
            weight,
            rate,
        )
    return loss


def _count_step(
    words: Tensor,
    contexts: Tensor,
    past_words: Tensor,
    past_contexts: Tensor,
    first: Tensor,
    second: Tensor,
    logs: Tensor,
    weights: Tensor,
    rate: float,
) -> float:
    v, u = words[first], contexts[second]  # (b, d + 1)
    errors = (v[:, :-1] * u[:, :-1]).sum(1) + v[:, -1] + u[:, -1] - logs
    slopes = (weights * errors)[:, None]
    one = torch.ones_like(slopes)
    for table, past, row, gradient in (
        (words, past_words, first, slopes * torch.cat([u[:, :-1], one], 1)),
        (contexts, past_contexts, second, slopes * torch.cat([v[:, :-1], one], 1)),
    ):
        table.index_add_(0, row, -rate * gradient / past[row].sqrt())
        past.index_add_(0, row, gradient.square())
    return 0.5 * (slopes[:, 0] * errors).sum().item()


def _answers(shape: tuple[int, ...]) -> NDArray[np.float32]:
    answers = np.zeros(shape, np.float32)
    answers[:, 0] = 1
    return answers
