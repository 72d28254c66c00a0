"""What a study found, ready to be shown. Plain values only; `report/` and `cli/` read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from assay.compare.mcnemar import McNemar
from assay.data.concern import Concern
from assay.engine.spec import Measurement, Point


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """One finished or failed trial of a candidate."""

    seed: int
    hash: str
    status: Literal["finished", "failed"]
    reason: str = ""
    score: float = float("nan")  # the headline metric on the test part
    metrics: Mapping[str, float] = field(default_factory=dict)
    train_seconds: float = 0.0
    samples_per_second: float = 0.0
    steps: int = 0
    best_step: int = 0
    curve: tuple[Point, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CandidateResult:
    """One row of the ranking."""

    name: str
    family: str
    adaptation: Mapping[str, str]  # {"en", "zh"}, empty when nothing was adapted
    rank: int  # 1 is best by mean score; failed candidates come last
    score: Estimate | None  # None when every seed failed
    metrics: Mapping[str, float]  # means over seeds
    seeds: tuple[SeedResult, ...]
    cost: Measurement | None
    train_seconds: float  # mean over seeds
    samples_per_second: float
    confusion: tuple[tuple[int, ...], ...] = ()  # truth by prediction, summed over seeds
    recipe: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    recommended: bool = False
    label: Mapping[str, str] = field(default_factory=dict)  # {"en", "zh"}, where `name` is a code


@dataclass(frozen=True, kw_only=True)
class PairVerdict:
    """Whether `a` differs from `b` on the test part; positive differences favour `a`."""

    a: str
    b: str
    difference: float
    low: float  # 95% interval, not corrected for the number of pairs
    high: float
    p: float
    p_holm: float
    verdict: Literal["better", "worse", "not distinguishable"]
    better: float  # probability that `a` is truly better, in [0, 1]; NaN where nothing says
    loss: float  # what choosing `a` loses on average, in the metric's unit, >= 0; NaN likewise
    mcnemar: McNemar | None = None  # of one seed each, where answers are right or wrong


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The cheapest candidate that nothing has been shown to beat and that is near the best mean."""

    candidate: str | None  # None when no candidate meets the requirements
    why: Mapping[str, str]  # one sentence: {"en", "zh"}
    prefer: str
    require: tuple[str, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)  # candidate -> requirement not met
    margin: float | None = None  # below the best mean, in the metric's unit; None: plays no part


@dataclass(frozen=True, kw_only=True)
class Hard:
    """A test example that most trials got wrong."""

    id: str
    truth: str
    predicted: str  # the most frequent wrong answer; regression: the mean
    wrong: float  # fraction of trials, in [0, 1]; regression: mean absolute error
    png: str = ""  # base64, images only


@dataclass(frozen=True, kw_only=True)
class TunedSetting:
    """One setting that tuning tried; the fields of `compare.tuning.Tried`."""

    number: int  # 0 is the card's default
    knobs: Mapping[str, float]
    lr: float
    batch_size: int
    rung: int  # the last one that it reached, from 0
    steps: int
    seconds: float
    score: float  # on the validation part at that rung; NaN when it failed
    reason: str = ""  # why it failed


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What tuning found for one candidate; of a `compare.tuning.TuningResult`."""

    candidate: str
    chosen: int  # number of the setting that its trials took
    scaling: str  # how the learning rate followed the batch: "linear" or "square root"
    shares: tuple[float, ...]  # of the steps of a whole trial, by rung
    settings: tuple[TunedSetting, ...]  # by number; empty when there was nothing to choose from


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """Everything the report shows."""

    id: str
    created: str  # ISO 8601, UTC
    command: str  # what would repeat it
    data: Mapping[str, Any]  # name, source, task, inputs, classes, sizes, hashes, notes
    metric: str  # the headline: a name of `assay.metrics`, or what `--metric` asked for
    higher_is_better: bool
    budget: str  # as asked
    candidates: tuple[CandidateResult, ...]  # by rank
    verdicts: tuple[PairVerdict, ...]
    recommendation: Recommendation
    hardest: tuple[Hard, ...]
    settings: Mapping[str, Any]  # every option of the study
    versions: Mapping[str, str]
    machine: Mapping[str, Any]  # processor, cores, memory, system, load
    seconds: float  # of the whole comparison, wall clock
    trials_run: int  # 0 when everything came from records
    folder: str  # where report, csv, json, plots and winner are
    baselines: tuple[CandidateResult, ...] = ()  # what every network must beat, best first
    against_baselines: tuple[PairVerdict, ...] = ()  # `a` is a network, `b` a baseline
    planned_steps: tuple[int, ...] = ()  # fewest and most of a trial; none without networks
    concerns: tuple[Concern, ...] = ()  # what to know before trusting the above
    resolution: Mapping[str, str] = field(default_factory=dict)  # {"en", "zh"}: what can be seen
    next_hour: Mapping[str, str] = field(default_factory=dict)  # what more budget would decide
    against: Mapping[str, str] = field(default_factory=dict)  # do the networks beat the baselines
    tuning: tuple[Tuned, ...] = ()  # of each candidate, when settings were tried
    race: Mapping[str, str] = field(default_factory=dict)  # why no more seeds were added
    dropped: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # candidate -> why
