"""McNemar's test: do two trained networks, one seed each, err on equally many examples?

It looks only at the examples that one gets right and the other wrong, and knows nothing of other
seeds: `statistics.paired_test` does, and is what the verdicts use. A study of one seed tells both.
Source: McNemar (1947),
https://doi.org/10.1007/BF02295996; the mid-p form: Fagerland, Lydersen and Laake (2013),
https://doi.org/10.1186/1471-2288-13-91, equations 1 and 2 of its supplement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.errors import BadArgumentError


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """What the test found.

    Attributes:
        only_a: Examples that `a` alone gets right.
        only_b: Examples that `b` alone gets right.
        p: Of "both err equally often", two-sided, in [0, 1].
    """

    only_a: int
    only_b: int
    p: float


def mcnemar(
    a: np.ndarray, b: np.ndarray, *, method: Literal["mid-p", "exact"] = "mid-p"
) -> McNemar:
    """Return McNemar's test of two rows of right (1) or wrong (0).

    Args:
        a: Whether one network was right, (examples,).
        b: Whether the other was, on the same examples.
        method: "exact" errs at most as often as it says; "mid-p" errs about that often, which makes
            it find more.

    Raises:
        BadArgumentError: The rows are not two of one length, of 0 and 1 only; or another method.
    """
    first, second = np.asarray(a), np.asarray(b)
    if method not in ("mid-p", "exact"):
        raise BadArgumentError(f"`method` must be one of mid-p, exact. Received method={method!r}.")
    if first.ndim != 1 or first.shape != second.shape:
        raise BadArgumentError(
            "McNemar's test takes one seed of each candidate on the same examples. Received shapes "
            f"{first.shape} and {second.shape}; for more seeds use paired_test."
        )
    if not (right_or_wrong(first) and right_or_wrong(second)):
        raise BadArgumentError(
            "McNemar's test takes scores that are 0 or 1. Received others; use paired_test."
        )
    only_a = int(((first == 1) & (second == 0)).sum())
    only_b = int(((first == 0) & (second == 1)).sum())
    return McNemar(only_a=only_a, only_b=only_b, p=_p(only_a, only_b, middle=method == "mid-p"))


def right_or_wrong(scores: np.ndarray) -> bool:
    """Return whether every score is 0 or 1."""
    return bool(((scores == 0) | (scores == 1)).all())


def _p(only_a: int, only_b: int, *, middle: bool) -> float:
    from scipy.special import bdtr, comb

    total, fewer = only_a + only_b, min(only_a, only_b)
    if total == 0:
        return 1.0
    exact = min(2.0 * float(bdtr(fewer, total, 0.5)), 1.0)
    if not middle:
        return exact
    observed = float(comb(total, fewer)) * 0.5**total if total < 1000 else _density(total, fewer)
    return exact - observed if only_a != only_b else 1.0 - observed / 2.0


def _density(total: int, fewer: int) -> float:
    from scipy.special import bdtr

    below = float(bdtr(fewer - 1, total, 0.5)) if fewer else 0.0
    return float(bdtr(fewer, total, 0.5)) - below
