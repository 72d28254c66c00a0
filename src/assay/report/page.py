"""The report as one HTML file that needs no network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, cast

from markupsafe import Markup, escape

from assay.canon.card import Lang
from assay.canon.search import idle
from assay.canon.task import TASKS, Task, TaskFacts
from assay.compare.result import CandidateResult, Hard, PairVerdict, StudyResult
from assay.report import charts, evidence, figures
from assay.report.ablation import removals
from assay.report.codec import cleaned
from assay.report.figures import Scores, scores_of, words_of
from assay.report.text import Words

PNG_START = b"\x89PNG\r\n\x1a\n"
MARKS = {"better": "▲", "worse": "▼", "not distinguishable": "·", "": ""}
SEVERITIES = {"error": "✗", "warning": "!", "note": "i"}
KINDS = {"not distinguishable": "same", "": "self"}


@dataclass(frozen=True)
class Page:
    """What every part of the page is made from."""

    result: StudyResult
    words: Words
    score: Scores

    @property
    def metric(self) -> str:
        """The headline metric's name."""
        return figures.metric_label(self.result, self.words.lang)

    @property
    def chosen(self) -> CandidateResult | None:
        """The recommended candidate."""
        name = self.result.recommendation.candidate
        return next((c for c in self.result.candidates if c.name == name and c.score), None)


def render(result: StudyResult, lang: str = "en") -> str:
    """Return the whole page.

    Args:
        result: What the study found.
        lang: en or zh.
    """
    from jinja2 import Environment, StrictUndefined

    shown = cleaned(result)
    page = Page(shown, words_of(shown, lang), scores_of(shown))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(_asset("page.html"))
    return template.render(**_view(page), **_assets(page))


def _view(page: Page) -> dict[str, Any]:
    t, result, score = page.words, page.result, page.score
    rows, failures = _ranking(page), _failures(result)
    hard = [_hard(page, item) for item in result.hardest[:24]]
    adapted, told = _adapted(page), list(removals(result, cast(Lang, t.lang)))
    confusion = charts.confusion(result)
    return {
        "t": t, "result": result, "score": score, "n": figures, "metric": page.metric,
        "metric_head": t("test_metric", metric=page.metric),
        "hardest_about": _HARDEST[figures.answers_of(result)],
        "val_metric": _capital(_validation(page)), "val_name": _validation(page),
        "seeds": _most_seeds(result),
        "seeds_text": _seeds_text(page),
        "unbeaten": bool(result.against) and charts.unbeaten(result),
        "ranking_about": _ranking_about(page), "concerns": _concerns(page),
        "baselines": evidence.baselines(result, t), "race": evidence.seeds_given(result, t),
        "tuning": evidence.tuning(result, t), "classwise": evidence.classwise(result, t),
        "removals": told, "chosen": page.chosen, "colors": len(charts.COLORS), "rows": rows,
        "strip_axis": _strip_axis(page), "failures": failures,
        "toc": _contents(page, told, confusion, hard, adapted), "matrix": _matrix(page),
        "all_pairs": _all_pairs(page), "pair_heads": _pair_heads(page),
        "pairs_about": _pairs_about(page),
        "cut": _cut(page, confusion),
        "hard": hard, "pictures": any(item["image"] for item in hard), "adapted": adapted,
        "study_settings": _pairs(page, result.settings), **_settings(page),
        "data_facts": _data_facts(page), "study_facts": _study_facts(page),
        "machine_facts": _machine_facts(page), "version_facts": list(result.versions.items()),
        "notes": [t.of(note) for note in result.data.get("notes", ())],
    }  # fmt: skip


