"""What the scores of several seeds on the same test examples support.

Scores form a table: one row per seed, one column per test example. Seeds and examples are crossed,
both are samples, and both must be reckoned with: three seeds say little about the fourth, and 270
examples say little about the next 270. `moments` takes the variance apart; here it becomes
intervals, tests and probabilities. How often they are wrong is measured by
`benchmarks/calibration.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from assay.compare.moderation import FEWEST, moderated
from assay.compare.moments import Moments, joint_freedom, satterthwaite
from assay.compare.result import Estimate
from assay.errors import BadArgumentError, nearest

CORRECTIONS = ("holm", "bh", "none")
TINY = 1e-100  # of p; lower ones are not told apart
STEPS = 12  # to a p that is right to four digits

Array = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The mean of `a` minus the mean of `b`, and what is known of the true difference.

    `better` and `loss` take the true difference to follow Student's t around `mean`, as it does for
    normal scores when nothing was known before (Gelman et al., "Bayesian Data Analysis", 3rd ed.,
    section 3.2); the degrees of freedom are those of the variance.

    Attributes:
        mean: Difference of the two means.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p: Of "they are equal", two-sided, in [0, 1]. It is of use far below 0.05 as well, where
            corrections for many pairs look: see `paired_tests`. So it may say no where the interval
            only just leaves out 0.
        better: Probability that `a` is truly better, in [0, 1].
        loss: What choosing `a` loses on average over what may be true, >= 0: the mean of
            max(b - a, 0). nan where so few seeds leave it without a mean (one degree of freedom).
            Source: the linear loss of Chick and Inoue, "New two-stage and sequential procedures
            for selecting the best simulated system", Operations Research 49 (2001).
        variance: Of `mean`.
        freedom: Degrees of freedom of `variance`.
    """

    mean: float
    low: float
    high: float
    p: float
    better: float = float("nan")
    loss: float = float("nan")
    variance: float = float("nan")
    freedom: float = float("nan")


def hierarchical_interval(scores: Array, *, confidence: float = 0.95) -> Estimate:
    """Return the mean of `scores` with its interval, over draws of both seeds and examples.

    Right-or-wrong scores get two right and two wrong examples added (Agresti and Coull, 1998), so
    that a perfect score on few examples does not look certain. The interval of other scores is
    moved for their skewness by the first correction to Student's t (Hall, "The Bootstrap and
    Edgeworth Expansion", 1992). One seed tells of that one trained network only.

    Args:
        scores: One row per seed, one column per test example.
        confidence: Share of such intervals that hold the truth, between 0 and 1.
    """
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    mean = float(table.mean())
    right_or_wrong = _right_or_wrong(table)
    moments = Moments.of(_plus_four(table) if right_or_wrong else table)
    spread = moments.variance**0.5
    reach = float(t_quantile(moments.freedom, confidence))
    shift = 0.0 if right_or_wrong else _for_skewness(moments.skewness, reach, confidence)
    low = moments.mean + (shift - reach) * spread
    high = moments.mean + (shift + reach) * spread
    if right_or_wrong:
        low, high = max(low, 0.0), min(high, 1.0)
    return Estimate(mean, min(low, mean), max(high, mean))


def paired_test(
    a: Array, b: Array, *, confidence: float = 0.95, seeds_shared: bool = False
) -> Difference:
    """Test whether two candidates score alike: examples are paired, seeds are not.

    With one seed on a side, that side's spread over seeds is taken from the other; with one seed on
    both, nothing is known of it and the answer is about these two trained networks only.

    Args:
        a: One row per seed, one column per test example; larger is better.
        b: The same examples, any number of seeds.
        confidence: Of the interval, between 0 and 1.
        seeds_shared: Row i of `a` and row i of `b` share their seed in a way that makes them alike,
            such as the weights they began with; the rows are then paired, too.

    Raises:
        BadArgumentError: Seeds are shared, and the tables differ in their number.
    """
    first, second = np.atleast_2d(a), np.atleast_2d(b)
    if not seeds_shared:
        return paired_tests({"a": first, "b": second}, confidence=confidence)["a", "b"]
    if len(first) != len(second):
        raise BadArgumentError(
            "`seeds_shared` must be given with as many seeds of one candidate as of the other. "
            f"Received {len(first)} and {len(second)}; leave it out."
        )
    moments = Moments.of(np.subtract(first, second, dtype=np.float64))
    half_pair = 0.0
    if _right_or_wrong(first) and _right_or_wrong(second):
        half_pair = 1.0 / (len(first) * moments.examples**2)
    parts = np.array([[moments.of_examples_alone + half_pair], [moments.of_seeds]])
    freedoms = np.maximum([[moments.examples - 1.0], [moments.seeds - 1.0]], 1.0)
    p = _careful_p(np.array([moments.mean]), parts, freedoms)
    return differences(
        moments.mean,
        parts.sum(axis=0),
        joint_freedom(parts, freedoms),
        confidence=confidence,
        p=np.maximum(p, _sign_test(moments.examples)),
    )[0]


