"""`group` and `time`: whole groups on one side, the latest examples tested, no input of either."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.data.check import check
from assay.data.load import load_arrays
from assay.data.split import Named, divide
from assay.errors import AssayError

PARTS = ("train", "val", "test")


def parts_of(found):
    return [getattr(found, part) for part in PARTS]


@pytest.fixture
def visits(tmp_path):
    """Three hundred visits of sixty patients, in the order of another column than the rows."""
    numbers = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "pressure": numbers.normal(size=300),
            "pulse": numbers.normal(size=300),
            "patient": [f"p{at}" for at in np.tile(np.arange(60), 5)],
            "day": pd.date_range("2024-01-01", periods=300).strftime("%Y-%m-%d"),
            "ill": np.arange(300) % 7 % 2,
        }
    ).sample(frac=1, random_state=0)
    path = tmp_path / "visits.csv"
    frame.to_csv(path, index=False)
    return path


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=8, max_size=40), seed=st.integers(0, 99))
def test_no_group_is_in_two_parts_and_no_example_is_lost(sizes, seed):
    group = np.repeat(np.arange(len(sizes)), sizes)
    y = np.arange(len(group)) % 2
    split = divide(
        y,
        groups=np.arange(len(y)),
        classes="ab",
        seed=seed,
        group=Named(name="g", values=group),
    )
    assert sorted(np.concatenate(parts_of(split)).tolist()) == list(range(len(y)))
    sides = [set(group[part].tolist()) for part in parts_of(split)]
    assert all(sides)
    assert sum(len(side) for side in sides) == len(sizes)


@pytest.mark.parametrize("seed", range(4))
def test_groups_keep_the_shares_of_parts_and_classes(seed):
    """Forty groups, each nearly of one class: one random order is off by 0.13."""
    numbers = np.random.default_rng(seed)
    group = numbers.integers(0, 40, 4000)
    y = (numbers.random(4000) < np.where(group % 2, 0.9, 0.1)).astype(int)
    split = divide(
        y, groups=np.arange(4000), classes="ab", seed=seed, group=Named(name="g", values=group)
    )
    shares = [len(part) / 4000 for part in parts_of(split)]
    np.testing.assert_allclose(shares, [0.6, 0.15, 0.25], atol=0.03)
    for part in parts_of(split):
        assert abs(y[part].mean() - y.mean()) < 0.08


@settings(max_examples=40, deadline=None)
@given(times=st.lists(st.integers(0, 30), min_size=30, max_size=80), seed=st.integers(0, 9))
def test_every_later_part_is_later(times, seed):
    times = np.array([*times, 0, 1, 2])
    y = np.arange(len(times)) % 2
    split = divide(
        y,
        groups=np.arange(len(y)),
        classes="ab",
        seed=seed,
        time=Named(name="t", values=times.astype(float)),
    )
    train, val, test = (times[part] for part in parts_of(split))
    assert train.max() < val.min()
    assert val.max() < test.min()


def test_a_group_is_as_late_as_its_latest_example():
    group, when = np.repeat(np.arange(20), 5), np.arange(100.0)
    when[0] = 1000  # an early group with one very late example
    split = divide(
        np.arange(100) % 2,
        groups=np.arange(100),
        classes="ab",
        seed=0,
        group=Named(name="g", values=group),
        time=Named(name="t", values=when),
    )
    assert set(range(5)) <= set(split.test.tolist())
    assert set(group[split.test]) == {0, 16, 17, 18, 19}


def test_the_named_columns_decide_and_are_no_inputs(opened, visits):
    data = opened(visits, target="ill", group="patient", time=None)
    frame = pd.read_csv(visits)
    assert [c["name"] for c in data.preprocessing["columns"]] == ["pressure", "pulse"]  # day: text
    sides = [set(frame.patient[part]) for part in parts_of(data)]
    assert sum(map(len, sides)) == 60
    assert [note["en"] for note in data.notes][-1] == (
        "Divided by 'patient': examples with the same value stay in one part; it is no input."
    )
    assert [c.kind for c in check(data, group="patient")] == []


def test_dates_are_put_in_order(opened, visits):
    data = opened(visits, target="ill", time="day")
    days = pd.read_csv(visits).day.to_numpy()
    train, val, test = (days[part] for part in parts_of(data))
    assert max(train) < min(val) <= max(val) < min(test)
    assert len(test) == 75
    assert check(data, time="day") == ()


@pytest.mark.parametrize("kind", ["datetime64[ns]", "datetime64[ns, UTC]", "timedelta64[s]"])
def test_times_of_parquet_are_put_in_order(opened, tmp_path, kind):
    at = np.random.default_rng(0).permutation(60)
    whole = pd.Series(at * 86_400)
    when = pd.to_timedelta(whole, unit="s") if "delta" in kind else pd.to_datetime(whole, unit="s")
    when = when.dt.tz_localize("UTC") if "UTC" in kind else when.astype(kind)
    frame = pd.DataFrame({"a": np.arange(60.0), "when": when, "b": np.arange(60) % 2})
    frame.to_parquet(tmp_path / "t.parquet")
    data = opened(tmp_path / "t.parquet", target="b", time="when")
    assert sorted(at[data.test].tolist()) == list(range(45, 60))


def test_asking_for_groups_prepares_anew(opened, visits):
    plain, grouped = opened(visits, target="ill"), opened(visits, target="ill", group="patient")
    assert plain.folder != grouped.folder
    assert plain.split_hash != grouped.split_hash
    assert opened(visits, target="ill", group="patient").split_hash == grouped.split_hash


def given_parts(path, **beside):
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(90, 3)), np.arange(90) % 2
    cut = {"train": slice(0, 60), "test": slice(60, 90)}
    arrays = {
        f"{n}_{p}": v[s] for n, v in (("x", x), ("y", y), *beside.items()) for p, s in cut.items()
    }
    np.savez(path, **arrays)
    return path


def test_given_parts_that_share_groups_are_told(opened, tmp_path):
    apart, shared = np.arange(90) // 3, np.arange(90) // 3
    shared[[60, 61]] = 0
    clean = opened(given_parts(tmp_path / "clean.npz", patient=apart), group="patient")
    assert [c.kind for c in check(clean)] == []
    leaking = opened(given_parts(tmp_path / "leak.npz", patient=shared), group="patient")
    [concern] = check(leaking)
    assert (concern.kind, concern.severity) == ("groups-across-parts", "error")
    assert concern.where == ("example 60", "example 61")
    assert concern.en == (
        "Test examples whose 'patient' is also in training or validation: 2 of 30; the score says "
        "nothing of a new 'patient': give one array without parts to have it divided by groups."
    )
    assert not set(shared[leaking.val]) & set(shared[leaking.train])


def test_given_parts_against_time_are_told(opened, tmp_path):
    forward, backward = np.arange(90), np.arange(90)
    backward[[0, 89]] = backward[[89, 0]]
    clean = opened(given_parts(tmp_path / "clean.npz", year=forward), time="year")
    assert [c.kind for c in check(clean)] == []
    leaking = opened(given_parts(tmp_path / "leak.npz", year=backward), time="year")
    [concern] = check(leaking)
    assert (concern.kind, concern.severity) == ("test-before-training", "error")
    assert "30 of 30" in concern.en


def test_arrays_in_memory_may_have_groups(tmp_path):
    group = np.arange(90) // 3
    data = load_arrays(
        np.random.default_rng(0).normal(size=(90, 3)),
        np.arange(90) % 2,
        folder=tmp_path,
        group=[f"p{g}" for g in group],
    )
    assert not set(group[data.test]) & set(group[np.concatenate([data.train, data.val])])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"group": "patent"},
            "`group` must name a column of {path} besides the target. Received 'patent'. Did you "
            "mean 'patient'? It has 'pressure', 'pulse', 'patient', 'day'.",
        ),
        (
            {"time": "ill"},
            "`time` must name a column of {path} besides the target. Received 'ill'. It has "
            "'pressure', 'pulse', 'patient', 'day'.",
        ),
        (
            {"time": "patient"},
            "`time` must hold numbers or dates of ISO 8601 such as 2024-03-31. In {path} row 1 of "
            "'patient' has 'p28'; convert it.",
        ),
    ],
)
def test_a_column_that_cannot_decide_is_refused(opened, visits, options, message):
    with pytest.raises(AssayError) as caught:
        opened(visits, target="ill", **options)
    assert str(caught.value) == message.format(path=visits)


def test_a_missing_group_is_refused(opened, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,g,b\n" + "".join(f"{i},{'' if i == 7 else i},{i % 2}\n" for i in range(40)))
    with pytest.raises(AssayError) as caught:
        opened(path, target="b", group="g")
    assert str(caught.value) == (
        f"`group` must be known for every example. In {path} 'g' is missing in 1 of 40 rows, "
        "first in row 8; fill it in or remove those rows."
    )


def test_two_groups_cannot_be_three_parts(opened, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,g,b\n" + "".join(f"{i},{i % 4 < 2},{i % 2}\n" for i in range(40)))
    with pytest.raises(AssayError) as caught:
        opened(path, target="b", group="g")
    assert str(caught.value) == (
        "A division by 'g' needs a value of its own for each part. Received 2 for 3 parts; add "
        "examples with others, or divide without it."
    )


@pytest.mark.parametrize("what", ["digits", "folder"])
def test_images_have_no_columns(opened, photos, what):
    source = "digits" if what == "digits" else photos
    with pytest.raises(AssayError) as caught:
        opened(source, group="patient")
    assert str(caught.value) == (
        "`group` and `time` name columns of a table or arrays of a .npz. "
        f"{str(source)!r} is images, which have none; leave both out."
    )


def test_an_array_that_is_not_in_the_npz_is_named(opened, tmp_path):
    path = given_parts(tmp_path / "t.npz", patient=np.arange(90))
    with pytest.raises(AssayError) as caught:
        opened(path, group="person")
    assert str(caught.value) == (
        f"`group` must name a further array of {path}. Received 'person', which needs "
        "'person_train', 'person_test'; it holds 'patient_test', 'patient_train', 'x_test', "
        "'x_train', 'y_test', 'y_train'."
    )


def test_a_check_by_another_column_than_loaded_is_refused(opened, visits):
    data = opened(visits, target="ill")
    with pytest.raises(AssayError) as caught:
        check(data, group="patient")
    assert str(caught.value) == (
        "`group` must be the column that the data were loaded with. Received 'patient'; load them "
        "with group='patient'."
    )