def _contents(page: Page, told: Any, confusion: Any, hard: Any, adapted: Any) -> list[str]:
    """Return the sections there is something to show in."""
    result = page.result
    there = {
        "concerns": bool(evidence.concerns(result)),
        "ranking": True,
        "baselines": bool(result.baselines),
        "race": bool(result.race or result.dropped),
        "removals": bool(told),
        "cost": any(c.cost for c in charts.ranked(result)),
        "curves": bool(charts.curves(result)),
        "verdicts": bool(result.verdicts),
        "confusion": bool(confusion["matrices"]),
        "classwise": bool(evidence.classwise(result, page.words)["rows"]),
        "hardest": bool(hard),
        "tuning": any(tuned.settings for tuned in result.tuning),
        "adapted": bool(adapted),
        "settings": True,
        "origin": True,
    }
    return [name for name, shown in there.items() if shown]


def _most_seeds(result: StudyResult) -> int:
    return max((len(c.seeds) for c in result.candidates), default=0)


def _seeds_text(page: Page) -> str:
    """Return how many seeds the candidates had; in a race not all have as many."""
    counts = [len(c.seeds) for c in charts.ranked(page.result)]
    if not counts or min(counts) == max(counts):
        return str(_most_seeds(page.result))
    return page.words("from_to", low=min(counts), high=max(counts))


def _ranking_about(page: Page) -> str:
    t = page.words
    told = [t("ranking_about", metric=page.metric)]
    opponent = charts.best_baseline(page.result)
    if opponent:
        told.append(t("ranking_baseline", name=figures.name_of(opponent, t)))
    if not page.result.higher_is_better:
        told.append(t("sentence_lower", metric=page.metric))
    told.append(t("ranking_costs"))
    return ("" if t.lang == "zh" else " ").join(told)


def _validation(page: Page) -> str:
    """Return the name of the score on the validation part."""
    return page.words(figures.validation_word(page.result))


def _concerns(page: Page) -> dict[str, list[dict[str, str]]]:
    """Return errors and warnings, and the notes, which are folded."""
    t = page.words
    rows = [
        {
            "severity": concern.severity,
            "mark": SEVERITIES[concern.severity],
            "label": t(concern.severity),
            "text": t.of(evidence.sentence(concern)),
            "where": ("、" if t.lang == "zh" else ", ").join(concern.where),
        }
        for concern in evidence.concerns(page.result)
    ]
    return {
        "told": [row for row in rows if row["severity"] != "note"],
        "folded": [row for row in rows if row["severity"] == "note"],
    }


# The page's script, style and data


def _assets(page: Page) -> dict[str, Markup]:
    plotly, script = _plotly(), _asset("page.js")
    return {
        "css": Markup(_asset("page.css")),  # noqa: S704 - our own files
        "js": Markup(script),  # noqa: S704
        "plotly": Markup(_compressed(plotly)),  # noqa: S704
        "policy": Markup(_policy(script, plotly)),  # noqa: S704
        "data_json": script_json(_script_data(page)),
    }


