"""Numbers as people read them: 98.4%, 1.25 M, 0.21 ms."""

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from assay.canon.task import TASKS, Answers
from assay.compare.result import CandidateResult, Estimate, StudyResult
from assay.errors import AssayError
from assay.metrics import METRICS, Metric, metric_for
from assay.report.text import Words

MISSING = "–"
_SCALES = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))


def significant(value: float, digits: int = 3) -> str:
    """Return `value` with `digits` significant digits and no exponent: 0.213, 4.57, 1250."""
    if not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 6)}f}"


def count(value: float | None) -> str:
    """Return a count with a unit prefix: 61.7 k, 1.25 M."""
    return _scaled(value) if value is None or abs(value) >= 1000 else f"{value:,.0f}"


def size(value: float | None) -> str:
    """Return bytes: 247 kB, 44.8 MB."""
    if value is None or not math.isfinite(value) or value < 1000:
        return MISSING if value is None or not math.isfinite(value) else f"{value:.0f} B"
    return f"{_scaled(value)}B"


def rate(value: float | None) -> str:
    """Return examples per second."""
    if value is None or not math.isfinite(value) or value <= 0:
        return MISSING
    return f"{count(value)}/s" if value >= 1000 else f"{significant(value)}/s"


def milliseconds(value: float | None) -> str:
    """Return a time given in milliseconds: 0.21 ms, 35 ms, 1.2 s."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{significant(value / 1000, 2)} s" if value >= 1000 else f"{significant(value, 2)} ms"


def energy(value: float | None) -> str:
    """Return an energy given in millijoules: 0.42 µJ, 45 µJ, 7.3 mJ."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{significant(value, 2)} mJ" if value >= 1 else f"{significant(1000 * value, 2)} µJ"


def duration(value: float | None) -> str:
    """Return a time given in seconds: 40 ms, 0.8 s, 42 s, 1 min 23 s, 2 h 5 min."""
    if value is None or not math.isfinite(value):
        return MISSING
    if 0 < value < 0.095:
        return milliseconds(1000 * value)
    if value < 59.5:
        return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def probability(value: float) -> str:
    """Return a p-value with its sign: = 0.03, < 0.001."""
    if not math.isfinite(value):
        return MISSING
    return "< 0.001" if value < 0.001 else f"= {value:.2g}" if value < 0.995 else "= 1"


def chance(value: float) -> str:
    """Return a probability in percent: 97%, 99.6%, > 99.9%."""
    if not math.isfinite(value):
        return MISSING
    if value > 0.999 or value < 0.001:
        return "> 99.9%" if value > 0.5 else "< 0.1%"
    return f"{100 * value:.{0 if 0.0095 <= value < 0.9895 else 1}f}%"


