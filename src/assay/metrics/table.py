"""Every metric by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from assay.data.dataset import TASKS
from assay.metrics import classification, ranking, regression, text, tokens
from assay.metrics.metric import Metric

_LABELS = tuple(task for task, facts in TASKS.items() if facts.answers == "label")
_VALUES = tuple(task for task, facts in TASKS.items() if facts.answers == "value")
_TOKENS = tuple(task for task, facts in TASKS.items() if facts.sums)
_SKLEARN = "https://scikit-learn.org/stable/modules/model_evaluation.html"
_CONLL = "Tjong Kim Sang and De Meulder, 2003, https://aclanthology.org/W03-0419"


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
        limits=(0.0, math.inf),
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
        limits=(0.0, 1.0),
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
        limits=(0.0, math.inf),
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
        name="mase",
        en="MASE",
        zh="平均绝对标度误差",
        tasks=("forecasting",),
        score=regression.mase,
        source="Hyndman and Koehler, 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001",
        higher_is_better=False,
        limits=(0.0, math.inf),
        recorded=True,
    ),
    Metric(
        name="rmse",
        en="RMSE",
        zh="均方根误差",
        tasks=(*_VALUES, "forecasting"),
        score=regression.rmse,
        source=_SKLEARN,
        higher_is_better=False,
        limits=(0.0, math.inf),
        recorded=True,
    ),
    Metric(
        name="mae",
        en="mean absolute error",
        zh="平均绝对误差",
        tasks=(*_VALUES, "forecasting"),
        score=regression.mae,
        source=_SKLEARN,
        higher_is_better=False,
        limits=(0.0, math.inf),
        recorded=True,
    ),
    Metric(
        name="r2",
        en="R²",
        zh="决定系数 R²",
        tasks=_VALUES,
        score=regression.r2,
        source=_SKLEARN,
        limits=(-math.inf, 1.0),
        recorded=True,
    ),
    quantile_metric(0.5),
    Metric(
        name="smape",
        en="sMAPE",
        zh="对称平均绝对百分比误差",
        tasks=(*_VALUES, "forecasting"),
        score=regression.smape,
        source="Makridakis, 1993, https://doi.org/10.1016/0169-2070(93)90079-3",
        higher_is_better=False,
        limits=(0.0, math.inf),
        recorded=True,
    ),
    Metric(
        name="span-f1",
        en="span F1",
        zh="片段 F1",
        tasks=("token-classification",),
        score=tokens.span_f1,
        source=_CONLL,
        share=True,
        recorded=True,
    ),
    Metric(
        name="bleu",
        en="BLEU",
        zh="BLEU",
        tasks=("text-to-text",),
        score=text.bleu,
        source="Papineni et al., 2002, https://aclanthology.org/P02-1040",
        limits=(0.0, 100.0),
        recorded=True,
    ),
    Metric(
        name="token-log-loss",
        en="log loss per token",
        zh="每词元对数损失",
        tasks=_TOKENS,
        score=tokens.log_loss,
        source=_SKLEARN,
        higher_is_better=False,
        limits=(0.0, math.inf),
        recorded=True,
    ),
    Metric(
        name="perplexity",
        en="perplexity",
        zh="困惑度",
        tasks=_TOKENS,
        score=tokens.perplexity,
        source="Jelinek et al., 1977, https://doi.org/10.1121/1.2016299",
        higher_is_better=False,
        limits=(0.0, math.inf),
        recorded=True,
    ),
    Metric(
        name="token-accuracy",
        en="token accuracy",
        zh="词元准确率",
        tasks=_TOKENS,
        score=tokens.accuracy,
        source=_SKLEARN,
        share=True,
        recorded=True,
    ),
    Metric(
        name="span-precision",
        en="span precision",
        zh="片段精确率",
        tasks=("token-classification",),
        score=tokens.span_precision,
        source=_CONLL,
        share=True,
        recorded=True,
    ),
    Metric(
        name="span-recall",
        en="span recall",
        zh="片段召回率",
        tasks=("token-classification",),
        score=tokens.span_recall,
        source=_CONLL,
        share=True,
        recorded=True,
    ),
    Metric(
        name="exact-match",
        en="exact match",
        zh="完全匹配率",
        tasks=("text-to-text",),
        score=text.exact_match,
        source="Rajpurkar et al., 2016, https://arxiv.org/abs/1606.05250",
        share=True,
        recorded=True,
    ),
    Metric(
        name="rouge-l",
        en="ROUGE-L",
        zh="ROUGE-L",
        tasks=("text-to-text",),
        score=text.rouge_l,
        source="Lin, 2004, https://aclanthology.org/W04-1013, section 3.1",
        share=True,
        recorded=True,
    ),
    Metric(
        name="chrf",
        en="chrF2",
        zh="chrF2",
        tasks=("text-to-text",),
        score=text.chrf,
        source="Popović, 2015, https://aclanthology.org/W15-3049",
        limits=(0.0, 100.0),
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

OF_TOKENS: Mapping[str, str] = {  # what a name means where an example has many answers
    "accuracy": "token-accuracy",
    "log-loss": "token-log-loss",
    "macro-f1": "span-f1",
    "precision": "span-precision",
    "recall": "span-recall",
}


def metrics_of(task: str) -> dict[str, Metric]:
    """Return the metrics that a task has, the headline first."""
    return {name: metric for name, metric in METRICS.items() if task in metric.tasks}


def evaluate(predicted: np.ndarray, truth: np.ndarray, task: str) -> dict[str, float]:
    """Return what a trial's record keeps of one part; a metric that is not defined is left out.

    Args:
        predicted: Probabilities (N, K), values (N,) or (N, H), or the sums (N, C) of a token task.
        truth: Labels or values, (N, H + 1) for forecasts; of no influence beside sums.
        task: One of `data.dataset.TASKS`.
    """
    recorded = [metric for metric in metrics_of(task).values() if metric.recorded]
    found = {metric.key: metric.of(predicted, truth) for metric in recorded}
    return {name: value for name, value in found.items() if math.isfinite(value)}
