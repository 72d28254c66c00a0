"""`assay data check`: plain sentences, JSON, both languages, exit codes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from assay.cli import main

HALF = ["zebra"] * 180 + ["Zebra"] * 100 + ["horse"] * 120


@pytest.fixture
def animals(tmp_path):
    path = tmp_path / "animals.csv"
    numbers = np.random.default_rng(0).normal(size=(400, 2))
    rows = (f"{a},{b},{c}\n" for (a, b), c in zip(numbers, HALF, strict=True))
    path.write_text("a,b,kind\n" + "".join(rows))
    return path


def printed(capsys, *words):
    code = main(["data", "check", *map(str, words)])
    return code, capsys.readouterr().out


def test_clean_data_are_said_to_be_clean(capsys):
    assert printed(capsys, "digits") == (
        0,
        "recognised: image classification, 10 classes, 1797 images of 1x8x8; "
        "train 1078 / val 270 / test 449\n\nNothing was found.\n",
    )
    assert printed(capsys, "digits", "--lang", "zh")[1].endswith("\n\n未发现问题。\n")


def test_a_finding_is_a_sentence_and_no_failure(animals, capsys):
    code, text = printed(capsys, animals, "--target", "kind")
    assert code == 0
    assert text.splitlines()[2:] == [
        "warning  The classes 'Zebra', 'zebra' (100, 180 examples) differ only in case, spaces, "
        "Unicode form or how a number is written; each counts as a class: give them one name if "
        "they are one.",
        "         such as Zebra, zebra",
    ]


def test_findings_are_told_in_chinese(animals, capsys):
    text = printed(capsys, animals, "--target", "kind", "--lang", "zh")[1]
    assert text.splitlines()[2:] == [
        "警告  类别 'Zebra', 'zebra'（100, 180 个样本）仅在大小写、空格、Unicode 形式或数字写法上"
        "不同，却各算一类；若为同一类，请统一名称。",
        "      例如 Zebra, zebra",
    ]


def test_programs_get_both_languages(animals, capsys):
    code, text = printed(capsys, animals, "--target", "kind", "--json")
    facts = json.loads(text)
    assert (code, facts["data"], facts["examples"]) == (0, "animals", 400)
    [concern] = facts["concerns"]
    assert sorted(concern) == ["en", "kind", "severity", "where", "zh"]
    assert (concern["kind"], concern["severity"]) == ("class-written-twice", "warning")


def test_a_void_division_ends_with_one(tmp_path, capsys):
    x, y, who = np.random.default_rng(0).normal(size=(90, 3)), np.arange(90) % 2, np.arange(90) // 9
    parts = {"train": slice(0, 60), "test": slice(60, 90)}
    arrays = {
        f"{name}_{part}": values[rows]
        for name, values in (("x", x), ("y", y), ("who", who % 7))
        for part, rows in parts.items()
    }
    np.savez(tmp_path / "t.npz", **arrays)
    code, text = printed(capsys, tmp_path / "t.npz", "--group", "who")
    assert code == 1
    assert "\nerror" in text


def test_groups_and_times_divide(animals, capsys):
    code, text = printed(capsys, animals, "--target", "kind", "--time", "a")
    assert code == 0
    assert "note: Divided by 'a': the latest examples are for the test" in text


def test_nothing_is_left_behind_and_torch_is_not_needed(animals):
    code = (
        "import sys\nfrom assay.cli import main\n"
        f"main(['data', 'check', {str(animals)!r}, '--target', 'kind'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=animals.parent, capture_output=True)
    assert (done.returncode, sorted(p.name for p in animals.parent.iterdir())) == (
        0,
        ["animals.csv"],
    )


def test_a_store_keeps_what_was_prepared(animals, tmp_path, capsys):
    where = tmp_path / "kept"
    assert printed(capsys, animals, "--target", "kind", "--store", where)[0] == 0
    assert len(list((where / "data").glob("*/x.npy"))) == 1


def test_an_unknown_action_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["data", "chekc", "digits"])
    assert end.value.code == 2
    assert "invalid choice: 'chekc'" in capsys.readouterr().err


@pytest.fixture
def letters(tmp_path):
    path = tmp_path / "letters.csv"
    rows = (f"letter {i} of {'praise' if i % 2 else 'blame'},note {i},{i % 2}\n" for i in range(60))
    path.write_text("body,more,good\n" + "".join(rows))
    return path


def test_text_is_read_as_compare_reads_it(letters, capsys):
    reading = ["--text", "body", "--tokenizer", "char", "--length", "10"]
    code, text = printed(capsys, letters, "--target", "good", *reading)
    assert code == 0
    assert text.splitlines()[:4] == [
        "recognised: text classification, 2 classes, 60 token sequences of ≤ 10 out of 28; "
        "train 36 / val 9 / test 15",
        "note: Columns not used beside the text 'body': 'more'.",
        "note: Text is read as single characters, a vocabulary of 28 learnt from the training "
        "part.",
        "note: Examples cut to 10 tokens: 60 of 60; --length keeps more of them.",
    ]
    assert "warning  Examples whose ends are cut to fit 10 tokens: 60 (100.0%);" in text


def test_a_vocabulary_too_small_is_refused(letters, capsys):
    words = ["data", "check", str(letters), "--text", "body", "--target", "good"]
    assert main([*words, "--tokenizer", "bpe", "--vocabulary", "2"]) == 2
    assert capsys.readouterr().err == (
        "assay: `vocabulary` must be in [261, 1,048,576] for tokenizer='bpe'. Received 2; choose "
        "another.\n"
    )


@pytest.fixture
def sales(tmp_path):
    path = tmp_path / "sales.csv"
    days = (f"{shop},2024-01-{d:02},{d % 5}\n" for shop in "ab" for d in range(1, 32))
    path.write_text("shop,day,sold\n" + "".join(days))
    return path


def test_series_are_cut_into_the_windows_asked_for(sales, capsys):
    reading = ["--series", "shop", "--time", "day", "--window", "3", "--horizon", "2"]
    code, text = printed(capsys, sales, "--target", "sold", *reading)
    assert code == 0
    assert text.startswith("recognised: time-series forecasting, ")
    assert " sequences of 3x" in text.splitlines()[0]
    assert "From 3 days of 'sold' the next 2 days are predicted" in text


def test_the_help_speaks_of_every_kind_of_data(capsys):
    with pytest.raises(SystemExit):
        main(["data", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--skip-bad leave out images, texts and series that cannot be used" in text
    assert "--tokenizer {auto,char,bpe,wordpiece,unigram}" in text
