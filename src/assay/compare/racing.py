"""Sequential studies: seeds go where they can still change the recommendation.

The recommendation is the cheapest candidate within a margin of the best mean among those that
nothing has been shown to beat (`recommend`). A race looks at the tables when every candidate that
matters has `first` seeds, then twice, four times as many, at last `most`; `looks` tells of the
error that holds at all looks together.

Seeds go to the recommended candidate, to the one of the best mean, and to those that may still
change the recommendation: by being shown to beat it, by ending more than the margin ahead of it,
or, where they cost less, by ending within the margin of the best mean. The chance of each is
predicted from the spread of the seeds so far: given the difference now, how likely it is with
`most` seeds (Lan, Simon and Halperin, "Stochastically curtailed tests in long-term clinical
trials", Sequential Analysis 1, 1982). When no chance is above CHANCE, the race is over. That shows
nothing, hence no false difference; that going on would not have changed the recommendation is a
prediction for normal scores, not a bound, and how often it fails is in docs/calibration.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.compare.looks import Looks, Pair, Shown, Tables, looks
from assay.compare.margin import Margin, margin_for
from assay.compare.moments import Moments, satterthwaite
from assay.compare.recommend import choose
from assay.compare.result import PairVerdict
from assay.compare.verdicts import Correction
from assay.errors import BadArgumentError

FIRST, MOST = 3, 24  # seeds
HIGHEST = 1_000  # that `most` may be
AT_ONCE = 3  # challengers that get seeds together
CHANCE = 0.2  # of changing the recommendation, up to which seeds are not worth their cost
FEW = 8  # below so many seeds, a candidate's own spread of seeds is not trusted alone

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smh])")

Words = dict[str, str]  # {"en", "zh"}
End = Literal["", "nobody", "alone", "ahead", "noise", "most", "time"]


@dataclass(frozen=True, kw_only=True)
class Until:
    """When a sequential study ends, if not by the most seeds."""

    decided: bool = True  # as soon as the recommendation is not expected to change
    seconds: float | None = None  # of the whole study


def parse_until(text: str) -> Until:
    """Return what `text` states: "decided", a time such as "90s", "30m", "2h", or both.

    Raises:
        BadArgumentError: `text` is none of these.

    Example:
        >>> parse_until("decided or 30m")
        Until(decided=True, seconds=1800.0)
    """
    parts = re.split(r"\s+or\s+", text.strip().lower())
    times = [_seconds(part) for part in parts if part != "decided"]
    if parts.count("decided") > 1 or len(times) > 1 or not all(0 < t < math.inf for t in times):
        raise BadArgumentError(
            "`until` must be decided, a time above zero such as 90s, 30m or 2h, or both as in "
            f"'decided or 30m'. Received until={text!r}."
        )
    return Until(decided="decided" in parts, seconds=times[0] if times else None)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a race stands: all of it follows from the tables and the costs.

    Attributes:
        recommended: The cheapest unbeaten candidate within the margin of the best mean; among
            equal costs the best mean so far.
        leader: The unbeaten candidate of the best mean.
        unbeaten: Who takes part and has not been shown to be beaten, cheapest first.
        beaten: Who has been, and by whom.
        chances: Of each unbeaten other candidate, that with the most seeds it changes the
            recommendation, in [0, 1].
        challengers: Those whose chance is worth seeds, likeliest first.
        better: Who has a better mean than the recommended one, unproved.
        by_examples: Whether, with the most seeds, what hides the best of `better` is mainly the
            draw of test examples.
    """

    recommended: str | None = None
    leader: str | None = None
    unbeaten: tuple[str, ...] = ()
    beaten: Mapping[str, str]
    chances: Mapping[str, float]
    challengers: tuple[str, ...] = ()
    better: tuple[str, ...] = ()
    by_examples: bool = False


