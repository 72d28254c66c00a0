"""Text data: what each kind of file becomes."""

import json

import numpy as np
import pandas as pd
import pytest

from assay.data.dataset import PARTS
from assay.data.encode import encode_texts, encode_words
from assay.data.load import describe, load
from assay.data.tokenizer import open_tokenizer
from assay.data.tokens import BEGIN, END, NOT_SCORED, PAD
from assay.errors import BadArgumentError

GOOD = ["a fine film", "truly great acting", "I loved it all", "warm and funny", "a great joy"]
BAD = ["a dull film", "truly awful acting", "I hated it all", "cold and tired", "a great bore"]
EXTRA = ["one", "two", "three", "four", "five", "six", "seven", "eight"]


def reviews():
    """Eighty different texts with a label."""
    texts = [f"{text} {word}" for word in EXTRA for text in (*GOOD, *BAD)]
    return texts, (["good"] * 5 + ["bad"] * 5) * 8


def words_of(dataset, at):
    return open_tokenizer(dataset.preprocessing["tokenizer"]).decode(dataset.x[at])


def prose(lines=400):
    numbers = np.random.default_rng(0)
    words = [
        "the",
        "a",
        "cat",
        "dog",
        "sees",
        "hears",
        "likes",
        "old",
        "new",
        "tree",
        "house",
        "river",
        "and",
        "or",
    ]
    return "".join(" ".join(numbers.choice(words, 8)) + ".\n" for _ in range(lines))