def script_json(value: Any) -> Markup:
    """Return JSON that can stand inside <script>: nothing in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704


def _script_data(page: Page) -> dict[str, Any]:
    t, result = page.words, page.result
    latency = charts.cost_points(result, "latency_p50_ms")
    parameters = charts.cost_points(result, "parameters")
    _label(latency, figures.milliseconds)
    _label(parameters, figures.count)
    validation = figures.validation_of(result)
    return {
        "colors": charts.COLORS, "quality": vars(page.score), "learning": vars(validation),
        "latency": latency, "parameters": parameters, "curves": charts.curves(result),
        "confusion": charts.confusion(result), "command": result.command,
        "words": {
            "test": _axis(page), "latency": t("latency_axis"),
            "parameters": t("parameters_axis"), "seconds": t("training_seconds"),
            "validation": t("val_metric", metric=_validation(page)), "steps": t("training_steps"),
            "truth": t("truth"), "predicted": t("predicted"), "copied": t("copied"),
            "taken_for": t("taken_for", truth="{truth}", predicted="{predicted}"),
            "no_mistakes": t("no_mistakes"),
        },
    }  # fmt: skip


def _axis(page: Page) -> str:
    t, lower = page.words, not page.result.higher_is_better
    return t("test_metric", metric=page.metric) + (f" ({t('lower_is_better')})" if lower else "")


def _label(points: dict[str, Any], how: Any) -> None:
    for point in points["points"]:
        point["label"] = how(point["x"])


def _policy(*scripts: str) -> str:
    """Return a content security policy that admits these scripts and nothing from elsewhere."""
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{d}'" for d in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


@cache
def _plotly() -> str:
    """Return plotly.js; read from its package, whose import is not needed."""
    return resources.files("plotly").joinpath("package_data/plotly.min.js").read_text("utf-8")


@cache
def _compressed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def _asset(name: str) -> str:
    return resources.files("assay.report").joinpath("assets", name).read_text("utf-8")


# Ranking


def _ranking(page: Page) -> list[dict[str, Any]]:
    versus = charts.versus(page.result)
    return [_ranking_row(page, c, versus.get(c.name, "")) for c in page.result.candidates]


def _ranking_row(page: Page, candidate: CandidateResult, verdict: str) -> dict[str, Any]:
    t, self_ = page.words, page.chosen and candidate.name == page.chosen.name
    return {
        "candidate": candidate,
        "note": _note(page, candidate),
        "ended": t("dropped_after", count=len(candidate.seeds)) if _ended(page, candidate) else "",
        "sort": candidate.score.mean if candidate.score else "",
        "strip": _strip(page, candidate, verdict),
        "versus": t("recommended") if self_ else _versus_text(page, verdict),
        "versus_class": "self" if self_ else KINDS.get(verdict, verdict),
        "costs": _costs(page, candidate),
    }


def _versus_text(page: Page, verdict: str) -> str:
    return f"{MARKS[verdict]} {page.words(verdict)}" if verdict else ""


def _note(page: Page, candidate: CandidateResult) -> str:
    """Return what a reader must know before trusting a row: failures, requirements not met."""
    t, failed = page.words, sum(s.status == "failed" for s in candidate.seeds)
    notes = []
    if failed:
        done = len(candidate.seeds) - failed
        some = t("seeds_done", done=done, total=len(candidate.seeds))
        notes.append(some if done else t("all_failed"))
    if candidate.name in page.result.recommendation.excluded:
        missed = page.result.recommendation.excluded[candidate.name]
        notes.append(t("excluded", requirement=missed))
    return " · ".join(notes)


def _ended(page: Page, candidate: CandidateResult) -> bool:
    """Return whether a race ended for a candidate before it did for another."""
    most = _most_seeds(page.result)
    return candidate.name in page.result.dropped and len(candidate.seeds) < most


def _costs(page: Page, candidate: CandidateResult) -> list[tuple[str, Any, str, str]]:
    """Return (label, value to sort by, text, small text) for each cost column."""
    t, cost, n = page.words, candidate.cost, figures
    time, rate = n.duration(candidate.train_seconds), n.rate(candidate.samples_per_second)
    trained: tuple[str, Any, str, str] = ("train_time", candidate.train_seconds, time, rate)
    names = ("latency", "parameters", "throughput", "memory", "artifact", "energy")
    found: list[tuple[str, Any, str, str]] = [(name, "", n.MISSING, "") for name in names]
    if cost is not None:
        p95 = t("latency_p95", value=n.milliseconds(cost.latency_p95_ms))
        macs = f"{t('macs')} {n.count(cost.macs)}"
        found = [
            ("latency", cost.latency_p50_ms, n.milliseconds(cost.latency_p50_ms), p95),
            ("parameters", cost.parameters, n.count(cost.parameters), macs),
            ("throughput", cost.throughput, n.rate(cost.throughput), ""),
            ("memory", cost.peak_memory_bytes, n.size(cost.peak_memory_bytes), ""),
            ("artifact", cost.artifact_bytes, n.size(cost.artifact_bytes), ""),
            ("energy", cost.energy_proxy_mj, n.energy(cost.energy_proxy_mj), ""),
        ]
    found.append(trained if candidate.score else ("train_time", "", n.MISSING, ""))
    return [(t(name), value, text, small) for name, value, text, small in found]


def _range(page: Page) -> tuple[float, float]:
    found = charts.ranked(page.result)
    seeds = [s.score for c in found for s in c.seeds]
    ends = [end for c in found if c.score for end in (c.score.low, c.score.high)]
    return figures.span([*seeds, *ends])


def _strip(page: Page, candidate: CandidateResult, verdict: str) -> Markup:
    """Draw one interval with its mean and its seeds."""
    if candidate.score is None:
        return Markup("")
    low, high = _range(page)
    at = {"mean": candidate.score.mean, "low": candidate.score.low, "high": candidate.score.high}
    x = {key: _x(value, low, high) for key, value in at.items()}
    seeds = "".join(
        f'<circle class="seed" cx="{_x(s.score, low, high)}" cy="21" r="1.8"/>'
        for s in candidate.seeds
        if s.status == "finished" and s.score == s.score
    )
    kind = "chosen" if candidate.recommended else escape(verdict)
    return Markup(  # noqa: S704 - numbers only
        f'<svg role="img" '
        f'aria-label="{page.score.interval(candidate.score)}"><g class="{kind}">{_guide(page)}'
        f'<line class="bar" x1="{x["low"]}" x2="{x["high"]}" y1="12" y2="12"/>'
        f'<circle class="mean" cx="{x["mean"]}" cy="12" r="4"/>{seeds}</g></svg>'
    )


def _guide(page: Page) -> str:
    low, high = _range(page)
    lines = [("grid", v) for v in figures.ticks(low, high)]
    opponent = charts.best_baseline(page.result)
    if opponent and opponent.score and low <= opponent.score.mean <= high:
        lines.append(("base", opponent.score.mean))
    if page.chosen and page.chosen.score:
        lines.append(("ref", page.chosen.score.mean))
    return "".join(
        f'<line class="{kind}" x1="{_x(v, low, high)}" x2="{_x(v, low, high)}" y1="-12" y2="38"/>'
        for kind, v in lines
    )


def _strip_axis(page: Page) -> Markup:
    low, high = _range(page)
    marks = figures.ticks(low, high)
    texts = "".join(f'<text x="{_x(v, low, high)}" y="13">{_tick(page, v)}</text>' for v in marks)
    return Markup(f'<svg aria-hidden="true">{texts}</svg>')  # noqa: S704


def _tick(page: Page, value: float) -> str:
    return f"{100 * value:g}%" if page.score.share else f"{value:g}"


def _x(value: float, low: float, high: float) -> str:
    return f"{100 * (value - low) / (high - low):.2f}%"


def _failures(result: StudyResult) -> list[tuple[str, int, str]]:
    return [
        (c.name, s.seed, s.reason)
        for c in result.candidates
        for s in c.seeds
        if s.status == "failed"
    ]


# Verdicts


def _matrix(page: Page) -> dict[str, Any]:
    names, verdicts = charts.verdict_matrix(page.result)
    at = {frozenset((v.a, v.b)): v for v in page.result.verdicts}
    cells = [
        [
            (KINDS.get(kind, kind), MARKS[kind], _sentence(page, at, row, col) if kind else "")
            for col, kind in zip(names, kinds, strict=True)
        ]
        for row, kinds in zip(names, verdicts, strict=True)
    ]
    order = {c.name: k for k, c in enumerate(page.result.candidates)}
    first = next((s for row in cells for _, _, s in row if s), "")
    return {"names": names, "cells": cells, "colors": [order[n] for n in names], "first": first}


def _sentence(page: Page, at: Mapping[frozenset[str], Any], row: str, col: str) -> str:
    """Return what the verdict of `row` against `col` says, with its figures."""
    pair, t = at[frozenset((row, col))], page.words
    kind, sign = charts.verdict_of(pair, row), 1 if row == pair.a else -1
    low, high = sorted((sign * pair.low, sign * pair.high))
    ends = {"difference": sign * pair.difference, "low": low, "high": high}
    texts = {k: page.score.difference(v, t) for k, v in ends.items()}
    p = figures.probability(pair.p_holm)
    return t(f"sentence_{kind}", a=row, b=col, p=p, **texts) + _chance(page, pair, row)


def _chance(page: Page, pair: PairVerdict, row: str) -> str:
    better, loss = charts.better_of(pair, row), charts.loss_of(pair, row)
    if not math.isfinite(better + loss):
        return ""
    t = page.words
    texts = {"better": figures.chance(better), "loss": page.score.loss(loss, t)}
    return t("sentence_chance", a=row, **texts)


def _all_pairs(page: Page) -> list[tuple[str, str, list[str], str]]:
    """Return (a, b, figures, verdict) of every pair."""
    t, score, once = page.words, page.score, _once(page)
    return [
        (
            v.a,
            v.b,
            [
                score.difference(v.difference, t),
                f"{score.difference(v.low, t)} … {score.difference(v.high, t)}",
                figures.probability(v.p_holm),
                figures.chance(v.better),
                score.loss(v.loss, t),
                *([_mcnemar(v)] if once else []),
            ],
            t(v.verdict),
        )
        for v in page.result.verdicts
    ]


def _pair_heads(page: Page) -> list[str]:
    heads = ["difference", "interval", "p_holm", "better_chance", "expected_loss"]
    return [page.words(head) for head in (*heads, *(["mcnemar"] if _once(page) else []))]


def _once(page: Page) -> bool:
    """Return whether some pair was trained once each, and so has McNemar's test."""
    return any(v.mcnemar for v in page.result.verdicts)


