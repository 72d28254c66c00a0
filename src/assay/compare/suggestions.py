"""What setting to try next: Optuna's TPE, seeded, told of every score."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from assay.canon.card import Range
from assay.canon.search import batch_sizes
from assay.errors import MissingExtraError

Setting = dict[str, float]  # knob: value
_DIGITS = 3  # of a suggested value: more would be noise, and hard to read


class Suggestions:
    """Settings of one candidate, asked for and scored; the first is the default.

    The same seed, space and scores give the same settings, so a study that is run again asks again
    for what is on record.

    Args:
        space: Of each knob.
        seed: Of the draws.
        random: Settings, the default among them, that are drawn evenly before TPE has a say.

    Raises:
        MissingExtraError: Optuna is not installed.

    Source:
        Bergstra et al., 2011, https://papers.nips.cc/paper/4443, section 4; in Optuna's form with
        all knobs together, where settings still running count as bad ones.
    """

    def __init__(self, space: Mapping[str, Range], *, seed: int, random: int) -> None:
        self._optuna = optuna = _optuna()
        self._space = space
        self._kinds = {name: self._distribution(name, span) for name, span in space.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `multivariate` was called experimental before 5.0
            sampler = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=random, multivariate=True, constant_liar=True
            )
        shown = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # not a line for every study
        try:
            self._study = optuna.create_study(direction="maximize", sampler=sampler)
        finally:
            optuna.logging.set_verbosity(shown)
        self._study.enqueue_trial({n: self._told(n, s.default) for n, s in space.items()})
        self._asked: list[Any] = []

    def ask(self) -> Setting:
        """Return the next setting to try; they are numbered from 0 as they come."""
        trial = self._study.ask(self._kinds)
        self._asked.append(trial)
        return {name: self._meant(name, trial.params[name]) for name in self._space}

    def tell(self, number: int, score: float) -> None:
        """Say how a setting did, more being better; what is no number counts as the worst."""
        value = score if math.isfinite(score) else -math.inf
        self._study.tell(self._asked[number], value)

    def _distribution(self, name: str, span: Range) -> Any:
        kinds = self._optuna.distributions
        if name == "batch_size":
            return kinds.IntDistribution(0, len(batch_sizes(span)) - 1)
        return kinds.FloatDistribution(span.low, span.high, log=span.log)

    def _told(self, name: str, value: float) -> float:
        """Return a knob's value as Optuna knows it: a batch by its place among the sizes."""
        return batch_sizes(self._space[name]).index(int(value)) if name == "batch_size" else value

    def _meant(self, name: str, told: float) -> float:
        span = self._space[name]
        if name == "batch_size":
            return batch_sizes(span)[int(told)]
        if told == span.default:
            return told
        return min(max(float(f"{told:.{_DIGITS}g}"), span.low), span.high)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError(
            "`tune` needs Optuna, which suggests the settings. It is not installed; "
            "run `pip install 'assay[tune]'`, or leave out `tune`."
        ) from error
    return optuna
