"""Fair tuning: each candidate gets the same number of settings, halved over the same rungs.

Settings are drawn from the space of the candidate's card (see `canon/search`), the first being the
card's own default, and judged on the validation part alone. Each rung is a set of trials of its
own: a one-cycle schedule must know where it ends, so that no trial goes on where a shorter one
stopped. The best third of a rung goes on to the next, with three times the steps; the last rung
has the steps of the study's own trials.

Source: Jamieson and Talwalkar, 2016, https://arxiv.org/abs/1502.07943, algorithm 1, with eta 3 as
in Li et al., 2018, https://arxiv.org/abs/1603.06560, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from assay.canon.card import Architecture, Range
from assay.canon.catalog import catalog
from assay.canon.idea import parted
from assay.canon.pretrained import untrained
from assay.canon.search import space
from assay.compare.suggestions import Setting, Suggestions
from assay.engine.spec import Candidate, Recipe, TrialRecord, TrialSpec
from assay.errors import BadArgumentError
from assay.models.foreign import origin
from assay.ship.find import validation_score

Run = Callable[[list[TrialSpec]], Mapping[str, TrialRecord]]
Score = Callable[[TrialRecord], float]

ETA = 3  # one setting of so many goes on, with so many times the steps
WAVE = 3  # settings of a candidate that run before the next are suggested
LEAST_STEPS = 30  # of the shortest trial: below it a rung says little
FEWEST_EVALUATIONS = 2
MOST_SETTINGS = 1000
TUNING_SEED = 10_000  # of every tuning trial, and never of a study's own


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How the learning rate follows the batch size."""

    name: Literal["linear", "square root"]
    power: float
    en: str
    zh: str


