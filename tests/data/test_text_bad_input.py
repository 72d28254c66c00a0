"""Every way in which text can be wrong: one whole sentence each, with the file and the line."""

import json
import tracemalloc

import pytest

import assay.data.text as text
from assay.errors import AssayError, DataError

NAMES = {"S": "s.txt", "J": "s.jsonl", "P": "s.tsv", "C": "s.conll", "T": "s.csv"}
ROW = json.dumps({"text": "some words here", "label": "a"})
PAIR = "one two\teins zwei\n"
PAIRS = "".join(f"one {at}\teins {at}\n" for at in range(30))


@pytest.fixture
def refused(opened, tmp_path):
    """Return the message that a file is refused with, its path written as FILE."""

    def message(name, content, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        given = options.pop("given", path)
        with pytest.raises(AssayError) as caught:
            opened(given, **options)
        return str(caught.value).replace(str(path), "FILE").replace(str(tmp_path), "HOME")

    return message


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("s.txt", "", "FILE holds no text; give text to learn from."),
        ("s.txt", " \n\t\r\n \u3000", "FILE holds only white space; give text to learn from."),
        (
            "s.txt",
            "word",
            "Language modelling needs at least 12 blocks of 8 tokens to learn from. The training "
            "part of FILE has 4 tokens; give more text.",
        ),
        (
            "s.txt",
            b"good\nfine \xff here\n",
            "FILE must be UTF-8. Line 2 is not, at byte 6; save the text as UTF-8.",
        ),
        (
            "s.txt",
            "good\nlast ä".encode()[:-1],
            "FILE must be UTF-8. Line 2 is not, at byte 6; save the text as UTF-8.",
        ),
        (
            "s.txt",
            "one\ntwo\0three",
            "FILE must be text. Line 2 holds a NUL byte; remove it, or save the text as UTF-8.",
        ),
        (
            "s.txt",
            "text".encode("utf-16"),
            "FILE must be UTF-8. It is UTF-16; save the text as UTF-8.",
        ),
        (
            "s.jsonl",
            f"{ROW}\n".encode("utf-16"),
            "FILE must be UTF-8. It is UTF-16; save the text as UTF-8.",
        ),
        ("s.jsonl", "\n \n", "FILE holds no objects; give one on each line."),
        (
            "s.jsonl",
            f"{ROW}\n\n[1, 2]\n",
            "Every line of FILE must be a JSON object. Line 3 is a list; write it as {...}.",
        ),
        (
            "s.jsonl",
            f"{ROW}\nnull\n",
            "Every line of FILE must be a JSON object. Line 2 is null; write it as {...}.",
        ),
        (
            "s.jsonl",
            f'{ROW}\n{{"text": "x"\n',
            "Every line of FILE must be a JSON object. Line 2 is no JSON (Expecting ',' "
            "delimiter); correct it.",
        ),
        (
            "s.jsonl",
            f'{ROW}\n{{"text": "two"}}\n',
            "Every object of FILE must have a label 'label', one word or number. Line 2 has not; "
            "add it or remove the line.",
        ),
        (
            "s.jsonl",
            f'{ROW}\n{{"text": "  ", "label": "b"}}\n',
            "Line 2 of FILE must have text. It is only white space; fill it in or remove it, or "
            "use --skip-bad.",
        ),
        (
            "s.jsonl",
            f'{ROW}\n{{"text": "a\\u0000b", "label": "b"}}\n',
            "Line 2 of FILE must be text. It holds a NUL character; remove it, or use --skip-bad.",
        ),
        (
            "s.jsonl",
            f'{ROW}\n{{"text": "ab\\ud800", "label": "b"}}\n',
            "Every line of FILE must be text. Line 2 has half of a surrogate pair, such as "
            "\\ud800; write it again as UTF-8.",
        ),
        (
            "s.jsonl",
            '{"text": "one"}\n{"body": "two"}\n',
            "Every object of FILE must have 'text'. Line 2 has not; add it or remove the line.",
        ),
        (
            "s.jsonl",
            '{"text": "one"}\n{"text": 2}\n',
            "'text' must be a string in every object of FILE. In line 2 it is a number; correct "
            "it.",
        ),
        (
            "s.jsonl",
            '{"a": "one", "b": "two", "c": 3}\n',
            "The objects of FILE must have a text, a text and a label, a source and a target, or "
            "tokens and tags. They have 'a', 'b', 'c'; choose with --text, --target or --task.",
        ),
        (
            "s.jsonl",
            '{"tokens": ["a", "b"], "tags": ["X"]}\n',
            "Every object of FILE must have a tag for each word. Line 1 has 2 words and 1 tags; "
            "correct it.",
        ),
        (
            "s.tsv",
            f"{PAIRS}alone\n",
            "Every line of FILE must be a pair: two texts parted by one tab. Line 31 has 1 cell; "
            "correct it.",
        ),
        (
            "s.tsv",
            f"{PAIR}one\ttwo\n \tthree\n",
            "Both sides of every pair in FILE must have text. Line 3 has an empty source; fill it "
            "in, remove the line or use --skip-bad.",
        ),
        (
            "s.tsv",
            PAIR * 5,
            "FILE must hold at least 10 pairs with different sources. Received 1; add pairs.",
        ),
        (
            "s.conll",
            "Anna B\nsaw O\nParis\n",
            "Every line of FILE must have a word and, in the last of 2 columns, its tag. Line 3 "
            "has 1 column; correct it.",
        ),
        (
            "s.conll",
            "Anna\tB\n\tO\n",
            "Every line of FILE must have a word and its tag. Line 2 has no word; correct it.",
        ),
        ("s.conll", "\n\n", "FILE holds no words; give a word and its tag on each line."),
        (
            "s.conll",
            "Anna B\n\nsaw O\n",
            "FILE must hold at least 10 different sentences. Received 2; add sentences, with an "
            "empty line between them.",
        ),
        (
            "s.csv",
            "text,label\nsome words of text,a\nand more words of it,a\n   ,b\n",
            "Row 3 of FILE must have text. It is only white space; fill it in or remove it, or "
            "use --skip-bad.",
        ),
        (
            "s.csv",
            "text,label\nsome words of text,a\nand yet more words,\n",
            "Column 'label' must be known for every example. In FILE it is missing in 1 of 2 "
            "rows, first in row 2; fill it in or remove those rows.",
        ),
        (
            "s.csv",
            "text,label\nsome words of text,a\nand yet more words,a\n",
            "Classification needs at least two classes. In FILE there is only 'a'; add examples "
            "of another class or choose another target.",
        ),
    ],
)
def test_what_is_no_text_is_refused_in_a_sentence(refused, name, content, expected):
    assert refused(name, content) == expected


