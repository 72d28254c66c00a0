"""The classical opponents: simple methods by scikit-learn that a network has to beat.

They see what the networks see, normalised examples, flattened, and all multiplied by the number
that makes their mean squared length 10, so that scikit-learn's default regularisation means the
same for 5 features and for 5,000. Settings are scikit-learn's defaults, but for C = 10 of the
kernel machine. Probabilities:

- logistic regression, gradient boosting, counts and the majority have their own;
- of nearest neighbours, their votes and one vote more, shared out as the classes are in training,
  so that no class is impossible;
- of support vector machines, and of logistic regression on texts, whose weights are sparse, the
  softmax of the decision function times the factor that gives the least log loss on the validation
  part (temperature scaling: Guo et al., 2017,
  https://arxiv.org/abs/1706.04599). It never changes which class comes first.

What takes long on many examples learns from a part of them. How many is computed from the sizes and
from the costs below, never from a clock, so that a trial repeated is the same trial.

Methods that read tokens are in `engine/classical_text.py` and `engine/classical_answers.py`; they
and those that repeat the past of a series see examples as they are stored. A method for another
task is an entry of `METHODS` and a function that fits it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from assay.engine.classical_answers import fit_frequent_answer, fit_nearest_answer
from assay.engine.classical_text import (
    fit_between,
    fit_bigram,
    fit_frequent_tag,
    fit_majority_tag,
    fit_ngram,
    fit_tfidf,
    fit_unigram,
)

Array = np.ndarray
Predict = Callable[[Array], Array]  # (N, F) -> scores (N, K) or values (N,)
Fit = Callable[..., Any]  # x, y, outputs and what `Method.wants` -> Predict, or Tell for tokens

FAMILY = "baseline"
LEAST_EXAMPLES = 200  # to learn from; a method that can afford fewer is left out
NEIGHBOURS = 5
VALIDATION = 1000  # examples of that part that are predicted, at most
SQUARED_LENGTH = 10.0  # of an example, in the mean

_CLASSIFICATION = ("image-classification", "sequence-classification", "tabular-classification")
_REGRESSION = ("tabular-regression", "sequence-regression")
_SCALES = 2.0 ** np.arange(-4, 8.5, 0.5)  # of a decision function, tried on the validation part
_LEAST_PROBABILITY = 1e-12
_MOST_VALUES = 2**26  # of the examples to learn from: 256 MB


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What decides how long a method takes."""

    train: int
    queries: int  # examples to predict afterwards
    features: int  # of one example, flattened; tokens of a text, in the mean
    outputs: int


