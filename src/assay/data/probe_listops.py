"""The probe of nested operations: ListOps, as in the Long Range Arena.

A tree is a digit, or an operation of two to ten trees; it is an operation one time in four, and
nine operations may be nested. `n` opens MIN, `x` MAX, `d` MEDIAN and `s` SUM MODULO 10; `]` closes
each. x2n94]7] is [MAX 2 [MIN 9 4] 7], which is 7.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay.data.tokens import STRINGS

FIRST = len(STRINGS)  # id of 0
LISTOPS = "0123456789nxds]"
DEPTH, ARGUMENTS, OPERATION = 10, 10, 0.25
_END = LISTOPS.index("]")
_DRAWS = 8192  # random numbers at once


class _Tree:
    """Draws one tree after another as symbols, each with its value."""

    def __init__(self, by: np.random.Generator, most: int) -> None:
        self._by, self._most = by, most
        self._shares: list[float] = []
        self.symbols: list[int] = []

    def draw(self) -> int | None:
        """Fill `symbols` with a new tree and return its value; None if it grew too long."""
        self.symbols = []
        return self._grow(1)

    def _share(self) -> float:
        if not self._shares:
            self._shares = self._by.random(_DRAWS).tolist()
        return self._shares.pop()

    def _grow(self, depth: int) -> int | None:
        if len(self.symbols) >= self._most:
            return None
        if depth == DEPTH or self._share() > OPERATION:
            digit = int(self._share() * 10)
            self.symbols.append(digit)
            return digit
        operation = int(self._share() * 4)
        self.symbols.append(10 + operation)
        values: list[int] = []
        for _ in range(2 + int(self._share() * (ARGUMENTS - 1))):
            value = self._grow(depth + 1)
            if value is None:
                return None
            values.append(value)
        self.symbols.append(_END)
        return _RESULTS[operation](values)


def listops(steps: int, count: int, by: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return different trees of more than a quarter of `steps` symbols, and their values.

    Source: Tay et al., 2021, https://arxiv.org/abs/2011.04006, section 2.2.1, whose trees have 500
    to 2,000 symbols; Nangia and Bowman, 2018, https://arxiv.org/abs/1804.06028.

    Args:
        steps: Symbols of the longest.
        count: Examples.
        by: Draws them.

    Shape:
        -> int32 (N, steps) ids, 0 where a tree has ended; int64 (N,) values of 0 to 9
    """
    tree, seen = _Tree(by, steps), set[bytes]()
    x, y = np.zeros((count, steps), np.int32), np.zeros(count, np.int64)
    while len(seen) < count:
        value = tree.draw()
        if value is None or not steps / 4 < len(tree.symbols) <= steps:
            continue
        written = bytes(tree.symbols)
        if written in seen:
            continue
        x[len(seen), : len(written)] = FIRST + np.array(tree.symbols)
        y[len(seen)] = value
        seen.add(written)
    return x, y


def _median(values: list[int]) -> int:
    """Return the whole part of the median."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) // 2


_RESULTS: tuple[Callable[[list[int]], int], ...] = (  # of n, x, d and s
    min,
    max,
    _median,
    lambda values: sum(values) % 10,
)