class Race:
    """Decides after every round of trials which candidates get one more seed.

    Decisions follow from the tables alone (and the end from the time, where one is set), and change
    at looks only. A study that was killed goes through its rounds from the first one on, with the
    trials on record, and so makes the decisions it would have made.

    Args:
        names: All candidates.
        confidence: Of all verdicts together, in (0.5, 1).
        first: Seeds that every candidate gets, at least 2.
        most: Seeds of a candidate at most, failed ones included, from `first` to 1,000.
        correction: Of the p values for the number of pairs: holm, bh or none.
        margin: How far below the best mean the recommended candidate may be; None takes that of a
            share such as accuracy.
        until: When to end.

    Attributes:
        over: Whether the last `next` found nothing left to do.
        standing: What the last `next` found; None before the first look.
        dropped: Who gets no more seeds as things stand, and why: {"en", "zh"}.

    Raises:
        BadArgumentError: `first` or `most` is out of range.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        confidence: float = 0.95,
        first: int = FIRST,
        most: int = MOST,
        correction: Correction = "holm",
        margin: Margin | None = None,
        until: Until | None = None,
    ) -> None:
        _check(first, most)
        self.names, self.until = tuple(names), until or Until()
        self.margin = margin or margin_for(None, share=True)
        at = looks(first, most)
        self.looks = Looks(self.names, at, confidence=confidence, correction=correction)
        self.over = False
        self.standing: Standing | None = None
        self.dropped: dict[str, Words] = {}
        self.end: End = ""

    @property
    def first(self) -> int:
        """Seeds that every candidate gets."""
        return self.looks.at[0]

    @property
    def most(self) -> int:
        """Seeds that a candidate gets at most."""
        return self.looks.at[-1]

    def next(
        self,
        tables: Tables,
        *,
        costs: Mapping[str, float] | None = None,
        elapsed: float = 0.0,
        failed: Mapping[str, int] | None = None,
        excluded: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Return the candidates that get one more seed each; none when the race is over.

        Args:
            tables: Of every candidate so far: seeds in the order they were drawn by test examples;
                larger is better. One without a finished seed may be missing.
            costs: What each costs, smaller is better; one that is not named counts as the dearest.
            elapsed: Seconds that the study has taken.
            failed: Seeds of each that ended without a score; others take their places.
            excluded: Who misses a requirement, and is neither recommended nor beats others.
        """
        taking = [name for name in self.names if name not in excluded]
        rows = {name: len(tables.get(name, ())) for name in self.names}
        final = self._final(rows, failed or {})
        late = self.until.seconds is not None and elapsed >= self.until.seconds
        asked = tuple(n for n in taking if rows[n] < self.first and n not in final)
        if asked and late:
            asked = tuple(n for n in asked if not rows[n] and not (failed or {}).get(n))
        if not asked:
            held = {name: tables[name] for name in self.names if rows[name]}
            self.standing = self._stand(held, taking, costs or {}, final)
            asked, self.end = self._after(self.standing, rows, final, late=late)
            self.dropped = _dropped(self.standing, asked, rows)
        self.over = not asked
        return asked

    def verdicts(
        self, tables: Tables, *, failed: Mapping[str, int] | None = None
    ) -> list[PairVerdict]:
        """Return what is shown of every pair at this moment; it holds at all moments together.

        Args:
            tables: As for `next`.
            failed: As for `next`.
        """
        rows = {name: len(tables.get(name, ())) for name in self.names}
        held = {name: tables[name] for name in self.names if rows[name]}
        return self.looks.verdicts(held, self._final(rows, failed or {}))

    def why(self, lang: Literal["en", "zh"] = "en") -> str:
        """Return one sentence: why the race is over, or that it goes on."""
        return _why(self.end, self.standing, self.most, self.until.seconds)[lang]

    def _final(self, rows: Mapping[str, int], failed: Mapping[str, int]) -> tuple[str, ...]:
        """Return who can get no more seeds."""
        return tuple(n for n in self.names if rows[n] + failed.get(n, 0) >= self.most)

    def _stand(
        self,
        tables: Tables,
        taking: Sequence[str],
        costs: Mapping[str, float],
        final: Sequence[str],
    ) -> Standing:
        shown = self.looks.shown(tables, final)
        corrected = self.looks.correct(shown)
        told = {pair: of for pair, of in shown.items() if corrected[pair] < self.looks.level}
        present = [name for name in taking if name in tables]
        beaten = _beaten(told, present)
        ahead = _Ahead(self.looks, tables, final, declared=len(told))
        means = {name: ahead.mean(name) for name in present}
        unbeaten = sorted(
            (name for name in present if name not in beaten),
            key=lambda name: (costs.get(name, math.inf), -means[name]),
        )
        if not unbeaten:
            return Standing(beaten=beaten, chances={})
        best = choose(unbeaten, means, costs, self.margin)
        others = [name for name in unbeaten if name != best]
        leader = max(unbeaten, key=lambda name: means[name])
        apart = self.margin.of(means[leader])
        chances = {name: ahead.to_outdo(best, name, apart) for name in others}
        for name in unbeaten[: unbeaten.index(best)]:  # cheaper, and out of the margin
            chances[name] = max(chances[name], ahead.to_come_near(leader, name, apart))
        better = sorted((n for n in others if means[n] > means[best]), key=lambda n: -means[n])
        return Standing(
            recommended=best,
            leader=leader,
            unbeaten=tuple(unbeaten),
            beaten=beaten,
            chances=chances,
            challengers=tuple(
                sorted((n for n in others if chances[n] > CHANCE), key=lambda n: -chances[n])
            ),
            better=tuple(better),
            by_examples=bool(better) and ahead.by_examples(better[0], best),
        )

    def _after(
        self, standing: Standing, rows: Mapping[str, int], final: Sequence[str], *, late: bool
    ) -> tuple[tuple[str, ...], End]:
        """Return who gets one more seed, or why nobody does."""
        if standing.recommended is None or standing.leader is None:
            return (), "nobody"
        if late:
            return (), "time"
        needed = (standing.recommended, standing.leader, *standing.challengers[:AT_ONCE])
        if not self.until.decided:
            needed = standing.unbeaten
        elif len(standing.unbeaten) == 1:
            return (), "alone"
        elif not standing.challengers:
            rest = any(n not in final for n in standing.unbeaten)
            return (), ("noise" if standing.better else "ahead") if rest else "most"
        able = [name for name in needed if name not in final]
        if not able:
            return (), "most"
        fewest = min(rows[name] for name in able)
        look = next(look for look in self.looks.at if look > fewest)
        return tuple(name for name in self.names if name in able and rows[name] < look), ""


