"""The probe of nesting: do brackets of two kinds match?"""

from __future__ import annotations

import numpy as np

from assay.data.tokens import STRINGS

FIRST = len(STRINGS)  # ids of ( ) [ ] in this order
KINDS = 2


def brackets(
    steps: int, count: int, by: np.random.Generator, *, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return strings of brackets and whether they are balanced; half of them are.

    Balanced ones are drawn evenly among all of their length and depth. Unbalanced ones are balanced
    ones with two symbols exchanged, so that counting symbols does not tell them apart.

    Source: the language 2-Dyck of Hahn, 2020, https://arxiv.org/abs/1906.06755, of bounded depth
    as in Hewitt et al., 2020, https://arxiv.org/abs/2010.07515.

    Args:
        steps: Brackets, an even number.
        count: Examples.
        by: Draws them.
        depth: Brackets that are open at once, at most, where they are balanced.

    Shape:
        -> int32 (N, steps) ids, int64 (N,) labels: 1 is balanced
    """
    opens = _paths(steps, count, by, depth=min(depth, steps // 2))
    symbols = _kinds(opens, by)
    label = by.permutation(np.arange(count) % 2)
    left = np.flatnonzero(label == 0)
    original = symbols.copy()
    while len(left):
        symbols[left] = _exchanged(original[left], by)
        left = left[balanced(symbols[left])]
    return (FIRST + symbols).astype(np.int32), label.astype(np.int64)


def balanced(symbols: np.ndarray) -> np.ndarray:
    """Return which rows match: 2k opens kind k and 2k + 1 closes it. (N, T) -> (N,) bool."""
    count, steps = symbols.shape
    rows = np.arange(count)
    stack = np.zeros((count, steps + 1), symbols.dtype)
    high = np.zeros(count, np.int64)
    right = np.ones(count, bool)
    for symbol in symbols.T:
        closes = symbol % 2 == 1
        top = stack[rows, np.maximum(high - 1, 0)]
        right &= ~closes | ((high > 0) & (top == symbol - 1))
        stack[rows, high] = np.where(closes, stack[rows, high], symbol)
        high = np.maximum(high + np.where(closes, -1, 1), 0)
    return right & (high == 0)


def _paths(steps: int, count: int, by: np.random.Generator, *, depth: int) -> np.ndarray:
    """Return which symbols open, evenly drawn among all balanced ways. -> (N, steps) bool."""
    ways = np.zeros((steps + 1, depth + 2))  # to end at height 0, from each step and height
    ways[steps, 0] = 1
    for at in range(steps - 1, -1, -1):
        ways[at, : depth + 1] = ways[at + 1, 1:]
        ways[at, depth] = 0
        ways[at, 1 : depth + 1] += ways[at + 1, :depth]
        ways[at] /= ways[at].max()  # only proportions matter, and the counts grow without end
    high = np.zeros(count, np.int64)
    opens = np.zeros((count, steps), bool)
    for at in range(steps):
        up = np.where(high < depth, ways[at + 1, np.minimum(high + 1, depth)], 0.0)
        down = np.where(high > 0, ways[at + 1, np.maximum(high - 1, 0)], 0.0)
        opens[:, at] = by.random(count) * (up + down) < up
        high += np.where(opens[:, at], 1, -1)
    return opens


def _kinds(opens: np.ndarray, by: np.random.Generator) -> np.ndarray:
    """Return brackets of random kinds, each closed by its own."""
    count, steps = opens.shape
    rows = np.arange(count)
    stack = np.zeros((count, steps // 2 + 1), np.int64)
    high = np.zeros(count, np.int64)
    symbols = np.zeros((count, steps), np.int64)
    for at in range(steps):
        up = opens[:, at]
        drawn = 2 * by.integers(KINDS, size=(count,))
        stack[rows[up], high[up]] = drawn[up]
        high += np.where(up, 1, -1)
        symbols[:, at] = np.where(up, drawn, stack[rows, high] + 1)
    return symbols


def _exchanged(symbols: np.ndarray, by: np.random.Generator) -> np.ndarray:
    """Return each row with the symbols at two random places exchanged."""
    count, steps = symbols.shape
    rows, changed = np.arange(count), symbols.copy()
    first, second = by.integers(steps, size=count), by.integers(steps, size=count)
    changed[rows, first], changed[rows, second] = symbols[rows, second], symbols[rows, first]
    return changed
