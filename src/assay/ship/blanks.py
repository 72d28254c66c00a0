"""Texts with blanks, written `<mask>`, and what a masked language model fills them with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assay.data.text import clean
from assay.data.tokenizer import Tokenizer, tokenizer_of
from assay.data.tokens import BEGIN, END, MASK, STRINGS
from assay.errors import DataError

BLANK = STRINGS[MASK]
BATCH = 8  # texts read together: a score for each token and each place is kept


def fill_blanks(
    texts: Sequence[str],
    preprocessing: Mapping[str, Any],
    model: nn.Module,
    *,
    names: Sequence[str] = (),
) -> list[str]:
    """Return the texts with the likeliest token in each blank, all of a text chosen at once.

    Args:
        texts: Each with a `<mask>` or several.
        preprocessing: Of tokens.
        model: (B, T) -> (B, T, V), in evaluation mode.
        names: Of the texts, for messages; they are numbered if not given.

    Raises:
        DataError: A text has no blank or is longer than those of training, or the tokenizer is
            not the model's.
    """
    tokenizer = tokenizer_of(preprocessing)
    names = names or [f"Text {at + 1}" for at in range(len(texts))]
    rows = [
        _row(tokenizer, clean(text, name), name, preprocessing)
        for name, text in zip(names, texts, strict=True)
    ]
    return [tokenizer.decode(row.tolist()) for row in _filled(rows, model)]


def _row(
    tokenizer: Tokenizer, text: str, what: str, preprocessing: Mapping[str, Any]
) -> np.ndarray:
    """Return the tokens of a text, its blanks among them."""
    pieces = text.split(BLANK)
    if len(pieces) == 1:
        raise DataError(
            f"A masked language model fills blanks. {what} has none; write {BLANK} where a token "
            "is missing."
        )
    if tokenizer.kind != "char":  # the space before a word belongs to its token
        pieces = [*(piece.rstrip(" ") for piece in pieces[:-1]), pieces[-1]]
    tokens: list[int] = [BEGIN] if preprocessing["begin"] else []
    for piece in pieces:
        tokens += [*tokenizer.encode([piece]).ids.tolist(), MASK]
    tokens[-1:] = [END] if preprocessing["end"] else []
    most = preprocessing["length"]
    if len(tokens) > most:
        raise DataError(
            f"A text with blanks may have {most:,} tokens, as in training. {what} has "
            f"{len(tokens):,}; shorten it."
        )
    return np.array(tokens, np.int64)


def _filled(rows: Sequence[np.ndarray], model: nn.Module) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), BATCH):
        group = [torch.from_numpy(row) for row in rows[start : start + BATCH]]
        padded = nn.utils.rnn.pad_sequence(group, batch_first=True)
        with torch.inference_mode():
            scores: Tensor = model(padded)[..., MASK + 1 :]  # no mark is an answer
            answers = torch.where(padded == MASK, scores.argmax(-1) + MASK + 1, padded)
        yield from (answer[: len(row)].numpy() for answer, row in zip(answers, group, strict=True))
