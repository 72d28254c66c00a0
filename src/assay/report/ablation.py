"""What removing an idea did, in one sentence per idea and a second for the costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from assay.canon.idea import IDEAS, parted, spaced
from assay.compare.result import CandidateResult, PairVerdict, StudyResult
from assay.engine.spec import Measurement
from assay.report import charts, figures
from assay.report.codec import clean
from assay.report.text import LANGUAGES

_TEXT = {
    "worse": (
        "Without {idea} it is worse: {metric} {difference} ({level} interval {low} to {high}, "
        "p {p}{corrected}).",
        "去掉{idea}后变差：{metric}{difference}（{level} 区间 {low}至{high}，{corrected} p {p}）。",
    ),
    "better": (
        "Without {idea} it is better: {metric} {difference} ({level} interval {low} to {high}, "
        "p {p}{corrected}).",
        "去掉{idea}后变好：{metric}{difference}（{level} 区间 {low}至{high}，{corrected} p {p}）。",
    ),
    "not distinguishable": (
        "Without {idea} these data cannot tell a difference: {metric} {difference} "
        "({level} interval {low} to {high}, p {p}{corrected}).",
        "去掉{idea}后，这些数据看不出差异：{metric}{difference}（{level} 区间 {low}至{high}，"
        "{corrected} p {p}）。",
    ),
    "unknown": (
        "Without {idea} nothing can be said: {name} has no finished trial.",
        "去掉{idea}的影响无从判断：{name}没有完成的试验。",
    ),
    "failed": (
        "Without {idea} no trial finished: {reason}.",
        "去掉{idea}后没有试验完成：{reason}。",
    ),
    "costs": (
        " Parameters {parameters}, multiply-accumulates {macs}, latency {latency}.",
        "参数量{parameters}，乘加次数{macs}，延迟{latency}。",
    ),
    "same": ("unchanged", "不变"),
    "change": ("{percent} ({old} → {new})", "{percent}（{old} → {new}）"),
}


def removals(result: StudyResult, lang: Literal["en", "zh"] = "en") -> Iterator[str]:
    """Yield what each network without an idea shows beside the whole one, in the ranking's order.

    Args:
        result: Of a study; candidates that lack nothing, or whose whole is missing, are left out.
        lang: en or zh.
    """
    rows = {c.name: c for c in result.candidates}
    for row in result.candidates:
        whole, idea = parted(row.name)
        if idea in IDEAS and whole in rows:
            yield clean(_quality(result, rows[whole], row, lang) + _costs(rows[whole], row, lang))


def _quality(
    result: StudyResult, whole: CandidateResult, left: CandidateResult, lang: Literal["en", "zh"]
) -> str:
    idea = IDEAS[parted(left.name)[1] or ""].name(lang)
    if left.score is None:
        reasons = [seed.reason for seed in left.seeds if seed.reason]
        reason = reasons[0].rstrip(".") if reasons else "–"
        return _text("failed", lang, idea=idea, reason=reason)
    verdict = _against(result, left.name, whole.name)
    if verdict is None:
        return _text("unknown", lang, idea=idea, name=whole.name)
    words, shown = figures.words_of(result, lang), figures.scores_of(result)
    gains = (verdict.low, verdict.difference, verdict.high)
    low, middle, high = gains if result.higher_is_better else (-gain for gain in reversed(gains))
    text = words.fill(
        _TEXT[verdict.verdict],
        idea=idea,
        metric=figures.metric_label(result, lang),
        difference=shown.difference(middle, words),
        low=shown.difference(low, words),
        high=shown.difference(high, words),
        p=figures.probability(verdict.p_holm),
    )
    return spaced(text) if lang == "zh" else text


def _against(result: StudyResult, left: str, whole: str) -> PairVerdict | None:
    """Return the verdict on the pair, seen from the network that lacks the idea."""
    opposite = {"better": "worse", "worse": "better"}
    for v in result.verdicts:
        if (v.a, v.b) == (left, whole):
            return v
        if (v.a, v.b) == (whole, left):
            return PairVerdict(
                a=left,
                b=whole,
                difference=-v.difference,
                low=-v.high,
                high=-v.low,
                p=v.p,
                p_holm=v.p_holm,
                verdict=opposite.get(v.verdict, v.verdict),  # type: ignore[arg-type]
                better=1 - v.better,
                loss=charts.loss_of(v, left),
            )
    return None


def _costs(whole: CandidateResult, left: CandidateResult, lang: Literal["en", "zh"]) -> str:
    if whole.cost is None or left.cost is None:
        return ""
    old, new = whole.cost, left.cost

    def change(of: Callable[[Measurement], float], show: Callable[[float], str]) -> str:
        return _change(of(old), of(new), show, lang)

    return _text(
        "costs",
        lang,
        parameters=change(lambda cost: cost.parameters, figures.count),
        macs=change(lambda cost: cost.macs, figures.count),
        latency=change(lambda cost: cost.latency_p50_ms, figures.milliseconds),
    )


def _change(old: float, new: float, show: Callable[[float], str], lang: str) -> str:
    if old == new:
        return _text("same", lang)
    percent = f"{100 * (new / old - 1):+.1f}%".replace("-", "−") if old else figures.MISSING
    return _text("change", lang, percent=percent, old=show(old), new=show(new))


def _text(key: str, lang: str, **values: str) -> str:
    text = _TEXT[key][LANGUAGES.index(lang)].format(**values)
    return spaced(text) if lang == "zh" else text
