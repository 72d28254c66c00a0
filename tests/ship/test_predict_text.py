"""Answers to texts and histories: in Python, and from files by `assay predict`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import assay
from assay.cli import main
from assay.data.load import load
from assay.data.text_files import texts_in
from assay.errors import BadArgumentError, DataError


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    draw = np.random.default_rng(0)
    rows = ["text,label"]
    for at in range(80):
        words = draw.choice(["the", "old", "film", "was", "there"], size=int(draw.integers(3, 8)))
        rows.append(f"{' '.join(words)} {'good' if at % 2 else 'bad'} {at},{'yn'[at % 2 == 0]}")
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="session")
def labeller(train, reviews, tmp_path_factory):
    prepared = tmp_path_factory.mktemp("prepared")
    return train("gru", load(reviews, folder=prepared, tokenizer="char", length=48))


@pytest.fixture(scope="session")
def tagger(train, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "names.conll"
    sentence = "Anna\tB-PER\nsaw\tO\nBob\tB-PER\n\nit\tO\nwas\tO\nlate {}\tO\n\n"
    path.write_text("".join(sentence.format(at) for at in range(40)))
    prepared = tmp_path_factory.mktemp("prepared")
    return train("gru", load(path, folder=prepared, tokenizer="char", length=32))


@pytest.fixture(scope="session")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "sales.csv"
    months = pd.date_range("2000-01-01", periods=160, freq="MS")
    values = 100 + 10 * np.sin(np.arange(160) * np.pi / 6) + np.arange(160) / 10
    pd.DataFrame({"month": months.strftime("%Y-%m"), "sold": values}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def forecaster(train, sales, tmp_path_factory):
    prepared = tmp_path_factory.mktemp("prepared")
    return train("mlp", load(sales, folder=prepared, task="forecasting", horizon=3, window=12))


def test_texts_are_labelled(labeller):
    model = assay.load(labeller.folder)
    assert set(model.predict(["the film was good", "bad"])) <= {"y", "n"}
    np.testing.assert_allclose(model.predict_proba("it was good").sum(1), 1, rtol=1e-5)
    with pytest.raises(BadArgumentError) as caught:
        model.predict([3])
    assert str(caught.value) == (
        "This model reads texts: one string or several. Received list [3]; convert it."
    )


def test_each_word_gets_a_tag_and_what_is_cut_off_gets_none(tagger):
    model = assay.load(tagger.folder)
    short, long = model.predict(["Anna saw Bob", " ".join(["abcdefghij"] * 9)])
    assert len(short) == 3
    assert set(short) <= set(model.classes)
    assert len(long) == 9
    assert long[-1] == ""


def test_a_forecast_goes_on_where_the_history_ends(forecaster, sales):
    model = assay.load(forecaster.folder)
    values = model.predict(pd.read_csv(sales))
    assert values.shape == (1, 3)
    assert np.abs(values - 116).max() < 30  # in the unit of the table


def test_files_of_texts_are_answered_one_line_each(labeller, reviews, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("the film was good")
    (tmp_path / "b.jsonl").write_text('{"text": "bad"}\n{"text": "good"}\n')
    files = [str(tmp_path / "a.txt"), str(tmp_path / "b.jsonl"), str(reviews)]
    main(["predict", str(labeller.folder), *files, "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 1 + 2 + 80
    assert lines[2]["input"] == f"{tmp_path / 'b.jsonl'} line 2"
    assert set(lines[0]["probabilities"]) == {"y", "n"}


def test_a_forecast_is_told_period_by_period(forecaster, sales, capsys):
    main(["predict", str(forecaster.folder), str(sales)])
    periods = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert periods == ["2013-05", "2013-06", "2013-07"]


def test_a_table_in_which_no_column_is_the_text_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError) as caught:
        texts_in(path)
    assert str(caught.value) == (
        f"One column of {path} must be the text, called text or source, or be the only one. It "
        "has 'a', 'b'; rename it."
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.txt", " \n", "FILE must have text. It is only white space; fill it in or remove it."),
        (
            "t.csv",
            "text,more\nfine,1\n,2\n",
            "Row 2 of FILE must have text. It is empty; fill it in or remove it.",
        ),
        (
            "t.jsonl",
            '{"text": "fine"}\n{"other": "x"}\n',
            "Line 2 of FILE must have text. It is empty; fill it in or remove it.",
        ),
    ],
)
def test_a_text_that_is_missing_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        texts_in(path)
    assert str(caught.value) == message.replace("FILE", str(path))


def test_a_forecast_refuses_what_is_no_table(forecaster, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("12\n")
    assert main(["predict", str(forecaster.folder), str(tmp_path / "a.txt")]) == 2
    assert capsys.readouterr().err.endswith(
        "assay: A forecast reads a table of what came before: .csv, .tsv, .parquet. Received "
        f"'{tmp_path / 'a.txt'}'; give such a file.\n"
    )


def test_all_tags_of_a_long_text_are_printed(tagger, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("a " * 300)
    main(["predict", str(tagger.folder), str(tmp_path / "a.txt")])
    tags = capsys.readouterr().out.split()[1:]
    assert len(tags) == 300
    assert tags[-1] == "-"
