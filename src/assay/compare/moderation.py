"""What many candidates together say of how far the seeds of each one spread.

The spread of three seeds is hardly known, and corrections for many pairs look far out, where that
matters most: by their own spread alone, some of a dozen equal candidates look stable by chance and
then different; by the widest that two degrees of freedom allow, nothing can be shown at all. So
each spread is drawn towards what is common, by as much as the spreads are alike: the empirical
Bayes estimate of Smyth, "Linear models and empirical Bayes methods for assessing differential
expression", Statistical Applications in Genetics and Molecular Biology 3 (2004), section 6.2.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
FEWEST = 4  # candidates of several seeds that tell what is common
_ROUNDS = 50  # of Newton's method; about six are needed


def moderated(variance: Array, freedom: Array) -> tuple[Array, Array]:
    """Return the variances drawn towards what they have in common, and their degrees of freedom.

    Args:
        variance: Of one seed of each candidate, above 0; (candidates,), at least two.
        freedom: Degrees of freedom of each, at least 1.

    Returns:
        Variances and degrees of freedom, of which none exceeds that of all together.
    """
    from scipy.special import digamma, polygamma

    half = freedom / 2.0
    logs = np.log(variance) - digamma(half) + np.log(half)
    apart = float(logs.var(ddof=1) - polygamma(1, half).mean())
    whole = float(freedom.sum())
    if apart <= 0.0:  # as alike as chance lets them be
        return np.full(len(variance), np.exp(logs.mean())), np.full(len(variance), whole)
    prior = 2.0 * _inverse_trigamma(apart)
    common = float(np.exp(logs.mean() + digamma(prior / 2.0) - np.log(prior / 2.0)))
    drawn = (prior * common + freedom * variance) / (prior + freedom)
    return drawn, np.minimum(prior + freedom, whole)


def _inverse_trigamma(value: float) -> float:
    """Return where the trigamma function is `value` > 0 (Smyth, 2004, appendix)."""
    from scipy.special import polygamma

    at = 0.5 + 1.0 / value
    for _ in range(_ROUNDS):
        now = float(polygamma(1, at))
        step = now * (1.0 - now / value) / float(polygamma(2, at))
        at += step
        if abs(step) < 1e-9 * at:
            break
    return at
