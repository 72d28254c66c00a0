"""Which candidate is recommended, and one sentence why.

The cheapest of those that nothing has been shown to beat and whose mean is within a margin of the
best mean among them. Little can be shown with few seeds, so the verdicts alone would let a network
through that is cheap rather than good; the margin bounds what a lower cost is worth. Where nothing
was known before, the difference of two means is what choosing the lower one loses on average.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assay.compare.margin import Margin
from assay.compare.requirement import Requirement
from assay.compare.result import CandidateResult, PairVerdict, Recommendation
from assay.compare.verdicts import beaten_by
from assay.engine.spec import Measurement


@dataclass(frozen=True)
class _Cost:
    """What `--prefer` can name."""

    of: Callable[[Measurement], float]
    show: Callable[[float], str]
    en: str  # "the lowest latency"
    zh: str


def _si(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.0f} "


PREFERENCES: Mapping[str, _Cost] = {
    "latency": _Cost(
        lambda m: m.latency_p50_ms, lambda v: f"{v:.3g} ms", "lowest latency", "延迟最低"
    ),
    "params": _Cost(
        lambda m: m.parameters, lambda v: _si(v).strip(), "fewest parameters", "参数最少"
    ),
    "memory": _Cost(
        lambda m: m.peak_memory_bytes,
        lambda v: f"{_si(v)}B",
        "least training memory",
        "训练内存最少",
    ),
    "energy-proxy": _Cost(
        lambda m: m.energy_proxy_mj,
        lambda v: f"{v:.3g} mJ",
        "lowest energy estimate",
        "估算能耗最低",
    ),
}

SCORE = "score"  # no cost at all: the best mean of those that nothing has been shown to beat
CHOICES = (*PREFERENCES, SCORE)
_ONLY = ("it is the only candidate", "它是唯一的候选")
_NO_OTHER = (
    "no other candidate finished within the requirements",
    "没有其他候选在要求之内完成训练",
)
_ALL_BEATEN = (
    "every other candidate has been shown to be beaten",
    "其余每个候选都已被证明不如另一候选",
)


def within(unbeaten: Sequence[str], means: Mapping[str, float], margin: Margin) -> list[str]:
    """Return those whose mean is within the margin of the best mean, in the order given."""
    best = max(means[name] for name in unbeaten)
    least = best - margin.of(best)
    return [n for n in unbeaten if means[n] >= least or math.isclose(means[n], least, rel_tol=1e-9)]


def choose(
    unbeaten: Sequence[str],
    means: Mapping[str, float],
    costs: Mapping[str, float],
    margin: Margin,
) -> str:
    """Return the cheapest candidate within the margin; among equal costs the best mean.

    Args:
        unbeaten: Who may be recommended and has not been shown to be beaten; at least one.
        means: Of the scores; larger is better.
        costs: What each costs; one that is not named counts as the dearest.
        margin: Beside the best mean of the unbeaten.
    """
    near = within(unbeaten, means, margin)
    return min(near, key=lambda name: (costs.get(name, math.inf), -means[name]))


def recommend(
    candidates: Sequence[CandidateResult],
    verdicts: Sequence[PairVerdict],
    *,
    prefer: str,
    margin: Margin,
    higher_is_better: bool = True,
    require: Sequence[Requirement] = (),
) -> Recommendation:
    """Return which candidate is recommended, and why.

    Only candidates that meet every requirement take part, on either side.

    Args:
        candidates: By rank.
        verdicts: On every pair of those that finished.
        prefer: One of PREFERENCES, or "score" for the best mean of the unbeaten.
        margin: How far below the best mean of the unbeaten the cheapest may be.
        higher_is_better: Whether a larger score is the better one.
        require: What a recommended candidate must keep.
    """
    finished = {c.name: c for c in candidates if c.score is not None}
    excluded = {name: missed for name, c in finished.items() if (missed := _missed(c, require))}
    eligible = [c for name, c in finished.items() if name not in excluded]
    names = {c.name for c in eligible}
    unbeaten = [c for c in eligible if names.isdisjoint(beaten_by(c.name, list(verdicts)))]
    sign = 1.0 if higher_is_better else -1.0
    means = {c.name: sign * c.score.mean for c in unbeaten if c.score}
    if not unbeaten:
        best, why = None, _why_not(finished, excluded)
    else:
        costs = {c.name: _cost(c, prefer) for c in unbeaten}
        best = choose(list(means), means, costs, margin)
        reason = _ONLY if len(candidates) == 1 else _NO_OTHER if len(eligible) == 1 else None
        why = _why(best, reason or _reason(finished[best], means, costs, prefer, margin), eligible)
    return Recommendation(
        candidate=best,
        why=why,
        prefer=prefer,
        require=tuple(r.text for r in require),
        excluded=excluded,
        margin=margin.of(max(means.values())) if best and prefer != SCORE else None,
    )


def _missed(candidate: CandidateResult, require: Sequence[Requirement]) -> str:
    return "; ".join(r.text for r in require if not r.met(candidate))


def _cost(candidate: CandidateResult, prefer: str) -> float:
    if prefer == SCORE or candidate.cost is None:
        return math.inf
    return PREFERENCES[prefer].of(candidate.cost)


def _why(best: str, reason: tuple[str, str], eligible: Sequence[CandidateResult]) -> dict[str, str]:
    en, zh = reason
    if max(len([s for s in c.seeds if s.status == "finished"]) for c in eligible) < 2:
        en += "; with one seed nothing can be said of how much another seed would change this"
        zh += "；只有一个随机种子，无法判断换一个种子会有多大变化"
    return {"en": f"{best} is recommended: {en}.", "zh": f"推荐 {best}：{zh}。"}


def _reason(
    best: CandidateResult,
    means: Mapping[str, float],
    costs: Mapping[str, float],
    prefer: str,
    margin: Margin,
) -> tuple[str, str]:
    """Return why the best of the unbeaten is recommended, whose means and costs are given."""
    if len(means) == 1:
        return _ALL_BEATEN
    near = within(list(means), means, margin)
    en = f"it has the best mean of the {len(means)} candidates that no other has been shown to beat"
    zh = f"在 {len(means)} 个未被证明不如他者的候选中，它的均值最好"
    if prefer == SCORE:
        return en, zh
    if len(near) == 1:
        return (
            f"{en}, and no other of these is within {margin.words('en')} of it",
            f"{zh}，其余都与它相差 {margin.words('zh')}以上",
        )
    if best.cost is None:
        return (
            f"{en}, and no cost of those within {margin.words('en')} of it could be measured",
            f"{zh}，与它相差不超过 {margin.words('zh')}者的成本均未能测得",
        )
    left = sum(costs[name] < costs[best.name] for name in means)
    leader = max(means, key=lambda name: (means[name], name == best.name))
    en, zh = _cheapest(PREFERENCES[prefer], best, leader, len(near), margin)
    if left:
        en += f"; {left} cheaper {'one is' if left == 1 else 'ones are'} further from it"
        zh += f"；另有 {left} 个成本更低，但均值相差更多"
    return en, zh


def _cheapest(
    cost: _Cost, best: CandidateResult, leader: str, near: int, margin: Margin
) -> tuple[str, str]:
    shown = cost.show(cost.of(best.cost)) if best.cost else ""
    en, zh = ("its own", "它自己") if leader == best.name else (f"{leader}'s", leader)
    return (
        f"it has the {cost.en} ({shown}) of the {near} candidates that no other has been shown to "
        f"beat and that are within {margin.words('en')} of the best mean, {en}",
        f"在 {near} 个未被证明不如他者、且与最好均值（{zh}）相差不超过 {margin.words('zh')}"
        f"的候选中，它的{cost.zh}（{shown}）",
    )


def _why_not(
    finished: Mapping[str, CandidateResult], excluded: Mapping[str, str]
) -> dict[str, str]:
    if not finished:
        return {
            "en": "Nothing is recommended: no candidate finished; the table tells each reason.",
            "zh": "没有推荐：没有候选完成训练，原因见表。",
        }
    asked = ", ".join(sorted({part for text in excluded.values() for part in text.split("; ")}))
    return {
        "en": f"Nothing is recommended: no candidate meets all requirements; missed were {asked}.",
        "zh": f"没有推荐：没有候选满足全部要求，未满足的有 {asked}。",
    }
