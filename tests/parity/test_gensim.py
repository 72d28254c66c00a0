"""Word and document vectors beside gensim's, on the corpus that gensim's tests use."""

from functools import cache
from pathlib import Path
from typing import Any

import gensim
import numpy as np
import pytest
from gensim.models import doc2vec as gensim_doc2vec
from gensim.models import word2vec as gensim_word2vec
from gensim.utils import simple_preprocess

from assay.embeddings import training
from assay.embeddings.doc2vec import Doc2Vec
from assay.embeddings.glove import GloVe
from assay.embeddings.similarity import Neighbours
from assay.embeddings.vocabulary import huffman, keep_chances, read
from assay.embeddings.word2vec import Word2Vec
from assay.errors import BadArgumentError, MissingExtraError

LEE = Path(gensim.__file__).parent / "test/test_data/lee_background.cor"  # 300 news texts


@cache
def texts() -> list[list[str]]:
    return [simple_preprocess(line) for line in LEE.read_text("utf-8").splitlines()]


def cosines(rows: np.ndarray) -> np.ndarray:
    """Return the similarity of each pair of rows, as one vector."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(rows), 1)]


def agreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.corrcoef(cosines(ours), cosines(theirs))[0, 1])


def shared_neighbours(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return which share of the ten nearest rows is the same, in the mean."""
    near = []
    for rows in (ours, theirs):
        found, _ = Neighbours(rows).search(rows, 11)
        near.append([set(row[1:]) for row in found.tolist()])
    return float(np.mean([len(a & b) / 10 for a, b in zip(*near, strict=True)]))


@pytest.mark.parametrize(
    ("sg", "hs", "workers"),
    [(0, 0, 1), (0, 1, 1), (1, 0, 2), (1, 1, 2)],
    ids=["cbow", "cbow-tree", "skip-gram", "skip-gram-tree"],
)
def test_word2vec_agrees_with_gensim_as_gensim_does_with_itself(sg: int, hs: int, workers: int):
    same: dict[str, Any] = {
        "sg": sg, "hs": hs, "negative": 0 if hs else 5, "epochs": 6, "min_count": 20,
        "vector_size": 50,
    }  # fmt: skip
    theirs, again = (
        gensim_word2vec.Word2Vec(texts(), **same, seed=seed, workers=1) for seed in (1, 2)
    )
    ours = Word2Vec(texts(), **same, workers=workers)
    assert list(ours.wv.words) == theirs.wv.index_to_key
    a, b, c = ours.wv.vectors, theirs.wv.vectors, again.wv.vectors
    assert agreement(a, b) > agreement(b, c) - 0.05
    assert shared_neighbours(a, b) > shared_neighbours(b, c) - 0.05


def test_the_tree_is_gensims():
    theirs = gensim_word2vec.Word2Vec(texts(), hs=1, negative=0, epochs=1, vector_size=2)
    vocabulary, _ = read(texts(), 5)
    assert len(set(vocabulary.counts)) < len(vocabulary) / 10  # so most words share their count
    tree = huffman(vocabulary.counts)
    for word, begin, end in zip(vocabulary.words, tree.starts[:-1], tree.starts[1:], strict=True):
        turns, nodes = (theirs.wv.get_vecattr(word, what) for what in ("code", "point"))
        assert tree.turns[begin:end].tolist() == list(turns)
        assert tree.nodes[begin:end].tolist() == list(nodes[: len(turns)])


@pytest.mark.parametrize("dm", [0, 1])
def test_doc2vec_agrees_with_gensim_as_gensim_does_with_itself(dm: int):
    same: dict[str, Any] = {"dm": dm, "vector_size": 30, "min_count": 5, "epochs": 8, "workers": 1}
    ours = Doc2Vec(texts(), **same)
    tagged = [gensim_doc2vec.TaggedDocument(text, [i]) for i, text in enumerate(texts())]
    theirs, again = (gensim_doc2vec.Doc2Vec(tagged, **same, seed=seed) for seed in (1, 2))
    a, b, c = ours.dv, theirs.dv.vectors, again.dv.vectors
    assert agreement(a, b) > agreement(b, c) - 0.03


def test_a_known_document_is_nearest_to_itself():
    model = Doc2Vec(texts(), dm=0, vector_size=30, min_count=5, epochs=20)
    first = [model.most_similar(model.infer_vector(texts()[i]), 1)[0][0] for i in range(30)]
    assert np.mean(np.array(first) == np.arange(30)) > 0.8


def test_words_are_thinned_as_in_gensim():
    model = gensim_word2vec.Word2Vec(texts(), min_count=5, epochs=1, vector_size=2)
    counts = np.array([model.wv.get_vecattr(w, "count") for w in model.wv.index_to_key])
    chances = [model.wv.get_vecattr(w, "sample_int") / 2**32 for w in model.wv.index_to_key]
    np.testing.assert_allclose(keep_chances(counts, 1e-3), chances, rtol=1e-5)


def test_batches_learn_what_the_compiled_loop_learns(monkeypatch: pytest.MonkeyPatch):
    same: dict[str, Any] = {"vector_size": 30, "min_count": 40, "epochs": 4}
    compiled = Word2Vec(texts(), **same)
    monkeypatch.setattr(training, "library", lambda: None)
    batches = Word2Vec(texts(), **same)
    assert agreement(compiled.wv.vectors, batches.wv.vectors) > 0.95


def test_glove_finds_what_word2vec_finds():
    same: dict[str, Any] = {"vector_size": 50, "min_count": 20}
    glove, word2vec = GloVe(texts(), **same), Word2Vec(texts(), **same, sg=1, epochs=10)
    assert glove.losses[-1] < 0.5 * glove.losses[0]
    centred = glove.wv.vectors - glove.wv.vectors.mean(0)
    chance = 10 / len(glove.wv)
    assert shared_neighbours(centred, word2vec.wv.vectors) > 3 * chance


def test_approximate_search_finds_nearly_all_of_the_nearest():
    rows = np.random.default_rng(0).normal(size=(2000, 16))
    exact, _ = Neighbours(rows).search(rows[:50], 10)
    approximate, _ = Neighbours(rows, approximate=True).search(rows[:50], 10)
    found = [len(set(a) & set(b)) / 10 for a, b in zip(exact, approximate, strict=True)]
    assert np.mean(found) > 0.95


def test_exact_search_is_the_order_of_cosines():
    rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    expected = np.sort(unit @ unit[3])[::-1][:5]
    found, cosine = Neighbours(rows).search(rows[3:4] * 7, 5)
    assert found[0, 0] == 3
    np.testing.assert_allclose(cosine[0], expected, rtol=1e-4)


def test_search_names_what_it_cannot_use(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(BadArgumentError) as shape:
        Neighbours(np.zeros(4))
    assert str(shape.value) == (
        "Vectors to be searched must be rows of finite numbers, (n, d). Received an array of shape "
        "(4,); give one row per vector."
    )
    with pytest.raises(BadArgumentError) as topn:
        Neighbours(np.eye(4)).search(np.eye(4), 0)
    assert str(topn.value) == "`topn` must be at least 1. Received topn=0; the default is 10."
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(MissingExtraError) as missing:
        Neighbours(np.eye(4))
    assert str(missing.value) == (
        "The search for near vectors needs faiss, which is not installed: "
        "pip install 'assay[search]'."
    )
