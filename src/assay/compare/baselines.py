"""Opponents that every study includes quietly, and what it means when no network beats them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from assay.canon.idea import spaced
from assay.compare.result import PairVerdict
from assay.compare.statistics import adjust
from assay.compare.verdicts import Correction, judge
from assay.data.concern import Concern
from assay.data.dataset import Dataset
from assay.engine.budget import Budget, auto_budget
from assay.engine.classical import FAMILY, LEAST_EXAMPLES, METHODS, VALIDATION, Method, Sizes
from assay.engine.flat import flat_shape
from assay.engine.machine import processor, versions
from assay.engine.spec import Candidate, TrialSpec, digest

MOST_SECONDS = 2.0  # of one opponent, about
TRIVIAL = (
    "baseline:majority",
    "baseline:mean",
    "baseline:unigram",
    "baseline:frequent_answer",
)  # what a network beats, or has learned nothing
_NAMED = 3  # networks in one sentence
_LOOKED_AT = 1000  # texts, whose tokens are counted

Array = np.ndarray


def baselines_for(dataset: Dataset, budget: Budget | None = None) -> list[Candidate]:
    """Return the opponents that do the data's task and can learn from enough of it in time.

    Args:
        dataset: Prepared.
        budget: Of a trial. No opponent takes longer than that, nor than about two seconds.
    """
    limit = _seconds(budget, dataset)
    candidates = []
    for name, method in _methods(dataset).items():
        count = method.affordable(_sizes(dataset), limit)
        if count >= _least(dataset):
            candidates.append(_candidate(name, dataset, count))
    return candidates


def baseline_specs(dataset: Dataset, budget: Budget | None = None) -> tuple[TrialSpec, ...]:
    """Return one trial of each opponent; they draw nothing by chance, so one seed says all.

    `steps` is the number of training examples to learn from: what the time allows, by a count of
    operations and not by a clock, so that the same study always plans the same trials.

    Args:
        dataset: Prepared.
        budget: Of a trial of a network.
    """
    limit = _seconds(budget, dataset)
    return tuple(
        TrialSpec(
            candidate=candidate,
            task=dataset.task,
            inputs=dataset.inputs,
            outputs=dataset.outputs,
            split_hash=dataset.split_hash,
            seed=0,
            steps=METHODS[candidate.name].affordable(_sizes(dataset), limit),
            evaluations=1,
            patience=None,
            versions=versions(),
            machine=processor(),
        )
        for candidate in baselines_for(dataset, budget)
    )


def modules(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Return what opponents among the candidates import, for `Pool(preload=...)`."""
    mine = [METHODS[c.name] for c in candidates if c.family == FAMILY]
    return tuple(sorted({name for method in mine for name in method.modules}))


def label(name: str, lang: str) -> str:
    """Return what people call an opponent, "en" or "zh"; other names come back as they are."""
    method = METHODS.get(name)
    if method is None:
        return name
    return method.zh if lang == "zh" else method.en


def against_baselines(
    networks: Mapping[str, Array],
    baselines: Mapping[str, Array],
    *,
    confidence: float = 0.95,
    correction: Correction = "holm",
) -> tuple[PairVerdict, ...]:
    """Return a verdict on every network (`a`) against every opponent (`b`).

    The family of the correction is these pairs. An opponent's one row is repeated: trained again on
    the same examples it gives the same answers, so it has no spread over seeds.

    Args:
        networks: Tables of seeds by test examples; larger is better.
        baselines: Tables of one row.
        confidence: Share of intervals that hold the truth, between 0 and 1.
        correction: "holm", "bh" or "none".
    """
    fixed = {name: np.repeat(table[:1], 2, axis=0) for name, table in baselines.items()}
    every = judge({**networks, **fixed}, confidence=confidence, correction="none")
    pairs = [v for v in every if v.a in networks and v.b in fixed]
    corrected = adjust([v.p for v in pairs], correction)
    level = 1 - confidence
    return tuple(_reworded(v, p, level) for v, p in zip(pairs, corrected, strict=True))


def verdict_on_baselines(
    against: Sequence[PairVerdict], networks: Sequence[str], baselines: Sequence[str]
) -> Concern | None:
    """Return what the report says of networks and opponents; None where there are none of either.

    A warning when no network has been shown to beat the best opponent, else a note that tells which
    networks beat every opponent.

    Args:
        against: Of `against_baselines`.
        networks: By rank, those that finished.
        baselines: By rank, those that finished.
    """
    if not networks or not baselines:
        return None
    beaten = {(v.a, v.b) for v in against if v.verdict == "better"}
    winners = [n for n in networks if all((n, b) in beaten for b in baselines)]
    if winners:
        return _beaten(winners, networks, baselines[0])
    best = networks[0]
    opponent = next(b for b in baselines if (best, b) not in beaten)
    worse = any(v.verdict == "worse" for v in against if (v.a, v.b) == (best, opponent))
    return _not_beaten(best, opponent, worse=worse)


def on_what_they_learned(specs: Sequence[TrialSpec], dataset: Dataset) -> tuple[Concern, ...]:
    """Return notes where opponents learned from a part of the examples, or were left out.

    Args:
        specs: Of `baseline_specs`.
        dataset: Prepared.
    """
    cut = [s for s in specs if s.steps < len(dataset.train)]
    here = {s.candidate.name for s in specs}
    out = [name for name in _methods(dataset) if name not in here]
    return (*([_cut(cut, dataset)] if cut else []), *([_left_out(out)] if out else []))