def _scaled(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return MISSING
    for scale, unit in _SCALES:
        if abs(value) >= 0.9995 * scale:
            return f"{significant(value / scale)}{unit}"
    return f"{significant(value)} "


@dataclass(frozen=True)
class Scores:
    """How the headline metric of one study is written.

    Attributes:
        share: Whether it is a fraction shown in percent.
        decimals: After the point, so that intervals can be told apart.
    """

    share: bool
    decimals: int

    def __call__(self, value: float | None, *, unit: bool = True) -> str:
        """Return a score: 98.4%, 0.512."""
        if value is None or not math.isfinite(value):
            return MISSING
        if not self.share:
            return f"{value:.{self.decimals}f}"
        return f"{100 * value:.{self.decimals}f}{'%' if unit else ''}"

    def interval(self, estimate: Estimate | None) -> str:
        """Return the ends of an interval: 97.1–98.9."""
        if estimate is None:
            return MISSING
        return f"{self(estimate.low, unit=False)}–{self(estimate.high, unit=False)}"

    def difference(self, value: float, words: Words) -> str:
        """Return a signed difference: +0.8 points."""
        if not math.isfinite(value):
            return MISSING
        if not self.share:
            return f"{value:+.{self.decimals}f}".replace("-", "−")
        number = f"{100 * value:+.{self.decimals}f}".replace("-", "−")
        return words("points", value=number)

    def loss(self, value: float, words: Words) -> str:
        """Return an expected loss: 0.02 points, less than 0.0001 points; it has no sign."""
        if not math.isfinite(value):
            return MISSING
        number = _least(100 * value if self.share else value, self.decimals + 1)
        return words("points", value=number) if self.share else number


def _least(value: float, decimals: int) -> str:
    """Return a number from 0 with so many decimals; one that would be shown as 0 as a bound."""
    least = 10.0**-decimals
    return f"< {least:.{decimals}f}" if 0 < value < least / 2 else f"{value:.{decimals}f}"


def scores_of(result: StudyResult) -> Scores:
    """Return how this study's scores are written: as many decimals as its intervals deserve.

    A share has one at least; another number has three digits at least, and four at most.
    """
    found = [c.score for c in result.candidates if c.score]
    metric = _metric(result)
    share = metric is not None and metric.share
    widths = [s.high - s.low for s in found if s.high > s.low]
    typical = _middle(widths, 0.01) * (100 if share else 1)
    decimals = 1 - math.floor(math.log10(typical)) if 0 < typical < math.inf else 1
    if share:
        return Scores(share, min(max(decimals, 1), 3))
    means = [abs(s.mean) for s in found if s.mean and math.isfinite(s.mean)]
    three = 2 - math.floor(math.log10(_middle(means, 1.0)))
    return Scores(share, min(max(decimals, three, 0), max(three, 0) + 1, 6))


def validation_of(result: StudyResult) -> Scores:
    """Return how scores on the validation part are written: all but R² are shares."""
    share = answers_of(result) not in ("value", "values")
    headline = scores_of(result)
    return headline if share and headline.share else Scores(share, 1 if share else 3)


def answers_of(result: StudyResult) -> Answers:
    """Return what one answer is in a study: a label, unless its data say otherwise."""
    task = result.data.get("task")
    facts = None if task is None else TASKS.get(task)
    if facts is None:
        return "label" if result.data.get("classes") else "value"
    return facts.answers


def validation_word(result: StudyResult) -> str:
    """Return the name in `text` of what is scored on the validation part."""
    return validation_word_of(answers_of(result))


def validation_word_of(answers: str) -> str:
    """Return the name in `text` of what is scored on the validation part.

    Args:
        answers: Of the task.
    """
    words = {"label": "accuracy", "value": "r2", "values": "r2"}
    return words.get(answers, "likelihood")


def metric_label(result: StudyResult, lang: str) -> str:
    """Return what people call the headline metric; a stranger's is called as its function is."""
    metric = _metric(result)
    if metric is not None:
        return metric.zh if lang == "zh" else metric.en
    return result.metric.rpartition(":")[2].replace("_", " ")


def _metric(result: StudyResult) -> Metric | None:
    """Return the headline metric; None for one from outside, whose file is not executed here."""
    name = result.metric.replace("_", "-")
    if ":" in name or name.endswith(".py"):
        return None
    if name in METRICS:
        return METRICS[name]
    with suppress(AssayError):
        return metric_for(name, str(result.data.get("task", "")))
    return None


def name_of(candidate: CandidateResult, words: Words) -> str:
    """Return what people call a candidate or a baseline."""
    return words.of(candidate.label) or candidate.name


def words_of(result: StudyResult, lang: str) -> Words:
    """Return the texts with this study's confidence and correction."""
    settings = result.settings
    return Words(lang, settings.get("confidence", 0.95), settings.get("correction", "holm"))


def _middle(values: list[float], without: float) -> float:
    return sorted(values)[len(values) // 2] if values else without


def span(values: Iterable[float], margin: float = 0.04) -> tuple[float, float]:
    """Return the least and the largest finite value, with a margin on both sides."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    room = (max(finite) - min(finite) or abs(finite[0]) or 1.0) * margin
    return min(finite) - room, max(finite) + room


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Return at most `most` round numbers between `low` and `high`."""
    power = 10 ** math.floor(math.log10((high - low) / most))
    steps = [f * power for f in (1, 2, 2.5, 5, 10, 20, 25, 50)]
    step = next(s for s in steps if math.floor(high / s) - math.ceil(low / s) + 1 <= most)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(k * step, 12) for k in range(first, last + 1)]


def how_long(result: StudyResult, words: Words) -> str:
    """Return how long a study took, and how many trials were run and not found in the records."""
    key = {0: "took_none", 1: "took_one"}.get(result.trials_run, "took_all")
    return words(key, time=duration(result.seconds), count=result.trials_run)
