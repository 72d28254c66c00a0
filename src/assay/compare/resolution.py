"""How small a difference a study can see, and what would let it see more.

Both answers follow from the variance components of the tables: with S seeds and n test examples the
difference of two candidates has variance e/n + c/(S n) + s/S, for the examples' part e, the seeds'
part s and chance c, each read off the tables (Searle, Casella and McCulloch, "Variance Components",
1992, chapter 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from assay.canon.idea import spaced
from assay.compare.moments import Moments, joint_freedom, satterthwaite
from assay.compare.statistics import (
    Difference,
    adjust,
    over_seeds,
    paired_tests,
    t_below,
    t_quantile,
)
from assay.compare.verdicts import Correction

POINT = 0.01
MOST_SEEDS = 1_000  # that are looked at; nobody trains more
MOST_EXAMPLES = 1_000_000_000
HOUR = 3600.0
LIKELY = 0.5  # a pair this probable, or more, is said to be decided
SHOWN = 2  # pairs named in a sentence

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The smallest difference that a study can tell from none.

    Attributes:
        seeds: Fewest seeds of a candidate.
        examples: Test examples.
        smallest: Half the interval of the typical pair, before any correction for their number: no
            smaller difference can be told from none. In the metric's unit.
        target: The difference that more would show: one point or, where that can be seen already
            or the metric has no points, half of `smallest`.
        more_seeds: How many more of every candidate would show it; None where no number does, or
            with one seed, which tells nothing of others.
        more_examples: How many more test examples would; None where no number does.
        together: Neither would alone; both numbers together do.
        points: The metric is a share, shown in points of a hundred.
    """

    seeds: int
    examples: int
    smallest: float
    target: float
    more_seeds: int | None
    more_examples: int | None
    together: bool
    points: bool

    def sentence(self, lang: Language) -> str:
        """Return it in words, `lang` en or zh."""
        return _text(
            self._key,
            lang,
            examples=f"{self.examples:,}",
            seeds=_seeds(self.seeds, lang),
            smallest=self._amount(self.smallest, lang),
            target=self._amount(self.target, lang),
            more_seeds=_seeds(self.more_seeds or 0, lang, " more"),
            more_examples=f"{_two_digits(self.more_examples or 0):,}",
        )

    @property
    def _key(self) -> str:
        if self.seeds == 1:
            return "one seed"
        if self.together:
            return "both"
        if self.more_seeds is None:
            return "neither" if self.more_examples is None else "examples"
        return "seeds" if self.more_examples is None else "either"

    def _amount(self, value: float, lang: Language) -> str:
        number = _significant(100 * value if self.points else value)
        if not self.points:
            return number
        unit = " 个百分点" if lang == "zh" else " point" if number == "1" else " points"
        return number + unit


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What more trials would decide.

    Attributes:
        trials: How many there is time for.
        seeds: More seeds of every candidate in question.
        candidates: In question: the leader, and whom it has not been shown to beat.
        chances: Undecided pairs with the leader, and the probability that the new seeds decide
            each; the likeliest first.
    """

    trials: int
    seeds: int
    candidates: tuple[str, ...]
    chances: tuple[tuple[str, str, float], ...]


def resolution(
    tables: Mapping[str, np.ndarray],
    *,
    confidence: float = 0.95,
    points: bool = True,
) -> Resolution | None:
    """Return the smallest difference that these tables can show, of the pair in the middle.

    None for fewer than two candidates, and where no score differs from any other.

    Args:
        tables: For every candidate a table of seeds by test examples; larger is better.
        confidence: Of a verdict, between 0 and 1.
        points: The metric is a share, shown in points of a hundred; else in its own unit.
    """
    moments = {name: Moments.of(table) for name, table in tables.items()}
    found = paired_tests(tables, confidence=confidence)
    if not found or max(test.variance for test in found.values()) == 0.0:
        return None
    (a, b), test = sorted(found.items(), key=lambda item: item[1].high - item[1].low)[
        len(found) // 2
    ]
    half = _HalfWidth(moments[a], moments[b], test, confidence)
    seeds, examples = min(m.seeds for m in moments.values()), moments[a].examples
    smallest = half(half.seeds, examples)
    target = POINT if points and smallest > POINT else smallest / 2
    more_seeds, more_examples, together = half.more(examples, target)
    return Resolution(
        seeds=seeds,
        examples=examples,
        smallest=smallest,
        target=target,
        more_seeds=more_seeds,
        more_examples=more_examples,
        together=together,
        points=points,
    )


def outlook(
    tables: Mapping[str, np.ndarray],
    seconds_per_trial: float,
    *,
    at_once: int = 1,
    confidence: float = 0.95,
    correction: Correction = "holm",
    leader: str | None = None,
) -> Outlook:
    """Return what an hour of more seeds would decide about the leader.

    The new seeds go in equal numbers to all candidates in question. The mean of a pair after them
    is predicted by Student's t around the present one: what the new seeds will add is known to be
    like the old ones (Gelman et al., "Bayesian Data Analysis", 3rd ed., section 3.2). Examples stay
    the same, so that what they hide stays hidden.

    Args:
        tables: For every candidate a table of seeds by test examples; larger is better.
        seconds_per_trial: What one takes on average, > 0.
        at_once: Trials that run beside each other, >= 1.
        confidence: Of a verdict, between 0 and 1.
        correction: Of the p values for their number.
        leader: Whose pairs count; None is the best mean.
    """
    found = paired_tests(tables, confidence=confidence)
    corrected = adjust([test.p for test in found.values()], correction)
    undecided = {pair for pair, p in zip(found, corrected, strict=True) if p >= 1 - confidence}
    level = (1 - confidence) / _family(len(found), len(undecided), correction)
    best = leader or max(tables, key=lambda name: float(np.mean(tables[name])))
    pairs = [pair for pair in found if pair in undecided and best in pair]
    names = tuple(n for n in tables if n == best or any(n in pair for pair in pairs))
    trials = int(HOUR * at_once / seconds_per_trial)
    seeds = trials // len(names) if pairs else 0
    moments = {name: Moments.of(tables[name]) for name in names}
    chances = [(a, b, _chance(moments[a], moments[b], found[a, b], seeds, level)) for a, b in pairs]
    chances.sort(key=lambda row: -row[2])
    return Outlook(trials=trials, seeds=seeds, candidates=names, chances=tuple(chances))


def next_hour(
    tables: Mapping[str, np.ndarray],
    seconds_per_trial: float,
    *,
    at_once: int = 1,
    confidence: float = 0.95,
    correction: Correction = "holm",
    leader: str | None = None,
) -> dict[str, str]:
    """Return one sentence, en and zh, on what another hour would most likely decide.

    The arguments are those of `outlook`. No sentence for fewer than two candidates.
    """
    if len(tables) < 2:
        return {}
    seen = outlook(
        tables,
        seconds_per_trial,
        at_once=at_once,
        confidence=confidence,
        correction=correction,
        leader=leader,
    )
    alone = all(len(np.atleast_2d(tables[name])) == 1 for name in seen.candidates)
    key = _outlook_key(seen, alone=alone)
    likely = [row for row in seen.chances if row[2] >= LIKELY][:SHOWN] or seen.chances[:1]
    pairs = [[pair.format(a=a, b=b, p=_percent(p)) for a, b, p in likely] for pair in _PAIR]
    return {
        lang: _text(
            key,
            lang,
            trials=f"{seen.trials:,}",
            candidates=len(seen.candidates),
            seeds=_seeds(seen.seeds, lang, " more"),
            pairs=_AND[place].join(pairs[place]),
        )
        for place, lang in enumerate(LANGUAGES)
    }


class _HalfWidth:
    """Half the interval of a pair's difference, for any number of seeds and examples."""

    def __init__(self, a: Moments, b: Moments, test: Difference, confidence: float) -> None:
        self.seeds = min(a.seeds, b.seeds)
        self._confidence = confidence
        n = a.examples
        of_a, of_b, _ = over_seeds([a, b], np.array([0]), np.array([1]))
        whole = float(of_a[0] + of_b[0])
        self._example = max(test.variance - whole, 0.0) * n
        self._chance = (a.of_chance * a.seeds + b.of_chance * b.seeds) * n
        self._seed = max(float(of_a[0]) - a.of_chance, 0.0) * a.seeds
        self._seed += max(float(of_b[0]) - b.of_chance, 0.0) * b.seeds

    def __call__(self, seeds: int, examples: int) -> float:
        of_seeds = self._seed / seeds + self._chance / seeds / examples
        parts = np.array([self._example / examples, of_seeds])
        freedoms = np.array([max(examples - 1.0, 1.0), max(2.0 * (seeds - 1), 1.0)])
        freedom = float(joint_freedom(parts, freedoms))
        reach = float(t_quantile(freedom, self._confidence))
        return reach * math.sqrt(float(parts.sum()))

    def more(self, examples: int, enough: float) -> tuple[int | None, int | None, bool]:
        """Return the seeds or examples that bring it to `enough`, and whether it takes both."""

        def of_examples(n: int) -> bool:
            return self(self.seeds, n) <= enough

        if self.seeds == 1:
            return None, _more(of_examples, examples, MOST_EXAMPLES), False
        seeds = _more(lambda s: self(s, examples) <= enough, self.seeds, MOST_SEEDS)
        more = _more(of_examples, examples, MOST_EXAMPLES)
        if seeds is not None or more is not None:
            return seeds, more, False
        both = _more(
            lambda s: self(s, examples * s // self.seeds) <= enough, self.seeds, MOST_SEEDS
        )
        if both is None:
            return None, None, False
        return both, math.ceil(both * examples / self.seeds), True


def _more(enough: Callable[[int], bool], now: int, most: int) -> int | None:
    """Return by how much `now` must grow to be enough; None where `most` is not."""
    if enough(now):
        return 0
    if not enough(most):
        return None
    low, high = now, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high - now


def _family(pairs: int, undecided: int, correction: Correction) -> float:
    """Return by what the next pair's p is multiplied."""
    if correction == "none":
        return 1.0
    undecided = max(undecided, 1)
    return float(undecided) if correction == "holm" else pairs / (pairs - undecided + 1)


def _chance(a: Moments, b: Moments, test: Difference, seeds: int, level: float) -> float:
    """Return the probability that so many more seeds of both decide the pair."""
    of_a, of_b, freedoms = over_seeds([a, b], np.array([0]), np.array([1]))
    now = np.array([float(of_a[0]), float(of_b[0])])
    had = np.array([a.seeds, b.seeds])
    then = now * had / (had + seeds)
    examples = max(test.variance - float(now.sum()), 0.0)
    later = float(satterthwaite(then, np.maximum(had + seeds - 1.0, 1.0)))
    needed = math.sqrt(
        float(t_quantile(max(a.examples - 1.0, 1.0), 1 - level)) ** 2 * examples
        + float(t_quantile(later, 1 - level)) ** 2 * float(then.sum())
    )
    moved = float((now - then).sum()) ** 0.5
    if moved == 0.0:
        return 0.0
    known = float(satterthwaite(now, freedoms[:, 0]))
    above = t_below(np.array(known), np.array((test.mean - needed) / moved))
    return float(above + t_below(np.array(known), np.array((-test.mean - needed) / moved)))


def _outlook_key(seen: Outlook, *, alone: bool) -> str:
    if not seen.chances:
        return "all decided"
    if seen.seeds < 1:
        return "too short"
    if alone:
        return "seeds unknown"
    return "decides" if seen.chances[0][2] >= LIKELY else "decides nothing"


def _text(key: str, lang: Language, **values: object) -> str:
    text = _WORDS[key][LANGUAGES.index(lang)].format(**values)
    return spaced(text) if lang == "zh" else text


def _significant(value: float) -> str:
    """Return two significant digits without an exponent: 2.1, 0.034, 150."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = 1 - math.floor(math.log10(abs(value)))
    number = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    return number.rstrip("0").rstrip(".") if "." in number else number


def _two_digits(value: int) -> int:
    """Return a count rounded up to two significant digits: 900, 12,000."""
    step = 10 ** max(len(str(value)) - 2, 0)
    return int(math.ceil(value / step) * step)


def _percent(share: float) -> str:
    return f"{min(max(round(100 * share), 1), 99)}%"


def _seeds(count: int, lang: str, more: str = "") -> str:
    if lang == "zh":
        return f"{count:,} 个种子"
    return f"{count:,}{more} seed{'' if count == 1 else 's'}"


_PAIR = ("{a} against {b} ({p})", "{a} 与 {b}（{p}）")
_AND = (" and ", "、")
_WITH = (
    "With {examples} test examples and {seeds}, differences under {smallest} cannot be seen; ",
    "有 {examples} 个测试样本和 {seeds}时，小于 {smallest}的差异看不出来；",
)
_HOUR = (
    "Another hour ({trials} trials: {seeds} of each of the {candidates} candidates in question) ",
    "再花一小时（{trials} 次试验：尚未分出高下的 {candidates} 个候选各加 {seeds}），",
)
_WORDS: dict[str, tuple[str, str]] = {
    "either": (
        _WITH[0] + "{more_seeds} or {more_examples} more examples would show {target}.",
        _WITH[1] + "再加 {more_seeds}或 {more_examples} 个样本，就能看出 {target}的差异。",
    ),
    "seeds": (
        _WITH[0] + "{more_seeds} would show {target}, more examples alone would not.",
        _WITH[1] + "再加 {more_seeds}就能看出 {target}的差异，只加样本则不能。",
    ),
    "examples": (
        _WITH[0] + "{more_examples} more examples would show {target}, more seeds alone would not.",
        _WITH[1] + "再加 {more_examples} 个样本就能看出 {target}的差异，只加种子则不能。",
    ),
    "both": (
        _WITH[0] + "{more_seeds} together with {more_examples} more examples would show {target}.",
        _WITH[1] + "再加 {more_seeds}，同时再加 {more_examples} 个样本，才能看出 {target}的差异。",
    ),
    "neither": (
        _WITH[0] + "no number of seeds and examples that could be had would show {target}.",
        _WITH[1] + "实际可得的种子和样本再多，也看不出 {target}的差异。",
    ),
    "one seed": (
        "With {examples} test examples and one seed, differences under {smallest} between these "
        "trained networks cannot be seen, and how much another seed would change is unknown; train "
        "3 seeds or more.",
        "有 {examples} 个测试样本和 1 个种子时，这些训练好的网络之间小于 {smallest}的差异看不出来，"
        "换一个种子会改变多少也无从得知；请训练 3 个或更多种子。",
    ),
    "all decided": (
        "Nothing about the best candidate is undecided: another hour would only narrow the "
        "intervals.",
        "关于最好的候选，高下都已分出：再花一小时只会让区间变窄。",
    ),
    "too short": (
        "Another hour has room for {trials} trials, too few for one more seed of each of the "
        "{candidates} candidates in question.",
        "再花一小时只够 {trials} 次试验，不足以让尚未分出高下的 {candidates} 个候选各加一个种子。",
    ),
    "seeds unknown": (
        _HOUR[0] + "would first show how much seeds differ, which one seed cannot tell.",
        _HOUR[1] + "首先能看出种子之间相差多少，这是一个种子说明不了的。",
    ),
    "decides": (
        _HOUR[0] + "would most likely decide {pairs}.",
        _HOUR[1] + "最可能分出高下的是：{pairs}。",
    ),
    "decides nothing": (
        _HOUR[0] + "would most likely decide nothing; the likeliest is {pairs}.",
        _HOUR[1] + "多半分不出任何高下；可能性最大的是 {pairs}。",
    ),
}