@pytest.fixture
def written(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


# texts with a label


def as_csv(path):
    texts, labels = reviews()
    frame = pd.DataFrame({"text": texts, "label": labels})
    frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


def as_parquet(path):
    texts, labels = reviews()
    pd.DataFrame({"text": texts, "label": labels}).to_parquet(path)


def as_json(path):
    rows = [json.dumps({"text": t, "label": c}) for t, c in zip(*reviews(), strict=True)]
    path.write_text("\n".join(rows))


@pytest.mark.parametrize(
    ("name", "write"),
    [("r.csv", as_csv), ("r.tsv", as_csv), ("r.parquet", as_parquet), ("r.jsonl", as_json)],
)
def test_a_text_and_a_label_in_each_row_are_recognised(opened, tmp_path, name, write):
    write(tmp_path / name)
    data = opened(tmp_path / name)
    texts, labels = reviews()
    assert (data.task, data.classes, data.kind) == (
        "text-classification",
        ("bad", "good"),
        "tokens",
    )
    assert (data.x.dtype, data.y.dtype, len(data.x)) == (np.int32, np.int64, 80)
    assert data.inputs == (data.x.shape[1], data.preprocessing["vocabulary"])
    assert [words_of(data, at) for at in range(80)] == texts
    assert [data.classes[y] for y in data.y] == labels
    assert (data.x[:, 0] == BEGIN).all()
    assert ((data.x == END).sum(axis=1) == 1).all()
    assert describe(data).endswith(
        "note: Text is read as tokens of byte-level BPE, a vocabulary of "
        f"{data.inputs[1]} learnt from the training part; --tokenizer chooses another way."
    )


def test_a_folder_of_class_folders_of_texts_is_the_same_data(opened, written):
    texts, labels = reviews()
    for at, (text, label) in enumerate(zip(texts, labels, strict=True)):
        written(f"films/{label}/{at:02}.txt", text)
    data = opened(written("films/README.md", "notes").parent)
    assert sorted(words_of(data, at) for at in range(80)) == sorted(texts)
    at = data.ids.index("good/00.txt")
    assert (words_of(data, at), data.classes[data.y[at]]) == (texts[0], "good")


def test_parts_that_are_given_are_kept(opened, written):
    texts, labels = reviews()
    for at, (text, label) in enumerate(zip(texts, labels, strict=True)):
        part = "test" if at % 4 == 3 else "train"
        written(f"films/{part}/{label}/{at}.txt", text)
    data = opened(written("films/train/good/x.txt", "quite new").parents[2])
    assert {data.ids[at].split("/")[0] for at in data.test} == {"test"}
    assert {data.ids[at].split("/")[0] for at in (*data.train, *data.val)} == {"train"}


def test_the_tokenizer_is_learnt_from_the_training_part_alone(opened, tmp_path):
    texts, labels = reviews()
    texts = [f"{text} {chr(0x4E00 + at)}{at}" for at, text in enumerate(texts)]
    pd.DataFrame({"text": texts, "label": labels}).to_csv(tmp_path / "r.csv", index=False)
    data = opened(tmp_path / "r.csv", tokenizer="char")
    seen = {character for at in data.train for character in texts[at]}
    assert set(data.preprocessing["tokenizer"]["characters"]) == seen
    assert seen < {character for text in texts for character in text}


def test_texts_that_differ_in_case_and_spaces_stay_in_one_part(opened, tmp_path):
    texts, labels = reviews()
    frame = pd.DataFrame({"text": texts, "label": labels})
    twins = frame.assign(text=frame.text.str.upper().str.replace(" ", "   "))
    pd.concat([frame, twins]).to_csv(tmp_path / "r.csv", index=False)
    data = opened(tmp_path / "r.csv")
    for part in PARTS:
        chosen = set(getattr(data, part).tolist())
        assert {(at + 80) % 160 for at in chosen} == chosen


def test_a_table_with_other_columns_to_learn_from_stays_a_table(opened, tmp_path):
    texts, labels = reviews()
    numbers = np.random.default_rng(0)
    frame = pd.DataFrame({"remark": texts, "age": numbers.random(80), "label": labels})
    frame.to_csv(tmp_path / "r.csv", index=False)
    assert opened(tmp_path / "r.csv", target="label").task == "tabular-classification"
    data = opened(tmp_path / "r.csv", target="label", text="remark")
    assert (data.task, words_of(data, 3)) == ("text-classification", texts[3])
    assert data.notes[0]["en"] == "Columns not used beside the text 'remark': 'age'."


def test_long_texts_are_cut_and_counted(opened, tmp_path):
    as_csv(tmp_path / "r.csv")
    data = opened(tmp_path / "r.csv", length=8, tokenizer="char")
    assert data.inputs[0] == 8
    assert (data.x[:, -1] == END).all()
    assert words_of(data, 0) == "a fine"
    assert data.notes[-1]["en"] == (
        "Examples cut to 8 tokens: 80 of 80; --length keeps more of them."
    )
    assert data.notes[-1]["zh"] == "80 个样本中有 80 个被截断到 8 个词元；可用 --length 保留更多。"


def test_predicting_encodes_as_preparing_does(opened, tmp_path):
    as_csv(tmp_path / "r.csv")
    texts, _ = reviews()
    for kind in ("char", "bpe", "wordpiece", "unigram"):
        data = opened(tmp_path / "r.csv", tokenizer=kind)
        facts = json.loads(json.dumps(data.preprocessing))
        np.testing.assert_array_equal(encode_texts(texts, facts), data.x)


def test_windows_line_ends_are_made_plain_and_noted(opened, written):
    folder = None
    for at, (text, label) in enumerate(zip(*reviews(), strict=True)):
        folder = written(f"films/{label}/{at}.txt", f"{text}\r\nmore").parents[1]
    data = opened(folder, tokenizer="char")
    assert words_of(data, data.ids.index("good/0.txt")) == "a fine film one\nmore"
    assert data.notes[0]["en"] == "Windows line ends were read as plain ones."


# running text


def test_running_text_is_cut_into_blocks_that_tell_the_next_token(opened, written):
    text = prose()
    data = opened(written("story.txt", b"\xef\xbb\xbf" + text.encode()))
    assert (data.task, data.classes, data.inputs[0]) == ("language-modeling", (), 128)
    assert data.outputs == data.inputs[1] == data.preprocessing["vocabulary"]
    assert data.x.shape == data.y.shape
    inner = data.x[:, 1:] != PAD
    np.testing.assert_array_equal(data.x[:, 1:][inner], data.y[:, :-1][inner])
    assert ((data.y == NOT_SCORED) == (data.x == PAD)).all()
    parts = [getattr(data, part) for part in PARTS]
    assert np.concatenate(parts).tolist() == list(range(len(data.x)))  # one stretch after the other
    tokenizer = open_tokenizer(data.preprocessing["tokenizer"])
    found = ["".join(tokenizer.decode(data.x[at]) for at in part) for part in parts]
    last = [row[row >= 0][-1:] for row in data.y[[part[-1] for part in parts]]]
    ends = [tokenizer.decode(token) for token in last]
    assert (ends, last[2].tolist()) == (["\n", "\n", ""], [END])
    assert "".join(stretch + end for stretch, end in zip(found, ends, strict=True)) == text
    assert [round(len(stretch) / len(text), 1) for stretch in found] == [0.8, 0.1, 0.1]


def test_no_block_crosses_the_parts(opened, written):
    text = "a" * 4000 + "b" * 500 + "c" * 500  # no line end to cut at
    with_marks = opened(written("abc.txt", text), length=50)
    letters = with_marks.preprocessing["tokenizer"]["characters"]
    assert letters == "a"  # learnt from the first 80%
    for part, expected in zip(PARTS, (4000 // 50, 10, 10), strict=True):
        assert len(getattr(with_marks, part)) == pytest.approx(expected, abs=1)
    train, test = with_marks.x[with_marks.train], with_marks.x[with_marks.test]
    assert set(train.ravel()) <= {5, BEGIN, PAD}
    assert 5 not in test


def test_several_texts_are_divided_whole_and_copies_stay_together(opened, written):
    for at in range(20):
        folder = written(f"books/{at:02}.txt", f"{chr(0x61 + at)} " * 600).parent
        written(f"books/copy{at:02}.txt", f"{chr(0x61 + at)} " * 600)
    data = opened(folder, tokenizer="char", length=32)
    used = [set(np.unique(data.x[getattr(data, part)])) - {0, 1, 2, 3} for part in PARTS]
    assert not used[0] & used[1] - {5}  # 5 is the space; a letter of another part is unknown
    assert {"en", "zh"} == set(data.notes[0])
    assert data.notes[0]["en"] == "Divided by text: each of the 40 texts is in one part, by chance."


def test_files_named_train_valid_and_test_are_the_parts(opened, written):
    for name in ("train", "valid", "test"):
        folder = written(f"wiki/wiki.{name}.txt", f"{name} " * 900).parent
    data = opened(folder, tokenizer="bpe", vocabulary=300)
    assert "valid" in words_of(data, data.val[0])
    assert "test" in words_of(data, data.test[0])


def test_json_lines_with_a_text_alone_are_running_text(opened, written):
    rows = [json.dumps({"text": f"{prose(30)} {at}"}) for at in range(12)]
    data = opened(written("news.jsonl", "\n".join(rows)))
    assert data.task == "language-modeling"
    assert data.notes[0]["zh"] == "按篇划分：共 12 篇，每篇随机归入一个部分。"


def test_masked_models_are_asked_for_the_tokens_themselves(opened, written):
    data = opened(written("s.txt", prose()), task="masked-language-modeling", vocabulary=300)
    assert (data.x[:, 0] == BEGIN).all()
    scored = data.y != NOT_SCORED
    np.testing.assert_array_equal(scored, data.x > END)
    np.testing.assert_array_equal(data.x[scored], data.y[scored])


def test_short_running_text_gets_shorter_blocks(opened, written):
    data = opened(written("s.txt", prose(20)))
    assert 8 <= data.inputs[0] < 128
    assert len(data.train) >= 12


def test_chinese_is_read_by_characters_and_known_as_chinese(opened, written):
    data = opened(written("s.txt", "天地玄黄，宇宙洪荒。\n日月盈昃，辰宿列张。\n" * 60), length=16)
    assert data.preprocessing["tokenizer"]["kind"] == "char"
    assert data.preprocessing["language"] == "zh"
    assert data.notes[-1]["zh"].startswith("文本按单个字符读取，词表共 ")


# pairs


def numbers_in_words(count=60):
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    return [(" ".join(words[int(d)] for d in str(n)), str(n)) for n in range(10, 10 + count)]


@pytest.mark.parametrize("header", [False, True])
def test_two_columns_without_a_target_are_pairs(opened, written, header):
    rows = numbers_in_words()
    lines = [("source", "target")] * header + rows
    data = opened(written("n.tsv", "".join(f"{a}\t{b}\n" for a, b in lines)))
    assert (data.task, len(data.x), data.classes) == ("text-to-text", 60, ())
    assert data.inputs == (data.x.shape[1], data.preprocessing["vocabulary"])
    tokenizer = open_tokenizer(data.preprocessing["tokenizer"])
    assert [(tokenizer.decode(x), tokenizer.decode(y)) for x, y in zip(data.x, data.y)] == rows  # noqa: B905
    for side in (data.x, data.y):
        assert ((side == END).sum(axis=1) == 1).all()
    assert (data.y[:, 2] == END).all()  # all are of two digits
    assert data.y.dtype == np.int32
    np.testing.assert_array_equal(encode_texts([a for a, _ in rows], data.preprocessing), data.x)


def test_a_network_of_pairs_is_built_for_the_longer_side(opened, written):
    data = opened(written("n.tsv", "".join(f"{b}\t{a}\n" for a, b in numbers_in_words())))
    assert data.y.shape[1] > data.x.shape[1]
    assert data.inputs == (data.y.shape[1], data.preprocessing["vocabulary"])


@pytest.mark.parametrize("keys", [("source", "target"), ("src", "tgt"), ("input", "output")])
def test_pairs_in_json_lines_are_recognised_by_their_keys(opened, written, keys):
    rows = [json.dumps(dict(zip(keys, pair, strict=True))) for pair in numbers_in_words()]
    data = opened(written("n.jsonl", "\n".join(rows)))
    assert (data.task, data.ids[4]) == ("text-to-text", "line 5")
    assert words_of(data, 4) == "one four"


def test_two_columns_of_which_one_is_of_few_labels_are_no_pairs(opened, written):
    lines = "".join(f"{text}\t{label}\n" for text, label in zip(*reviews(), strict=True))
    with pytest.raises(BadArgumentError) as caught:
        opened(written("r.tsv", lines))
    assert str(caught.value).startswith("`target` must name the column to predict in ")
    assert opened(written("r.tsv", lines), task="text-to-text").task == "text-to-text"


def test_a_table_of_source_and_target_is_pairs(opened, tmp_path):
    frame = pd.DataFrame(numbers_in_words(), columns=["source", "target"])
    frame.to_csv(tmp_path / "n.csv", index=False)
    data = opened(tmp_path / "n.csv")
    assert (data.task, words_of(data, 0), data.ids[0]) == ("text-to-text", "one zero", "row 1")
    frame.columns = ["words", "digits"]
    frame.to_parquet(tmp_path / "n.parquet")
    chosen = opened(tmp_path / "n.parquet", task="text-to-text", text="words", target="digits")
    np.testing.assert_array_equal(chosen.x, data.x)


def test_a_table_of_texts_alone_is_running_text_where_asked(opened, tmp_path):
    texts = [f"{prose(30)} {at}" for at in range(12)]
    pd.DataFrame({"text": texts}).to_parquet(tmp_path / "n.parquet")
    data = opened(tmp_path / "n.parquet", task="language-modeling")
    assert data.notes[0]["en"] == "Divided by text: each of the 12 texts is in one part, by chance."


def test_equal_sources_stay_in_one_part(opened, written):
    rows = [(source, f"{answer}{more}") for more in "ab" for source, answer in numbers_in_words()]
    data = opened(written("n.tsv", "".join(f"{a}\t{b}\n" for a, b in rows)))
    for part in PARTS:
        chosen = set(getattr(data, part).tolist())
        assert {(at + 60) % 120 for at in chosen} == chosen


# tagged words

CONLL = "".join(
    f"-DOCSTART- -X- O\n\nAnna NNP B-PER\nKöhler{at} NNP I-PER\nsaw VBD O\nParis NNP B-LOC\n"
    ". . O\n\n"
    for at in range(30)
)


@pytest.mark.parametrize("ending", ["conll", "iob", "bio"])
def test_the_last_column_is_the_tag_of_the_word(opened, written, ending):
    data = opened(written(f"news.{ending}", CONLL), vocabulary=300)
    assert (data.task, data.classes) == ("token-classification", ("B-LOC", "B-PER", "I-PER", "O"))
    assert len(data.x) == 30
    assert data.ids[1] == "line 11"
    scored = data.y != NOT_SCORED
    assert (scored.sum(axis=1) == 5).all()  # one label for each word, at its first token
    assert [data.classes[at] for at in data.y[3][scored[3]]] == [
        "B-PER",
        "I-PER",
        "O",
        "B-LOC",
        "O",
    ]
    x, places = encode_words([["Anna", "Köhler3", "saw", "Paris", "."]], data.preprocessing)
    np.testing.assert_array_equal(x[0], data.x[3])
    np.testing.assert_array_equal(places[0], np.flatnonzero(scored[3]))
    tokenizer = open_tokenizer(data.preprocessing["tokenizer"])
    starts = [*places[0].tolist(), int(np.argmax(x[0] == END))]
    spans = [tokenizer.decode(x[0][a:b]) for a, b in zip(starts, starts[1:], strict=False)]
    assert spans == ["Anna", "Köhler3", "saw", "Paris", "."]


def test_words_that_are_cut_off_have_no_place(opened, written):
    data = opened(written("news.conll", CONLL), tokenizer="char", length=10)
    x, places = encode_words([["Anna", "Köhler3", "saw"], ["a"]], data.preprocessing)
    assert x.shape == (2, 10)
    assert places.tolist() == [[1, 5, -1], [1, -1, -1]]
    assert ((data.y != NOT_SCORED).sum(axis=1) == 2).all()


def test_tokens_and_tags_in_json_lines_are_tagged_words(opened, written):
    rows = [{"tokens": ["Anna", f"k{at}"], "ner_tags": ["B", "O"]} for at in range(20)]
    data = opened(written("news.jsonl", "\n".join(map(json.dumps, rows))))
    assert (data.task, data.classes, len(data.x)) == ("token-classification", ("B", "O"), 20)


# options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"tokenizer": "bpee"},
            "`tokenizer` must be one of auto, char, bpe, wordpiece, unigram. Received 'bpee'. Did "
            "you mean 'bpe'?",
        ),
        (
            {"tokenizer": "bpe", "vocabulary": 100},
            "`vocabulary` must be in [261, 1,048,576] for tokenizer='bpe'. Received 100; choose "
            "another.",
        ),
        ({"length": 4}, "`length` must be in [8, 65,536] tokens. Received 4; choose another."),
        (
            {"target": "label"},
            "`target` names a column. '{path}' is running text, which has none; leave it out.",
        ),
        (
            {"task": "text-classification"},
            "Running text is for language-modeling or masked-language-modeling. Received "
            "task='text-classification' for {path}; a label for each text needs a table, JSON "
            "lines or a folder for each class.",
        ),
        (
            {"horizon": 3},
            "`horizon` is for time series. Received horizon=3 for '{path}', which is read as "
            "something else; leave it out.",
        ),
    ],
)
def test_an_option_that_does_not_fit_is_refused(opened, written, options, message):
    path = written("s.txt", prose(20))
    with pytest.raises(BadArgumentError) as caught:
        opened(path, **options)
    assert str(caught.value) == message.replace("{path}", str(path))


def test_what_is_chosen_makes_other_data(tmp_path, store):
    as_csv(tmp_path / "r.csv")
    first, second = (load(tmp_path / "r.csv", folder=store, length=n) for n in (8, 9))
    assert (first.inputs[0], second.inputs[0]) == (8, 9)
    assert first.content_hash != second.content_hash
