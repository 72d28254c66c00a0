"""Sequences under each other in one table, with a label each."""

import numpy as np
import pandas as pd
import pytest

from assay.data.load import load
from assay.data.prepare import Options, open_prepared, prepare
from assay.data.series_long import long_sequences
from assay.errors import BadArgumentError, DataError


def table(count=40, steps=6, *, seed=0):
    """Rows of `count` sequences; the label is whether one rises."""
    numbers = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "who": np.repeat([f"s{at}" for at in range(count)], steps),
            "at": np.tile(np.arange(steps), count),
            "a": numbers.normal(size=count * steps),
            "b": numbers.normal(size=count * steps) + 3,
        }
    )
    rising = np.repeat(np.arange(count) % 2, steps)
    rows["a"] += rows["at"] * rising
    return rows.assign(kind=np.where(rising, "up", "flat"))


OPTIONS = {"series": "who", "target": "kind", "time": "at"}


@pytest.fixture
def opened(tmp_path):
    def prepared(frame, **options):
        path = tmp_path / "a.csv"
        frame.to_csv(path, index=False)
        home = tmp_path / f"prepared{len(list(tmp_path.iterdir()))}"
        home.mkdir()
        source = long_sequences(path, Options(**{**OPTIONS, **options}))
        prepare(source.read(home), home, seed=0)
        return open_prepared(home)

    return prepared


def test_rows_become_one_example_for_each_sequence(opened):
    frame = table()
    data = opened(frame)
    assert (data.task, data.inputs) == ("sequence-classification", (6, 2))
    assert data.classes == ("flat", "up")
    assert data.ids[:2] == ("s0", "s1")
    facts = data.preprocessing
    x = data.x * np.array(facts["std"]) + np.array(facts["mean"])
    np.testing.assert_allclose(x.reshape(-1, 2), frame[["a", "b"]], atol=1e-5)
    assert [data.classes[y] for y in data.y[:3]] == ["flat", "up", "flat"]
    seen = data.x[data.train].astype(float)
    np.testing.assert_allclose(seen.mean((0, 1)), [0, 0], atol=1e-6)


def test_the_order_is_that_of_time_or_of_the_rows(opened):
    frame = table()
    mixed = frame.sample(frac=1, random_state=0)
    first = opened(frame)
    found = opened(mixed)
    rows = [found.ids.index(name) for name in first.ids]
    x = found.x[rows] * np.array(found.preprocessing["std"]) + np.array(found.preprocessing["mean"])
    np.testing.assert_allclose(x.reshape(-1, 2), frame[["a", "b"]], atol=1e-5)
    unordered = opened(frame.drop(columns="at"), time=None)
    np.testing.assert_array_equal(unordered.x, first.x)


def test_values_make_a_regression(opened):
    frame = table()
    frame["kind"] = frame.groupby("who", sort=False)["a"].transform("sum")
    data = opened(frame)
    assert (data.task, data.outputs, data.y.dtype) == ("sequence-regression", 1, np.float32)
    mean = data.y[data.train].mean()
    assert data.preprocessing["target"]["mean"] == pytest.approx(mean, rel=1e-5)


def test_a_group_keeps_sequences_together(opened):
    frame = table()
    frame["home"] = frame["who"].map(lambda name: int(name[1:]) // 4)
    data = opened(frame, group="home")
    parts = data.train, data.val, data.test
    home = [{int(data.ids[at][1:]) // 4 for at in part} for part in parts]
    assert sum(map(len, home)) == len(set.union(*home)) == 10


def test_longer_sequences_are_cut_to_their_last_steps(opened, tmp_path):
    frame = table()
    short = frame.drop(index=[0, 1])
    with pytest.raises(DataError) as caught:
        opened(short)
    assert str(caught.value) == (
        f"Sequences must have the same length. In {tmp_path / 'a.csv'} 's0' has 4 steps and 's1' "
        "has 6; cut them, or use --window 4 to keep the last 4 of each."
    )
    data = opened(short, window=4)
    assert data.inputs == (4, 2)
    assert data.notes[0]["en"] == "The last 4 steps of each sequence are kept; 39 are longer."
    x = data.x * np.array(data.preprocessing["std"]) + np.array(data.preprocessing["mean"])
    np.testing.assert_allclose(x[0], frame[["a", "b"]][2:6], atol=1e-5)
    np.testing.assert_allclose(x[1], frame[["a", "b"]][8:12], atol=1e-5)


def test_a_window_longer_than_a_sequence_is_refused(opened, tmp_path):
    with pytest.raises(DataError) as caught:
        opened(table(), window=7)
    assert str(caught.value) == (
        f"Every sequence must have the 7 steps that `window` keeps. In {tmp_path / 'a.csv'} 's0' "
        "has 6; use --window 6, or remove the shorter ones."
    )


def changed(frame, row, column, value):
    frame = frame.astype({column: object})
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            changed(table(), 8, "kind", "flat"),
            "Column 'kind' must be the same in all rows of a sequence. In {} row 9 of 's1' has "
            "'flat' after 'up'; correct it, or use --task forecasting to predict what comes next.",
        ),
        (
            changed(table(), 8, "at", 3),
            "A sequence may have one row for each time. In {} rows 9 and 10 of 's1' have the same "
            "'at', and 0 more; keep one of them.",
        ),
        (
            changed(table(), 8, "a", None),
            "The steps of a sequence must be finite numbers. In {} 1 cells are missing or "
            "infinite, first in row 9 of 'a'; fill them in, or remove the sequence.",
        ),
        (
            table().drop(columns=["a", "b"]),
            "A sequence needs at least one column of numbers that vary. {} has none besides 'at', "
            "'kind', 'who'; add columns.",
        ),
        (
            changed(table(), range(6, 12), "kind", None),
            "Column 'kind' must be known for every example. In {} it is missing in 1 of 40 rows, "
            "first in row 2; fill it in or remove those rows.",
        ),
    ],
)
def test_rows_that_are_no_sequences_are_named(opened, tmp_path, frame, message):
    with pytest.raises(DataError) as caught:
        opened(frame)
    assert str(caught.value) == message.format(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"target": None},
            "`target` must name a column of {}. Received nothing. It has 'who', 'at', 'a', 'b', "
            "'kind'.",
        ),
        (
            {"series": "whom"},
            "`series` must name a column of {}. Received 'whom'. Did you mean 'who'? It has 'who', "
            "'at', 'a', 'b', 'kind'.",
        ),
        (
            {"time": "kind"},
            "`series`, `target`, `time` and `group` must be different columns. Received 'kind' "
            "twice; name another.",
        ),
        (
            {"window": 0},
            "`window` must be a whole number of steps from 1. Received 0; choose another, or leave "
            "it out.",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(opened, tmp_path, options, message):
    with pytest.raises(BadArgumentError) as caught:
        opened(table(), **options)
    assert str(caught.value) == message.format(tmp_path / "a.csv")


def test_a_table_is_loaded_as_sequences_where_their_column_is_named(store, tmp_path):
    path = tmp_path / "walks.csv"
    table().to_csv(path, index=False)
    data = load(path, folder=store, **OPTIONS)
    assert (data.name, data.task, data.inputs) == ("walks", "sequence-classification", (6, 2))
