"""Whether the test part looks like the training part.

Source:
    Two-sample Kolmogorov-Smirnov test with the asymptotic distribution and the correction of
    M. A. Stephens, "Use of the Kolmogorov-Smirnov, Cramér-von Mises and Related Statistics Without
    Extensive Tables", 1970; S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure",
    1979. The approach: S. Rabanser, S. Günnemann, Z. C. Lipton, "Failing Loudly", 2019, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from assay.data.concern import Concern
from assay.data.dataset import TASKS, Dataset
from assay.data.names import shown

ROWS = 5_000  # of each part, drawn at random
LEVEL = 0.001  # of all tests together
LEAST = 0.1  # smallest difference of the distribution functions, or of class shares, that matters
CHINESE = {"brightness": "亮度", "contrast": "对比度", "sharpness": "锐度"}


def drift(
    dataset: Dataset, facts: Mapping[str, np.ndarray], units: np.ndarray
) -> Iterator[Concern]:
    """Yield what differs between the training and the test part by more than chance.

    Args:
        dataset: Prepared.
        facts: Name -> one number per example.
        units: Equal numbers mark examples that went to one part together, such as copies or a
            patient's; chance had only as many draws as there are units.
    """
    generator = np.random.default_rng(0)
    train, test = (_some(part, generator) for part in (dataset.train, dataset.test))
    sizes = len(np.unique(units[train])), len(np.unique(units[test]))
    tested = {
        name: kolmogorov_smirnov(values[train], values[test], sizes=sizes)
        for name, values in facts.items()
    }
    adjusted = holm(np.array([p for _, p in tested.values()]))
    found = sorted(
        (
            (name, distance)
            for (name, (distance, _)), p in zip(tested.items(), adjusted, strict=True)
            if p < LEVEL and distance >= LEAST
        ),
        key=lambda pair: -pair[1],
    )
    if found:
        worst = found[:5]
        en = ", ".join(f"{shown(name)!r} by {d:.2f}" for name, d in worst)
        zh = "、".join(f"{CHINESE.get(name, repr(shown(name)))} {d:.2f}" for name, d in worst)
        yield Concern(
            kind="test-part-differs",
            severity="warning",
            en=f"The test part is distributed unlike the training part in {len(found)} of "
            f"{len(facts)} quantities ({en}, largest difference of the distribution functions); "
            "what is best here may not be best elsewhere: see how the parts were made.",
            zh=f"测试部分与训练部分在 {len(facts)} 个量中的 {len(found)} 个上分布不同"
            f"（{zh}，为分布函数的最大差）；这里的最优未必适用于别处，请查看划分方式。",
            where=tuple(name for name, _ in found[:10]),
        )
    yield from _class_shares(dataset, units)


def kolmogorov_smirnov(
    a: np.ndarray, b: np.ndarray, *, sizes: tuple[int, int] | None = None
) -> tuple[float, float]:
    """Return the largest difference of the distribution functions and its p-value.

    Args:
        a: One sample; NaN is a value of its own.
        b: The other.
        sizes: How many of each are independent; None is all.

    Returns:
        Two numbers in [0, 1].
    """
    from scipy.special import kolmogorov

    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    below = [np.searchsorted(s, both, side="right") / len(s) for s in (a, b)]
    distance = float(np.abs(below[0] - below[1]).max())
    first, second = sizes or (len(a), len(b))
    root = np.sqrt(first * second / (first + second))
    return distance, float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def holm(ps: np.ndarray) -> np.ndarray:
    """Return p-values corrected for their number, each in [0, 1]."""
    order = np.argsort(ps)
    scaled = np.maximum.accumulate(ps[order] * np.arange(len(ps), 0, -1))
    corrected = np.empty(len(ps))
    corrected[order] = np.minimum(scaled, 1)
    return corrected


def _some(part: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return part if len(part) <= ROWS else np.sort(generator.choice(part, ROWS, replace=False))


def _class_shares(dataset: Dataset, units: np.ndarray) -> Iterator[Concern]:
    if not TASKS[dataset.task].labels:
        return
    from scipy.special import chdtrc

    counts = np.stack(
        [
            np.bincount(dataset.y[part], minlength=len(dataset.classes))
            for part in (dataset.train, dataset.test)
        ]
    ).astype(float)
    counts = counts[:, counts.sum(axis=0) > 0]
    free = [len(np.unique(units[part])) / len(part) for part in (dataset.train, dataset.test)]
    counts *= np.array(free)[:, None]
    shares = counts / counts.sum(axis=1, keepdims=True)
    apart = float(np.abs(shares[0] - shares[1]).sum() / 2)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    p = float(chdtrc(counts.shape[1] - 1, (np.square(counts - expected) / expected).sum()))
    if apart >= LEAST and p < LEVEL:
        yield Concern(
            kind="class-shares-differ",
            severity="warning",
            en=f"The classes have other shares in the test part than in training: {apart:.0%} of "
            "the examples would have to change class; read balanced accuracy or the class-wise "
            "table.",
            zh=f"各类别在测试部分与训练部分的占比不同：需有 {apart:.0%} 的样本改变类别才会一致；"
            "请看平衡准确率或分类别表格。",
        )