def paired_tests(
    tables: Mapping[str, Array], *, confidence: float = 0.95
) -> dict[tuple[str, str], Difference]:
    """Return `paired_test` of every pair, in the order of `itertools.combinations`.

    One matrix product gives the variance over examples of all pairs: a thousand pairs of 10,000
    examples take a fraction of a second.

    The degrees of freedom of each interval (see `joint_freedom`) keep their promise at 95% and
    break it far out, where corrections for many pairs look: a few seeds that agree by chance make
    them think the spread well known. So p is the level at which the squared difference reaches
    t² × variance added up over examples and seeds, each part with its own degrees of freedom
    (Howe, 1974, https://doi.org/10.1080/01621459.1974.10482981; Zou and Donner, 2008). However
    unlike the spreads, it errs in at most 6% of pairs where it says 5%, mostly in fewer. Where
    several candidates tell together how far seeds spread (see `moderation`), the spread is the
    moderated one, and p is at least that by Satterthwaite with the pair's own.

    Args:
        tables: For every candidate a table of seeds by test examples; larger is better.
        confidence: Of the intervals, between 0 and 1.
    """
    moments = [Moments.of(table) for table in tables.values()]
    if len(moments) < 2:
        return {}
    mean, parts, freedoms = _of_pairs(moments)
    found = differences(
        mean,
        parts.sum(axis=0),
        joint_freedom(parts, freedoms),
        confidence=confidence,
        p=np.maximum(_p_of_pairs(moments, mean, parts, freedoms), _sign_test(moments[0].examples)),
    )
    return dict(zip(combinations(tables, 2), found, strict=True))


