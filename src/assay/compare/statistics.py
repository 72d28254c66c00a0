"""What the scores of several seeds on the same test examples support.

Scores form a table: one row per seed, one column per test example. Seeds and examples are crossed,
both are samples, and both must be reckoned with: three seeds say little about the fourth, and 270
examples say little about the next 270. Source of the variance: Searle, Casella and McCulloch,
"Variance Components" (1992), the two-way crossed layout without replication; of the degrees of
freedom: Satterthwaite (1946), https://doi.org/10.2307/3002019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay.compare.result import Estimate

LEVEL = 0.05  # of every interval and every test
REPLICATES = 2_000
MANY_PATTERNS = 64  # beyond these the resampled means are drawn as the normals they approach

Array = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The mean of `a` minus the mean of `b`, its 95% interval, and the p of "they are equal"."""

    mean: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class _Parts:
    """Variance of a table's grand mean: from drawing examples, and from drawing seeds."""

    examples: float
    seeds: float  # with the examples held; holds chance that both draws share
    shared: float  # that chance, which `examples` holds too

    @property
    def seeds_alone(self) -> float:
        """What another draw of seeds adds to another draw of examples."""
        return max(self.seeds - self.shared, 0.0)


def hierarchical_interval(scores: Array, seed: int = 0) -> Estimate:
    """Return the mean of `scores` with its 95% interval, by a bootstrap over seeds and examples.

    Examples are drawn anew with replacement; seeds, too few for that, are reweighted at random (the
    wild bootstrap of Cameron, Gelbach and Miller, 2008). This gives the interval its shape, skewed
    near a perfect score. Its width is then brought to the one a handful of seeds calls for, since
    a bootstrap does not know how uncertain the spread of three seeds is. Right-or-wrong scores get
    two right and two wrong examples added (Agresti and Coull, 1998), so that a perfect score on
    few examples does not look certain.

    Args:
        scores: One row per seed, one column per test example.
        seed: Of the bootstrap's own random numbers.
    """
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    mean = float(table.mean())
    padded = _plus_four(table) if _right_or_wrong(table) else table
    offsets = _bootstrap(padded, np.random.default_rng(seed)) - padded.mean()
    below, above = np.quantile(offsets, [LEVEL / 2, 1 - LEVEL / 2])
    if above == below:
        return Estimate(mean, mean, mean)
    scale = 2 * _half_width(padded) / (above - below)
    low, high = padded.mean() + scale * below, padded.mean() + scale * above
    if _right_or_wrong(table):
        low, high = max(low, 0.0), min(high, 1.0)
    return Estimate(mean, min(float(low), mean), max(float(high), mean))


def paired_test(a: Array, b: Array) -> Difference:
    """Test whether two candidates score alike: examples are paired, seeds are not.

    With one seed on a side, that side's spread over seeds is taken from the other; with one seed on
    both, nothing is known of it and the answer is about these two trained networks only.

    Args:
        a: One row per seed, one column per test example; larger is better.
        b: The same examples, any number of seeds.
    """
    first = np.atleast_2d(np.asarray(a, dtype=np.float64))
    second = np.atleast_2d(np.asarray(b, dtype=np.float64))
    mean = float(first.mean() - second.mean())
    variance, freedom = _of_difference(first, second)
    half = _t_quantile(freedom) * variance**0.5
    p = _two_sided(mean, variance, freedom)
    least = 2.0 ** (1 - first.shape[1])  # what the exact sign test could reach
    return Difference(mean=mean, low=mean - half, high=mean + half, p=min(max(p, least), 1.0))


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number.

    Source: Holm (1979), https://www.jstor.org/stable/4615733.
    """
    values = np.asarray(ps, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * (len(values) - np.arange(len(values)))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in corrected]


def _right_or_wrong(table: Array) -> bool:
    return bool(((table == 0.0) | (table == 1.0)).all())


def _plus_four(table: Array) -> Array:
    rows = len(table)
    return np.hstack([table, np.ones((rows, 2)), np.zeros((rows, 2))])


def _bootstrap(table: Array, rng: np.random.Generator) -> Array:
    """Return REPLICATES means: examples drawn anew, seeds reweighted."""
    rows, columns = table.shape
    patterns, counts = np.unique(table, axis=1, return_counts=True)
    if len(counts) <= MANY_PATTERNS:  # examples that look alike are drawn together: exact and fast
        drawn = rng.multinomial(columns, counts / columns, size=REPLICATES) / columns
        means = drawn @ patterns.T  # (replicates, seeds)
    else:
        covariance = np.atleast_2d(np.cov(table, bias=True)) / columns
        means = rng.multivariate_normal(table.mean(axis=1), covariance, size=REPLICATES)
    centre = means.mean(axis=1)
    weights = rng.standard_normal(means.shape) / max(rows * (rows - 1), 1) ** 0.5
    return centre + ((means - centre[:, None]) * weights).sum(axis=1)


def _parts(table: Array) -> _Parts:
    """Return the parts of the variance of the table's grand mean."""
    rows, columns = table.shape
    by_example, by_seed = table.mean(axis=0), table.mean(axis=1)
    examples = _variance(by_example) / columns
    if rows < 2 or columns < 2:
        return _Parts(examples, 0.0, 0.0)
    rest = table - by_example - by_seed[:, None] + table.mean()
    shared = float((rest**2).sum()) / ((rows - 1) * (columns - 1))
    return _Parts(examples, _variance(by_seed) / rows, shared / (rows * columns))


def _half_width(table: Array) -> float:
    """Return the root of the squared half widths of both parts (Zou and Donner, 2008)."""
    parts = _parts(table)
    rows, columns = table.shape
    examples = parts.examples * _t_quantile(max(columns - 1, 1)) ** 2
    return float((examples + parts.seeds_alone * _t_quantile(max(rows - 1, 1)) ** 2) ** 0.5)


def _of_difference(a: Array, b: Array) -> tuple[float, float]:
    """Return the variance of the difference of the means and its degrees of freedom.

    Chance that examples and seeds share is counted twice, which keeps the test on the safe side.
    """
    columns = a.shape[1]
    examples = _variance(a.mean(axis=0) - b.mean(axis=0)) / columns
    if _right_or_wrong(a) and _right_or_wrong(b):  # half a pair added either way (Agresti, Min)
        examples += 1.0 / (max(len(a), len(b)) * columns**2)
    terms = [(examples, columns - 1), *_of_seeds(a, b)]
    return sum(part for part, _ in terms), _satterthwaite(terms)


def _of_seeds(a: Array, b: Array) -> list[tuple[float, int]]:
    """Return each side's variance from seeds with its degrees of freedom.

    A single seed's unknown spread is taken from the side that has several.
    """
    several = [side for side in (a, b) if len(side) > 1]
    terms = []
    for side in (a, b) if several else ():
        source = side if len(side) > 1 else several[0]
        one_seed = _parts(source).seeds * len(source)
        terms.append((one_seed / len(side), len(source) - 1))
    return terms


def _satterthwaite(terms: Sequence[tuple[float, int]]) -> float:
    """Return the degrees of freedom of a sum of independent variances."""
    total = sum(part for part, _ in terms)
    below = sum(part**2 / freedom for part, freedom in terms if freedom > 0)
    return total**2 / below if below > 0 else 1.0


def _variance(values: Array) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def _two_sided(mean: float, variance: float, freedom: float) -> float:
    from scipy.special import stdtr  # a tenth of the import of scipy.stats

    if variance == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    return float(2.0 * stdtr(freedom, -abs(mean) / variance**0.5))


def _t_quantile(freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - LEVEL / 2))
