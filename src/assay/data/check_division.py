"""Examples that lie on the wrong side of the division: copies, groups and times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from assay.data.concern import Concern
from assay.data.dataset import TASKS, Dataset
from assay.data.names import shown
from assay.data.prepare import named_column
from assay.data.split import Named, Role
from assay.errors import BadArgumentError

TABLE_CLASH = 0.01  # share of a table's rows with equal inputs and another label, worth a note


def division_that_leaks(
    dataset: Dataset, groups: np.ndarray, *, group: str | None = None, time: str | None = None
) -> Iterator[Concern]:
    """Yield what training and test share.

    Args:
        dataset: Prepared.
        groups: Equal numbers mark identical examples.
        group: Name of the column of groups that the data were prepared with; None takes what
            they were prepared with.
        time: Likewise of times.

    Raises:
        BadArgumentError: The data were prepared without that column.
    """
    yield from _copies(dataset, groups)
    yield from _clashing(dataset, groups)
    kin, when = _column(dataset, "group", group), _column(dataset, "time", time)
    if kin:
        yield from _shared_groups(dataset, kin)
    if when:
        yield from _early_tests(dataset, when, grouped=kin is not None)


def named_ids(dataset: Dataset, places: np.ndarray, most: int = 10) -> tuple[str, ...]:
    """Return names by which a person finds the first of these examples."""
    return tuple(dataset.ids[at] if dataset.ids else str(at) for at in places[:most].tolist())


def _column(dataset: Dataset, role: Role, name: str | None) -> Named | None:
    found = named_column(dataset.folder, role)
    steps = found is None and role == "time" and dataset.kind == "sequence"  # times inside examples
    if name is not None and not steps and (found is None or found.name != name):
        raise BadArgumentError(
            f"`{role}` must be the column that the data were loaded with. Received "
            f"{shown(name)!r}; load them with {role}={shown(name)!r}."
        )
    return found


def _copies(dataset: Dataset, groups: np.ndarray) -> Iterator[Concern]:
    known = np.concatenate([dataset.train, dataset.val])
    found = dataset.test[np.isin(groups[dataset.test], groups[known])]
    if len(found):
        share = len(found) / len(dataset.test)
        yield Concern(
            kind="copies-across-parts",
            severity="warning" if share >= TABLE_CLASH else "note",
            en=f"Exact copies of training or validation examples in the test part: {len(found):,} "
            f"({share:.1%} of it); they reward remembering: leave them out if they are one thing "
            "stored twice.",
            zh=f"测试部分有 {len(found):,} 个样本（{share:.1%}）与训练或验证样本完全相同，"
            "会奖励死记硬背；若为同一对象的重复存储，请删除。",
            where=named_ids(dataset, found),
        )


def _clashing(dataset: Dataset, groups: np.ndarray) -> Iterator[Concern]:
    if not TASKS[dataset.task].labels:
        return
    order = np.argsort(groups, kind="stable")
    same = groups[order[1:]] == groups[order[:-1]]
    clash = same & (dataset.y[order[1:]] != dataset.y[order[:-1]])
    bad = np.unique(groups[order[1:][clash]])
    found = np.flatnonzero(np.isin(groups, bad))
    found = found[np.argsort(groups[found], kind="stable")]
    share = len(found) / len(groups)
    if not len(found):
        return
    if dataset.kind == "table":
        if share >= TABLE_CLASH:
            yield _coarse(dataset, groups, found)
        return
    yield Concern(
        kind="copies-with-different-labels",
        severity="warning" if share >= TABLE_CLASH else "note",
        en=f"Identical examples with different labels: {len(found):,} ({share:.2%}); no model "
        "can get all of them right: correct the labels or add what tells them apart.",
        zh=f"有 {len(found):,} 个样本（{share:.2%}）内容相同而标签不同，没有模型能全部答对；"
        "请更正标签，或补充能区分它们的信息。",
        where=named_ids(dataset, found),
    )


def _coarse(dataset: Dataset, groups: np.ndarray, found: np.ndarray) -> Concern:
    """Return what equal rows with different labels mean for the best that a model can reach."""
    kinds, counts = np.unique(
        np.stack([groups, dataset.y.astype(groups.dtype)], axis=1), axis=0, return_counts=True
    )
    most = np.zeros(int(groups.max()) + 1, np.int64)
    np.maximum.at(most, kinds[:, 0], counts)
    best = most.sum() / len(groups)
    return Concern(
        kind="copies-with-different-labels",
        severity="note",
        en=f"Rows with equal inputs and different labels: {len(found):,} of {len(groups):,}; on "
        f"these rows no model can exceed an accuracy of {best:.1%} unless a column is added that "
        "tells them apart.",
        zh=f"{len(groups):,} 行中有 {len(found):,} 行输入相同而标签不同；除非增加能区分它们的列，"
        f"任何模型在这些数据上的准确率都不会超过 {best:.1%}。",
        where=named_ids(dataset, found),
    )


def _shared_groups(dataset: Dataset, group: Named) -> Iterator[Concern]:
    name, values = group.name, group.values
    known = values[np.concatenate([dataset.train, dataset.val])]
    found = dataset.test[np.isin(values[dataset.test], known)]
    if len(found):
        yield Concern(
            kind="groups-across-parts",
            severity="error",
            en=f"Test examples whose {shown(name)!r} is also in training or validation: "
            f"{len(found):,} of {len(dataset.test):,}; the score says nothing of a new "
            f"{shown(name)!r}: give one array without parts to have it divided by groups.",
            zh=f"{len(dataset.test):,} 个测试样本中有 {len(found):,} 个的 {shown(name)!r} "
            f"也出现在训练或验证中，得分不能说明对新 {shown(name)!r} 的效果；"
            "请给出未划分的数据，以便按组划分。",
            where=named_ids(dataset, found),
        )


def _early_tests(dataset: Dataset, time: Named, *, grouped: bool) -> Iterator[Concern]:
    name, values = time.name, time.values
    latest = values[np.concatenate([dataset.train, dataset.val])].max()
    found = dataset.test[values[dataset.test] < latest]
    if len(found):
        yield Concern(
            kind="test-before-training",
            severity="note" if grouped else "error",
            en=f"Test examples that by {shown(name)!r} are earlier than the last training or "
            f"validation example: {len(found):,} of {len(dataset.test):,}; the score knows the "
            "future: "
            + (
                "groups that last long cannot stay together and lie after the others."
                if grouped
                else "give one array without parts to have the latest tested."
            ),
            zh=f"{len(dataset.test):,} 个测试样本中有 {len(found):,} 个按 {shown(name)!r} "
            "早于最后一个训练或验证样本，得分用到了未来；"
            + (
                "持续时间长的组既要保持完整，就无法全部晚于其他组。"
                if grouped
                else "请给出未划分的数据，以便用最晚的样本测试。"
            ),
            where=named_ids(dataset, found),
        )
