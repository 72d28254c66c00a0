"""Answers to texts and histories: in Python, and from files by `assay predict`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import assay
from assay.cli import main
from assay.data.load import load
from assay.data.text_files import sentences_in, texts_in
from assay.errors import BadArgumentError, DataError
from assay.ship.artifact import FACTS


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


def test_probabilities_are_of_one_label_for_each_example(tagger):
    with pytest.raises(BadArgumentError) as caught:
        assay.load(tagger.folder).predict_proba("Anna saw Bob")
    assert str(caught.value) == (
        "`predict_proba` is for models with one label for each example. This model gives a label "
        "for each word (gru, token-classification); use `predict`."
    )


def test_encoded_sentences_of_a_tagger_are_those_it_tags(tagger):
    model = assay.load(tagger.folder)
    scores = model.score(model.encode("Anna saw Bob"))
    said = [model.classes[best] for best in scores[0].argmax(1)]
    assert [said[1], said[5], said[8]] == model.predict("Anna saw Bob")[0]  # single characters


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
    source, *lines = capsys.readouterr().out.splitlines()
    assert source == f"# {tmp_path / 'a.txt'}"
    assert len(lines) == 300 + 1  # and an empty one
    assert lines[-2] == "a\t-"


def test_a_tagged_file_is_answered_in_its_own_form(tagger, tmp_path, capsys):
    sentences = [["Anna", "saw", "New York"], ["it", "was", "late 3"]]
    tagged = "\n\n".join("\n".join(f"{word}\tO" for word in words) for words in sentences)
    plain = "\n\n".join("\n".join(f"{word}\t" for word in words) for words in sentences)
    rows = [json.dumps({"tokens": words}) for words in sentences]
    told = []
    for name, text in (("a.conll", tagged), ("b.bio", plain), ("c.jsonl", "\n".join(rows))):
        (tmp_path / name).write_text(text)
        main(["predict", str(tagger.folder), str(tmp_path / name)])
        lines = capsys.readouterr().out.splitlines()
        assert [lines[0], lines[4]] == [f"# {tmp_path / name} line 1", ""]
        told.append([line.split("\t") for line in lines if line and line[0] != "#"])
    assert told[0] == told[1] == told[2]
    tags = assay.load(tagger.folder).predict(sentences)
    assert told[0] == [
        [w, tag] for pair in zip(sentences, tags, strict=True) for w, tag in zip(*pair, strict=True)
    ]
    main(["predict", str(tagger.folder), str(tmp_path / "a.conll"), "--json"])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["words"] == sentences[0]
    assert second == {"input": f"{tmp_path / 'a.conll'} line 5", **second}
    assert len(first["tags"]) == 3


def test_the_column_that_was_chosen_for_training_is_read_again(train, tmp_path, capsys):
    path = tmp_path / "posts.csv"
    rows = [f"nothing of note {at},word {at} is here,{'yn'[at % 2]}" for at in range(40)]
    path.write_text("\n".join(["remark,story,mood", *rows]))
    chosen = {"text": "story", "target": "mood", "tokenizer": "char", "length": 24}
    model = train("gru", load(path, folder=tmp_path / "prepared", **chosen))
    main(["predict", str(model.folder), str(path), "--json"])
    said = [json.loads(line)["probabilities"] for line in capsys.readouterr().out.splitlines()]
    wanted = assay.load(model.folder).predict_proba([f"word {at} is here" for at in range(40)])
    np.testing.assert_allclose([[row["n"], row["y"]] for row in said], wanted, rtol=1e-5)


def test_the_sources_of_a_file_of_pairs_are_answered(tmp_path):
    (tmp_path / "pairs.tsv").write_text("go on\tva\nstop here\tici\n\nwait\tattends\n")
    found = texts_in(tmp_path / "pairs.tsv", pairs=True)
    assert found == [
        (f"{tmp_path / 'pairs.tsv'} line {line}", text)
        for line, text in ((1, "go on"), (2, "stop here"), (4, "wait"))
    ]


@pytest.mark.parametrize(
    ("content", "lines"),
    [("go on\n\nwait\n", ("line 1", "line 3")), ("Source\ngo on\nwait\n", ("row 1", "row 2"))],
)
def test_sources_without_answers_lose_no_line(tmp_path, content, lines):
    path = tmp_path / "new.tsv"
    path.write_text(content)
    told = [(f"{path} {line}", text) for line, text in zip(lines, ("go on", "wait"), strict=True)]
    assert texts_in(path, pairs=True) == told


def test_words_to_tag_stand_in_as_many_columns_throughout(tmp_path):
    path = tmp_path / "new.conll"
    path.write_text("Anna\n\nBob O\n")
    with pytest.raises(DataError) as caught:
        sentences_in(path)
    assert str(caught.value) == (
        f"Every line of {path} must have as many columns as the first, 1. Line 3 has 2; correct it."
    )


LONG = pd.DataFrame(
    {
        "machine": np.repeat([f"m{at:02}" for at in range(30)], 5),
        "hour": np.tile(np.arange(5), 30),
        "heat": np.random.default_rng(0).normal(size=150).round(3)
        + np.repeat(np.arange(30) % 2, 5),
        "state": np.repeat(["ok", "broken"] * 15, 5),
    }
)


@pytest.fixture(scope="session")
def watcher(train, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "machines.csv"
    LONG.to_csv(path, index=False)
    chosen = {"series": "machine", "target": "state", "time": "hour", "window": 4}
    return train("gru", load(path, folder=tmp_path_factory.mktemp("prepared"), **chosen))


def test_a_long_table_is_answered_once_for_each_of_its_series(watcher, tmp_path, capsys):
    path = tmp_path / "new.csv"
    LONG.drop(columns="state").sample(frac=1, random_state=0).to_csv(path, index=False)
    main(["predict", str(watcher.folder), str(path), "--json"])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    answers = {line["input"].removeprefix(f"{path} "): line["probabilities"] for line in told}
    assert len(told) == len(answers) == 30
    last = LONG["heat"].to_numpy().reshape(30, 5, 1)[:, 1:]
    wanted = assay.load(watcher.folder).predict_proba(last)
    found = [[answers[f"m{at:02}"][name] for name in ("broken", "ok")] for at in range(30)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda frame: frame.drop(columns="heat"),
            "A table to predict needs the columns of training. FILE lacks 'heat'; add them.",
        ),
        (
            lambda frame: frame.replace({"heat": {frame["heat"][7]: "hot"}}),
            "Column 'heat' must hold numbers, as in training. In FILE it holds other values; "
            "correct them.",
        ),
        (
            lambda frame: frame.iloc[2:],
            "Every sequence must have 4 steps, as in training. In FILE 'm00' has 3; add steps, or "
            "remove it.",
        ),
    ],
)
def test_a_long_table_unlike_that_of_training_is_refused(
    watcher, tmp_path, capsys, change, message
):
    path = tmp_path / "new.csv"
    change(LONG).to_csv(path, index=False)
    assert main(["predict", str(watcher.folder), str(path)]) == 1
    assert capsys.readouterr().err == f"assay: {message.replace('FILE', str(path))}\n"


@pytest.mark.parametrize("wrong", [3, [3], None])
def test_what_is_no_text_is_refused_in_one_sentence(tagger, wrong):
    with pytest.raises(BadArgumentError) as caught:
        assay.load(tagger.folder).predict(wrong)
    assert str(caught.value) == (
        f"This model reads texts: one string or several. Received {type(wrong).__name__} {wrong}; "
        "convert it."
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("columns", []),
        ("columns", 3),
        ("horizon", 4),
        ("time", {"name": "month"}),
        ("series", [{"name": ""}]),
        ("series_column", 3),
    ],
)
def test_a_forecaster_that_cannot_read_its_history_is_refused(forecaster, tmp_path, key, value):
    told = json.loads((forecaster.folder / FACTS).read_text())
    told["preprocessing"][key] = value
    (tmp_path / FACTS).write_text(json.dumps(told))
    with pytest.raises(DataError) as caught:
        assay.load(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / FACTS} contradicts itself: forecasting with inputs of shape (12, 1) and "
        "another preprocessing; save the artifact anew."
    )


def test_a_forecast_of_what_is_no_table_is_refused(forecaster):
    with pytest.raises(BadArgumentError) as caught:
        assay.load(forecaster.folder).predict([1.0])
    assert str(caught.value) == (
        "A forecast reads a DataFrame with the columns of training. Received list [1.0]; convert "
        "it."
    )