@dataclass(frozen=True, kw_only=True)
class Method:
    """One opponent.

    Attributes:
        en: What people call it.
        zh: The same in Chinese.
        fits: For each task it does, what learns from (N, F) examples, their targets and the number
            of outputs; it returns what predicts.
        seconds: What learning and predicting take on one slow core, about; None is no time.
        modules: What it imports; worth doing once for all trials.
        decides: Whether it gives a decision function, to be scaled, in place of probabilities.
        blind: Whether it looks at no input; it is then given examples of no value, (N, 0).
        stored: Whether it reads examples as they are stored: tokens (N, T), windows (N, T, F).
        wants: Facts of the preprocessing that it is told, by name.
        suits: Whether it is worth a place, by the preprocessing; None is always.
    """

    en: str
    zh: str
    fits: Mapping[str, Fit]
    seconds: Callable[[Sizes], float] | None = None
    modules: tuple[str, ...] = ()
    decides: bool = False
    blind: bool = False
    stored: bool = False
    wants: tuple[str, ...] = ()
    suits: Callable[[Mapping[str, Any]], bool] | None = None

    def affordable(self, sizes: Sizes, seconds: float) -> int:
        """Return how many examples it can learn from in that time, and in memory; 0 is none."""
        if self.seconds is None:
            return sizes.train
        most = min(sizes.train, _MOST_VALUES // sizes.features)
        if self.seconds(replace(sizes, train=most)) <= seconds:
            return most
        low, high = 0, most
        while high - low > 1:
            middle = (low + high) // 2
            fits = self.seconds(replace(sizes, train=middle)) <= seconds
            low, high = (middle, high) if fits else (low, middle)
        return low


def fit_majority(x: Array, y: Array, outputs: int) -> Predict:
    """Always the shares of the classes in training."""
    shares = np.bincount(y, minlength=outputs) / len(y)
    return lambda queries: np.broadcast_to(shares, (len(queries), outputs))


def fit_mean(x: Array, y: Array, outputs: int) -> Predict:
    """Always the mean of the training targets."""
    mean = y.astype(np.float64).mean()
    return lambda queries: np.full(len(queries), mean)


def fit_logistic_regression(x: Array, y: Array, outputs: int) -> Predict:
    """Multinomial logistic regression, L2."""
    from sklearn.linear_model import LogisticRegression

    model = _fitted(LogisticRegression(), x, y)
    return lambda queries: _spread(model.predict_proba(queries), model.classes_, outputs)


def fit_linear_svm(x: Array, y: Array, outputs: int) -> Predict:
    """A linear support vector machine, one class against the rest, squared hinge loss."""
    from sklearn.svm import LinearSVC

    model = _fitted(LinearSVC(tol=1e-2, random_state=0), x, y)
    return lambda queries: _decision(model.decision_function(queries), model.classes_, outputs)


def fit_rbf_svm(x: Array, y: Array, outputs: int) -> Predict:
    """A support vector machine with the kernel exp(-γ‖x-x'‖²), γ = 1 / (features · variance).

    The kernel is one matrix product, ten times as fast as libsvm's own.
    """
    from sklearn.svm import SVC

    gamma = 1.0 / max(x.shape[1] * float(x.var()), 1e-12)
    model = _fitted(SVC(kernel="precomputed", C=10.0, cache_size=500), _kernel(x, x, gamma), y)

    def predict(queries: Array) -> Array:
        scores = model.decision_function(_kernel(queries, x, gamma))
        return _decision(scores, model.classes_, outputs)

    return predict


def fit_neighbours(x: Array, y: Array, outputs: int) -> Predict:
    """The nearest training examples vote."""
    from sklearn.neighbors import KNeighborsClassifier

    nearest = min(NEIGHBOURS, len(x))
    model = _fitted(KNeighborsClassifier(nearest), x, y)
    shares = np.bincount(y, minlength=outputs) / len(y)

    def predict(queries: Array) -> Array:
        votes = _spread(model.predict_proba(queries), model.classes_, outputs)
        mixed: Array = (nearest * votes + shares) / (nearest + 1)
        return mixed

    return predict


def fit_mean_of_neighbours(x: Array, y: Array, outputs: int) -> Predict:
    """The mean target of the nearest training examples."""
    from sklearn.neighbors import KNeighborsRegressor

    predict: Predict = _fitted(KNeighborsRegressor(min(NEIGHBOURS, len(x))), x, y).predict
    return predict


def fit_least_squares(x: Array, y: Array, outputs: int) -> Predict:
    """Ridge regression."""
    from sklearn.linear_model import Ridge

    predict: Predict = _fitted(Ridge(), x.astype(np.float64), y.astype(np.float64)).predict
    return predict


def fit_last_value(x: Array, y: Array, outputs: int) -> Predict:
    """The last value of each window again and again; learns nothing."""
    return lambda queries: np.repeat(queries[:, -1:, 0], outputs, axis=1)


def fit_seasonal_naive(x: Array, y: Array, outputs: int, *, season: int) -> Predict:
    """The last season of each window again and again; learns nothing."""
    from assay.data.windows import seasonal_naive

    return lambda queries: seasonal_naive(queries, season, outputs)


def fit_boosting(x: Array, y: Array, outputs: int) -> Predict:
    """Gradient boosting on histograms: a hundred rounds of trees, one tree per class."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = _fitted(HistGradientBoostingClassifier(random_state=0), x, y)
    return lambda queries: _spread(model.predict_proba(queries), model.classes_, outputs)


def fit_boosting_of_values(x: Array, y: Array, outputs: int) -> Predict:
    """Gradient boosting on histograms, squared error."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    predict: Predict = _fitted(HistGradientBoostingRegressor(random_state=0), x, y).predict
    return predict


def probabilities(scores: Array, scale: float) -> Array:
    """Return the softmax of a decision function, (N, K) -> (N, K)."""
    weights: Array = np.exp(scale * (scores - scores.max(axis=1, keepdims=True)))
    return weights / weights.sum(axis=1, keepdims=True)


def best_scale(scores: Array, truth: Array) -> float:
    """Return the factor on a decision function with the least log loss."""
    rows = np.arange(len(truth))
    losses = [
        -np.log(np.maximum(probabilities(scores, scale)[rows, truth], _LEAST_PROBABILITY)).mean()
        for scale in _SCALES
    ]
    return float(_SCALES[int(np.argmin(losses))])


def sample(y: Array, count: int, *, classes: int) -> Array:
    """Return sorted indices of `count` examples that stand for all: classes keep their shares.

    Args:
        y: Labels, or values for regression, of which quantiles keep their shares; where an
            example has several, it is drawn by chance alone.
        count: At most `len(y)`. Each class has one example as long as there are so many.
        classes: 0 for regression.
    """
    if count >= len(y):
        return np.arange(len(y))
    order = np.random.default_rng(0).permutation(len(y))
    if y.ndim > 1:
        return np.sort(order[:count])
    if not classes:
        by_value = order[np.argsort(y[order], kind="stable")]
        return np.sort(by_value[(2 * np.arange(count) + 1) * len(y) // (2 * count)])
    place = np.empty(len(y))  # in (0, 1): where an example stands within its class
    for label in range(classes):
        mine = order[y[order] == label]
        place[mine] = (np.arange(len(mine)) + 0.5) / max(len(mine), 1)
        place[mine[:1]] = 0.0
    return np.sort(order[np.argsort(place[order], kind="stable")[:count]])


def _logistic_seconds(sizes: Sizes) -> float:
    return 2.2e-8 * sizes.train * sizes.features * sizes.outputs


def _linear_svm_seconds(sizes: Sizes) -> float:
    slowing = max(1.0, sizes.train / 4000) ** 0.6
    return float(1.7e-7 * sizes.train * sizes.features * sizes.outputs * slowing)


def _kernel_seconds(sizes: Sizes) -> float:
    pairs = sizes.train * (sizes.train + sizes.queries)
    return pairs * (4e-11 * sizes.features + 1e-8) + 8e-8 * sizes.train**2


def _neighbour_seconds(sizes: Sizes) -> float:
    return sizes.train * sizes.queries * (5e-11 * sizes.features + 1e-8)


def _least_squares_seconds(sizes: Sizes) -> float:
    return 1e-10 * sizes.features**2 * (sizes.train + sizes.features)


def _boosting_seconds(sizes: Sizes) -> float:
    trees = 60 * sizes.outputs if sizes.outputs > 2 else 100  # of many classes each is smaller
    grown = 2e-3 + 2e-5 * sizes.features + 1e-8 * sizes.train * sizes.features
    return trees * (grown + 1e-7 * sizes.queries)


def _tfidf_seconds(sizes: Sizes) -> float:
    return sizes.train * sizes.features * (4e-6 + 5e-7 * sizes.outputs)


def _counting_seconds(sizes: Sizes) -> float:
    return 2e-7 * sizes.features * (sizes.train + sizes.queries)


def _ngram_seconds(sizes: Sizes) -> float:
    return sizes.features * (4e-7 * sizes.train + 1.4e-6 * sizes.queries)


def _nearest_answer_seconds(sizes: Sizes) -> float:
    return 2e-6 * sizes.features * sizes.train + 2e-8 * sizes.train * (sizes.queries + 512)


def _has_season(preprocessing: Mapping[str, Any]) -> bool:
    """Return whether a season is in the window; else the last value is repeated."""
    return 1 < int(preprocessing["season"]) <= int(preprocessing["steps"])


METHODS: Mapping[str, Method] = {
    "baseline:majority": Method(
        en="the most frequent class",
        zh="多数类",
        fits={
            **dict.fromkeys((*_CLASSIFICATION, "text-classification"), fit_majority),
            "token-classification": fit_majority_tag,
        },
        blind=True,
    ),
    "baseline:mean": Method(
        en="the mean of the targets",
        zh="目标均值",
        fits=dict.fromkeys(_REGRESSION, fit_mean),
        blind=True,
    ),
    "baseline:logistic_regression": Method(
        en="logistic regression",
        zh="逻辑回归",
        fits=dict.fromkeys(_CLASSIFICATION, fit_logistic_regression),
        seconds=_logistic_seconds,
        modules=("sklearn.linear_model",),
    ),
    "baseline:linear_svm": Method(
        en="linear SVM",
        zh="线性支持向量机",
        fits=dict.fromkeys(_CLASSIFICATION, fit_linear_svm),
        seconds=_linear_svm_seconds,
        modules=("sklearn.svm",),
        decides=True,
    ),
    "baseline:rbf_svm": Method(
        en="RBF SVM",
        zh="高斯核支持向量机",
        fits=dict.fromkeys(_CLASSIFICATION, fit_rbf_svm),
        seconds=_kernel_seconds,
        modules=("sklearn.svm",),
        decides=True,
    ),
    "baseline:least_squares": Method(
        en="least squares (ridge)",
        zh="最小二乘（岭回归）",
        fits=dict.fromkeys((*_REGRESSION, "forecasting"), fit_least_squares),
        seconds=_least_squares_seconds,
        modules=("sklearn.linear_model",),
    ),
    "baseline:nearest_neighbours": Method(
        en="nearest neighbours",
        zh="最近邻",
        fits={
            **dict.fromkeys(_CLASSIFICATION, fit_neighbours),
            **dict.fromkeys(_REGRESSION, fit_mean_of_neighbours),
        },
        seconds=_neighbour_seconds,
        modules=("sklearn.neighbors",),
    ),
    "baseline:gradient_boosting": Method(
        en="gradient boosting",
        zh="梯度提升树",
        fits={
            "tabular-classification": fit_boosting,
            "tabular-regression": fit_boosting_of_values,
        },
        seconds=_boosting_seconds,
        modules=("sklearn.ensemble",),
    ),
    "baseline:tfidf": Method(
        en="TF-IDF and logistic regression",
        zh="TF-IDF 加逻辑回归",
        fits={"text-classification": fit_tfidf},
        seconds=_tfidf_seconds,
        modules=("sklearn.feature_extraction.text", "sklearn.linear_model"),
        decides=True,
        stored=True,
        wants=("tokenizer",),
    ),
    "baseline:frequent_tag": Method(
        en="the most frequent tag of each token",
        zh="每个词元最常见的标签",
        fits={"token-classification": fit_frequent_tag},
        seconds=_counting_seconds,
        stored=True,
    ),
    "baseline:unigram": Method(
        en="token frequencies",
        zh="词元频率",
        fits=dict.fromkeys(("language-modeling", "masked-language-modeling"), fit_unigram),
        blind=True,
    ),
    "baseline:bigram": Method(
        en="a bigram model",
        zh="二元语法模型",
        fits={"language-modeling": fit_bigram},
        seconds=_counting_seconds,
        stored=True,
    ),
    "baseline:ngram": Method(
        en="an n-gram model (Kneser-Ney)",
        zh="n 元语法模型（Kneser-Ney 平滑）",
        fits={"language-modeling": fit_ngram},
        seconds=_ngram_seconds,
        stored=True,
    ),
    "baseline:between": Method(
        en="a model of both neighbours (Kneser-Ney)",
        zh="左右邻词元模型（Kneser-Ney 平滑）",
        fits={"masked-language-modeling": fit_between},
        seconds=_ngram_seconds,
        stored=True,
    ),
    "baseline:frequent_answer": Method(
        en="the most frequent answer",
        zh="最常见的答案",
        fits={"text-to-text": fit_frequent_answer},
        seconds=_counting_seconds,
        blind=True,
    ),
    "baseline:nearest_answer": Method(
        en="the answer to the most similar source",
        zh="最相似源文本的答案",
        fits={"text-to-text": fit_nearest_answer},
        seconds=_nearest_answer_seconds,
        modules=("sklearn.feature_extraction.text",),
        stored=True,
        wants=("tokenizer",),
    ),
    "baseline:last_value": Method(
        en="the last value",
        zh="最后一个值",
        fits={"forecasting": fit_last_value},
        stored=True,
    ),
    "baseline:seasonal_naive": Method(
        en="the last season",
        zh="上一季",
        fits={"forecasting": fit_seasonal_naive},
        stored=True,
        wants=("season",),
        suits=_has_season,
    ),
}


def _fitted(model: Any, x: Array, y: Array) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an opponent that has not converged is one
        return model.fit(x, y)


def _kernel(queries: Array, x: Array, gamma: float) -> Array:
    """(Q, F), (N, F) -> (Q, N)."""
    products: Array = queries @ x.T
    products *= -2.0
    products += np.square(queries).sum(axis=1)[:, None]
    products += np.square(x).sum(axis=1)
    np.maximum(products, 0.0, out=products)
    products *= -gamma
    np.exp(products, out=products)
    return products


def _spread(shares: Array, classes: Array, outputs: int) -> Array:
    """Give a class that training lacks a column of zeros."""
    whole = np.zeros((len(shares), outputs))
    whole[:, classes] = shares
    return whole


def _decision(scores: Array, classes: Array, outputs: int) -> Array:
    """Return a score for every class; one that training lacks never comes first."""
    if scores.ndim == 1:  # two classes: one score, of the second
        scores = np.stack([-scores / 2, scores / 2], axis=1)
    whole = np.full((len(scores), outputs), scores.min() - 1.0)
    whole[:, classes] = scores
    return whole
