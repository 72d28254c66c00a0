"""Which metric `--metric` asks for."""

from __future__ import annotations

from collections.abc import Sequence

from assay.errors import BadArgumentError, nearest
from assay.metrics.custom import file_metric, torchmetrics_metric
from assay.metrics.metric import Metric
from assay.metrics.spans import names_spans
from assay.metrics.table import ALIASES, METRICS, OF_TOKENS, metrics_of, quantile_metric, top_metric
from assay.metrics.text import require_sacrebleu


def metric_for(name: str, task: str, classes: Sequence[str] = ()) -> Metric:
    """Return a metric that the task has.

    auto stands for the first of `metrics_of`. For a language model that is the log loss: perplexity
    orders models alike, but it is the loss that adds up over tokens. For text to text it is BLEU,
    which tells degrees where hardly an answer is exact. Tags that name no spans are compared by
    their accuracy.

    Args:
        name: auto, a name of `METRICS` or `ALIASES`, top-K with another K, quantile-Q with another
            level, path/to/file.py:function, or torchmetrics:NAME.
        task: Of the study, one of `data.dataset.TASKS`.
        classes: The labels, which decide what auto means for tags.

    Raises:
        BadArgumentError: There is no such metric, or the task does not have it.
        MissingExtraError: torchmetrics is not installed.
        MissingPathError: The file is not there.

    Example:
        >>> metric_for("f1", "image-classification").name
        'macro-f1'
    """
    if task == "text-to-text":
        require_sacrebleu()  # every trial counts what BLEU needs
    if name == "auto":
        if task == "token-classification" and classes and not names_spans(classes):
            return METRICS["token-accuracy"]
        return next(iter(metrics_of(task).values()))
    if name.startswith("torchmetrics:"):
        return torchmetrics_metric(name, task)
    if name.endswith(".py") or name.rpartition(":")[0].endswith(".py"):
        return file_metric(name, task)
    metric = _named(name)
    per_token = OF_TOKENS.get(metric.name)
    if per_token and task in METRICS[per_token].tasks:
        return METRICS[per_token]
    if task not in metric.tasks:
        raise BadArgumentError(
            f"`metric` must be one that the task has. Received {name!r} for {task}, which has "
            f"{', '.join(metrics_of(task))}."
        )
    return metric


def _named(name: str) -> Metric:
    plain = name.lower().replace("_", "-")
    plain = ALIASES.get(plain, plain)
    if plain in METRICS:
        return METRICS[plain]
    family, _, number = plain.partition("-")
    if family == "top" and number.isdecimal() and int(number) > 0:
        return top_metric(int(number))
    if family == "quantile" and _level(number) is not None:
        return quantile_metric(float(number))
    raise BadArgumentError(
        f"`metric` must be auto, one of {', '.join(METRICS)} (top-K with a whole K from 1, "
        "quantile-Q with Q between 0 and 1), path/to/file.py:function, or torchmetrics:NAME. "
        f"Received {name!r}.{nearest(plain, [*METRICS, *ALIASES])}"
    )


def _level(text: str) -> float | None:
    try:
        level = float(text)
    except ValueError:
        return None
    return level if 0 < level < 1 else None
