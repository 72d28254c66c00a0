"""Vectors of words and documents: each step is its formula, compiled and in batches."""

import math
from pathlib import Path

import numpy as np
import pytest
from parts import part

from assay.embeddings import glove as glove_module
from assay.embeddings import training
from assay.embeddings.compiled import library
from assay.embeddings.glove import Counts, count_pairs
from assay.embeddings.training import Settings, Tables
from assay.embeddings.vocabulary import alias_table, corpus_of, huffman, keep_chances, read
from assay.embeddings.windows import NONE, Examples, Step, Stretch, contexts, thin
from assay.errors import BadArgumentError, DataError, MissingPathError, UnknownNameError

COUNTS = np.array([9, 7, 5, 3, 2])
WORDS = [["the", "cat", "sat", "on", "the", "mat"], ["the", "dog", "sat", "on", "a", "log"]] * 40


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "batches":
        monkeypatch.setattr(training, "library", lambda: None)
        monkeypatch.setattr(glove_module, "library", lambda: None)
    else:
        assert library() is not None, "this machine has no C compiler"
    return request.param


both_ways = pytest.mark.parametrize("way", ["compiled", "batches"], indirect=True)


def test_loading_the_compiled_loops_leaves_the_arithmetic_of_the_process_alone():
    assert library() is not None, "this machine has no C compiler"
    assert (np.full(8, 1e-40, np.float32) * np.float32(0.5) > 0).all()


class Always(np.random.Generator):
    """Draws the largest reach, so that a window is always whole."""

    def integers(self, low, high, size):
        return np.full(size, high - 1)


def whole_windows(
    tokens: list[int], sentences: list[int], window: int
) -> tuple[Stretch, np.ndarray]:
    stretch = Stretch(np.array(tokens, np.int32), np.array(sentences))
    return stretch, contexts(stretch, window, Always(np.random.PCG64(0)))


def test_cbow_takes_the_words_on_both_sides_within_the_sentence():
    stretch, around = whole_windows([5, 6, 7, 8, 9], [0, 0, 0, 1, 2], 2)
    inputs, targets = part("cbow")(stretch, around)
    assert targets.tolist() == [5, 6, 7]  # 8 and 9 stand alone
    assert inputs.tolist() == [[NONE, NONE, 6, 7], [NONE, 5, 7, NONE], [5, 6, NONE, NONE]]


def test_skip_gram_pairs_each_word_with_each_word_around_it():
    stretch, around = whole_windows([5, 6, 7, 8], [0, 0, 0, 1], 1)
    inputs, targets = part("skip-gram")(stretch, around)
    assert list(zip(inputs[:, 0].tolist(), targets.tolist(), strict=True)) == [
        (6, 5), (5, 6), (7, 6), (6, 7),
    ]  # fmt: skip


def test_near_words_are_seen_more_often():
    stretch = Stretch(np.arange(4000, dtype=np.int32), np.zeros(4000, np.int64))
    around = contexts(stretch, 4, np.random.default_rng(0))
    shares = (around[10:-10] != NONE).mean(axis=0)  # from 4 words before to 4 words after
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25], atol=0.03)


def some_tables(**settings: int) -> Tables:
    tables = Tables(COUNTS, Settings(vector_size=3, **settings), documents=1)
    rng = np.random.default_rng(1)
    for table in (tables.vectors, tables.told_from, tables.told_by):
        table[:] = rng.normal(size=table.shape)
    return tables


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@both_ways
@pytest.mark.parametrize("given", [[2], [0, 1, 3], [0, NONE, 5]])
def test_word2vec_by_the_tree_goes_one_step_along_its_gradient(way: str, given: list[int]):
    assert part("word2vec").__name__ == "Word2Vec"
    tables = some_tables(hs=1, negative=0)
    vectors, outputs = tables.vectors.astype(float), tables.told_by.astype(float)
    rows = [row for row in given if row != NONE]
    hidden = vectors[rows].mean(0)
    change = np.zeros(3)
    begin, end = tables.tree.starts[4:6]
    for node, turn in zip(tables.tree.nodes[begin:end], tables.tree.turns[begin:end], strict=True):
        step = 0.1 * (1 - turn - sigmoid(hidden @ outputs[node]))
        change += step * outputs[node]
        outputs[node] += step * hidden
    vectors[rows] += change
    examples = Examples(np.array([given], np.int32), np.array([4], np.int32))
    tables.learn(examples, Step(0.1), np.random.default_rng(0))
    np.testing.assert_allclose(tables.vectors, vectors, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tables.told_by, outputs, rtol=1e-5, atol=1e-6)


@both_ways
def test_word2vec_draws_noise_by_counts_to_the_power_of_three_quarters(way: str):
    assert part("word2vec")
    tables = some_tables()
    tables.vectors[0], tables.told_from[:] = (1, 0, 0), 0
    number = 4000
    examples = Examples(np.zeros((number, 1), np.int32), np.zeros(number, np.int32))
    tables.learn(examples, Step(1e-4, frozen=6), np.random.default_rng(0))
    pulled = tables.told_from[:, 0] / 1e-4  # about ±1/2 for each time that a row was scored
    expected = COUNTS**0.75 / (COUNTS**0.75).sum() * 5 * number * -0.5
    np.testing.assert_allclose(pulled[1:], expected[1:], rtol=0.1)
    assert pulled[0] == pytest.approx(number / 2, rel=0.05)  # as a target, never as its own noise