def _mcnemar(pair: PairVerdict) -> str:
    found = pair.mcnemar
    return f"{figures.probability(found.p)} ({found.only_a} : {found.only_b})" if found else "–"


def _pairs_about(page: Page) -> str:
    t = page.words
    sentences = [t("pairs_about")]
    if not page.result.higher_is_better:
        sentences.append(t("pairs_lower", metric=_capital(page.metric)))
    if _once(page):
        sentences.append(t("pairs_mcnemar"))
    return ("" if t.lang == "zh" else " ").join(sentences)


def _cut(page: Page, confusion: Mapping[str, Any]) -> str:
    if confusion["total"] <= charts.SHOWN_CLASSES:
        return ""
    return page.words("confusion_cut", shown=charts.SHOWN_CLASSES, total=confusion["total"])


# Hardest examples


_HARDEST = {
    "label": "hardest_about",
    "value": "hardest_about_regression",
    "values": "hardest_about_regression",
    "labels": "hardest_about_tokens",
    "tokens": "hardest_about_tokens",
}


def _hard(page: Page, item: Hard) -> dict[str, Any]:
    t, side = page.words, picture_side(item.png)
    answers = figures.answers_of(page.result)
    if answers == "label":
        read = t("mostly", label=item.predicted)
        share = t("wrong", share=f"{100 * item.wrong:.0f}%")
    elif answers in ("value", "values"):
        read = t("mean_prediction", value=item.predicted)
        share = t("mean_error", value=figures.significant(item.wrong))
    else:
        read, share = t("tokens_wrong", share=f"{100 * item.wrong:.0f}%"), ""
    return {
        "id": item.id, "truth": item.truth, "read": read,
        "share": share, "image": item.png if side else "", "pixels": side and side <= 64,
    }  # fmt: skip


