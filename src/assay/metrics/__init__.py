"""Scores of predictions: one number, and what each example adds to it. In numpy, without torch."""

from assay.metrics.choose import metric_for
from assay.metrics.classes import ClassRow, class_table, confusion
from assay.metrics.metric import Metric, Score
from assay.metrics.table import ALIASES, METRICS, evaluate, metrics_of

__all__ = [
    "ALIASES",
    "METRICS",
    "ClassRow",
    "Metric",
    "Score",
    "class_table",
    "confusion",
    "evaluate",
    "metric_for",
    "metrics_of",
]
