"""The division: stratified, copies on one side, given parts kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.data.split import divide, groups_of
from assay.errors import DataError


def all_parts(split):
    return split.train, split.val, split.test


def test_rows_with_equal_bytes_share_a_group():
    rows = np.array([[1, 2], [3, 4], [1, 2]], np.uint8)
    assert groups_of(rows).tolist() == [0, 1, 0]


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 40), min_size=2, max_size=5),
    copies=st.integers(0, 10),
    seed=st.integers(0, 1000),
)
def test_every_example_is_in_one_part_and_copies_never_part(counts, copies, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    groups = np.concatenate([np.arange(len(y)), np.arange(copies) % len(y)])
    y = np.concatenate([y, y[np.arange(copies) % len(y)]])
    names = [str(i) for i in range(len(counts))]
    split = divide(y, groups=groups, classes=names, seed=seed)
    assert sorted(np.concatenate(all_parts(split)).tolist()) == list(range(len(y)))
    sides = [set(groups[part].tolist()) for part in all_parts(split)]
    assert sum(len(side) for side in sides) == len(set().union(*sides))
    for part in all_parts(split):
        assert set(y[part].tolist()) == set(range(len(counts)))


def test_copies_are_counted_in_a_note():
    y, groups = np.repeat([0, 1], 10), np.arange(20)
    groups[[3, 13]] = groups[[4, 14]]
    split = divide(y, groups=groups, classes=("a", "b"), seed=0)
    assert [note["en"] for note in split.notes] == [
        "Exact copies among the examples: 2; copies stay on one side."
    ]


def test_a_given_test_part_is_kept_and_its_copies_leave_train():
    y, groups = np.tile([0, 1], 20), np.arange(40)
    parts = np.repeat(np.array([0, 2], np.int8), [30, 10])
    groups[0] = groups[30]  # in train, and again in test
    split = divide(y, groups=groups, classes=("a", "b"), seed=0, given=parts)
    assert split.test.tolist() == list(range(30, 40))
    assert 0 not in split.train
    assert 0 not in split.val
    assert len(split.train) + len(split.val) == 29
    assert [note["en"] for note in split.notes] == [
        "Exact copies among the examples: 1; copies stay on one side.",
        "Left out, because a later part (validation or test) has a copy: 1.",
    ]


def test_three_given_parts_are_kept_as_they_are():
    parts = np.array([0, 1, 2] * 6, np.int8)
    split = divide(
        np.tile([0, 0, 0, 1, 1, 1], 3), groups=np.arange(18), classes="ab", seed=0, given=parts
    )
    for number, part in enumerate(all_parts(split)):
        np.testing.assert_array_equal(part, np.flatnonzero(parts == number))


def test_a_class_with_too_few_examples_is_named_with_its_count():
    with pytest.raises(DataError) as caught:
        divide(np.array([0] * 9 + [1]), groups=np.arange(10), classes=("cat", "d\nog"), seed=0)
    assert str(caught.value) == (
        "Each class needs at least 3 different examples, one for each part of the division. "
        "Class 'd\\\\nog' has 1; add examples or remove the class."
    )


def test_copies_do_not_count_as_examples_of_a_class():
    groups = np.array([0, 1, 2, 3, 3, 3])
    with pytest.raises(DataError, match="Class 'b' has 1; add"):
        divide(np.array([0, 0, 0, 1, 1, 1]), groups=groups, classes=("a", "b"), seed=0)


def test_a_label_only_in_the_test_part_is_refused():
    parts = np.array([0] * 6 + [2] * 2, np.int8)
    with pytest.raises(DataError, match="Class 'b' has 0; add"):
        divide(
            np.array([0] * 7 + [1]), groups=np.arange(8), classes=("a", "b"), seed=0, given=parts
        )


def test_a_regression_covers_the_same_range_in_every_part():
    y = np.random.default_rng(0).normal(size=1000)
    split = divide(y, groups=np.arange(1000), classes=(), seed=0)
    assert [len(part) for part in all_parts(split)] == [600, 150, 250]
    for part in all_parts(split):
        assert abs(y[part].mean() - y.mean()) < 0.03  # unstratified: a spread of 0.08


def test_a_tiny_regression_is_refused():
    with pytest.raises(DataError) as caught:
        divide(np.arange(5.0), groups=np.arange(5), classes=(), seed=0)
    assert str(caught.value) == (
        "A regression needs at least 10 different examples to be divided. Received 5; add examples."
    )


def test_a_class_of_one_much_copied_example_still_reaches_every_part():
    y = np.repeat([0, 1], [12, 12])
    groups = np.array([0, 1, *[2] * 10, *range(3, 15)])
    for seed in range(5):
        split = divide(y, groups=groups, classes=("a", "b"), seed=seed)
        assert [0 in y[part] for part in all_parts(split)] == [True, True, True]
