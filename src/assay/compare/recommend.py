"""The cheapest candidate that nothing has been shown to beat, and one sentence why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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


def recommend(
    candidates: Sequence[CandidateResult],
    verdicts: Sequence[PairVerdict],
    *,
    prefer: str,
    require: Sequence[Requirement] = (),
) -> Recommendation:
    """Return the cheapest candidate that no other one has been shown to beat.

    Only candidates that meet every requirement take part, on either side.

    Args:
        candidates: By rank.
        verdicts: On every pair of those that finished.
        prefer: One of PREFERENCES, or "score" for the best mean of the unbeaten.
        require: What a recommended candidate must keep.
    """
    finished = [c for c in candidates if c.score is not None]
    excluded = {c.name: missed for c in finished if (missed := _missed(c, require))}
    eligible = [c for c in finished if c.name not in excluded]
    unbeaten = [c for c in eligible if not _beaten(c, eligible, verdicts)]
    best = min(unbeaten, key=lambda c: (_cost(c, prefer), c.rank), default=None)
    if best is None:
        why = _why_not(finished, excluded)
    else:
        reason = _reason(best, unbeaten, eligible, prefer) if len(candidates) > 1 else _ONLY
        why = _why(best, unbeaten, eligible, reason)
    return Recommendation(
        candidate=best.name if best else None,
        why=why,
        prefer=prefer,
        require=tuple(r.text for r in require),
        excluded=excluded,
    )


def _missed(candidate: CandidateResult, require: Sequence[Requirement]) -> str:
    return "; ".join(r.text for r in require if not r.met(candidate))


def _beaten(
    candidate: CandidateResult,
    eligible: Sequence[CandidateResult],
    verdicts: Sequence[PairVerdict],
) -> bool:
    names = {c.name for c in eligible}
    return any(name in names for name in beaten_by(candidate.name, list(verdicts)))


def _cost(candidate: CandidateResult, prefer: str) -> float:
    if prefer == SCORE:
        return candidate.rank
    return math.inf if candidate.cost is None else PREFERENCES[prefer].of(candidate.cost)


def _why(
    best: CandidateResult,
    unbeaten: Sequence[CandidateResult],
    eligible: Sequence[CandidateResult],
    reason: tuple[str, str],
) -> dict[str, str]:
    en, zh = reason
    leader = min(unbeaten, key=lambda c: c.rank)
    if leader is not best:
        en += f", and {leader.name}'s better mean is within chance"
        zh += f"；{leader.name} 的均值虽更好，但差异在偶然范围之内"
    if max(len([s for s in c.seeds if s.status == "finished"]) for c in eligible) < 2:
        en += "; with one seed nothing can be said of how much another seed would change this"
        zh += "；只有一个随机种子，无法判断换一个种子会有多大变化"
    return {"en": f"{best.name} is recommended: {en}.", "zh": f"推荐 {best.name}：{zh}。"}


def _reason(
    best: CandidateResult,
    unbeaten: Sequence[CandidateResult],
    eligible: Sequence[CandidateResult],
    prefer: str,
) -> tuple[str, str]:
    if len(eligible) == 1:
        return (
            "no other candidate finished within the requirements",
            "没有其他候选在要求之内完成训练",
        )
    if len(unbeaten) == 1:
        return (
            "every other candidate has been shown to be beaten",
            "其余每个候选都已被证明不如另一候选",
        )
    among = len(unbeaten)
    if prefer == SCORE:
        return (
            f"it has the best mean of the {among} candidates that no other has been shown to beat",
            f"在 {among} 个未被证明不如他者的候选中，它的均值最好",
        )
    cost = PREFERENCES[prefer]
    if best.cost is None:
        return (
            f"no cost could be measured, and it ranks first of the {among} candidates that no "
            "other has been shown to beat",
            f"成本均未能测得，而它在 {among} 个未被证明不如他者的候选中排名第一",
        )
    shown = cost.show(cost.of(best.cost))
    return (
        f"it has the {cost.en} ({shown}) of the {among} candidates that no other has been shown "
        "to beat",
        f"在 {among} 个未被证明不如他者的候选中，它的{cost.zh}（{shown}）",
    )


def _why_not(finished: Sequence[CandidateResult], excluded: Mapping[str, str]) -> dict[str, str]:
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