@both_ways
def test_doc2vec_freezes_what_it_is_told_to_freeze(way: str):
    assert part("doc2vec").__name__ == "Doc2Vec"
    tables = some_tables()
    before = tables.vectors.copy(), tables.told_from.copy()
    examples = Examples(np.array([[0, 5]], np.int32), np.array([1], np.int32))
    tables.learn(examples, Step(0.5, 5, learn_outputs=False), np.random.default_rng(0))
    np.testing.assert_array_equal(tables.vectors[:5], before[0][:5])
    np.testing.assert_array_equal(tables.told_from, before[1])
    assert (tables.vectors[5] != before[0][5]).all()


@both_ways
def test_glove_goes_one_step_of_adagrad_along_its_gradient(way: str):
    assert part("glove").__name__ == "GloVe"
    rng = np.random.default_rng(0)
    tables = tuple(rng.normal(size=(4, 6)).astype(np.float32) for _ in range(2))
    past = tuple(rng.uniform(1, 2, (4, 6)).astype(np.float32) for _ in range(2))
    words, contexts_, pw, pc = (t.astype(float) for t in (*tables, *past))
    error = words[1, :5] @ contexts_[2, :5] + words[1, 5] + contexts_[2, 5] - math.log(7)
    to_word, to_context = (0.3 * error * np.append(t[:5], 1) for t in (contexts_[2], words[1]))
    words[1] -= 0.05 * to_word / np.sqrt(pw[1])
    contexts_[2] -= 0.05 * to_context / np.sqrt(pc[2])
    pw[1] += to_word**2
    pc[2] += to_context**2
    entry = ([1], np.int32), ([2], np.int32), ([math.log(7)], np.float32), ([0.3], np.float32)
    first, second, logs, weights = (np.array(*pair) for pair in entry)
    loss = glove_module._learn(tables, past, (first, second), logs, weights, 0.05)
    assert loss == pytest.approx(0.5 * 0.3 * error**2, rel=1e-5)
    for ours, theirs in zip((*tables, *past), (words, contexts_, pw, pc), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_glove_counts_pairs_by_one_over_their_distance(monkeypatch: pytest.MonkeyPatch):
    assert part("glove")
    rows = [[0, 1, 0, 2], [1], [], [2, 2, 1]]
    expected = np.zeros((3, 3))
    for row in rows:
        for i, a in enumerate(row):
            for j, b in enumerate(row):
                if i != j and abs(i - j) <= 2:
                    expected[a, b] += 1 / abs(i - j)
    whole = count_pairs(corpus_of(rows), 3, 2)
    monkeypatch.setattr(glove_module, "PIECE", 2)
    for counts in (whole, count_pairs(corpus_of(rows), 3, 2)):
        found = np.zeros((3, 3))
        np.add.at(found, (counts.first, counts.second), counts.often)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_glove_fits_counts_that_vectors_can_have():
    assert part("glove")
    rng = np.random.default_rng(0)
    v = rng.normal(size=(8, 3))
    logs = v @ v.T + 3
    first, second = (part_.ravel().astype(np.int32) for part_ in np.indices(logs.shape))
    counts = Counts(first, second, np.exp(logs).ravel().astype(np.float32))
    settings = glove_module.Settings(vector_size=6, epochs=600)
    _, losses = glove_module.learned(counts, 8, settings)
    assert losses[-1] < 1e-3 * losses[0]


def test_draws_by_the_alias_method_follow_the_weights():
    weights = np.array([0.1, 5, 1, 3, 0.9])
    keep, other = alias_table(weights)
    shares = keep.astype(float)
    np.add.at(shares, other, 1 - keep.astype(float))
    np.testing.assert_allclose(shares / 5, weights / weights.sum(), rtol=1e-6)


def test_the_tree_is_as_short_as_huffman_proved_and_tells_all_words_apart():
    tree = huffman(np.array([45, 13, 12, 16, 9, 5]))
    lengths = np.diff(tree.starts)
    assert lengths.tolist() == [1, 3, 3, 3, 4, 4]  # Cormen et al., figure 16.3
    ways = [
        tuple(zip(tree.nodes[a:b], tree.turns[a:b], strict=True))
        for a, b in zip(tree.starts[:-1], tree.starts[1:], strict=True)
    ]
    assert len(set(ways)) == 6
    assert {way[0][0] for way in ways} == {4}  # the root is the last inner node


def test_frequent_words_are_thinned_and_sentences_close_up():
    chances = keep_chances(np.array([900_000, 99_000, 1000]), 1e-3)
    assert chances[2] == 1
    np.testing.assert_allclose(chances[0], (math.sqrt(900) + 1) / 900, rtol=1e-5)
    stretch = Stretch(np.zeros(20_000, np.int32), np.arange(20_000) // 10)
    kept = thin(stretch, chances, np.random.default_rng(0))
    assert len(kept.tokens) / 20_000 == pytest.approx(chances[0], abs=0.004)
    assert len(kept.sentences) == len(kept.tokens)


def test_reading_ranks_words_and_leaves_rare_ones_out():
    vocabulary, corpus = read([["b", "a", "b"], [], ["rare"], ["a", "b", "x", "x"]], 2)
    assert vocabulary.words == ("b", "x", "a")  # of equals the newest first, as in gensim
    assert vocabulary.counts.tolist() == [3, 2, 2]
    assert corpus.tokens.tolist() == [0, 2, 0, 2, 0, 1, 1]
    assert corpus.starts.tolist() == [0, 3, 3, 3, 7]


def test_the_same_seed_gives_the_same_vectors_and_another_one_others():
    first, second, other = (
        part("word2vec")(WORDS, vector_size=8, min_count=1, seed=seed).wv.vectors
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("name", ["word2vec", "doc2vec", "glove"])
def test_vectors_come_back_from_a_folder(name: str, tmp_path: Path):
    kind = part(name)
    model = kind(WORDS, vector_size=8, min_count=2, epochs=2)
    model.save(tmp_path / "kept")
    back = kind.load(tmp_path / "kept")
    assert {file.name for file in (tmp_path / "kept").iterdir()} == {
        "vectors.json",
        "vectors.safetensors",
    }
    assert back.wv.words == model.wv.words
    assert back.settings == model.settings
    np.testing.assert_array_equal(back.wv.vectors, model.wv.vectors)
    assert back.wv.most_similar("cat", 3) == model.wv.most_similar("cat", 3)
    if name == "doc2vec":
        np.testing.assert_array_equal(back.infer_vector(WORDS[0]), model.infer_vector(WORDS[0]))


def test_what_is_no_folder_of_vectors_is_refused(tmp_path: Path):
    with pytest.raises(MissingPathError) as missing:
        part("word2vec").load(tmp_path)
    assert str(missing.value) == (
        "Saved vectors are a folder with vectors.safetensors and vectors.json. Received "
        f"{tmp_path}, which has no vectors.safetensors; give the folder that `save` wrote."
    )
    part("glove")(WORDS, vector_size=4, epochs=1).save(tmp_path)
    with pytest.raises(DataError) as other:
        part("word2vec").load(tmp_path)
    assert str(other.value) == (
        f"{tmp_path} must hold word2vec. Received glove; load it as what it is."
    )
    (tmp_path / "vectors.json").write_text("{", "utf-8")
    with pytest.raises(DataError, match="are damaged: .*; train and save them again"):
        part("glove").load(tmp_path)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"sg": 2}, "`sg` must be 0 for CBOW or 1 for skip-gram. Received sg=2; the default is 0."),
        ({"window": 0}, "`window` must be at least 1. Received window=0; the default is 5."),
        (
            {"negative": 200},
            "`hs` must be 0 or 1, and `negative` 0 to 127. Received hs=0, negative=200; the "
            "defaults are hs=0, negative=5.",
        ),
        (
            {"negative": 0},
            "Words are told by a tree or from noise. Received hs=0, negative=0, which is neither; "
            "set hs=1, or negative=5.",
        ),
    ],
)
def test_settings_that_cannot_be_are_named(given: dict[str, int], told: str):
    with pytest.raises(BadArgumentError) as caught:
        part("word2vec")(WORDS, **given)
    assert str(caught.value) == told