@dataclass(frozen=True)
class _Side:
    """One of two candidates, by the seeds up to its last look."""

    moments: Moments
    one_seed: float  # variance of one seed's score
    freedom: float  # degrees of freedom of `one_seed`
    at_most: int  # seeds it can end with

    @property
    def final(self) -> float:
        """Variance over draws of seeds of the mean it ends with."""
        return self.one_seed / self.at_most

    @property
    def move(self) -> float:
        """Variance of the way its mean still has to go."""
        return self.one_seed * (1.0 / self.moments.seeds - 1.0 / self.at_most)


class _Ahead:
    """What more seeds would most likely show.

    Args:
        looks: Of the race.
        tables: So far.
        final: Who gets no more seeds.
        declared: Differences so far.
    """

    def __init__(
        self, looks: Looks, tables: Tables, final: Collection[str], *, declared: int
    ) -> None:
        self.looks, self.tables, self.final = looks, tables, final
        self.level = looks.level_beside(declared)
        start = {name: table[: looks.at[0]] for name, table in tables.items()}
        self.common, self.common_freedom = _common_spread(start)
        self._sides: dict[str, _Side] = {}

    def mean(self, name: str) -> float:
        """Return a candidate's mean at its last look."""
        return self._side(name).moments.mean

    def to_outdo(self, best: str, name: str, margin: float) -> float:
        """Return the chance that `name` is shown to beat `best`, or ends so far ahead of it."""
        from scipy.special import stdtrit

        a, b = self._side(name), self._side(best)
        parts = [_of_examples(a, b), a.final, b.final]
        freedom = _freedom(parts, [a.moments.examples - 1, a.at_most - 1, b.at_most - 1])
        shown = float(stdtrit(freedom, 1.0 - self.level / 2)) * math.sqrt(sum(parts))
        return _ends_ahead(a, b, by=min(shown, margin))

    def to_come_near(self, leader: str, name: str, margin: float) -> float:
        """Return the chance that `name` ends within the margin of `leader`."""
        return _ends_ahead(self._side(name), self._side(leader), by=-margin)

    def by_examples(self, name: str, best: str) -> bool:
        """Return whether examples hide more of a difference than the most seeds do."""
        a, b = self._side(name), self._side(best)
        return _of_examples(a, b) > a.final + b.final

    def _side(self, name: str) -> _Side:
        if name not in self._sides:
            table = self.tables[name]
            reached = [look for look in self.looks.at if look <= len(table)]
            rows = len(table) if name in self.final or not reached else reached[-1]
            moments = Moments.of(table[:rows])
            own, freedom = moments.of_seeds * rows, float(rows - 1)
            if rows < FEW and self.common > own:
                own, freedom = self.common, float(self.common_freedom)
            at_most = rows if name in self.final else self.looks.at[-1]
            self._sides[name] = _Side(moments, own, freedom, at_most)
        return self._sides[name]


def _common_spread(start: Tables) -> tuple[float, int]:
    """Return the mean variance of one seed's score in the first round, and its degrees of freedom.

    The first round alone, in which all take part, so that a later look finds what it found before.
    """
    several = [table.mean(axis=1) for table in start.values() if len(table) > 1]
    freedom = sum(len(scores) - 1 for scores in several)
    squares = sum(float(scores.var()) * len(scores) for scores in several)
    return squares / max(freedom, 1), freedom


def _freedom(parts: Sequence[float], freedoms: Sequence[float]) -> float:
    least = np.maximum(np.array(freedoms, dtype=np.float64), 1.0)
    return float(satterthwaite(np.array(parts)[:, None], least[:, None])[0])


def _ends_ahead(a: _Side, b: _Side, *, by: float) -> float:
    """Return the chance that with the most seeds the mean of `a` is so far above that of `b`."""
    from scipy.special import stdtr

    beyond = a.moments.mean - b.moments.mean - by
    moves = [a.move, b.move]
    if not any(moves):
        return float(beyond > 0)
    freedom = _freedom(moves, [a.freedom, b.freedom])
    return float(stdtr(freedom, beyond / math.sqrt(sum(moves))))


