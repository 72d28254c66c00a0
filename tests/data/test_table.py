"""Tables: what a column becomes, and every way in which a file can be wrong."""

import json

import numpy as np
import pandas as pd
import pytest

from assay.data.encode import encode_rows
from assay.data.table import read_table
from assay.errors import AssayError, BadArgumentError, DataError


@pytest.fixture
def write(tmp_path):
    def written(text, name="t.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
        return path

    return written


@pytest.fixture
def people(tmp_path):
    """Sixty rows: numbers and names, some missing, a class and a value to predict."""
    numbers = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": numbers.normal(40, 10, 60),
            "town": numbers.choice(["Bonn", "Köln", "Ulm"], 60),
            "member": numbers.random(60) < 0.5,
            "one": 1,
            "key": [f"k{at}" for at in range(60)],
        }
    )
    frame.loc[::7, "age"] = np.nan
    frame.loc[::9, "town"] = None
    frame["rent"] = frame.age.fillna(40) * 3 + numbers.normal(size=60)
    frame["class"] = np.where(frame.rent > 120, "high", "low")
    path = tmp_path / "people.csv"
    frame.to_csv(path, index=False)
    return path


def refused(opened, path, target="b", **options):
    with pytest.raises(DataError) as caught:
        opened(path, target=target, **options)
    return str(caught.value)


def rows(count=40, cell=lambda at: at, label=lambda at: at % 2):
    return "".join(f"{cell(at)},{label(at)}\n" for at in range(count))


def test_classification_and_regression_are_recognised(opened, people):
    classes, values = opened(people, target="class"), opened(people, target="rent")
    assert (classes.task, classes.classes) == ("tabular-classification", ("high", "low"))
    assert (values.task, values.classes, values.outputs) == ("tabular-regression", (), 1)
    assert (values.y.dtype, classes.y.dtype) == (np.float32, np.int64)
    np.testing.assert_allclose(values.y, pd.read_csv(people).rent.astype(np.float32))


