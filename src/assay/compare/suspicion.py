"""Too good, or too even, to be true: what in the trials of a study should be looked at first.

Nothing here says that a result is wrong; each concern names what was seen and what to check.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import fmean

import numpy as np

from assay.compare.baselines import TRIVIAL, label
from assay.compare.findings import Trained
from assay.compare.result import PairVerdict
from assay.data.concern import Concern
from assay.data.dataset import Dataset
from assay.engine.spec import Point, TrialRecord

LEVEL = 0.01  # of a false alarm in a whole study, where chance alone could raise one
STILL = 1e-6  # a relative change of the weights that is none
FEW = 20  # test examples that may all be right by luck and an easy task
SUDDEN = 0.15  # of the score's range, a jump that is looked at
_TIMES = 2.0  # as large as the largest step of any other seed
_KURTOSIS = 9.0  # of errors, assumed at the least: heavy tails make a root mean square uncertain
_NAMED = 4


def suspicions(
    trained: Sequence[Trained], dataset: Dataset, *, against: Sequence[PairVerdict] = ()
) -> tuple[Concern, ...]:
    """Return what in these trials is too good to be true, errors first.

    Args:
        trained: The networks, without baselines.
        dataset: That they were trained on.
        against: Verdicts on networks against baselines.
    """
    done = [t for t in trained if len(t.predicted)]
    found = [
        *_seeds_used_twice(done),
        *_never_moved(done),
        *_constant(done, dataset),
        *_perfect(done, dataset),
        *_test_above("train", done, dataset),
        *_test_above("val", done, dataset),
        *_jumps(done),
        *_no_better_than_nothing(done, against),
    ]
    order = ("error", "warning", "note")
    return tuple(sorted(found, key=lambda concern: order.index(concern.severity)))


def _seeds_used_twice(trained: Sequence[Trained]) -> Iterator[Concern]:
    """The same seed twice, or two seeds whose every number is the same."""
    for each in trained:
        twice = sorted(s for s, n in Counter(r.seed for r in _done(each)).items() if n > 1)
        if twice:
            en, zh = (comma.join(map(str, twice)) for comma in (", ", "、"))
            yield Concern(
                kind="seed-used-twice",
                severity="error",
                en=f"{_name(each)} counts seed {en} more than once, so its spread over seeds is "
                "too small; run it with seeds that differ.",
                zh=f"{_name(each)} 重复计入了种子 {zh}，种子间的差异因此被低估；"
                "请使用互不相同的种子。",
                where=(_name(each),),
            )
        for group in _alike(each):
            en, zh = (comma.join(map(str, group)) for comma in (", ", "、"))
            yield Concern(
                kind="seeds-alike",
                severity="error",
                en=f"Seeds {en} of {_name(each)} agree to the last digit, so the seed does not "
                "reach its training; they count as one.",
                zh=f"{_name(each)} 的种子 {zh} 结果逐位相同，说明种子没有影响训练；"
                "它们只能算作一次。",
                where=(_name(each),),
            )


def _alike(trained: Trained) -> list[tuple[int, ...]]:
    """Return groups of different seeds whose curves, or predicted values, are equal bit by bit."""
    groups: dict[object, set[int]] = {}
    for record, predicted in zip(_done(trained), trained.predicted, strict=True):
        curve = tuple((p.step, p.train_loss, p.val_loss, p.val_score) for p in record.curve)
        values = predicted.tobytes() if predicted.dtype.kind == "f" and np.ptp(predicted) else b""
        for fact in filter(None, (curve, values)):
            groups.setdefault(fact, set()).add(record.seed)
    return sorted({tuple(sorted(seeds)) for seeds in groups.values() if len(seeds) > 1})


def _never_moved(trained: Sequence[Trained]) -> Iterator[Concern]:
    still = [
        (t, r.seed) for t in trained for r in _done(t) if r.moved is not None and r.moved < STILL
    ]
    if still:
        yield Concern(
            kind="never-moved",
            severity="error",
            en=f"The weights of {_trials(still, 'en')} are those of the start, so nothing was "
            "learned; look at the learning rate and at which parameters need a gradient.",
            zh=f"{_trials(still, 'zh')} 的权重与训练开始时相同，没有学到任何东西；"
            "请检查学习率以及哪些参数需要梯度。",
            where=_names(t for t, _ in still),
        )


def _constant(trained: Sequence[Trained], dataset: Dataset) -> Iterator[Concern]:
    truth = dataset.y[dataset.test]
    if dataset.answers not in ("label", "value"):
        return
    if len(truth) < 2 or np.ptp(truth) == 0:
        return
    alike = 0.0 if dataset.classes else 1e-6 * float(np.std(truth))
    found = [
        (t, r.seed)
        for t in trained
        for r, predicted in zip(_done(t), t.predicted, strict=True)
        if np.ptp(predicted) <= alike
    ]
    if found:
        answer = "class" if dataset.classes else "value"
        answer_zh = "同一类别" if dataset.classes else "同一数值"
        yield Concern(
            kind="constant-predictions",
            severity="warning",
            en=f"All test examples get the same {answer} from {_trials(found, 'en')}: nothing was "
            "learned that tells them apart; try more steps or another learning rate.",
            zh=f"{_trials(found, 'zh')} 对所有测试样本都给出{answer_zh}，没有学会区分它们；"
            "请增加训练步数或更换学习率。",
            where=_names(t for t, _ in found),
        )


def _perfect(trained: Sequence[Trained], dataset: Dataset) -> Iterator[Concern]:
    """No mistake on more than a few examples: an easy task, or the answer is in the inputs."""
    truth = dataset.y[dataset.test]
    if dataset.answers not in ("label", "value"):
        return
    if len(truth) <= FEW or np.ptp(truth) == 0:
        return
    found = [
        (t, r.seed)
        for t in trained
        for r, predicted in zip(_done(t), t.predicted, strict=True)
        if _without_mistake(predicted, truth, regression=not dataset.classes)
    ]
    if found:
        total = f"{len(truth):,}"
        yield Concern(
            kind="perfect-score",
            severity="warning",
            en=f"No mistake on {total} test examples was made by {_trials(found, 'en')}: either "
            "the task is easy or something in the inputs gives the answer away; look for a column "
            "or a mark that holds it, and for test examples among the training ones.",
            zh=f"{_trials(found, 'zh')} 在 {total} 个测试样本上没有任何错误：要么任务很简单，"
            "要么输入中含有答案；请检查是否有列或标记泄露了答案，以及测试样本是否出现在训练集中。",
            where=_names(t for t, _ in found),
        )


def _without_mistake(predicted: np.ndarray, truth: np.ndarray, *, regression: bool) -> bool:
    if not regression:
        return bool((predicted == truth).all())
    error = np.square(predicted.astype(np.float64) - truth.astype(np.float64)).mean()
    return bool(error <= 1e-6 * np.var(truth.astype(np.float64)))


_ABOVE = {
    "train": (
        "test-above-training",
        (
            "The score on the {held} test examples is above that on training examples, by more "
            "than chance allows, for {names}, although these were learned from: the parts were "
            "not drawn alike; look for training examples that are harder or wrongly labelled.",
            "{names} 在 {held} 个测试样本上的得分高于训练样本，超出了偶然的范围，"
            "而模型正是从训练样本中学习的：各部分并非同样抽取；请检查训练样本是否更难或标签有误。",
        ),
    ),
    "val": (
        "test-above-validation",
        (
            "The score on the {held} test examples is above that on validation, by more than "
            "chance allows, for {names}, although validation chose the weights: the test part is "
            "easier or has leaked; look for copies of test examples in training.",
            "{names} 在 {held} 个测试样本上的得分高于验证集，超出了偶然的范围，"
            "而权重正是按验证集选出的：测试集更容易，或者已经泄露；"
            "请检查训练集中是否有测试样本的副本。",
        ),
    ),
}


def _test_above(part: str, trained: Sequence[Trained], dataset: Dataset) -> Iterator[Concern]:
    """A test score above that of a part which the weights have seen, by more than noise."""
    if dataset.answers not in ("label", "value"):
        return
    z = _quantile(1 - LEVEL / (len(_ABOVE) * max(len(trained), 1)))
    compare = _accuracies if dataset.classes else _errors
    found = [t for t in trained if compare(t, part, dataset, z)]
    if found:
        held, kind, (en, zh) = f"{len(dataset.test):,}", *_ABOVE[part]
        yield Concern(
            kind=kind,
            severity="warning",
            en=en.format(held=held, names=_listed(_names(found), "en")),
            zh=zh.format(held=held, names=_listed(_names(found), "zh")),
            where=_names(found),
        )


def _accuracies(trained: Trained, part: str, dataset: Dataset, z: float) -> bool:
    pairs = _scored(trained, part, "accuracy")
    if not pairs:
        return False
    seen, test = fmean(s for s, _ in pairs), fmean(t for _, t in pairs)
    return difference_above(test, len(dataset.test), seen, _looked_at(trained), z)


def difference_above(high: float, n_high: int, low: float, n_low: int, z: float) -> bool:
    """Return whether one share is above another by more than the noise of both counts.

    Source: Newcombe (1998), https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>
    3.0.CO;2-I, method 10: the interval of a difference from Wilson's intervals of both shares.
    """
    if n_high < 1 or n_low < 1:
        return False
    lower, _ = wilson(high, n_high, z)
    _, upper = wilson(low, n_low, z)
    return high - low > math.hypot(high - lower, upper - low)


def wilson(share: float, count: int, z: float) -> tuple[float, float]:
    """Return Wilson's interval of a share among `count`, `z` standard errors wide each way."""
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2)) / (1 + z * z / count)
    return centre - half, centre + half


