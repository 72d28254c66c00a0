"""Intervals where 100 test examples leave one or two errors: ours beside published ones.

The figures are a sentence in docs/calibration.md; `python -m benchmarks.calibration` makes them.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.stats import binom, binomtest

from assay.compare.statistics import hierarchical_interval, paired_test

EXAMPLES, STUDIES = 100, 2_000
Ends = tuple[float, float]


def measure(world, accuracy: float) -> dict:
    """Return of each interval the share that hold the truth and the mean width.

    Args:
        world: Draws the pairs, one seed each; see `calibration.RightOrWrong`.
        accuracy: Of the one network.
    """
    return {
        "one": {name: _one(ends, accuracy) for name, ends in ONE.items()},
        **_pairs(world, np.random.default_rng(5)),
    }


def ours(right: int) -> Ends:
    """Return our interval of one network of one seed."""
    found = hierarchical_interval((np.arange(EXAMPLES) < right).astype(float))
    return found.low, found.high


def published(method: str) -> Callable[[int], Ends]:
    """Return an interval that SciPy has: exact (Clopper and Pearson) or wilson."""

    def ends(right: int) -> Ends:
        found = binomtest(right, EXAMPLES).proportion_ci(method=method)
        return found.low, found.high

    return ends


ONE: Mapping[str, Callable[[int], Ends]] = {
    "ours": ours,
    "exact": published("exact"),
    "wilson": published("wilson"),
}


def _one(ends: Callable[[int], Ends], accuracy: float) -> list[float]:
    """Return coverage and width of one network's interval, counted out over its binomial errors."""
    low, high = np.array([ends(right) for right in range(EXAMPLES + 1)]).T
    chance = binom.pmf(np.arange(EXAMPLES + 1), EXAMPLES, accuracy)
    return [
        float(chance[(low <= accuracy) & (accuracy <= high)].sum()),
        float(chance @ (high - low)),
    ]


def _pairs(world, rng: np.random.Generator) -> dict:
    """Return the same of a pair, and how often both networks are right about the same examples."""
    found, alike = {"ours": [], "bonett price": []}, 0
    for _ in range(STUDIES):
        (a, _, b), (of_a, _, of_b), _ = world.draw(rng, 1, EXAMPLES)
        alike += bool((a == b).all())
        test = paired_test(a, b)
        for name, (low, high) in (
            ("ours", (test.low, test.high)),
            ("bonett price", bonett_price(int((a > b).sum()), int((b > a).sum()), EXAMPLES)),
        ):
            found[name].append((low <= of_a - of_b <= high, high - low))
    means = {name: np.mean(rows, axis=0).tolist() for name, rows in found.items()}
    return {"pairs": means, "alike": alike / STUDIES}


def bonett_price(only_a: int, only_b: int, examples: int) -> Ends:
    """Return the adjusted Wald interval of a difference of paired shares, 95 %.

    Source: Bonett and Price, Journal of Educational and Behavioral Statistics 37 (2012),
    https://doi.org/10.3102/1076998611411915.
    """
    a, b = (only_a + 1) / (examples + 2), (only_b + 1) / (examples + 2)
    half = 1.959964 * ((a + b - (a - b) ** 2) / (examples + 2)) ** 0.5
    return a - b - half, a - b + half
