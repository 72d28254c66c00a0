"""Tokenisation as the canon has it: the library's answers, and those written out."""

import json
from collections import Counter

from parts import part

from assay.data.byte_pair import joined

TEXT = "low lower lowest new newer newest wide wider widest slow slower the theme other " * 3
WORDS = Counter((TEXT + "mother mothers brother nether bother whether 天地 天地玄黄 玄黄").split())


def test_byte_pair_encoding_finds_the_merges_of_the_library():
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=200, min_frequency=1, show_progress=False)
    library.train_from_iterator([" ".join(WORDS.elements())], trainer)
    learn = part("byte-pair-encoding")
    merges = learn(WORDS, 1000)
    theirs = json.loads(library.to_str())["model"]["merges"]
    assert merges == [tuple(pair) for pair in theirs]
    assert len(merges) > 30
    assert learn(WORDS, 5) == merges[:5]


def test_byte_pair_encoding_is_what_the_merges_make_of_a_word():
    merges = part("byte-pair-encoding")({"aaab": 3, "aab": 2, "b": 9}, 10)
    assert merges == [("a", "a"), ("a", "b"), ("aa", "ab"), ("aa", "b")]
    assert joined(list("aaaaa"), ("a", "a")) == ["aa", "aa", "a"]


def test_tokenization_gives_every_text_back_by_bytes():
    tokenizer = part("tokenization")("bpe", [TEXT], vocabulary=300)
    for text in (TEXT, "unseen 天地 <s> 😀\n\n  x"):
        ids = tokenizer.encode([text]).ids
        assert tokenizer.decode(ids) == text
        assert ids.min() >= 5
    assert len(tokenizer.encode([TEXT]).ids) < len(TEXT) / 2  # it learnt the words