def _beaten(winners: Sequence[str], networks: Sequence[str], best: str) -> Concern:
    others = [n for n in networks if n not in winners]
    en = f"{_listed(winners, 'en')} {'beats' if len(winners) == 1 else 'beat'} every simple "
    en += f"opponent, the best of which is {label(best, 'en')}"
    zh = f"{_listed(winners, 'zh')} 胜过所有简单对手（其中最好的是{label(best, 'zh')}）"
    if others:
        en += f"; not shown to: {_listed(others, 'en')}"
        zh += f"；未能证明胜过的：{_listed(others, 'zh')}"
    return Concern(
        kind="baselines-beaten", severity="note", en=f"{en}.", zh=f"{zh}。", where=tuple(winners)
    )


def _not_beaten(best: str, opponent: str, *, worse: bool) -> Concern:
    relation = "is worse than" if worse else "cannot be told apart from"
    name_en, name_zh = label(opponent, "en"), label(opponent, "zh")
    return Concern(
        kind="baselines-not-beaten",
        severity="warning",
        en=f"No network has been shown to beat every simple opponent: the best of them, {best}, "
        f"{relation} {name_en}, so use {name_en} or give the networks more data or a larger "
        "budget.",
        zh=spaced(
            f"没有网络被证明胜过所有简单对手：其中最好的 {best} "
            f"{f'不如{name_zh}' if worse else f'与{name_zh}无法区分'}；"
            f"请直接使用{name_zh}，或给网络更多数据、更大预算。"
        ),
        where=(best, opponent),
    )


def _cut(specs: Sequence[TrialSpec], dataset: Dataset) -> Concern:
    total = f"{len(dataset.train):,}"
    en = ", ".join(f"{label(s.candidate.name, 'en')} {s.steps:,}" for s in specs)
    zh = "、".join(f"{label(s.candidate.name, 'zh')} {s.steps:,} 个" for s in specs)
    return Concern(
        kind="baselines-cut",
        severity="note",
        en=f"To take seconds only, some simple opponents learned from a part of the {total} "
        f"training examples: {en}; with all of them they may do better.",
        zh=f"为使用时不超过数秒，部分简单对手只用了 {total} 个训练样本中的一部分：{zh}；"
        "用全部样本时它们可能更好。",
        where=tuple(s.candidate.name for s in specs),
    )


def _left_out(names: Sequence[str]) -> Concern:
    return Concern(
        kind="baselines-left-out",
        severity="note",
        en="Some simple opponents would take more than seconds on these data and were left out: "
        f"{', '.join(label(n, 'en') for n in names)}.",
        zh=f"部分简单对手在此数据上用时会超过数秒，未参加比较："
        f"{'、'.join(label(n, 'zh') for n in names)}。",
        where=tuple(names),
    )


def _methods(dataset: Dataset) -> dict[str, Method]:
    """Return what does the data's task, and would not repeat another of them."""
    return {
        name: method
        for name, method in METHODS.items()
        if dataset.task in method.fits
        and (method.suits is None or method.suits(dataset.preprocessing))
    }


def _candidate(name: str, dataset: Dataset, count: int) -> Candidate:
    from importlib.metadata import version

    return Candidate(
        name=name,
        digest=digest({"method": name, "scikit-learn": version("scikit-learn")}),
        family=FAMILY,
        adaptation=_seen(dataset, count),
    )


def _seen(dataset: Dataset, count: int) -> dict[str, str]:
    """Return in words what an opponent sees of the data, where that is not all."""
    en, zh = [], []
    small = flat_shape(dataset.inputs, dataset.task)
    if small != dataset.inputs and dataset.kind != "tokens":
        en.append(f"Sees examples averaged down to {'×'.join(map(str, small))}.")
        zh.append(f"样本先平均缩小到 {'×'.join(map(str, small))}。")
    if count < len(dataset.train):
        en.append(f"Learned from {count:,} of {len(dataset.train):,} training examples.")
        zh.append(f"只用了 {len(dataset.train):,} 个训练样本中的 {count:,} 个。")
    return {"en": " ".join(en), "zh": "".join(zh)} if en else {}


def _sizes(dataset: Dataset) -> Sizes:
    return Sizes(
        train=len(dataset.train),
        queries=min(len(dataset.val), VALIDATION) + len(dataset.test),
        features=_features(dataset),
        outputs=dataset.outputs,
    )


def _features(dataset: Dataset) -> int:
    """Return how many numbers an example is, or how many tokens a text is, in the mean."""
    if dataset.kind != "tokens":
        return int(np.prod(flat_shape(dataset.inputs)))
    some = dataset.x[dataset.train[:: len(dataset.train) // _LOOKED_AT + 1]]
    return max(1, round(np.count_nonzero(some) / len(some)))


def _least(dataset: Dataset) -> int:
    classes = len(dataset.classes)
    return min(len(dataset.train), max(LEAST_EXAMPLES, 2 * classes))


def _seconds(budget: Budget | None, dataset: Dataset) -> float:
    if budget is not None and budget.unit == "auto":
        budget = auto_budget(len(dataset.train))
    if budget is None or budget.unit != "seconds":
        return MOST_SECONDS
    return min(MOST_SECONDS, budget.amount)


def _reworded(pair: PairVerdict, p: float, level: float) -> PairVerdict:
    if p >= level:
        return replace(pair, p_holm=p, verdict="not distinguishable")
    return replace(pair, p_holm=p, verdict="better" if pair.difference > 0 else "worse")


def _listed(names: Sequence[str], lang: str) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - _NAMED
    if more > 1:
        shown = ", ".join(names[:_NAMED])
        return f"{shown} and {more} more" if lang == "en" else f"{shown} 等 {len(names)} 个网络"
    if lang == "zh" or len(names) < 2:
        return ("、" if lang == "zh" else ", ").join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