SCALING: Mapping[str, Scaling] = {  # by optimizer
    "sgd": Scaling(
        name="linear",
        power=1.0,
        en="The learning rate changes in proportion to the batch size (Goyal et al., 2017, "
        "https://arxiv.org/abs/1706.02677, section 2.1).",
        zh="学习率与批大小成正比（Goyal 等，2017，https://arxiv.org/abs/1706.02677，第 2.1 节）。",
    ),
    "adamw": Scaling(
        name="square root",
        power=0.5,
        en="The learning rate changes with the square root of the batch size (Malladi et al., "
        "2022, https://arxiv.org/abs/2205.10287).",
        zh="学习率与批大小的平方根成正比（Malladi 等，2022，https://arxiv.org/abs/2205.10287）。",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One round of tuning."""

    settings: int  # that take part
    share: float  # of the steps of a whole trial, in (0, 1]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One setting of one candidate, and how far it came.

    Attributes:
        number: In the order of the suggestions; 0 is the default.
        knobs: As suggested; the learning rate is for the default's batch size.
        lr: As used, scaled for the batch.
        batch_size: As used.
        rung: The last one that it took part in, from 0.
        steps: Taken on all its rungs.
        seconds: Of training on all its rungs, wall clock.
        score: On the validation part at its last rung; NaN when it failed there.
        reason: Why it failed, else empty.
    """

    number: int
    knobs: Mapping[str, float]
    lr: float
    batch_size: int
    rung: int
    steps: int
    seconds: float
    score: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class TuningResult:
    """What tuning found for one candidate, and what it cost.

    Attributes:
        candidate: Its name.
        chosen: Number of the setting that its trials take; 0 is the default.
        recipe: That setting, whole.
        scaling: How learning rates followed the batch: "linear" or "square root".
        space: What was varied, and how far.
        rungs: The same for all candidates of a study.
        settings: Everything tried, by number; empty when there was nothing to choose from.
        trials: Run or taken from records.
    """

    candidate: str
    chosen: int
    recipe: Recipe
    scaling: str
    space: Mapping[str, Range]
    rungs: tuple[Rung, ...]
    settings: tuple[Tried, ...]
    trials: int

    @property
    def steps(self) -> int:
        """Steps that all settings took together."""
        return sum(tried.steps for tried in self.settings)

    @property
    def seconds(self) -> float:
        """Seconds that all settings trained for together."""
        return sum(tried.seconds for tried in self.settings)

    def settled(self, spec: TrialSpec) -> TrialSpec:
        """Return one of the candidate's trials with the setting chosen, at the same cost."""
        return _changed(spec, self.recipe, share=1.0)


def check_tune(settings: int) -> None:
    """Refuse a number of settings that cannot be tried.

    Raises:
        BadArgumentError: It is no whole number from 1 to `MOST_SETTINGS`.
    """
    if type(settings) is not int or not 1 <= settings <= MOST_SETTINGS:
        raise BadArgumentError(
            f"`tune` must be a whole number from 1 to {MOST_SETTINGS}, the settings that each "
            f"candidate gets. Received tune={settings!r}; leave it out to train by the recipes of "
            "the cards."
        )


def tune(
    specs: Sequence[TrialSpec],
    settings: int,
    *,
    run: Run,
    score: Score = validation_score,
    train_size: int | None = None,
    seed: int = 0,
) -> dict[str, TuningResult]:
    """Return the best of `settings` settings of each candidate, judged on the validation part.

    All candidates get the same number of settings and the same rungs, and are tried side by side.
    A setting that fails or diverges counts as the worst; where all do, the default stays. Equal
    scores go to the lower validation loss, then to the earlier setting, so that the default is
    left only for something better. A batch of another size takes as many examples as the default
    does, not as many steps: the time of a step is taken to be proportional to its examples.

    The trials are ordinary ones (`TrialSpec.test` is false, the seed is `TUNING_SEED`), and what is
    suggested depends on `specs`, `seed` and the records alone: a study that was killed asks again
    for the same trials, and finds those that are on record.

    Args:
        specs: One trial of each candidate as it would run untuned.
        settings: For each candidate, from 1; with 1 the default is taken and nothing is run.
        run: Runs trials or takes them from records; returns the record of each, by its hash.
        score: Of a record on the validation part, more being better.
        train_size: Examples in the training part, which no batch exceeds; None is unknown.
        seed: Of the suggestions.

    Returns:
        By the candidate's name.

    Raises:
        BadArgumentError: `settings` is out of range.
        MissingExtraError: Optuna is not installed.
    """
    check_tune(settings)
    if settings == 1 or not specs:
        return {spec.candidate.name: _untuned(spec, train_size) for spec in specs}
    rungs = halving(settings, steps=min(spec.steps for spec in specs))
    contests = [_Contest(s, rungs, train_size=train_size, score=score, seed=seed) for s in specs]
    for first in range(0, settings, WAVE):
        count = min(WAVE, settings - first)
        _together(contests, 0, [contest.ask(count) for contest in contests], run)
    for number, rung in enumerate(rungs[1:], 1):
        _together(contests, number, [contest.best(rung.settings) for contest in contests], run)
    return {contest.spec.candidate.name: contest.result() for contest in contests}


def halving(settings: int, *, steps: int) -> tuple[Rung, ...]:
    """Return the rungs for so many settings; the last has all the steps and at least 2 settings.

    Args:
        settings: At least 2.
        steps: Of the shortest whole trial; no rung but an only one goes below `LEAST_STEPS`.

    Example:
        >>> [(rung.settings, rung.share) for rung in halving(9, steps=900)]
        [(9, 0.3333333333333333), (3, 1.0)]
    """
    sizes = [settings]
    while math.ceil(sizes[-1] / ETA) > 1 and steps / ETA ** len(sizes) >= LEAST_STEPS:
        sizes.append(math.ceil(sizes[-1] / ETA))
    last = len(sizes) - 1
    return tuple(Rung(settings=n, share=1 / ETA ** (last - i)) for i, n in enumerate(sizes))


def space_of(spec: TrialSpec, train_size: int | None = None) -> dict[str, Range]:
    """Return the ranges in which a candidate is tuned: its card's, or generic ones."""
    card = _card(spec.candidate)
    return space(
        card.search if card else {},
        spec.candidate.recipe,
        task=spec.task,
        inputs=spec.inputs,
        train_size=train_size,
    )


def recipe_with(recipe: Recipe, knobs: Setting) -> Recipe:
    """Return a recipe with its knobs set; the learning rate follows the batch by `SCALING`.

    Args:
        recipe: The default.
        knobs: By name; `lr` is for the default's batch size, and a `reach` of 0 is no shift.
    """
    changes: dict[str, float | str] = {k: v for k, v in knobs.items() if k != "batch_size"}
    if "reach" in knobs:
        changes["augment"] = "shift" if knobs["reach"] > 0 else "none"
        changes["reach"] = knobs["reach"] or recipe.reach
    size = int(knobs.get("batch_size", recipe.batch_size))
    if size != recipe.batch_size:
        factor = (size / recipe.batch_size) ** SCALING[recipe.optimizer].power
        changes["lr"] = float(f"{knobs.get('lr', recipe.lr) * factor:.4g}")
    return replace(recipe, batch_size=size, **changes)  # type: ignore[arg-type]


class _Contest:
    """The settings of one candidate."""

    def __init__(
        self,
        spec: TrialSpec,
        rungs: tuple[Rung, ...],
        *,
        train_size: int | None,
        score: Score,
        seed: int,
    ) -> None:
        self.spec, self._rungs, self._score = spec, rungs, score
        self._space = space_of(spec, train_size)
        random = max(WAVE, math.ceil(rungs[0].settings / ETA))
        self._suggestions = Suggestions(self._space, seed=seed, random=random)
        self._settings: list[Setting] = []
        self._records: list[dict[int, TrialRecord]] = []  # of each rung, by setting

    def ask(self, count: int) -> list[int]:
        """Return the numbers of new settings."""
        first = len(self._settings)
        self._settings += [self._suggestions.ask() for _ in range(count)]
        return list(range(first, first + count))

    def best(self, count: int) -> list[int]:
        """Return the best settings of the last rung so far, the best first."""
        return sorted(self._records[-1], key=self._worth, reverse=True)[:count]

    def trial(self, number: int, rung: int) -> TrialSpec:
        """Return the trial of a setting on a rung."""
        recipe = recipe_with(self.spec.candidate.recipe, self._settings[number])
        spec = replace(self.spec, seed=TUNING_SEED, test=False)
        return _changed(spec, recipe, share=self._rungs[rung].share)

    def enter(self, number: int, rung: int, record: TrialRecord) -> None:
        """Keep what a trial came to."""
        if len(self._records) == rung:
            self._records.append({})
        self._records[rung][number] = record
        if rung == 0:
            self._suggestions.tell(number, self._judged(record))

    def result(self) -> TuningResult:
        best = self.best(1)[0]
        failed = self._judged(self._records[-1][best]) == -math.inf
        chosen = 0 if failed else best
        tried = tuple(self._tried(number) for number in range(len(self._settings)))
        recipe = self.spec.candidate.recipe
        return TuningResult(
            candidate=self.spec.candidate.name,
            chosen=chosen,
            recipe=recipe_with(recipe, self._settings[chosen]),
            scaling=SCALING[recipe.optimizer].name,
            space=self._space,
            rungs=self._rungs,
            settings=tried,
            trials=len({r.hash for records in self._records for r in records.values()}),
        )

    def _judged(self, record: TrialRecord) -> float:
        score = self._score(record) if record.status == "finished" else math.nan
        return score if math.isfinite(score) else -math.inf

    def _worth(self, number: int) -> tuple[float, float, int]:
        record = self._records[-1][number]
        score = max((p.val_score for p in record.curve), default=-math.inf)
        losses = [p.val_loss for p in record.curve if p.val_score == score]
        return self._judged(record), -min(losses, default=math.inf), -number

    def _tried(self, number: int) -> Tried:
        records = [records[number] for records in self._records if number in records]
        recipe = recipe_with(self.spec.candidate.recipe, self._settings[number])
        score = self._judged(records[-1])
        return Tried(
            number=number,
            knobs=self._settings[number],
            lr=recipe.lr,
            batch_size=recipe.batch_size,
            rung=len(records) - 1,
            steps=sum(r.steps for r in records),
            seconds=sum(r.train_seconds for r in records),
            score=score if math.isfinite(score) else math.nan,
            reason=records[-1].reason,
        )


def _together(
    contests: Sequence[_Contest], rung: int, numbers: Sequence[list[int]], run: Run
) -> None:
    """Run the trials of all candidates at once, the longest first, and enter their records."""
    asked = [
        (contest, number, contest.trial(number, rung))
        for contest, own in zip(contests, numbers, strict=True)
        for number in own
    ]
    once = {spec.hash: spec for _, _, spec in asked}
    records = run(sorted(once.values(), key=_seconds, reverse=True))
    for contest, number, spec in asked:
        contest.enter(number, rung, records[spec.hash])


def _changed(spec: TrialSpec, recipe: Recipe, *, share: float) -> TrialSpec:
    """Return a trial by another recipe that sees a share of the examples that `spec` would."""
    growth = recipe.batch_size / spec.candidate.recipe.batch_size
    steps = max(1, round(spec.steps * share / growth))
    evaluations = max(FEWEST_EVALUATIONS, round(spec.evaluations * share))
    seconds = spec.plan.step_seconds
    return replace(
        spec,
        candidate=replace(spec.candidate, recipe=recipe),
        steps=steps,
        evaluations=min(evaluations, spec.evaluations, steps),
        plan=replace(spec.plan, step_seconds=seconds * growth if seconds else seconds),
    )


def _untuned(spec: TrialSpec, train_size: int | None) -> TuningResult:
    recipe = spec.candidate.recipe
    return TuningResult(
        candidate=spec.candidate.name,
        chosen=0,
        recipe=recipe,
        scaling=SCALING[recipe.optimizer].name,
        space=space_of(spec, train_size),
        rungs=(),
        settings=(),
        trials=0,
    )


def _card(candidate: Candidate) -> Architecture | None:
    """Return the card that a candidate is built by; None for a foreign one."""
    if origin(candidate.name)[0] != "canon":
        return None
    whole, _ = parted(untrained(candidate.name)[0])
    return catalog().entry(whole)[0]


def _seconds(spec: TrialSpec) -> float:
    return spec.steps * (spec.plan.step_seconds or 0.0)
