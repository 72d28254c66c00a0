"""Time series to forecast: windows, the walk-forward division, scales, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from assay.data import series as reading
from assay.data.encode import encode_arrays
from assay.data.prepare import Options, open_prepared, prepare
from assay.data.series import forecast_table
from assay.data.series_builtin import SERIES_NAMES, builtin_series
from assay.data.series_calendar import repeating
from assay.data.series_history import read_history
from assay.data.windows import Cuts, judged, last_value, seasonal_naive
from assay.errors import BadArgumentError, DataError, MissingExtraError
from assay.metrics import evaluate


def wave(count=144, *, freq="MS", start="1949-01-01", noise=0.1, seed=0):
    """A season of 12 on a rising line, as rows with a column of dates."""
    at = np.arange(count)
    values = 100 + at + 10 * np.sin(at * np.pi / 6)
    values += noise * np.random.default_rng(seed).normal(size=count)
    times = pd.date_range(start, periods=count, freq=freq)
    return pd.DataFrame({"when": times.astype(str), "value": values})


@pytest.fixture
def forecast(tmp_path):
    """Prepare rows of a table for forecasting."""

    def prepared(frame, **options):
        path = tmp_path / "a.csv"
        frame.to_csv(path, index=False)
        home = tmp_path / f"prepared{len(list(tmp_path.iterdir()))}"
        home.mkdir()
        prepare(forecast_table(path, Options(**options)).read(home), home, seed=0)
        return open_prepared(home)

    return prepared


def naive(data, season=None):
    x = np.asarray(data.x[data.test])
    repeated = seasonal_naive(x, season or data.preprocessing["season"], data.outputs)
    return judged(repeated, data, data.test)


def test_a_forecast_sees_a_window_and_predicts_what_follows(forecast):
    frame = wave()
    data = forecast(frame)
    assert (data.task, data.kind, data.inputs, data.outputs) == (
        "forecasting",
        "sequence",
        (24, 1),
        12,
    )
    assert (data.x.dtype, data.y.dtype) == (np.float32, np.float32)
    assert data.ids[0] == "1951-01"
    values = frame["value"].to_numpy()
    seen, came = values[:24], values[24:36]
    straying = data.preprocessing["series"][0]["std"][0]
    np.testing.assert_allclose(data.x[0, :, 0], (seen - seen.mean()) / straying, rtol=1e-4)
    np.testing.assert_allclose(data.y[0], (came - seen.mean()) / straying, rtol=1e-4)
    train = data.x[data.train]
    assert np.sqrt(np.square(train.astype(float)).mean()) == pytest.approx(1, rel=0.02)


def test_notes_say_what_was_chosen(forecast):
    told = forecast(wave(), window=30, horizon=3).notes
    assert [note["en"] for note in told] == [
        "From 30 months of 'value' the next 3 months are predicted; a season lasts 12 months. "
        "--window and --horizon change this.",
        "Walk forward: training ends before 1956-03, validation predicts from there up to "
        "1958-01, the test from there to 1960-12; training sees nothing of either.",
    ]
    assert told[0]["zh"] == (
        "用前 30 个月预测 'value' 之后的 3 个月；季节周期为 12 个月。"
        "可用 --window 与 --horizon 更改。"
    )


def test_every_later_period_is_predicted_once_and_training_ends_before(forecast):
    frame = wave(144)
    data = forecast(frame, horizon=3)
    label = [f"{t:%Y-%m}" for t in pd.to_datetime(frame["when"])]
    first = np.array([label.index(name) for name in data.ids])
    covered = np.sort((first[data.test, None] + np.arange(3)).ravel())
    assert covered.tolist() == list(range(108, 144))
    validated = (first[data.val, None] + np.arange(3)).ravel()
    assert (validated.min(), validated.max(), len(set(validated))) == (87, 107, 21)
    assert first[data.train].max() + 3 - 1 == 85
    assert len(data.train) + len(data.val) + len(data.test) == len(data.x)


def later(frame, begin):
    changed = frame.copy()
    noise = np.random.default_rng(5).normal(size=len(frame) - begin)
    changed.loc[begin:, "value"] += 50 * noise
    return changed


def before(data, parts):
    rows = np.concatenate([getattr(data, part) for part in parts])
    facts = [{k: v for k, v in s.items() if k != "windows"} for s in data.preprocessing["series"]]
    return data.x[rows].tobytes(), data.y[rows].tobytes(), repr(facts)


@pytest.mark.parametrize(("begin", "parts"), [(86, ["train"]), (108, ["train", "val"])])
def test_what_comes_later_changes_nothing_before(forecast, begin, parts):
    frame = wave()
    frame["other"] = np.random.default_rng(1).normal(size=len(frame))
    plain = forecast(frame, target="value")
    changed = forecast(later(frame, begin), target="value")
    assert before(plain, parts) == before(changed, parts)
    assert plain.x[plain.test].tobytes() != changed.x[changed.test].tobytes()


@pytest.mark.parametrize("planted", ["scales of all periods", "training windows of all periods"])
def test_a_planted_leak_is_found(forecast, monkeypatch, planted):
    if planted.startswith("scales"):
        honest = reading.scale_of
        leaking = Cuts(val=10**6, test=10**6)
        monkeypatch.setattr(reading, "scale_of", lambda s, _, **k: honest(s, leaking, **k))
    else:
        honest = reading.place
        monkeypatch.setattr(
            reading, "place", lambda s, c, **k: honest(s, Cuts(val=c.test, test=c.test + 12), **k)
        )
    plain, changed = forecast(wave()), forecast(later(wave(), 86))
    assert before(plain, ["train"]) != before(changed, ["train"])


def test_answers_come_back_in_the_unit_of_the_target(forecast):
    frame = wave()
    data = forecast(frame)
    predicted, truth = naive(data)
    values = frame["value"].to_numpy()
    starts = [108, 120, 132]
    np.testing.assert_allclose(predicted, [values[s - 12 : s] for s in starts], rtol=1e-6)
    np.testing.assert_allclose(truth[:, :12], [values[s : s + 12] for s in starts], rtol=1e-6)
    scale = np.abs(values[12:86] - values[:74]).mean()
    np.testing.assert_allclose(truth[:, 12], np.full(3, scale), rtol=1e-6)
    errors = np.abs(predicted - truth[:, :12])
    found = evaluate(predicted, truth, "forecasting")
    assert found["mase"] == pytest.approx(errors.mean() / scale, rel=1e-5)
    assert list(found) == ["mase", "rmse", "mae", "smape"]


def test_the_last_season_and_the_last_value_are_repeated():
    x = np.arange(10.0).reshape(1, 5, 2)
    assert seasonal_naive(x, 3, 7).tolist() == [[4, 6, 8, 4, 6, 8, 4]]
    assert last_value(x, 2).tolist() == [[8, 8]]
    assert seasonal_naive(x, 6, 2).tolist() == [[8, 8]]  # the window is shorter than a season


@pytest.mark.parametrize(
    ("freq", "count", "unit", "season", "first"),
    [
        ("YS", 150, "year", 1, "1973"),
        ("QS", 150, "quarter", 4, "1951Q1"),
        ("ME", 150, "month", 12, "1951-01"),
        ("W", 600, "week", 52, "1950-12-31"),
        ("D", 150, "day", 7, "1949-01-15"),
        ("B", 150, "business day", 5, "1949-01-17"),
        ("h", 400, "step", 24, "1949-01-03"),
        ("30min", 600, "step", 48, "1949-01-03"),
        ("10s", 150, "step", 6, "1949-01-01 00:02"),
    ],
)
def test_the_distance_of_times_says_how_long_a_season_is(
    forecast, freq, count, unit, season, first
):
    data = forecast(wave(count, freq=freq))
    assert (data.preprocessing["time"]["unit"], data.preprocessing["season"]) == (unit, season)
    assert data.ids[0] == first


def test_training_must_show_two_seasons(forecast):
    assert forecast(wave(40), horizon=1).preprocessing["season"] == 12
    assert forecast(wave(39), horizon=1).preprocessing["season"] == 1


def test_numbered_times_have_the_season_that_training_shows(forecast):
    frame = wave(240).assign(when=np.arange(240) * 5)
    assert forecast(frame, time="when").preprocessing["season"] == 12
    noise = np.random.default_rng(0).normal(size=300)
    assert repeating(noise) == 1
    assert repeating(np.arange(50.0)) == 1


def test_order_does_not_matter_and_is_told(forecast):
    frame = wave()
    data, mixed = forecast(frame), forecast(frame.sample(frac=1, random_state=0))
    assert data.x.tobytes() == mixed.x.tobytes()
    assert mixed.notes[0]["en"] == "The rows were not in order of time; they are sorted."
    assert mixed.notes[0]["zh"] == "各行未按时间排序；已排序。"


def two_series(count=144):
    small, large = wave(count), wave(count, seed=1)
    large["value"] *= 1000
    long = pd.concat([small.assign(id="small"), large.assign(id="large")])
    return long.sort_values("when", kind="stable")  # they alternate


def test_each_series_has_its_own_scale(forecast):
    data = forecast(two_series(), series="id")
    assert data.notes[0]["en"].startswith("From 24 months")  # alternating is no disorder
    small, large = data.preprocessing["series"]
    assert (small["name"], large["name"]) == ("small", "large")
    assert large["std"][0] == pytest.approx(1000 * small["std"][0], rel=0.01)
    assert data.ids[0] == "1951-01 (small)"
    assert data.ids[-1] == "1960-01 (large)"
    _, truth = naive(data)
    assert truth[:3, :12].max() < 1000 < truth[3:, :12].min()
    alone = forecast(wave())
    np.testing.assert_array_equal(data.x[: len(alone.x)], alone.x)


def test_further_numbers_are_seen_and_the_rest_is_left_out(forecast):
    frame = wave().assign(price=np.arange(144.0) ** 2, flat=3, shop="a")
    data = forecast(frame, target="value")
    assert data.inputs == (24, 2)
    assert data.preprocessing["columns"] == ["value", "price"]
    price = frame["price"].to_numpy()
    expected = (price[:24] - price[:86].mean()) / price[:86].std()
    np.testing.assert_allclose(data.x[0, :, 1], expected, rtol=1e-4)
    assert data.notes[0]["en"] == "Columns left out as constant or not numbers: 'flat', 'shop'."


def test_a_column_that_varies_in_one_series_is_seen(forecast):
    frame = two_series()
    frame["price"] = np.where(frame["id"] == "small", 1.0, np.arange(len(frame)))
    data = forecast(frame, series="id", target="value")
    assert data.preprocessing["columns"] == ["value", "price"]
    assert [one["std"][1] > 1 for one in data.preprocessing["series"]] == [False, True]


def test_a_missing_period_is_filled_where_it_is_seen_and_never_predicted(forecast):
    frame = wave()
    frame.loc[120, "value"] = np.nan
    data = forecast(frame.drop(index=60), skip_bad=True, horizon=1)
    assert data.notes[0]["en"] == (
        "Missing values: 2; what a forecast sees is filled with the value before, none of them is "
        "predicted."
    )
    assert "1954-01" not in data.ids
    assert "1959-01" not in data.ids
    after = data.ids.index("1954-02")
    assert data.x[after, -1, 0] == data.x[after, -2, 0]


def test_a_series_begins_where_every_column_has_been_known(forecast):
    frame = wave().assign(price=np.arange(144.0))
    frame.loc[:4, "price"] = np.nan
    frame.loc[5, "value"] = np.nan  # filled with that of row 4, which is before the beginning
    data = forecast(frame, target="value", skip_bad=True)
    assert data.notes[0]["en"].startswith("Missing values: 1;")
    assert np.isfinite(data.x).all()
    assert data.x[0, 0, 0] * data.preprocessing["series"][0]["std"][0] == pytest.approx(
        frame["value"][4] - frame["value"][[4, *range(6, 29)]].mean(), rel=1e-4
    )


def test_the_latest_rows_give_a_forecast(forecast):
    frame = two_series()
    data = forecast(frame, series="id")
    until = frame[frame["when"] < "1960-01-01"]
    found = read_history(until, data.preprocessing)
    assert found.names == ("small", "large")
    assert found.periods[0][:2] == ("1960-01", "1960-02")
    rows = [data.ids.index("1960-01 (small)"), data.ids.index("1960-01 (large)")]
    np.testing.assert_array_equal(found.x, data.x[rows])
    answer = np.random.default_rng(0).normal(size=(2, 12)).astype(np.float32)
    np.testing.assert_array_equal(found.forecast(answer), judged(answer, data, np.array(rows))[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f.drop(columns="value"),
            "A forecast needs the columns of training. the table lacks 'value'; add them.",
        ),
        (
            lambda f: f.tail(20),
            "A forecast needs the last 24 periods. In the table 'value' (small) has 10; add "
            "earlier rows.",
        ),
        (
            lambda f: f.assign(id=f["id"].replace("small", "smal")),
            "A forecast needs a series of the training part, which says how large its values are. "
            "the table has 'smal'. Did you mean 'small'? It may have 'large', 'small'.",
        ),
    ],
)
def test_rows_that_give_no_forecast_are_named(forecast, change, message):
    data = forecast(two_series(), series="id")
    with pytest.raises(DataError) as caught:
        read_history(change(two_series()), data.preprocessing)
    assert str(caught.value) == message


def twice(frame):
    return pd.concat([frame, frame.iloc[[3]]])


REFUSED = {
    "double": (
        twice(wave()),
        {},
        "A series may have one row for each period. In {} rows 4 and 145 are both of 1949-04; keep "
        "one of them, or name the column of several series with --series.",
    ),
    "missing period": (
        wave().drop(index=[5, 6, 9]),
        {},
        "A series must have a row for each period. In {} 3 are missing, first 1949-06 after row 5; "
        "add rows, or use --skip-bad, which fills what a forecast sees with the value before and "
        "predicts none of them.",
    ),
    "missing value": (
        wave().assign(value=lambda f: f["value"].where(f.index != 7)),
        {},
        "A series must have a value in each row. In {} 1 is missing, first in row 8 of 'value'; "
        "fill them in, or use --skip-bad, which fills what a forecast sees with the value before "
        "and predicts none of them.",
    ),
    "between": (
        wave(freq="h").assign(when=lambda f: f["when"].str.replace("02:00:00", "02:10:00")),
        {},
        "The times of a series must be the same distance apart. In {} most are 3600 seconds apart, "
        "and row 3 of 'when', 1949-01-01 02:10:00, lies between two steps; resample the series.",
    ),
    "short": (
        wave(30),
        {"window": 24, "horizon": 12},
        "A series must be as long as one window and its horizon, 24 + 12 periods. In {} 'value' "
        "has 30; use a smaller --window or --horizon.",
    ),
    "few windows": (
        wave(60),
        {"window": 24, "horizon": 12},
        "A walk-forward division needs windows in each part: 10 to train, 1 to validate, 2 to "
        "test. {} gives 1, 0 and 1 of 24 + 12 periods; use a smaller --window or --horizon, or "
        "give a longer series than 60 periods.",
    ),
    "constant": (
        wave().assign(value=lambda f: np.where(f.index < 90, 5.0, f["value"])),
        {},
        "A series to forecast must vary. In {} 'value' is 5 everywhere in the training part; "
        "choose another with --target.",
    ),
    "text": (
        wave().assign(value=lambda f: np.where(f.index == 2, "many", f["value"].astype(str))),
        {"target": "value"},
        "Column 'value' of {} must hold numbers to be forecast. Row 3 has 'many'; correct it or "
        "choose another with --target.",
    ),
    "not a time": (
        wave().assign(when=lambda f: f["when"].where(f.index != 1, "soon")),
        {"time": "when"},
        "`time` must hold numbers or dates of ISO 8601 such as 2024-03-31. In {} row 2 of 'when' "
        "has 'soon'; convert it.",
    ),
    "one time": (
        wave(1),
        {},
        "A time series needs at least two different times. In {} each series of 'when' has one; "
        "choose the time column with --time.",
    ),
    "sparse": (
        wave().assign(when=lambda f: f["when"].where(f.index != 143, "2960-12-01")),
        {"skip_bad": True},
        "A series must have a row for at least one in 10 periods. In {} 'value' has 144 rows for "
        "12,144 periods; correct its times, or resample it to longer periods.",
    ),
    "no id": (
        two_series().assign(id=lambda f: f["id"].where(f["when"] > "1949-01-01")),
        {"series": "id"},
        "`series` must be known for every row. In {} 'id' is missing in 2 of 288 rows, first in "
        "row 1; fill it in or remove those rows.",
    ),
    "empty target": (
        wave().assign(value=np.nan, other=1.0),
        {"target": "value", "skip_bad": True},
        "A series must have a known value in each column. In {} 'value' has none; remove the "
        "series or the column.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_series_that_cannot_be_forecast_is_refused_with_its_place(forecast, tmp_path, case):
    frame, options, message = REFUSED[case]
    with pytest.raises(DataError) as caught:
        forecast(frame, **options)
    assert str(caught.value) == message.format(tmp_path / "a.csv")


def test_a_short_series_among_others_is_named_or_left_out(forecast, tmp_path):
    frame = pd.concat([two_series(), wave(20).assign(id="short")])
    with pytest.raises(DataError) as caught:
        forecast(frame, series="id", window=24, horizon=12)
    assert str(caught.value) == (
        "A series must be as long as one window and its horizon, 24 + 12 periods. In "
        f"{tmp_path / 'a.csv'} 'value' (short) has 20; use a smaller --window or --horizon, or use "
        "--skip-bad, which leaves such series out."
    )
    data = forecast(frame, series="id", window=24, horizon=12, skip_bad=True)
    assert data.notes[0]["en"] == (
        "Series left out as too short, constant or not begun in the training part: 'short'."
    )
    assert [one["name"] for one in data.preprocessing["series"]] == ["small", "large"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"time": "date"},
            "`time` must name a column of {}. Received 'date'. It has 'when', 'value', 'price'.",
        ),
        (
            {},
            "`target` must name the column to forecast in {}. Received nothing, and 2 columns hold "
            "numbers: 'value', 'price'; choose one with --target.",
        ),
        (
            {"target": "when", "time": "when"},
            "`time`, `target` and `series` must be different columns. Received 'when' twice; name "
            "another.",
        ),
        (
            {"target": "value", "horizon": 0},
            "`horizon` must be a whole number of periods from 1. Received 0; choose another, or "
            "leave it out.",
        ),
        (
            {"group": "price"},
            "`group` keeps examples together, which time does for a forecast. Received 'price'; "
            "name a column of several series with --series instead.",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(forecast, tmp_path, options, message):
    frame = wave().assign(price=np.arange(144.0))
    with pytest.raises(BadArgumentError) as caught:
        forecast(frame, **options)
    assert str(caught.value) == message.format(tmp_path / "a.csv")


def test_a_table_without_dates_asks_for_its_time(forecast, tmp_path):
    with pytest.raises(BadArgumentError) as caught:
        forecast(wave().assign(when=range(144)))
    assert str(caught.value) == (
        f"A forecast needs a column of times besides the target. In {tmp_path / 'a.csv'} none "
        "holds only dates of ISO 8601 such as 2024-03-31; it has 'when', 'value': choose one "
        "with --time."
    )


@pytest.mark.parametrize(
    ("name", "shape", "season"),
    [("sunspots", (22, 1), 11), ("co2", (104, 1), 52), ("elnino", (24, 1), 12)],
)
def test_a_series_that_is_built_in_is_forecast_best_by_its_season(tmp_path, name, shape, season):
    prepare(builtin_series(name, Options()).read(tmp_path), tmp_path, seed=0)
    data = open_prepared(tmp_path)
    assert (data.inputs, data.preprocessing["season"]) == (shape, season)
    repeated, last = (evaluate(*naive(data, s), "forecasting")["mase"] for s in (season, 1))
    assert repeated < 0.9 * last
    assert data.notes[0]["en"].endswith("public domain).")


def test_a_series_that_is_built_in_has_columns_of_its_own():
    with pytest.raises(BadArgumentError) as caught:
        builtin_series("co2", Options(target="x"))
    assert str(caught.value) == (
        "'co2' is a series to forecast, with columns of its own. Received target='x'; leave it out."
    )


def test_the_extra_that_ships_the_series_is_named(monkeypatch):
    monkeypatch.setattr("assay.data.series_builtin.find_spec", lambda _: None)
    for name in SERIES_NAMES:
        with pytest.raises(MissingExtraError) as caught:
            builtin_series(name, Options())
        assert str(caught.value) == (
            f"{name} comes with statsmodels, which is not installed: pip install 'assay[series]'."
        )


def test_windows_that_are_scaled_already_are_read_as_they_are(forecast):
    data = forecast(wave())
    np.testing.assert_array_equal(encode_arrays(data.x, data.preprocessing), data.x)


def test_a_table_is_loaded_as_a_forecast_where_that_is_asked_for(opened, tmp_path):
    path = tmp_path / "sales.csv"
    wave().to_csv(path, index=False)
    data = opened(path, task="forecasting")
    assert (data.name, data.task) == ("sales", "forecasting")
    assert naive(data)[1].shape == (3, 13)
    assert opened(path, horizon=12).content_hash == data.content_hash
    assert opened(path, horizon=3).outputs == 3
    assert opened("sunspots").name == "sunspots"
