"""Tests that stay valid however often the tables are looked at, and whyever seeds are added.

A pair of candidates is tested at a few numbers of seeds that are fixed beforehand, each time on its
first seeds up to there and with a share of the error that is fixed, too: p is the least over the
looks so far of (p at the look) / (its share). The shares add up to 1, so by Bonferroni's
inequality, which asks nothing of how looks hang together, this is a p value at any moment, and
corrections for the number of pairs apply to it as to any other. By Holm's correction the chance
that any pair without a difference is ever declared different then stays at 1 - confidence, as far
as the test at a single look keeps its level; what has been declared stays declared. The last look
has the largest share, so that it shows nearly what it would show alone. Source: Jennison and
Turnbull, "Group Sequential Methods" (2000), chapter 7, on spending the error.

The test of a single look is `paired_tests`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np

from assay.compare.result import PairVerdict
from assay.compare.statistics import Difference, adjust, paired_tests
from assay.compare.verdicts import Correction, verdict_of

_GROWTH, _LAST_STEP = 2, 1.5  # of the seeds from look to look
_SHARES_GROWTH = 4  # of the share of the error from look to look

Array = np.ndarray
Pair = tuple[str, str]
Tables = Mapping[str, Array]


def looks(first: int, most: int) -> tuple[int, ...]:
    """Return the numbers of seeds to look at: `first`, twice, four times as many, at last `most`.

    Example:
        >>> looks(3, 20)
        (3, 6, 12, 20)
    """
    found = [first]
    while found[-1] * _GROWTH * _LAST_STEP <= most:
        found.append(found[-1] * _GROWTH)
    return (*found, most) if most > found[-1] else tuple(found)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What all looks so far show of a pair.

    Attributes:
        p: Valid at any moment, in [0, 1]; 1 before the first look.
        strongest: The test of the look that p comes from.
        last: The test with the most seeds.
    """

    p: float
    strongest: Difference
    last: Difference


class Looks:
    """The pairs of a study, tested at every look.

    Args:
        names: All candidates of the study; the correction counts each of their pairs.
        at: Numbers of seeds, ascending; see `looks`.
        confidence: Of the verdicts together, between 0 and 1.
        correction: Of the p values for the number of pairs: holm, bh or none.
    """

    def __init__(
        self,
        names: Sequence[str],
        at: Sequence[int],
        *,
        confidence: float = 0.95,
        correction: Correction = "holm",
    ) -> None:
        self.names, self.at = tuple(names), tuple(at)
        self.confidence, self.correction = confidence, correction
        weights = [float(_SHARES_GROWTH**k) for k in range(len(self.at))]
        self.shares = {look: w / sum(weights) for look, w in zip(self.at, weights, strict=True)}
        self._memo: dict[int, tuple[bytes, dict[Pair, Difference]]] = {}

    @property
    def level(self) -> float:
        """The error that all looks share."""
        return 1.0 - self.confidence

    def level_beside(self, declared: int) -> float:
        """Return which p at the last look declares one more difference beside so many others."""
        pairs = max(math.comb(len(self.names), 2), 1)
        share = {
            "holm": 1.0 / max(pairs - declared, 1),
            "bh": (declared + 1) / pairs,
            "none": 1.0,
        }[self.correction]
        return self.level * min(share, 1.0) * self.shares[self.at[-1]]

    def shown(self, tables: Tables, final: Sequence[str] = ()) -> dict[Pair, Shown]:
        """Return what is shown of every pair that has reached a look, in the order of `names`.

        Args:
            tables: Seeds in the order they were drawn by test examples; larger is better.
            final: Who gets no more seeds; they take part in later looks with those they have.
        """
        found: dict[Pair, Shown] = {}
        for look in self.at:
            for pair, test in self.tests(look, tables, final).items():
                p = min(1.0, test.p / self.shares[look])
                before = found.get(pair)
                if before is None or p < before.p:
                    found[pair] = Shown(p=p, strongest=test, last=test)
                else:
                    found[pair] = replace(before, last=test)
        return found

    def tests(self, look: int, tables: Tables, final: Sequence[str] = ()) -> dict[Pair, Difference]:
        """Return the tests of one look, with intervals that hold at all looks together."""
        ordered = {name: tables[name] for name in self.names if name in tables}
        held = {
            name: table[:look]
            for name, table in ordered.items()
            if len(table) >= look or (name in final and len(table))
        }
        key = _fingerprint(held)
        if look not in self._memo or self._memo[look][0] != key:
            confidence = 1.0 - self.level * self.shares[look]
            self._memo[look] = key, paired_tests(held, confidence=confidence)
        return self._memo[look][1]

    def verdicts(self, tables: Tables, final: Sequence[str] = ()) -> list[PairVerdict]:
        """Return a verdict on every pair with tables; before its first look none is told apart.

        A pair that is told apart is described by the look that did it, any other by its last one.

        Args:
            tables: As for `shown`.
            final: As for `shown`.
        """
        present = {name: tables[name] for name in self.names if name in tables}
        shown = self._unseen(present) | self.shown(present, final)
        corrected = self.correct(shown)
        return [
            verdict_of(pair, _telling(seen, p, self.level), seen.p, p, self.level)
            for (pair, seen), p in zip(shown.items(), corrected.values(), strict=True)
        ]

    def correct(self, shown: Mapping[Pair, Shown]) -> dict[Pair, float]:
        """Return the p of each pair, corrected for all pairs of the study."""
        unseen = math.comb(len(self.names), 2) - len(shown)
        ps = [of_pair.p for of_pair in shown.values()] + [1.0] * unseen
        return dict(zip(shown, adjust(ps, self.correction), strict=False))

    def _unseen(self, present: Tables) -> dict[Pair, Shown]:
        """Return the pairs of which too few seeds are there for a look: nothing is shown."""
        tests = paired_tests(present, confidence=1.0 - self.level * self.shares[self.at[0]])
        return {pair: Shown(p=1.0, strongest=test, last=test) for pair, test in tests.items()}


def _fingerprint(tables: Tables) -> bytes:
    digest = blake2b()
    for name, table in tables.items():
        digest.update(f"{name}{table.dtype}{table.shape}".encode())
        digest.update(np.ascontiguousarray(table).data)
    return digest.digest()


def _telling(shown: Shown, corrected: float, level: float) -> Difference:
    """Return the test whose interval is told: of the look that decided, else of the last."""
    return shown.strongest if corrected < level else shown.last
