"""Probes of what is kept over time: copy, adding, parity, associative recall."""

from __future__ import annotations

import numpy as np

from assay.data.tokens import NOT_SCORED, STRINGS

FIRST = len(STRINGS)  # id of the first symbol
COPIED, BLANK, GO = "abcdefgh", "_", ">"  # of copy
ITEMS = 10  # symbols to copy
LETTERS = "abcdefghijklmnopqrstuvwxyz"  # keys of recall
_MORE_KEYS = 0x4E00  # the character of the 27th key, and so on
_AT_ONCE = 4_000_000  # random numbers

Drawn = tuple[np.ndarray, np.ndarray]


def copy(steps: int, count: int, by: np.random.Generator) -> Drawn:
    """Return the copying task: ten symbols of eight, a wait, a mark, ten blanks to fill.

    A network without memory is right one time in eight.

    Source: Arjovsky, Shah and Bengio, 2016, https://arxiv.org/abs/1511.06464, section 4.1; there
    the blanks before the mark are scored, too.

    Args:
        steps: From the last symbol to the place where the first is asked for.
        count: Examples.
        by: Draws them.

    Shape:
        -> int32 (N, steps + 20) ids, int32 (N, steps + 20) labels, scored in the last ten places
    """
    symbols = by.integers(len(COPIED), size=(count, ITEMS), dtype=np.int32)
    blank, go = FIRST + len(COPIED), FIRST + len(COPIED) + 1
    x = np.full((count, steps + 2 * ITEMS), blank, np.int32)
    x[:, :ITEMS] = FIRST + symbols
    x[:, ITEMS + steps - 1] = go
    y = np.full_like(x, NOT_SCORED)
    y[:, -ITEMS:] = symbols
    return x, y


def adding(steps: int, count: int, by: np.random.Generator) -> Drawn:
    """Return the adding problem: numbers of 0 to 1, two of them marked, one in each half.

    Always answering 1 has a mean squared error of 1/6.

    Source: Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735, section
    5.4; in the form of Arjovsky, Shah and Bengio, 2016, https://arxiv.org/abs/1511.06464, section
    4.2.

    Args:
        steps: Numbers.
        count: Examples.
        by: Draws them.

    Shape:
        -> float32 (N, steps, 2): numbers and marks of 0 or 1; float64 (N,) their sum
    """
    x = np.zeros((count, steps, 2), np.float32)
    x[:, :, 0] = by.random((count, steps), np.float32)
    rows = np.arange(count)
    first = by.integers(steps // 2, size=count)
    second = by.integers(steps // 2, steps, size=count)
    x[rows, first, 1] = x[rows, second, 1] = 1
    return x, x[rows, first, 0].astype(np.float64) + x[rows, second, 0]


def parity(steps: int, count: int, by: np.random.Generator) -> Drawn:
    """Return random bits, and whether the number of ones is odd. Chance is right half the time.

    Source: the parity problem of Bengio, Simard and Frasconi, 1994,
    https://doi.org/10.1109/72.279181; for attention, Hahn, 2020, https://arxiv.org/abs/1906.06755.

    Args:
        steps: Bits.
        count: Examples.
        by: Draws them.

    Shape:
        -> int32 (N, steps) ids, int64 (N,) labels
    """
    bits = by.integers(2, size=(count, steps), dtype=np.int32)
    return FIRST + bits, bits.sum(1, dtype=np.int64) % 2


def key_characters(steps: int) -> str:
    """Return the keys of recall of a length: the letters, and more where there are more pairs."""
    more = max((steps - 3) // 2 - len(LETTERS), 0)
    return LETTERS + "".join(chr(_MORE_KEYS + at) for at in range(more))


def recall(steps: int, count: int, by: np.random.Generator) -> Drawn:
    """Return associative recall: different keys with a digit each, then ?? and one of the keys.

    c9k8j3f1??c asks for 9. Chance is right one time in ten.

    Source: Ba et al., 2016, https://arxiv.org/abs/1610.06258, section 4.1.

    Args:
        steps: Symbols, 3 more than twice the pairs.
        count: Examples.
        by: Draws them.

    Shape:
        -> int32 (N, steps) ids, int64 (N,) the digits
    """
    pairs, keys = (steps - 3) // 2, len(key_characters(steps))
    question, first_key = FIRST + 10, FIRST + 11
    chosen = np.concatenate(
        [
            np.argsort(by.random((len(rows), keys)), axis=1)[:, :pairs]
            for rows in np.array_split(np.arange(count), count * keys // _AT_ONCE + 1)
        ]
    )
    digits = by.integers(10, size=(count, pairs))
    asked = by.integers(pairs, size=count)
    x = np.full((count, steps), question, np.int32)
    x[:, 0 : 2 * pairs : 2] = first_key + chosen
    x[:, 1 : 2 * pairs : 2] = FIRST + digits
    rows = np.arange(count)
    x[:, -1] = first_key + chosen[rows, asked]
    return x, digits[rows, asked]
