"""What BERT and ALBERT learn from plain text: hidden tokens, and what becomes of two sentences.

All draw from torch's default generator where none is given. Rows are `<s> a </s>`, or
`<s> a </s> b </s>` where there are two sentences, padded on the right.

Source: Devlin et al., 2019, https://arxiv.org/abs/1810.04805, section 3.1 and appendix A.1; Lan et
al., 2020, https://arxiv.org/abs/1909.11942, section 3.1, for the order of sentences.
"""

from __future__ import annotations

import zlib

import torch
from torch import Generator, Tensor

from assay.data.tokens import BEGIN, END, MASK, NOT_SCORED, PAD
from assay.errors import BadArgumentError

SHARE = 0.15  # of a row's tokens that are asked for
HIDDEN, REPLACED = 0.8, 0.1  # of these; the rest stay as they are
FOLLOWS, FOREIGN = 0, 1  # labels of `exchange_second`
IN_ORDER, SWAPPED = 0, 1  # labels of `swap_sentences`


def mask(
    tokens: Tensor, vocabulary: int, generator: Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return rows with 15 % of their tokens hidden, at least one each, and what stood there.

    Of the chosen, 80 % become `<mask>`, 10 % any ordinary token and 10 % stay. Padding, the begin
    and the end are never chosen.

    Args:
        tokens: int64 (B, T).
        vocabulary: Number of tokens, the five special ones included.
        generator: To draw from.

    Returns:
        The rows (B, T), and the labels (B, T): the token where it was chosen, else -100.

    Raises:
        BadArgumentError: The vocabulary has no ordinary token.
    """
    _check_vocabulary(vocabulary)
    chosen = _chosen(tokens, generator)
    kind = torch.rand(tokens.shape, generator=generator)
    hidden = chosen & (kind < HIDDEN)
    replaced = chosen & (kind >= HIDDEN) & (kind < HIDDEN + REPLACED)
    others = torch.randint(MASK + 1, vocabulary, tokens.shape, generator=generator)
    masked = torch.where(replaced, others, tokens).masked_fill(hidden, MASK)
    return masked, tokens.masked_fill(~chosen, NOT_SCORED)


def mask_by_example(tokens: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Return what `mask` returns, the same for a row in whatever batch it stands.

    Args:
        tokens: int64 (B, T).
        vocabulary: Number of tokens, the five special ones included.

    Raises:
        BadArgumentError: The vocabulary has no ordinary token.
    """
    _check_vocabulary(vocabulary)
    masked, labels = tokens.clone(), torch.full_like(tokens, NOT_SCORED)
    for row, length in enumerate((tokens != PAD).sum(1).tolist()):
        real = tokens[row : row + 1, :length]
        answer = mask(real, vocabulary, Generator().manual_seed(_hash(real)))
        masked[row, :length], labels[row, :length] = answer[0][0], answer[1][0]
    return masked, labels


def leave(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows as they are, and of each (-100) that nothing is asked of its sentences.

    Args:
        tokens: int64 (B, T).
    """
    return tokens, torch.full((len(tokens),), NOT_SCORED)


def exchange_second(tokens: Tensor, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
    """Return rows of which half have the second sentence of another row, and which these are.

    The next-sentence task of BERT. Rows that become too long lose the end of the second sentence.

    Args:
        tokens: int64 (B, T).
        generator: To draw from.

    Returns:
        The rows (B, T), and the labels (B,): 0 where the second sentence follows the first, 1
        where it is from elsewhere, -100 where there are no two sentences.
    """
    rows = has_two(tokens).nonzero().flatten()
    labels = torch.full((len(tokens),), NOT_SCORED).index_fill(0, rows, FOLLOWS)
    result = tokens.clone()
    if len(rows) < 2:  # no other row to take from
        return result, labels
    order = torch.randperm(len(rows), generator=generator)
    taken = rows[order[: (len(rows) + 1) // 2]]
    givers = rows[order.roll(1)[: len(taken)]]
    for row, giver in zip(taken.tolist(), givers.tolist(), strict=True):
        first, _ = _sentences(tokens[row])
        _, second = _sentences(tokens[giver])
        result[row] = _joined(first, second, tokens.shape[1])
        labels[row] = FOREIGN
    return result, labels


def swap_sentences(tokens: Tensor, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
    """Return rows of which about half have their two sentences swapped, and which these are.

    The sentence-order task of ALBERT.

    Args:
        tokens: int64 (B, T).
        generator: To draw from.

    Returns:
        The rows (B, T), and the labels (B,): 0 in order, 1 swapped, -100 where there are no two
        sentences.
    """
    two = has_two(tokens)
    swapped = two & (torch.rand(len(tokens), generator=generator) < 0.5)
    result = tokens.clone()
    for row in swapped.nonzero().flatten().tolist():
        first, second = _sentences(tokens[row])
        result[row] = _joined(second, first, tokens.shape[1])
    return result, torch.where(two, swapped.long(), NOT_SCORED)


def has_two(tokens: Tensor) -> Tensor:
    """Return which rows hold two sentences: a second end somewhere. (B, T) -> (B,) bool."""
    return (tokens == END).sum(1) >= 2


def _chosen(tokens: Tensor, generator: Generator | None) -> Tensor:
    """Return the places that are asked for. (B, T) -> (B, T) bool."""
    open_places = (tokens != PAD) & (tokens != BEGIN) & (tokens != END)
    number = (open_places.sum(1, keepdim=True) * SHARE).round().clamp(min=1)
    lot = torch.rand(tokens.shape, generator=generator).masked_fill(~open_places, 2.0)
    return (lot.argsort(1).argsort(1) < number) & open_places


def _sentences(row: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two sentences of a row without begin and ends."""
    first_end, *_, last_end = (row == END).nonzero().flatten().tolist()
    begin = int(row[0] == BEGIN)
    return row[begin:first_end], row[first_end + 1 : last_end]


def _joined(first: Tensor, second: Tensor, length: int) -> Tensor:
    """Return a row of two sentences, padded or cut to `length`; it keeps both ends."""
    room = length - 3
    first = first[:room]
    parts = (_one(BEGIN), first, _one(END), second[: room - len(first)], _one(END))
    row = torch.cat([part.to(first) for part in parts])
    return torch.cat([row, row.new_full((length - len(row),), PAD)])


def _one(token: int) -> Tensor:
    return torch.tensor([token])


def _hash(row: Tensor) -> int:
    return zlib.crc32(row.numpy().tobytes())


def _check_vocabulary(vocabulary: int) -> None:
    if vocabulary <= MASK + 1:
        raise BadArgumentError(
            f"A vocabulary must have a token beside the {MASK + 1} special ones to be masked. "
            f"Received vocabulary={vocabulary}; train the tokenizer on more text."
        )