def test_an_empty_class_folder_is_named(refused, tmp_path):
    (tmp_path / "films/bad").mkdir(parents=True)
    said = refused("films/good/1.txt", "fine", given=tmp_path / "films")
    assert said == (
        "Every class folder of HOME/films must hold .txt files. 'bad' hold none; add texts or "
        "remove the folder."
    )


def test_an_empty_file_among_the_classes_is_named(refused, tmp_path):
    (tmp_path / "films/bad").mkdir(parents=True)
    (tmp_path / "films/bad/1.txt").write_text("dull")
    said = refused("films/good/2.txt", "", given=tmp_path / "films")
    assert said == (
        "Good/2.txt of HOME/films must have text. It is empty; fill it in or remove it, or use "
        "--skip-bad."
    )


def test_what_has_no_text_is_left_out_where_that_is_asked(opened, tmp_path):
    rows = [f"words of text number {at},{'ab'[at % 2]}" for at in range(40)]
    rows.insert(7, "  ,a")
    (tmp_path / "s.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    data = opened(tmp_path / "s.csv", skip_bad=True)
    assert (len(data.x), data.ids[6:8]) == (40, ("row 7", "row 9"))
    assert data.notes[0] == {
        "en": "Examples without usable text, left out: 1.",
        "zh": "1 个样本没有可用的文本，已剔除。",
    }


@pytest.mark.parametrize("name", ["s.jsonl", "s.tsv", "s.conll"])
def test_a_line_of_a_gigabyte_is_refused_in_little_memory(opened, tmp_path, name):
    path = tmp_path / name
    with path.open("wb") as file:
        file.truncate(2**30)  # takes no room on the disk
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        opened(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(caught.value) == (
        f"A line of {path} may have 16,777,216 bytes. Line 1 has more; put one example on each "
        "line."
    )
    assert peak < 100 * 2**20


def test_running_text_beyond_the_memory_is_refused_unread(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(text, "memory_limit", lambda: 2**30)
    path = tmp_path / "s.txt"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(DataError) as caught:
        opened(path)
    assert str(caught.value) == (
        f"{path} has 1,073,741,824 bytes. Running text may have 134,217,728 bytes here, a "
        "thirty-second of this machine's memory; give a part of it."
    )


def test_a_long_line_of_running_text_is_read_in_pieces(tmp_path):
    path = tmp_path / "s.txt"
    content = "wörd " * 900_000
    path.write_text(content)
    pieces = list(text.TextFile(path).pieces())
    assert len(pieces) > 3
    assert max(map(len, pieces)) <= 2 * text.PIECE
    assert "".join(pieces) == content


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_line_ends_across_pieces_are_made_plain(tmp_path, monkeypatch, ends):
    monkeypatch.setattr(text, "PIECE", 7)
    path = tmp_path / "s.txt"
    path.write_bytes(("天地玄黄" + ends).encode() * 20)
    file = text.TextFile(path)
    assert "".join(file.pieces()) == "天地玄黄\n" * 20
    assert file.notes == (text.LINE_ENDS,)