def test_columns_are_encoded_as_documented(opened, people):
    data, frame = opened(people, target="class"), pd.read_csv(people)
    columns = {c["name"]: c for c in data.preprocessing["columns"]}
    assert list(columns) == ["age", "town", "member", "rent"]
    seen = frame.age[data.train].dropna()
    assert columns["age"] == {
        "name": "age",
        "kind": "numeric",
        "mean": pytest.approx(seen.mean()),
        "std": pytest.approx(seen.std(ddof=0)),
        "missing": True,
    }
    often = frame.town[data.train].value_counts(dropna=False)
    assert columns["town"]["kind"] == "categorical"
    assert set(columns["town"]["values"]) == {"Bonn", "Köln", "Ulm", None}
    assert columns["town"]["values"][0] == often.index[0]
    assert data.x.shape == (60, 2 + 4 + 1 + 1)
    np.testing.assert_array_equal(data.x[:, 0] == 0, frame.age.isna())  # missing is the mean
    np.testing.assert_array_equal(data.x[:, 1] == 1, frame.age.isna())
    np.testing.assert_array_equal(data.x[:, 2:6].sum(axis=1), np.ones(60))
    train = data.x[data.train]
    np.testing.assert_allclose(train[:, 7].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(train[:, 7].std(), 1, atol=1e-5)
    assert data.notes[0]["en"] == "Columns left out as constant, dates or free text: 'one', 'key'."


def test_the_preprocessing_is_plain_json(opened, people):
    facts = opened(people, target="rent").preprocessing
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert sorted(facts["target"]) == ["mean", "name", "std"]


def test_predicting_encodes_rows_as_preparing_did(opened, people):
    data, frame = opened(people, target="class"), pd.read_csv(people)
    np.testing.assert_array_equal(encode_rows(frame, data.preprocessing), data.x)
    shuffled = frame.drop(columns=["class"])[::-1][sorted(frame.columns.drop("class"))]
    np.testing.assert_array_equal(encode_rows(shuffled, data.preprocessing), data.x[::-1])
    dicts = frame.head(3).to_dict("records")
    np.testing.assert_array_equal(encode_rows(dicts, data.preprocessing), data.x[:3])


def test_a_level_that_training_never_saw_is_all_zeros(opened, people):
    data = opened(people, target="class")
    row = {"age": 40, "town": "Rom", "member": True, "rent": 3}
    assert encode_rows([row], data.preprocessing)[0, 2:6].tolist() == [0, 0, 0, 0]


def test_rare_levels_share_a_column(opened, write):
    text = "level,n,b\n" + "".join(f"l{at % 40},{at},{at % 2}\n" for at in range(400))
    data = opened(write(text), target="b")
    column = data.preprocessing["columns"][0]
    assert (len(column["values"]), column["other"], data.x.shape[1]) == (32, True, 34)
    np.testing.assert_array_equal(data.x[:, :33].sum(axis=1), np.ones(400))


def test_predicting_names_what_is_missing_or_wrong(opened, people):
    facts = opened(people, target="class").preprocessing
    with pytest.raises(DataError) as caught:
        encode_rows([{"age": 1, "member": True}], facts)
    assert str(caught.value) == (
        "Rows must have the columns of training. Missing: 'town', 'rent'; add them, empty where "
        "unknown."
    )
    with pytest.raises(DataError) as caught:
        encode_rows([{"age": "old", "town": "Ulm", "member": True, "rent": 3}], facts)
    assert str(caught.value) == (
        "Column 'age' must hold numbers. Row 1 has 'old'; correct it or leave the cell empty."
    )
    with pytest.raises(DataError) as caught:
        encode_rows([{"age": np.inf, "town": "Ulm", "member": True, "rent": 3}], facts)
    assert str(caught.value) == (
        "Column 'age' must hold finite numbers. Row 1 has inf; correct it or leave the cell empty."
    )


def test_parquet_reads_as_csv_does(opened, people, tmp_path):
    frame = pd.read_csv(people)
    frame["when"] = pd.date_range("2020-01-01", periods=60)
    frame.to_parquet(tmp_path / "p.parquet")
    theirs, ours = opened(people, target="class"), opened(tmp_path / "p.parquet", target="class")
    np.testing.assert_array_equal(ours.x, theirs.x)
    assert ours.notes[0]["en"] == (
        "Columns left out as constant, dates or free text: 'one', 'key', 'when'."
    )


@pytest.mark.parametrize(
    ("name", "header", "join"),
    [("t.tsv", "a\tb\n", "\t"), ("t.csv", "a;b\n", ";"), ("t.csv", "a|b\n", "|")],
)
def test_other_separators_are_recognised(opened, write, name, header, join):
    text = header + "".join(f"{at}.5{join}{at % 2}\n" for at in range(40))
    data = opened(write(text, name), target="b")
    assert data.x.shape == (40, 1)


def test_a_decimal_comma_is_recognised_beside_semicolons(opened, write):
    text = "a;b\n" + "".join(f"{at},25;{at % 2}\n" for at in range(40))
    column = opened(write(text), target="b").preprocessing["columns"][0]
    assert (column["kind"], column["mean"] % 0.25) == ("numeric", pytest.approx(0, abs=1))


def test_a_byte_order_mark_quotes_and_empty_lines_are_read(opened, write):
    text = '\ufeff"a","b"\r\n' + rows().replace("\n", "\r\n") + '\r\n"7\n7",1\r\n'
    text = text.replace('"7\n7"', "77")
    assert len(opened(write(text), target="b").x) == 41


def test_copies_of_a_row_stay_on_one_side(opened, write):
    data = opened(write("a,b\n" + rows() + rows()), target="b")
    sides = [set((part % 40).tolist()) for part in (data.train, data.val, data.test)]
    assert sum(len(side) for side in sides) == len(set().union(*sides))
    assert data.notes[0]["en"] == "Exact copies among the examples: 40; copies stay on one side."


def test_whole_numbers_are_classes_in_the_order_of_their_size(opened, write):
    data = opened(write("a,b\n" + rows(label=lambda at: at % 3 * 5)), target="b")
    assert data.classes == ("0", "5", "10")


def test_the_task_can_be_named(opened, write):
    path = write("a,b\n" + rows())
    assert opened(path, target="b", task="tabular-regression").classes == ()
    path = write("a,b\n" + rows(label=lambda at: at % 2 + 0.5))
    assert opened(path, target="b").task == "tabular-regression"
    assert opened(path, target="b", task="tabular-classification").classes == ("0.5", "1.5")


def test_a_task_of_other_data_is_refused(opened, write):
    path = write("a,b\n" + rows())
    with pytest.raises(BadArgumentError) as caught:
        opened(path, target="b", task="image-classification")
    assert str(caught.value) == (
        f"`task` must fit the data. {path} holds table examples, which can be "
        "tabular-classification or tabular-regression; received 'image-classification'."
    )


@pytest.mark.parametrize(
    ("target", "received"), [(None, "nothing."), ("prise", "'prise'. Did you mean 'price'?")]
)
def test_a_missing_target_lists_the_columns(opened, write, target, received):
    path = write("size,price\n1,2\n")
    with pytest.raises(BadArgumentError) as caught:
        opened(path, target=target)
    assert str(caught.value) == (
        f"`target` must name the column to predict in {path}. Received {received} It has 'size', "
        "'price'; choose one with --target."
    )


def test_a_constant_target_is_refused(opened, write):
    path = write("a,b\n" + rows(label=lambda at: "yes"))
    assert refused(opened, path) == (
        f"Classification needs at least two classes. In {path} there is only 'yes'; add examples "
        "of another class or choose another target."
    )
    path = write("a,b\n" + rows(label=lambda at: 1.5))
    assert refused(opened, path) == (
        f"A regression's target must vary. In {path} it is 1.5 everywhere; choose another target."
    )


def test_a_missing_or_infinite_target_is_refused_by_row(opened, write):
    path = write("a,b\n" + rows(label=lambda at: "" if at in (4, 9) else "xy"[at % 2]))
    assert refused(opened, path) == (
        f"Column 'b' must be known for every example. In {path} it is missing in 2 of 40 rows, "
        "first in row 5; fill it in or remove those rows."
    )
    path = write("a,b\n" + rows(label=lambda at: "inf" if at == 9 else at))
    assert refused(opened, path) == (
        f"Column 'b' must be known for every example. In {path} it is missing or infinite in 1 of "
        "40 rows, first in row 10; fill it in or remove those rows."
    )


def test_text_in_the_target_of_a_regression_is_refused_by_row(opened, write):
    path = write("a,b\n" + rows(label=lambda at: "cheap" if at == 7 else at))
    assert refused(opened, path, task="tabular-regression") == (
        f"Column 'b' of a regression must be numbers. In {path} row 8 has 'cheap'; correct it, or "
        "use --task tabular-classification."
    )


def test_text_among_the_numbers_of_a_target_is_no_class(opened, write):
    path = write("a,b\n" + rows(label=lambda at: "cheap" if at == 7 else at))
    assert refused(opened, path) == (
        f"Column 'b' of {path} must hold numbers, as nearly all of it does. Row 8 has 'cheap'; "
        "correct it, or use --task tabular-classification."
    )
    path = write("a,b\n" + rows(label=lambda at: "none" if at in (7, 17, 27) else at % 5))
    assert opened(path, target="b").classes == ("0", "1", "2", "3", "4", "none")


def test_text_among_numbers_is_refused_by_row_and_column(opened, write):
    path = write("a,b\n" + rows(cell=lambda at: "1O" if at == 30 else at))
    assert refused(opened, path) == (
        f"Column 'a' of {path} must hold numbers, as nearly all of it does. Row 31 has '1O'; "
        "correct it or leave the cell empty."
    )


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e400"])
def test_infinities_are_refused_by_row_and_column(opened, write, cell):
    path = write("a,b\n" + rows(cell=lambda at: cell if at == 30 else at))
    assert refused(opened, path) == (
        f"Column 'a' of {path} must hold finite numbers. Row 31 is infinite or too large; correct "
        "it or leave the cell empty."
    )


def test_a_column_of_nothing_to_learn_from_is_refused(opened, write):
    path = write("a,b\n" + rows(cell=lambda at: f"k{at}"))
    assert refused(opened, path) == (
        f"{path} has no column to learn from besides the target. Constant columns, dates and "
        "free text are not used: 'a'; add columns."
    )


def test_a_table_of_dates_alone_is_said_to_be_a_forecast(opened, write):
    path = write("a,b\n" + rows(cell=lambda at: f"2024-{1 + at % 12:02d}-{1 + at // 12:02d}"))
    assert refused(opened, path) == (
        f"{path} has no column to learn from besides the target. Constant columns, dates and "
        "free text are not used: 'a'; add columns, or forecast the target with --task forecasting."
    )


def test_a_label_with_too_few_rows_is_named(opened, write):
    path = write("a,b\n" + rows(label=lambda at: "odd" if at == 3 else "xy"[at % 2]))
    assert refused(opened, path) == (
        "Each class needs at least 3 different examples, one for each part of the division. Class "
        "'odd' has 1; add examples or remove the class."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "{} is empty (0 bytes); give a header and rows."),
        (b"\n\n", "{} holds only empty lines; give a header and rows."),
        (b"a,b\n", "{} has a header and no rows; add rows."),
        (
            "a,b\n1,2\n".encode("utf-16"),
            "{} must be UTF-8. It is UTF-16; save the table as UTF-8.",
        ),
        (
            b"a,b\n1,\xe9\n",
            "{} must be UTF-8. Line 2 is not, at byte 3; save the table as UTF-8.",
        ),
        (
            b"a,b\n1,2\n3,\x004\n",
            "{} must be text. Line 3 holds a NUL byte; save the table as UTF-8.",
        ),
        (
            b"a,b\n1,2\n3\n",
            "Every row of {} must have 2 cells, like its header. Line 3 has 1; correct or quote "
            "it.",
        ),
        (
            b"a,b\n1,2\n3,4,5\n",
            "Every row of {} must have 2 cells, like its header. Line 3 has 3; correct or quote "
            "it.",
        ),
        (b"a,a,b\n1,2,3\n", "Column names must differ. {} has 'a' more than once; rename them."),
        (
            b"a,,b\n1,2,3\n",
            "Every column needs a name. Column 2 of {} has none; name it or remove it.",
        ),
        (
            b"a\n1\n",
            "A table needs the target and at least one column more. {} has one column, 'a'; "
            "separate the cells by commas, semicolons or tabs.",
        ),
        (
            b'a,b\n1,2\n"3,4\n5,6\n',
            "Line 4 of {} cannot be read (unexpected end of data): a quote is not closed, or a "
            "cell is longer than 131,072 characters; correct it.",
        ),
        (
            b"a,b\n1,2\n" + b"x" * 200_000 + b",4\n",
            "Line 3 of {} cannot be read (field larger than field limit (131072)): a quote is not "
            "closed, or a cell is longer than 131,072 characters; correct it.",
        ),
        (
            b"a,b\n1,2\n" + b"x" * (17 * 2**20),
            "A line of {} may have 16,777,216 bytes. Line 3 has more; check that it is a table.",
        ),
        (
            (",".join(f"c{at}" for at in range(10**5)) + "\n").encode(),
            "A table may have 10,000 columns. {} has 100,000; keep the ones that matter, or give "
            "them as an array in a .npz.",
        ),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_broken_csv_is_refused_by_line(opened, write, text, message):
    path = write(text)
    assert refused(opened, path) == message.format(path)


def test_a_table_larger_than_memory_allows_is_refused(opened, write, monkeypatch):
    monkeypatch.setattr("assay.data.table.memory_limit", lambda: 20)
    path = write("a,b\n" + rows())
    assert refused(opened, path) == (
        f"{path} has {path.stat().st_size} bytes. A quarter of this machine's memory, 20 bytes, is "
        "the limit; give a sample of its rows."
    )


def test_a_damaged_parquet_is_refused(opened, write, people, tmp_path):
    pd.read_csv(people).to_parquet(tmp_path / "p.parquet")
    whole = (tmp_path / "p.parquet").read_bytes()
    for data in (whole[:-30], b"PAR1", b"hello", whole[:40] + bytes(len(whole) - 80) + whole[-40:]):
        path = write(data, "bad.parquet")
        text = refused(opened, path, target="class")
        assert text.startswith(f"{path} cannot be read as Parquet (")
        assert text.endswith("); write it again.")


def test_nested_parquet_columns_are_refused(opened, tmp_path):
    path = tmp_path / "p.parquet"
    pd.DataFrame({"a": [[1], [2]], "b": [0, 1]}).to_parquet(path)
    assert refused(opened, path) == (
        f"The columns of {path} must hold single values. 'a' hold lists or structures; flatten or "
        "remove them."
    )


def test_names_of_columns_and_classes_are_kept_but_cannot_break_a_line(opened, write):
    text = '"=1+1\n\u202e",b\n' + rows(label=lambda at: ["<b>\u202e", "=cmd"][at % 2])
    data = opened(write(text), target="b")
    assert data.preprocessing["columns"][0]["name"] == "=1+1\n\u202e"
    assert data.classes == ("<b>\\u202e", "=cmd")


def test_no_damaged_table_raises_anything_but_an_assay_error(opened, write):
    good = ("a,b,c\n" + "".join(f'{at}.5,"t{at % 3}",{at % 2}\n' for at in range(40))).encode()
    numbers, refusals = np.random.default_rng(0), 0
    for _ in range(200):
        data = bytearray(good)
        for at in numbers.integers(0, len(data), 3):
            data[at] = numbers.choice(bytearray(b'",;\n\r\t\0\xffxe-1'))
        try:
            opened(write(bytes(data)), target="c")
        except AssayError:
            refusals += 1
    assert refusals > 50  # the damage was felt


def test_a_table_of_one_column_can_be_predicted(opened, write):
    data = opened(write("a,b\n" + rows()), target="b")
    alone = read_table(write("a\n" + "".join(f"{at}\n" for at in range(40)), "new.csv"))
    np.testing.assert_array_equal(encode_rows(alone, data.preprocessing), data.x)