def test_text_that_cannot_be_learned_from_is_named():
    with pytest.raises(DataError) as rare:
        part("word2vec")([["a", "b"], ["a"]], min_count=3)
    assert str(rare.value) == (
        "Word vectors need words that occur at least min_count=3 times. Received 3 words, 2 of "
        "them different, and none that often; give more text or a lower min_count."
    )
    with pytest.raises(DataError, match="Received 0 words, 0 of them different"):
        part("glove")([])
    with pytest.raises(BadArgumentError) as string:
        part("doc2vec")(["a cat"])
    assert str(string.value) == (
        "`sentences` must be lists of words. Received a string, 'a cat', whose letters would be "
        "the words; cut it first."
    )


def test_words_without_a_vector_are_named():
    model = part("word2vec")(WORDS, vector_size=4, min_count=1, epochs=1)
    assert "cat" in model.wv
    assert "cats" not in model.wv
    with pytest.raises(UnknownNameError) as caught:
        model.similarity("cat", "cats")
    assert str(caught.value) == (
        "'cats' has no vector. Did you mean 'cat'? Of the text's words only these 8 occur often "
        "enough; train with a lower min_count."
    )


def test_sentences_of_one_word_teach_nothing_and_break_nothing():
    model = part("word2vec")([["a"], [], ["b"], ["a"]], min_count=1, epochs=2)
    start = Tables(model.vocabulary.counts, model.settings).vectors
    np.testing.assert_array_equal(model.wv.vectors, start)
