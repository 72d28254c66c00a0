"""Tokenizers: round trips, the five marks, and that JSON is all that they are."""

import json
import subprocess
import sys

import numpy as np
import pytest

from assay.data.ragged import Ragged
from assay.data.tokenizer import KINDS, SPECIAL, open_tokenizer, train_tokenizer
from assay.data.tokens import BEGIN, END, MASK, PAD, STRINGS, UNKNOWN
from assay.errors import DataError, MissingExtraError

TEXTS = [
    "The quick brown fox jumps over the lazy dog.\n",
    "    return self.quick  # the  <s> fox </s>\n\n\tdone\n",
    "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。\n",
    "naïve café — 😀 e\u0301 \u200d \ufeff mixed 中文 text\r\n",
] * 5
HARD = ["<pad> <unk> <s> </s> <mask> 😀𝒳 \u00a0 tab\t end  ", "\ud7ff\ue000\U0010ffff", " "]


def again(tokenizer):
    return open_tokenizer(json.loads(json.dumps(tokenizer.facts())))


@pytest.fixture(scope="module")
def learnt():
    return {kind: train_tokenizer(kind, TEXTS, vocabulary=400) for kind in KINDS}


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_what_was_learnt_comes_back_as_it_was(learnt, kind):
    tokenizer = again(learnt[kind])
    found = tokenizer.encode(TEXTS)
    assert tokenizer.decode(found.ids) == "".join(TEXTS)
    assert found.ids.min() >= SPECIAL  # nothing unknown, and no text makes a mark
    assert tokenizer.decode(found.taken(np.array([2])).ids) == TEXTS[2]


def test_byte_level_bpe_gives_back_text_it_never_saw(learnt):
    tokenizer = again(learnt["bpe"])
    for text in HARD:
        ids = tokenizer.encode([text]).ids
        assert tokenizer.decode(ids) == text
        assert ids.min() >= SPECIAL


def test_lines_one_by_one_give_the_ids_of_the_whole(learnt):
    text = "".join(TEXTS)
    for kind in ("char", "bpe"):
        whole = learnt[kind].encode([text]).ids
        np.testing.assert_array_equal(whole, learnt[kind].encode(text.splitlines(True)).ids)


@pytest.mark.parametrize("kind", ["char", "wordpiece", "unigram"])
def test_what_is_unknown_is_shown_as_such_and_other_marks_are_left_out(learnt, kind):
    tokenizer = again(learnt[kind])
    ids = tokenizer.encode(["the 龘 fox"]).ids
    assert (ids == UNKNOWN).sum() == 1
    marked = [BEGIN, *ids.tolist(), END, MASK, PAD, PAD]
    assert tokenizer.decode(marked).replace(" ", "") == "the<unk>fox"


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_parts_of_words_come_back_but_for_white_space(learnt, kind):
    tokenizer = again(learnt[kind])
    text = "The quick brown fox 天地玄黄，宇宙洪荒"
    assert tokenizer.decode(tokenizer.encode([text]).ids).split() or kind
    bare = "".join(tokenizer.decode(tokenizer.encode([text]).ids).split())
    assert bare == "".join(text.split())


@pytest.mark.parametrize("kind", KINDS)
def test_the_five_marks_come_first_and_no_text_makes_them(learnt, kind):
    tokenizer = learnt[kind]
    assert SPECIAL == len(STRINGS) == 5
    for name in STRINGS:
        assert set(tokenizer.encode([name]).ids.tolist()) & {PAD, BEGIN, END, MASK} == set()
    assert tokenizer.vocabulary <= 400
    assert tokenizer.encode(TEXTS).ids.max() < tokenizer.vocabulary


def test_text_that_writes_the_inside_of_a_word_is_text(learnt):
    tokenizer = learnt["wordpiece"]
    apart = tokenizer.encode(["# # t"]).ids
    np.testing.assert_array_equal(tokenizer.encode(["##t"]).ids, apart)
    assert UNKNOWN not in apart


def test_the_most_frequent_characters_are_kept():
    tokenizer = train_tokenizer("char", ["aaabbc"], vocabulary=SPECIAL + 2)
    assert tokenizer.facts() == {"kind": "char", "characters": "ab"}
    assert tokenizer.encode(["abc"]).ids.tolist() == [5, 6, UNKNOWN]


def test_another_process_learns_the_same():
    code = (
        "import sys, json; sys.path.insert(0, 'tests/data')\n"
        "from assay.data.tokenizer import KINDS, train_tokenizer\n"
        "texts = [f'line {n * n} of 天地{chr(0x4e00 + n)} words' for n in range(300)]\n"
        "for kind in KINDS:\n"
        "    print(json.dumps(train_tokenizer(kind, texts, vocabulary=300).facts()))\n"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


def test_a_missing_library_is_named_and_characters_need_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert train_tokenizer("char", ["ab"], vocabulary=10).encode(["b"]).ids.tolist() == [6]
    with pytest.raises(MissingExtraError) as caught:
        train_tokenizer("bpe", ["ab"], vocabulary=300)
    assert str(caught.value) == (
        "A tokenizer of parts of words needs tokenizers, which is not installed: "
        "pip install 'assay[text]', or choose --tokenizer char."
    )


def test_what_is_no_tokenizer_is_refused():
    with pytest.raises(DataError) as caught:
        open_tokenizer({"kind": "pickle"})
    assert str(caught.value) == (
        "A tokenizer must be of char, bpe, wordpiece, unigram. Received 'pickle'; train the model "
        "again."
    )
    with pytest.raises(DataError) as caught:  # the reason is the library's
        open_tokenizer({"kind": "bpe", "json": {"model": 1}})
    before, _, after = str(caught.value).partition(" (")
    assert before == "A tokenizer cannot be read from its JSON"
    assert after.endswith("); train the model again.")


def test_ids_with_a_gap_are_refused(learnt):
    facts = learnt["bpe"].facts()
    facts["json"]["model"]["vocab"]["zebra"] = 900
    with pytest.raises(DataError) as caught:
        open_tokenizer(facts)
    assert str(caught.value) == (
        "The ids of a tokenizer must be 0, 1, 2 and so on. Some are missing or double; train the "
        "model again."
    )


def test_rows_are_cut_filled_and_marked():
    rows = Ragged.of([np.array([7, 8, 9]), np.array([], int), np.array([5])])
    assert rows.padded(4, begin=True, end=True).tolist() == [
        [BEGIN, 7, 8, END],
        [BEGIN, END, PAD, PAD],
        [BEGIN, 5, END, PAD],
    ]
    assert rows.padded(2, fill=-100).tolist() == [[7, 8], [-100, -100], [5, -100]]
    assert rows.taken(np.array([2, 0])).ids.tolist() == [5, 7, 8, 9]
