"""The class-wise table says what scikit-learn's report says."""

import numpy as np
import pytest
import sklearn.metrics as sk

from assay.metrics import ClassRow, class_table, confusion


def test_rows_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    truth, labels = random.integers(4, size=90), random.integers(3, size=90)
    counts = confusion(labels, truth, 4)
    assert counts.tolist() == sk.confusion_matrix(truth, labels, labels=range(4)).tolist()
    theirs = sk.precision_recall_fscore_support(truth, labels, labels=range(4), zero_division=0)
    rows = class_table(counts, ["a", "b", "c", "never predicted"])
    for c, row in enumerate(rows):
        expected = [column[c] for column in theirs]
        assert [row.precision, row.recall, row.f1, row.support] == pytest.approx(expected)
    assert rows[3].f1 == 0.0


def test_seeds_are_added_up():
    labels = np.array([[0, 1], [0, 0]])
    counts = confusion(labels, np.array([0, 1]), 2)
    assert counts.tolist() == [[2, 0], [1, 1]]
    assert class_table(counts.tolist(), ["cat", "dog"]) == [
        ClassRow(name="cat", precision=2 / 3, recall=1.0, f1=0.8, support=2),
        ClassRow(name="dog", precision=1.0, recall=0.5, f1=2 / 3, support=2),
    ]
