"""How likely each token is beside its neighbours: interpolated Kneser-Ney smoothing.

    p(w | h) = (n(hw) - d) / n(h) + d u(h) / n(h) · p(w | h')    first term: where hw was seen
    p(w)     = (n(w) - d) / n + d u / n · 1 / V

h' is the history h without its first token. For the longest h, n(hw) is how often hw was seen; for
a shorter one, before how many different tokens. n(h) is the sum of these over w, and u(h) how many
different w there are. After a history that was never seen, p(w | h) = p(w | h').

The discount of each length is d = n1 / (n1 + 2 n2), n1 and n2 being how many of its counts are 1
and 2 (half a count is added to either end, so that d is never 0 or 1).

Source: Kneser and Ney, 1995, https://doi.org/10.1109/ICASSP.1995.479394; interpolated as in Chen
and Goodman, 1999, https://doi.org/10.1006/csla.1999.0128, section 4.1.6; d after Ney, Essen and
Kneser, 1994, https://doi.org/10.1006/csla.1994.1001.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, kw_only=True)
class _Length:
    """What is known after the histories of one length."""

    histories: Array  # sorted keys (C,)
    left: Array  # d u(h) / n(h), the share that goes to the shorter history (C,)
    best: Array  # the likeliest token (C,)
    highest: Array  # its share (C,)
    grams: Array  # sorted keys of a history and a token that came with it (G,)
    shares: Array  # p(w | h) of these (G,)


class NGrams:
    """Learnt from places of a text.

    Args:
        histories: Tokens that go with each place (M, L), the one to forget first at the left.
        tokens: What stands there (M,).
        vocabulary: Ids there are; its power L + 1 must be below 2^63.
    """

    def __init__(self, histories: Array, tokens: Array, vocabulary: int) -> None:
        self._base = vocabulary
        grams, counts = np.unique(self._keys(histories) * vocabulary + tokens, return_counts=True)
        levels = [(grams, counts)]
        for length in range(histories.shape[1], 0, -1):
            shorter = levels[-1][0] % vocabulary**length
            levels.append(np.unique(shorter, return_counts=True))
        self._single = self._without_history(*levels.pop())
        self._lengths: list[_Length] = []
        for grams, counts in reversed(levels):
            self._lengths.append(self._after(grams, counts))

    def __call__(self, histories: Array, tokens: Array) -> tuple[Array, Array]:
        """Return the share of each token, and which token is the likeliest there.

        Shape:
            (M, L), (M,) -> (M,), (M,)
        """
        share, best = self._single[tokens], np.full(tokens.shape, self._single.argmax())
        for length, known in enumerate(self._lengths, start=1):
            keys = self._keys(histories[:, -length:])
            at, there = _find(known.histories, keys)
            share = np.where(there, known.left[at] * share, share)
            best = np.where(there, known.best[at], best)
            at, there = _find(known.grams, keys * self._base + tokens)
            share = np.where(there, known.shares[at], share)
        return share, best

    def _keys(self, histories: Array) -> Array:
        keys: Array = np.zeros(len(histories), np.int64)
        for column in histories.T:
            keys = keys * self._base + column
        return keys

    def _without_history(self, tokens: Array, counts: Array) -> Array:
        cut = _discount(counts)
        shares = np.full(self._base, cut * len(tokens) / self._base)
        shares[tokens] += counts - cut
        whole: Array = shares / counts.sum()
        return whole

    def _after(self, grams: Array, counts: Array) -> _Length:
        """Return what is known of histories one token longer than those before."""
        histories, first, which, unlike = np.unique(
            grams // self._base, return_index=True, return_inverse=True, return_counts=True
        )
        cut, total = _discount(counts), np.add.reduceat(counts, first)
        left = cut * unlike / total
        tokens = grams % self._base
        shares = (counts - cut) / total[which] + left[which] * self._shorter_share(grams, tokens)
        highest = np.maximum.reduceat(shares, first)
        top = np.flatnonzero(shares == highest[which])[::-1]  # the smallest id is set last
        best = np.empty(len(histories), np.int64)
        best[which[top]] = tokens[top]
        other, other_share = self._shorter_best(histories)
        unseen = left * other_share > highest  # were it seen, it would be no less than `highest`
        return _Length(
            histories=histories,
            left=left,
            best=np.where(unseen, other, best),
            highest=np.maximum(left * other_share, highest),
            grams=grams,
            shares=shares,
        )

    def _shorter_share(self, grams: Array, tokens: Array) -> Array:
        """Return p(w | h') of each gram hw; it was seen too."""
        at, shares = tokens, self._single
        if self._lengths:
            shares = self._lengths[-1].shares
            shorter = grams % self._base ** (len(self._lengths) + 1)
            at, _ = _find(self._lengths[-1].grams, shorter)
        found: Array = shares[at]
        return found

    def _shorter_best(self, histories: Array) -> tuple[Array, Array]:
        """Return the likeliest token after h', and its share."""
        if not self._lengths:
            best = np.full(len(histories), self._single.argmax())
            return best, self._single[best]
        known = self._lengths[-1]
        at, _ = _find(known.histories, histories % self._base ** len(self._lengths))
        return known.best[at], known.highest[at]


def _discount(counts: Array) -> float:
    once, twice = (counts == 1).sum(), (counts == 2).sum()
    return float((once + 0.5) / (once + 2 * twice + 1))


def _find(keys: Array, wanted: Array) -> tuple[Array, Array]:
    """Return where each key is among the sorted ones, and whether it is there."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted
