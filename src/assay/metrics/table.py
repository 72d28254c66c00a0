"""Every metric by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from assay.data.dataset import TASKS
from assay.metrics import classification, ranking, regression, text
from assay.metrics.metric import Metric

_LABELS = tuple(task for task in TASKS if task.endswith("classification"))
_VALUES = tuple(task for task in TASKS if task.endswith("regression"))
_SKLEARN = "https://scikit-learn.org/stable/modules/model_evaluation.html"


def top_metric(k: int) -> Metric:
    """Return the accuracy that accepts the `k` likeliest classes."""
    return Metric(
        name=f"top-{k}",
        en=f"top-{k} accuracy",
        zh=f"前 {k} 准确率",
        tasks=_LABELS,
        score=partial(classification.top, k=k),
        source="Russakovsky et al., 2015, https://arxiv.org/abs/1409.0575, section 4.1",
        share=True,
        recorded=True,
    )


def quantile_metric(level: float) -> Metric:
    """Return the loss whose best answer is the quantile of `level`, in (0, 1)."""
    return Metric(
        name=f"quantile-{level:g}",
        en=f"quantile loss at {level:g}",
        zh=f"{level:g} 分位数损失",
        tasks=_VALUES,
        score=partial(regression.quantile_loss, level=level),
        source="Koenker and Bassett, 1978, https://doi.org/10.2307/1913643, eq. 2.1",
        higher_is_better=False,
    )


_ALL = (
    Metric(
        name="accuracy",
        en="accuracy",
        zh="准确率",
        tasks=_LABELS,
        score=classification.accuracy,
        source=_SKLEARN,
        share=True,
        recorded=True,
    ),
    top_metric(5),
    Metric(
        name="balanced-accuracy",
        en="balanced accuracy",
        zh="平衡准确率",
        tasks=_LABELS,
        score=classification.balanced_accuracy,
        source="Brodersen et al., 2010, https://doi.org/10.1109/ICPR.2010.764, eq. 3",
        share=True,
        recorded=True,
    ),
    Metric(
        name="precision",
        en="macro precision",
        zh="宏平均精确率",
        tasks=_LABELS,
        score=classification.precision,
        source=_SKLEARN,
        share=True,
        recorded=True,
    ),
    Metric(
        name="recall",
        en="macro recall",
        zh="宏平均召回率",
        tasks=_LABELS,
        score=classification.recall,
        source=_SKLEARN,
        share=True,
        recorded=True,
    ),
    Metric(
        name="macro-f1",
        en="macro F1",
        zh="宏平均 F1",
        tasks=_LABELS,
        score=classification.macro_f1,
        source=_SKLEARN,
        share=True,
        recorded=True,
    ),
    Metric(
        name="auroc",
        en="AUROC",
        zh="ROC 曲线下面积",
        tasks=_LABELS,
        score=ranking.auroc,
        source="Hanley and McNeil, 1982, https://doi.org/10.1148/radiology.143.1.7063747",
        recorded=True,
    ),
    Metric(
        name="log-loss",
        en="log loss",
        zh="对数损失",
        tasks=_LABELS,
        score=classification.log_loss,
        source=_SKLEARN,
        higher_is_better=False,
        recorded=True,
    ),
    Metric(
        name="calibration-error",
        en="calibration error",
        zh="校准误差",
        tasks=_LABELS,
        score=classification.calibration_error,
        source="Guo et al., 2017, https://arxiv.org/abs/1706.04599, eq. 3",
        higher_is_better=False,
        share=True,
        recorded=True,
    ),
    Metric(
        name="rmse",
        en="RMSE",
        zh="均方根误差",
        tasks=_VALUES,
        score=regression.rmse,
        source=_SKLEARN,
        higher_is_better=False,
        recorded=True,
    ),
    Metric(
        name="mae",
        en="mean absolute error",
        zh="平均绝对误差",
        tasks=_VALUES,
        score=regression.mae,
        source=_SKLEARN,
        higher_is_better=False,
        recorded=True,
    ),
    Metric(
        name="r2",
        en="R²",
        zh="决定系数 R²",
        tasks=_VALUES,
        score=regression.r2,
        source=_SKLEARN,
        recorded=True,
    ),
    quantile_metric(0.5),
    Metric(
        name="smape",
        en="sMAPE",
        zh="对称平均绝对百分比误差",
        tasks=(*_VALUES, "series-forecasting"),
        score=regression.smape,
        source="Makridakis, 1993, https://doi.org/10.1016/0169-2070(93)90079-3",
        higher_is_better=False,
        recorded=True,
    ),
    Metric(  # of values that were divided by the naive_error of their series
        name="mase",
        en="MASE",
        zh="平均绝对标度误差",
        tasks=("series-forecasting",),
        score=regression.mae,
        source="Hyndman and Koehler, 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001",
        higher_is_better=False,
        recorded=True,
    ),
    Metric(
        name="perplexity",
        en="perplexity",
        zh="困惑度",
        tasks=("language-modelling",),
        score=classification.perplexity,
        source="Jelinek et al., 1977, https://doi.org/10.1121/1.2016299",
        higher_is_better=False,
        recorded=True,
    ),
    Metric(
        name="bleu",
        en="BLEU",
        zh="BLEU",
        tasks=("translation",),
        score=text.bleu,
        source="Papineni et al., 2002, https://aclanthology.org/P02-1040",
        recorded=True,
    ),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}

ALIASES: Mapping[str, str] = {
    "auc": "auroc",
    "cross-entropy": "log-loss",
    "ece": "calibration-error",
    "f1": "macro-f1",
    "macro-precision": "precision",
    "macro-recall": "recall",
    "nll": "log-loss",
    "pinball": "quantile-0.5",
    "quantile-loss": "quantile-0.5",
    "roc-auc": "auroc",
}


def metrics_of(task: str) -> dict[str, Metric]:
    """Return the metrics that a task has, the headline first."""
    return {name: metric for name, metric in METRICS.items() if task in metric.tasks}


def evaluate(predicted: np.ndarray, truth: np.ndarray, task: str) -> dict[str, float]:
    """Return what a trial's record keeps of one part; a metric that is not defined is left out.

    Args:
        predicted: Probabilities (N, K), or values (N,) for regression.
        truth: Labels or values (N,).
        task: One of `data.dataset.TASKS`.
    """
    recorded = [metric for metric in metrics_of(task).values() if metric.recorded]
    found = {metric.key: metric.of(predicted, truth) for metric in recorded}
    return {name: value for name, value in found.items() if math.isfinite(value)}
