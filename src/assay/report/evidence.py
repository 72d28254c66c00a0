"""What stands behind the ranking, as rows of texts: concerns, baselines, seeds, tuning, classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from assay.compare.result import StudyResult, Tuned, TunedSetting
from assay.data.concern import Concern
from assay.metrics import ClassRow, class_table
from assay.report import charts, figures
from assay.report.figures import Scores, scores_of, validation_of
from assay.report.text import Words

SHOWN_SETTINGS = 1000  # of all candidates together, in the page
SHOWN_CLASSES = 40
_SEVERITIES = ("error", "warning", "note")


def concerns(result: StudyResult) -> list[Concern]:
    """Return what to know first: errors, then warnings, then notes; not what `against` says."""
    said = result.against.get("en", "")
    found = [concern for concern in result.concerns if concern.en != said]
    return sorted(found, key=lambda concern: _SEVERITIES.index(concern.severity))


def sentence(concern: Concern) -> Mapping[str, str]:
    """Return a concern's sentence as {"en", "zh"}."""
    return {"en": concern.en, "zh": concern.zh}


def baselines(result: StudyResult, t: Words) -> list[dict[str, Any]]:
    """Return a row for each baseline, the best first."""
    score, beaten, total = scores_of(result), charts.beaten_by(result), len(charts.ranked(result))
    return [
        {
            "name": figures.name_of(c, t),
            "saw": t.of(c.adaptation),
            "failure": next((s.reason for s in c.seeds if s.status == "failed"), ""),
            "score": score(c.score.mean if c.score else None),
            "interval": score.interval(c.score),
            "seconds": figures.duration(c.train_seconds if c.score else None),
            "beaten": t("beaten_count", count=beaten[c.name], total=total) if c.score else "",
            "kind": "" if not c.score else "all" if beaten[c.name] == total else "some",
        }
        for c in result.baselines
    ]


def seeds_given(result: StudyResult, t: Words) -> list[tuple[str, int, str]]:
    """Return (candidate, seeds, why it got no more) for each candidate of a race."""
    return [(c.name, len(c.seeds), t.of(result.dropped.get(c.name, {}))) for c in result.candidates]


# Tuning


def tuning_sentence(result: StudyResult, t: Words) -> str:
    """Return how many settings each candidate got and what they cost; empty without tuning."""
    tried = [tuned for tuned in result.tuning if tuned.settings]
    if not tried:
        return ""
    each = sorted({len(tuned.settings) for tuned in tried})
    return t(
        "tuning_sentence",
        settings=str(each[0]) if len(each) == 1 else f"{each[0]}–{each[-1]}",
        steps=f"{sum(s.steps for tuned in tried for s in tuned.settings):,}",
        time=figures.duration(sum(s.seconds for tuned in tried for s in tuned.settings)),
        kept=sum(tuned.chosen == 0 for tuned in tried),
        total=len(tried),
    )


def tuning(result: StudyResult, t: Words) -> dict[str, Any]:
    """Return what tuning chose for each candidate, and every setting that it tried."""
    score = validation_of(result)
    knobs = _knobs(s for tuned in result.tuning for s in tuned.settings)
    every = [(tuned, s) for tuned in result.tuning for s in tuned.settings]
    return {
        "sentence": tuning_sentence(result, t),
        "knobs": [_capital(t.label(knob)) for knob in knobs],
        "rows": [_tuned(tuned, knobs, score, t) for tuned in result.tuning],
        "every": [_setting(tuned, s, knobs, score, t) for tuned, s in every[:SHOWN_SETTINGS]],
        "count": len(every),
    }


def _knobs(settings: Iterable[TunedSetting]) -> list[str]:
    """Return what was varied besides the learning rate and the batch, in a steady order."""
    names = dict.fromkeys(knob for setting in settings for knob in setting.knobs)
    return [name for name in names if name not in ("lr", "batch_size")]


def _tuned(tuned: Tuned, knobs: Sequence[str], score: Scores, t: Words) -> dict[str, Any]:
    at = {setting.number: setting for setting in tuned.settings}
    chosen, default = at.get(tuned.chosen), at.get(0)
    return {
        "name": tuned.candidate,
        "tried": len(tuned.settings),
        "chosen": _number(tuned.chosen, t),
        "values": _values(chosen, knobs),
        "before": _scored(tuned, default, score, t),
        "after": _scored(tuned, chosen, score, t),
    }


def _setting(
    tuned: Tuned, setting: TunedSetting, knobs: Sequence[str], score: Scores, t: Words
) -> dict[str, Any]:
    return {
        "name": tuned.candidate,
        "number": _number(setting.number, t),
        "chosen": setting.number == tuned.chosen,
        "values": _values(setting, knobs),
        "score": _scored(tuned, setting, score, t),
        "steps": f"{setting.steps:,}",
        "seconds": figures.duration(setting.seconds),
        "reason": setting.reason,
    }


def _number(number: int, t: Words) -> str:
    return t("setting_number", number=number) if number else t("default")


def _values(setting: TunedSetting | None, knobs: Sequence[str]) -> list[str]:
    """Return learning rate, batch size and the other knobs of a setting."""
    if setting is None:
        return [figures.MISSING] * (2 + len(knobs))
    others = [setting.knobs.get(knob) for knob in knobs]
    return [
        f"{setting.lr:.3g}",
        f"{setting.batch_size}",
        *(figures.MISSING if value is None else f"{value:.3g}" for value in others),
    ]


def _scored(tuned: Tuned, setting: TunedSetting | None, score: Scores, t: Words) -> tuple[str, str]:
    """Return a setting's score on the validation part, and after which part of the steps."""
    if setting is None:
        return figures.MISSING, ""
    share = tuned.shares[setting.rung] if setting.rung < len(tuned.shares) else 1.0
    part = "" if share >= 1 else t("part_of_steps", share=f"{100 * share:.0f}%")
    return score(setting.score), part


# Class by class


def classwise(result: StudyResult, t: Words) -> dict[str, Any]:
    """Return precision, recall, F1 and support of each class for the recommended candidate."""
    names = [str(name) for name in result.data.get("classes", ())]
    chosen = next((c for c in charts.ranked(result) if c.recommended), None)
    if chosen is None or not names or len(chosen.confusion) != len(names):
        return {"rows": [], "name": "", "cut": ""}
    rows = class_table(chosen.confusion, names)
    seeds = sum(seed.status == "finished" for seed in chosen.seeds)
    shown = rows
    if len(rows) > SHOWN_CLASSES:
        shown = sorted(rows, key=lambda row: row.f1)[:SHOWN_CLASSES]
    cut = t("classwise_cut", shown=len(shown), total=len(rows)) if len(shown) < len(rows) else ""
    return {"rows": [_class(row, seeds) for row in shown], "name": chosen.name, "cut": cut}


def _class(row: ClassRow, seeds: int) -> dict[str, Any]:
    """Return one class; its examples were counted once for each seed."""
    shares = {"precision": row.precision, "recall": row.recall, "f1": row.f1}
    return {
        "name": row.name,
        "cells": [(value, f"{100 * value:.1f}%") for value in shares.values()],
        "support": round(row.support / max(seeds, 1)),
    }


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