def picture_side(text: str) -> int:
    """Return the larger side in pixels of a base64 PNG; 0 when it is none."""
    try:
        start = base64.b64decode(text[:64], validate=True)
        whole = len(text) % 4 == 0 and base64.b64decode(text, validate=True)
    except ValueError:
        return 0
    if not whole or not start.startswith(PNG_START) or len(start) < 24:
        return 0
    return max(int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big"))


# Adaptations, settings, origin


def _adapted(page: Page) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for candidate in page.result.candidates:
        if candidate.adaptation:
            found.setdefault(page.words.of(candidate.adaptation), []).append(candidate.name)
    return list(found.items())


def _settings(page: Page) -> dict[str, Any]:
    """Divide recipes and plans into what all candidates share and what differs."""
    shared, heads = [], []
    for part in ("recipe", "plan"):
        told = {c.name: _used(part, c, page.result.data) for c in page.result.candidates}
        facts = [fact for fact in told.values() if fact]
        keys = list(dict.fromkeys(key for fact in facts for key in fact))
        same = [k for k in keys if len({_text(f.get(k)) for f in facts}) == 1]
        heads += [(part, k) for k in keys if k not in same]
        if same:
            shared.append((page.words(part), _pairs(page, {k: facts[0].get(k) for k in same})))
    rows = [
        (c.name, [_text(_used(part, c, page.result.data).get(key)) for part, key in heads])
        for c in page.result.candidates
    ]
    differing = {"heads": [_capital(page.words.label(k)) for _, k in heads], "rows": rows}
    return {"shared_settings": shared, "differing": differing}


def _used(part: str, candidate: CandidateResult, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a candidate's recipe or plan, without what changed nothing."""
    facts = dict(getattr(candidate, part))
    if part == "plan" or data.get("task") not in TASKS:
        return facts
    left = idle(
        cast(Task, data["task"]),
        inputs=tuple(data.get("inputs", ())),
        optimizer=str(facts.get("optimizer")),
    )
    return {key: value for key, value in facts.items() if key not in left}


def _pairs(page: Page, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(_capital(page.words.label(key)), _text(value)) for key, value in facts.items()]


def _text(value: Any) -> str:
    """Return a setting for people: a list joined, nothing as a dash."""
    if value is None or value in ("", [], (), {}):
        return figures.MISSING
    if isinstance(value, bool):
        return "✓" if value else "✗"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)


def _data_facts(page: Page) -> list[tuple[str, str]]:
    t, data = page.words, page.result.data
    task = TASKS.get(data["task"]) if data.get("task") else None
    sizes = data.get("sizes", {})
    classes = data.get("classes", ())
    named = ", ".join(str(c) for c in classes[:12]) + (" …" if len(classes) > 12 else "")
    facts = {
        "data": data.get("name"), "source": data.get("source"),
        "task": getattr(task, t.lang, data.get("task")), "inputs": _inputs(data, task, t),
        "classes": f"{len(classes)}: {named}" if classes else None,
        "sizes": " / ".join(f"{sizes.get(p, 0):,}" for p in ("train", "val", "test")),
        "split_hash": data.get("split_hash"), "split_seed": data.get("split_seed"),
        "content_hash": data.get("content_hash"),
    }  # fmt: skip
    return [(t(key), _text(value)) for key, value in facts.items() if value is not None]


def _inputs(data: Mapping[str, Any], task: TaskFacts | None, t: Words) -> str:
    inputs = tuple(data.get("inputs", ()))
    if task and task.reads == "tokens" and len(inputs) == 2:
        return t("token_inputs", length=inputs[0], vocabulary=inputs[1])
    return " × ".join(map(str, inputs))


def _study_facts(page: Page) -> list[tuple[str, str]]:
    t, result = page.words, page.result
    took = figures.how_long(result, t)
    created = result.created.replace("T", " ").replace("+00:00", " UTC")
    facts = [("study", result.id), ("created", created), ("budget", _budget(page)), ("took", took)]
    return [(t(key), value) for key, value in facts]


def _budget(page: Page) -> str:
    """Return the budget as asked, with the steps that it came to where they are known."""
    t, asked, steps = page.words, page.result.budget, page.result.planned_steps
    if not steps:
        return asked
    low, high = (f"{count:,}" for count in steps)
    return t(
        "budget_of", budget=asked, steps=low if low == high else t("from_to", low=low, high=high)
    )


def _machine_facts(page: Page) -> list[tuple[str, str]]:
    facts = dict(page.result.machine)
    for key in ("memory", "memory_bytes"):
        if isinstance(facts.get(key), int):
            facts[key] = figures.size(facts[key])
    names = {"memory": "RAM", "memory_bytes": "RAM"}
    return [(names.get(k, _capital(page.words.label(k))), _text(v)) for k, v in facts.items()]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