def _errors(trained: Trained, part: str, dataset: Dataset, z: float) -> bool:
    """Squared errors: the logarithm of their ratio, with the spread that their kurtosis gives."""
    pairs = _scored(trained, part, "rmse")
    truth = dataset.y[dataset.test].astype(np.float64)
    counts = (len(truth), _looked_at(trained))
    if not pairs or min(counts) < 2:
        return False
    seen, test = fmean(s**2 for s, _ in pairs), fmean(t**2 for _, t in pairs)
    squares = np.square(trained.predicted.astype(np.float64) - truth)
    kurtosis = max(float(np.mean(squares**2) / max(np.mean(squares) ** 2, 1e-300)), _KURTOSIS)
    noise = math.sqrt((kurtosis - 1) * sum(1 / n for n in counts))
    return seen > 0 and test < seen * math.exp(-z * noise)


def _scored(trained: Trained, part: str, metric: str) -> list[tuple[float, float]]:
    """Return a metric on `part` and on test, for every seed that has both."""
    names = (f"{part}_{metric}", f"test_{metric}")
    found = [r.metrics for r in _done(trained) if all(name in r.metrics for name in names)]
    return [(metrics[names[0]], metrics[names[1]]) for metrics in found]


def _looked_at(trained: Trained) -> int:
    """Return how many validation examples, and as many training ones, were scored."""
    return min((r.looked_at for r in _done(trained)), default=0)