def _of_examples(a: _Side, b: _Side) -> float:
    """Return the variance of a difference that no seed removes."""
    apart = a.moments.centred - b.moments.centred
    columns = a.moments.examples
    both = float(apart @ apart) / max(columns - 1, 1) / columns
    return max(both - a.moments.of_chance - b.moments.of_chance, 0.0)


def _beaten(told: Mapping[Pair, Shown], present: Collection[str]) -> dict[str, str]:
    """Return who has been shown to be beaten, and by whom most clearly."""
    found: dict[str, tuple[float, str]] = {}
    for (a, b), shown in told.items():
        winner, loser = (a, b) if shown.strongest.mean > 0 else (b, a)
        if a in present and b in present:
            found[loser] = min(found.get(loser, (math.inf, "")), (shown.p, winner))
    return {loser: winner for loser, (_, winner) in found.items()}


def _dropped(
    standing: Standing, asked: Collection[str], rows: Mapping[str, int]
) -> dict[str, Words]:
    found: dict[str, Words] = {}
    for name, winner in standing.beaten.items():
        found[name] = {
            "en": f"after {rows[name]} seeds {winner} has been shown to beat it",
            "zh": f"经 {rows[name]} 个种子，已证明 {winner} 优于它",
        }
    for name in standing.unbeaten:
        if name not in asked and name != standing.recommended:
            found[name] = {
                "en": f"after {rows[name]} seeds, more of it would not change that "
                f"{standing.recommended} is recommended",
                "zh": f"已有 {rows[name]} 个种子，再增加也不会改变对 {standing.recommended} 的推荐",
            }
    return found


def _why(end: End, standing: Standing | None, most: int, seconds: float | None) -> Words:
    if standing is None or not end:
        return {
            "en": "More seeds can still change the recommendation.",
            "zh": "更多种子仍可能改变推荐。",
        }
    best, better = standing.recommended, ", ".join(standing.better[:3])
    count = len(standing.unbeaten)
    return {
        "nobody": {
            "en": "The race is over: no candidate is left that could be recommended.",
            "zh": "竞赛结束：没有可推荐的候选。",
        },
        "alone": {
            "en": f"The race is over: every candidate but {best} has been shown to be beaten.",
            "zh": f"竞赛结束：除 {best} 外，其余候选均已被证明不如他者。",
        },
        "ahead": {
            "en": f"The race is over: {best} has the best mean of the {count} candidates that "
            f"nothing has been shown to beat, and up to {most} seeds each would most likely leave "
            "it recommended.",
            "zh": f"竞赛结束：在 {count} 个未被证明不如他者的候选中，{best} 的均值最好；"
            f"即使每个增加到 {most} 个种子，推荐也很可能不变。",
        },
        "noise": _noise(standing, best, better, most),
        "most": {
            "en": f"The race is over because the most seeds ({most}) are used; they leave {count} "
            f"candidates that nothing has been shown to beat, and of these {best} is recommended.",
            "zh": f"已用完最多的种子数（{most}），竞赛结束；"
            f"在剩下的 {count} 个未被证明不如他者的候选中推荐 {best}。",
        },
        "time": {
            "en": f"The race is over because its time ({seconds or 0:g} s) is used up; "
            f"more seeds could still change that {best} is recommended.",
            "zh": f"时间（{seconds or 0:g} 秒）已用完，竞赛结束；"
            f"更多种子仍可能改变对 {best} 的推荐。",
        },
    }[end]


def _noise(standing: Standing, best: str | None, better: str, most: int) -> Words:
    en = (
        f"The race is over: the better mean of {better} is within chance, and up to {most} seeds "
        f"each would most likely leave {best} recommended"
    )
    zh = (
        f"竞赛结束：{better} 的均值虽更好，但差异在偶然范围之内，"
        f"即使每个增加到 {most} 个种子，也很可能仍推荐 {best}"
    )
    if standing.by_examples:
        en += "; what remains is the noise of the test sample, which only more test examples reduce"
        zh += "；剩下的是测试样本本身的噪声，只有更多测试样本才能减小它"
    return {"en": f"{en}.", "zh": f"{zh}。"}


def _check(first: int, most: int) -> None:
    if first < 2:
        raise BadArgumentError(
            "`seeds` must be at least 2 where `until` is given, since the spread of seeds decides "
            f"when to end. Received seeds={first}."
        )
    if not first <= most <= HIGHEST:
        raise BadArgumentError(
            f"`most` must be from the first round's {first} seeds to {HIGHEST:,}. "
            f"Received most={most}."
        )


def _seconds(text: str) -> float:
    match = _TIME.fullmatch(text)
    return float(match[1]) * _SECONDS[match[2]] if match else 0.0