def differences(
    mean: Array | float,
    variance: Array | float,
    freedom: Array | float,
    *,
    confidence: float = 0.95,
    p: Array | None = None,
) -> list[Difference]:
    """Return what differences, their variances and degrees of freedom say by Student's t.

    Args:
        mean: One or more differences.
        variance: Of each.
        freedom: Degrees of freedom of each variance.
        confidence: Of the intervals, between 0 and 1.
        p: Of each; None takes that of Student's t.
    """
    mean, variance, freedom = np.atleast_1d(mean, variance, freedom)
    spread = np.sqrt(variance)
    half = t_quantile(freedom, confidence) * spread
    t = _ratio(mean, spread)
    p = 2.0 * t_below(freedom, -np.abs(t)) if p is None else p
    columns: dict[str, Array] = {
        "mean": mean,
        "low": mean - half,
        "high": mean + half,
        "p": p,
        "better": t_below(freedom, t),
        "loss": _expected_loss(mean, spread, t, freedom),
        "variance": variance,
        "freedom": freedom,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [Difference(**dict(zip(columns, row, strict=True))) for row in rows]


def adjust(ps: Sequence[float], method: str = "holm") -> list[float]:
    """Return p values corrected for their number.

    Args:
        ps: One p of each comparison.
        method: "holm" keeps the chance of any false difference below the level (Holm, 1979,
            https://www.jstor.org/stable/4615733); "bh" keeps the share of false ones among those
            declared (Benjamini and Hochberg, 1995, https://www.jstor.org/stable/2346101); "none".

    Raises:
        BadArgumentError: Another method.
    """
    values = np.asarray(ps, dtype=np.float64)
    if method not in CORRECTIONS:
        raise BadArgumentError(
            f"`correction` must be one of {', '.join(CORRECTIONS)}. "
            f"Received correction={method!r}.{nearest(str(method), CORRECTIONS)}"
        )
    if method == "none":
        return [float(p) for p in values]
    order = np.argsort(values, kind="stable")
    ranks = np.arange(1, len(values) + 1)
    corrected = np.empty_like(values)
    if method == "holm":
        steps = np.maximum.accumulate(values[order] * (len(values) + 1 - ranks))
    else:
        steps = np.minimum.accumulate((values[order] * len(values) / ranks)[::-1])[::-1]
    corrected[order] = np.minimum(steps, 1.0)
    return [float(p) for p in corrected]


def _right_or_wrong(table: Array) -> bool:
    return bool(((table == 0.0) | (table == 1.0)).all())


def _sign_test(examples: int) -> float:
    """Return the least p that the exact sign test could reach."""
    return float(2.0 ** (1 - examples))


def _plus_four(table: Array) -> Array:
    rows = len(table)
    return np.hstack([table, np.ones((rows, 2)), np.zeros((rows, 2))])


def _for_skewness(skewness: float, reach: float, confidence: float) -> float:
    """Return by how many standard errors an interval moves, at most by its own half."""
    z = float(t_quantile(1e9, confidence))
    shift = skewness * (2.0 * z**2 + 1.0) / 6.0
    return min(max(shift, -reach), reach)


def _p_of_pairs(sides: Sequence[Moments], mean: Array, parts: Array, freedoms: Array) -> Array:
    """Return p of every pair; `parts` and `freedoms` are those of `_of_pairs`."""
    rows = np.array([side.seeds for side in sides])
    spread = np.array([side.of_seeds for side in sides]) * rows
    if len(sides) < FEWEST or (rows < 2).any() or (spread <= 0.0).any():
        return _careful_p(mean, parts, freedoms)
    i, j = np.triu_indices(len(sides), k=1)
    common, freedom = moderated(spread, rows - 1.0)
    seeds = common / rows
    careful = _careful_p(
        mean,
        np.stack([parts[0], seeds[i], seeds[j]]),
        np.stack([freedoms[0], freedom[i], freedom[j]]),
    )
    t = np.abs(_ratio(mean, np.sqrt(parts.sum(axis=0))))
    return np.maximum(careful, 2.0 * t_below(satterthwaite(parts, freedoms), -t))


def _careful_p(mean: Array, parts: Array, freedoms: Array) -> Array:
    """Return the p at which mean² is the sum of t² × part, examples first, then seeds.

    Args:
        mean: Differences, (pairs,).
        parts: Variances, (2 or more, pairs).
        freedoms: Degrees of freedom of each, the same shape.
    """
    variances = np.stack([parts[0], parts[1:].sum(axis=0)])
    freedom = np.stack([freedoms[0], satterthwaite(parts[1:], freedoms[1:])])
    t = np.abs(_ratio(mean, np.sqrt(parts.sum(axis=0))))
    ends = np.sort(2.0 * t_below(freedom, -t), axis=0)  # p as if either part were all
    inside = (variances > 0).all(axis=0) & (ends[1] > TINY) & (ends[0] < ends[1])
    found = np.where(variances[1] > 0, 2.0 * t_below(freedom[1], -t), 2.0 * t_below(freedom[0], -t))
    if inside.any():
        own, kept = freedom[:, inside], np.log(variances[:, inside])
        square = 2.0 * np.log(np.abs(mean[inside]))

        def excess(log_p: Array) -> Array:
            reach = np.maximum(_upper(own, np.exp(log_p)), TINY)  # 0 where p is 1
            return np.asarray(np.logaddexp.reduce(2.0 * np.log(reach) + kept) - square)

        found[inside] = np.exp(_root(excess, *np.log(np.maximum(ends[:, inside], TINY))))
    return np.minimum(found, 1.0)


def _root(of: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Return where falling functions are 0, by regula falsi with Illinois weights.

    Source: Dowell and Jarratt (1971), https://doi.org/10.1007/BF01934364.
    """
    at_low, at_high = of(low), of(high)
    for _ in range(STEPS):
        slope = at_low - at_high
        share = np.divide(at_low, slope, out=np.full(len(low), 0.5), where=slope > 0)
        middle = low + (high - low) * np.clip(share, 0.0, 1.0)
        now = of(middle)
        right = now > 0
        at_low, at_high = np.where(right, now, at_low / 2), np.where(right, at_high / 2, now)
        low, high = np.where(right, middle, low), np.where(right, high, middle)
    return np.asarray(middle)


def _of_pairs(sides: Sequence[Moments]) -> tuple[Array, Array, Array]:
    """Return the difference of every pair, its variance's parts, and their degrees of freedom.

    The parts are examples, seeds of one and seeds of the other, (3, pairs). The chance of single
    answers shows in the variance over examples and in that over seeds, a borrowed one as well; it
    is counted once. Where both tables are right or wrong, half a pair is added either way (Agresti
    and Min, 2005).
    """
    i, j = np.triu_indices(len(sides), k=1)
    columns = sides[0].examples
    mean, chance = (np.array([getattr(side, of) for side in sides]) for of in ("mean", "of_chance"))
    rows, both = (np.array([getattr(s, of) for s in sides]) for of in ("seeds", "right_or_wrong"))
    once = np.add(*_lent(chance, rows, i, j))
    examples = np.maximum(_over_examples(sides)[i, j] - once, 0.0)
    examples += both[i] * both[j] / (np.maximum(rows[i], rows[j]) * columns**2)
    of_a, of_b, freedoms = over_seeds(sides, i, j)
    parts = np.stack([examples, of_a, of_b])
    freedoms = np.stack([np.full(len(i), max(columns - 1.0, 1.0)), *freedoms])
    return mean[i] - mean[j], parts, freedoms


def _over_examples(sides: Sequence[Moments]) -> Array:
    """Return the variance over draws of examples of the difference of each with each."""
    columns = sides[0].examples
    if columns < 2:
        return np.zeros((len(sides), len(sides)))
    centred = np.stack([side.centred for side in sides])
    products = centred @ centred.T
    own = np.diag(products)
    both = own[:, None] + own
    found = both - 2.0 * products
    found[found < 1e-12 * both] = 0.0  # what rounding leaves of equal scores
    return np.asarray(found / (columns - 1) / columns)


def over_seeds(sides: Sequence[Moments], i: Array, j: Array) -> tuple[Array, Array, Array]:
    """Return for every pair each side's variance over seeds, and (2, pairs) degrees of freedom.

    A single seed's unknown spread is taken from the side that has several. Being the same estimate,
    both are one term, that side's: with seeds for all the noise this is the t test of one value
    against a sample (Crawford and Howell, The Clinical Neuropsychologist 12, 1998, p. 482).
    """
    rows = np.array([side.seeds for side in sides])
    of_a, of_b = _lent(np.array([side.of_seeds for side in sides]), rows, i, j)
    freedom = np.maximum(rows - 1.0, 1.0)
    return of_a, of_b, np.stack([freedom[i], freedom[j]])


def _lent(own: Array, rows: Array, i: Array, j: Array) -> tuple[Array, Array]:
    """Return each side's variance with what it lends to an opponent of one seed, whose own is 0."""
    one_seed = own * rows
    of_a = own[i] + np.where(rows[j] == 1, one_seed[i], 0.0)
    of_b = own[j] + np.where(rows[i] == 1, one_seed[j], 0.0)
    return of_a, of_b


def _ratio(mean: Array, spread: Array) -> Array:
    certain = np.where(mean == 0.0, 0.0, np.copysign(np.inf, mean))
    with np.errstate(over="ignore"):
        return np.asarray(np.divide(mean, spread, out=certain, where=spread > 0))


def _expected_loss(mean: Array, spread: Array, t: Array, freedom: Array) -> Array:
    """Return the mean of max(-d, 0) for d of Student's t around `mean`."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        tail = (freedom + t**2) / (freedom - 1.0) * _t_density(freedom, t)
        loss = spread * (tail - t * t_below(freedom, -t))
    loss = np.where(spread > 0, np.maximum(loss, 0.0), np.maximum(-mean, 0.0))
    return np.asarray(np.where((freedom > 1.0) | (spread == 0), loss, np.nan))


def _t_density(freedom: Array, t: Array) -> Array:
    from scipy.special import gammaln

    log = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - np.log(freedom * np.pi) / 2
    return np.asarray(np.exp(log - (freedom + 1) / 2 * np.log1p(t**2 / freedom)))


def t_below(freedom: Array, t: Array) -> Array:
    """Return the probability that Student's t is below `t`."""
    from scipy.special import stdtr  # a tenth of the import of scipy.stats

    return np.asarray(stdtr(freedom, t))


def _upper(freedom: Array, p: Array) -> Array:
    """Return the t that is exceeded on either side with probability `p`."""
    from scipy.special import stdtrit

    return np.asarray(-stdtrit(freedom, p / 2.0))


def t_quantile(freedom: Array | float, confidence: float) -> Array:
    """Return the t that holds `confidence` between itself and its opposite."""
    from scipy.special import stdtrit

    return np.asarray(stdtrit(freedom, (1 + confidence) / 2))