def _jumps(trained: Sequence[Trained]) -> Iterator[Concern]:
    """A score that changes at once by far more than it ever does with the other seeds."""
    found = [(t, record.seed, point) for t in trained for record, point in _sudden(t)]
    for t, seed, (before, after) in found[:_NAMED]:
        change = f"{before.val_score:.3f} to {after.val_score:.3f}"
        change_zh = f"{before.val_score:.3f} 变为 {after.val_score:.3f}"
        yield Concern(
            kind="metric-jumps",
            severity="warning",
            en=f"The validation score of {_name(t)}, seed {seed}, jumps from {change} between "
            f"steps {before.step:,} and {after.step:,}, more than twice as far as with any other "
            "seed; look at its curve before trusting it.",
            zh=f"{_name(t)} 种子 {seed} 的验证得分在第 {before.step:,} 步与第 {after.step:,} 步"
            f"之间由 {change_zh}，幅度超过其他种子最大变化的两倍；请先查看它的曲线再相信结果。",
            where=(_name(t),),
        )


def _sudden(trained: Trained) -> Iterator[tuple[TrialRecord, tuple[Point, Point]]]:
    """Yield of each record its largest step, where no other seed comes near it.

    The first evaluation is left out: what a network learns before it is no jump.
    """
    records = [r for r in _done(trained) if len(r.curve) > 2]
    if len(records) < 2:
        return
    largest = [max(pairwise(r.curve), key=_step) for r in records]
    for record, pair in zip(records, largest, strict=True):
        others = max(_step(p) for r, p in zip(records, largest, strict=True) if r is not record)
        if _step(pair) > SUDDEN + _TIMES * others + _noise(pair, record.looked_at):
            yield record, pair


def _step(pair: tuple[Point, Point]) -> float:
    return abs(_bounded(pair[1]) - _bounded(pair[0]))


def _bounded(point: Point) -> float:
    """R² has no lower end; below 0 all is equally bad."""
    return min(max(point.val_score, 0.0), 1.0)


def _noise(pair: tuple[Point, Point], count: int) -> float:
    """Three standard errors of the difference of two shares of `count`."""
    shares = [_bounded(point) for point in pair]
    return 3 * math.sqrt(sum(s * (1 - s) for s in shares) / max(count, 1))


def _no_better_than_nothing(
    trained: Sequence[Trained], against: Sequence[PairVerdict]
) -> Iterator[Concern]:
    lost = [v for v in against if v.b in TRIVIAL and v.verdict != "better" and v.low <= 0]
    names = [_name(t) for t in trained if any(v.a == _name(t) for v in lost)]
    if names:
        opponent = lost[0].b
        yield Concern(
            kind="no-better-than-trivial",
            severity="warning",
            en=f"Nothing shows {_listed(names, 'en')} to be better than always answering with "
            f"{label(opponent, 'en')}, which looks at no input.",
            zh=f"{_listed(names, 'zh')} 未被证明优于始终回答{label(opponent, 'zh')}，"
            "而后者完全不看输入。",
            where=tuple(names),
        )


def _done(trained: Trained) -> list[TrialRecord]:
    return [r for r in trained.records if r.status == "finished"]


def _name(trained: Trained) -> str:
    return trained.candidate.name


def _names(trained: Iterable[Trained]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_name(t) for t in trained))


def _trials(found: Sequence[tuple[Trained, int]], lang: str) -> str:
    """Return names with their seeds: "mlp (seeds 0, 2)"."""
    seeds: dict[str, list[str]] = {}
    for trained, seed in found:
        seeds.setdefault(_name(trained), []).append(str(seed))
    one, many = ("seed", "seeds") if lang == "en" else ("种子", "种子")
    told = [
        f"{name} ({one if len(which) == 1 else many} {_listed(which, lang)})"
        for name, which in seeds.items()
    ]
    return _listed(told, lang)


def _listed(names: Sequence[str], lang: str) -> str:
    comma = ", " if lang == "en" else "、"
    more = len(names) - _NAMED
    if more < 1:
        return comma.join(names)
    rest = f" and {more} more" if lang == "en" else f"等 {len(names)} 个"
    return comma.join(names[:_NAMED]) + rest


def _quantile(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))
