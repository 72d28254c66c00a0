"""Opponents that count tokens or repeat the past, against counts by hand and scikit-learn."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trials import make_spec

from assay.data.dataset import Dataset
from assay.data.tokenizer import open_tokenizer
from assay.data.windows import LEVELS
from assay.engine.classical import FAMILY, METHODS, sample
from assay.engine.classical_answers import fit_frequent_answer, fit_nearest_answer
from assay.engine.classical_bags import Bags
from assay.engine.classical_ngram import NGrams
from assay.engine.classical_text import (
    fit_between,
    fit_bigram,
    fit_frequent_tag,
    fit_majority_tag,
    fit_ngram,
    fit_tfidf,
    fit_unigram,
)
from assay.engine.classical_trial import run_classical
from assay.engine.outcome import OUTCOME, read_outcome
from assay.learners.masking import mask_by_example
from assay.metrics.text import count_texts
from assay.metrics.tokens import COLUMNS

WORDS = 7  # of the vocabulary
COUNT = 90


def texts(random: np.random.Generator) -> np.ndarray:
    """Return rows of 6 tokens, some shorter, where the next token depends on the one before."""
    x = np.zeros((COUNT, 6), np.int32)
    x[:, 0] = random.integers(3, WORDS, COUNT)
    for column in range(1, 6):
        free = random.random(COUNT) < 0.3
        follow = 3 + (x[:, column - 1] - 2) % (WORDS - 3)
        x[:, column] = np.where(free, random.integers(3, WORDS, COUNT), follow)
    x[::5, 4:] = 0
    return x


def made(task: str, folder: Path) -> Dataset:
    random = np.random.default_rng(0)
    x = texts(random)
    inputs, classes, y = (6, WORDS), ("O", "B-A", "I-A"), np.where(x == 0, -100, x % 3)
    tokenizer = {"kind": "char", "characters": "ab"}
    preprocessing: dict[str, object] = {"kind": "tokens", "tokenizer": tokenizer}
    if task == "language-modeling":
        after = np.concatenate([x[:, 1:], np.zeros((COUNT, 1), np.int32)], axis=1)
        classes, y = (), np.where(after == 0, -100, after)
    elif task == "masked-language-modeling":
        classes, y = (), np.where(x > 3, x, -100)
    elif task == "text-to-text":
        classes, y = (), np.concatenate([x[:, :2], np.full((COUNT, 1), 3)], axis=1)
    elif task == "text-classification":
        y = random.integers(2, size=COUNT)
        x[(x == 6) & (y[:, None] == 0)] = 3  # one of the classes never has a 6, the other no 3
        x[(x == 3) & (y[:, None] == 1)] = 6
        classes = ("without", "with")
    elif task == "forecasting":
        wave = np.tile([0.0, 3.0, -1.0], COUNT)[: COUNT + 8]
        windows = np.lib.stride_tricks.sliding_window_view(wave, 8)[:COUNT].astype(np.float32)
        x, y, inputs, classes = windows[:, :6, None], windows[:, 6:], (6, 1), ()
        np.save(folder / LEVELS, np.full(COUNT, 10.0, np.float32))
        series = {"std": [2.0], "naive": 1.0, "windows": COUNT}
        preprocessing = {"kind": "sequence", "season": 3, "steps": 6, "series": [series]}
        preprocessing |= {"mean": [0.0], "std": [1.0]}
    return Dataset(
        folder=folder,
        name=task,
        source="made up",
        task=task,
        inputs=inputs,
        classes=classes,
        preprocessing=preprocessing,
        content_hash="0" * 64,
        split_hash="1" * 64,
        split_seed=0,
        x=x,
        y=y.astype(np.int64 if task == "text-classification" else y.dtype),
        train=np.arange(60),
        val=np.arange(60, 75),
        test=np.arange(75, COUNT),
    )


def run(name: str, dataset: Dataset, folder: Path) -> dict[str, float]:
    spec = make_spec(f"baseline:{name}", dataset, evaluations=1, patience=None)
    spec = replace(spec, candidate=replace(spec.candidate, family=FAMILY), steps=60)
    record = run_classical(spec, dataset, folder)
    assert (record.status, record.reason) == ("finished", "")
    return dict(record.metrics)


def by_the_book(places: list[tuple[tuple[int, ...], int]]):
    """Return p(w | h) as the docstring of `classical_ngram` writes it, counted with Counters."""
    longest = len(places[0][0])
    counts = [Counter((*history, token) for history, token in places)]
    for _ in range(longest):
        counts.insert(0, Counter(gram[1:] for gram in counts[0]))

    def share(history: tuple[int, ...], token: int) -> float:
        table = counts[len(history)]
        once, twice = (sum(n == k for n in table.values()) for k in (1, 2))
        cut = (once + 0.5) / (once + 2 * twice + 1)
        mine = {gram[-1]: n for gram, n in table.items() if gram[:-1] == history}
        shorter = share(history[1:], token) if history else 1 / WORDS
        if not mine:
            return shorter
        total = sum(mine.values())
        return (max(mine.get(token, 0) - cut, 0) + cut * len(mine) * shorter) / total

    return share


@pytest.mark.parametrize("length", [1, 2, 3])
def test_kneser_ney_is_what_its_formula_says(length: int):
    x = texts(np.random.default_rng(1))[:, :5]
    tokens = x[:40, 4]
    histories = x[:40, 4 - length : 4]
    model = NGrams(histories, tokens, WORDS)
    share = by_the_book([(tuple(h), w) for h, w in zip(histories.tolist(), tokens, strict=True)])
    unseen = np.array([[1] * length, [*[1] * (length - 1), 3]])
    every = np.arange(WORDS)
    for history in np.concatenate([x[35:60, 4 - length : 4], unseen]):
        got, best = model(np.tile(history, (WORDS, 1)), every)
        expected = [share(tuple(history.tolist()), w) for w in range(WORDS)]
        np.testing.assert_allclose(got, expected)
        np.testing.assert_allclose(got.sum(), 1.0)
        np.testing.assert_allclose(got[best], max(expected))


def test_the_likeliest_token_may_be_one_that_never_followed():
    """3 follows twenty tokens, 6 follows 5 alone and once: after 5 a 3 is likelier."""
    x, y = np.array([[*range(10, 30), 5]]), np.array([[*[3] * 20, 6]])
    asked = np.arange(30)[None]
    nats, best = fit_bigram(x, y, 30)(np.full_like(asked, 5), asked)
    assert nats.argmin() == 3
    assert set(best[0].tolist()) == {3}


def test_the_likeliest_token_is_that_of_the_largest_share_after_rare_histories_too():
    random = np.random.default_rng(0)
    histories = random.integers(1, 30, size=(300, 3))
    histories[:, 2] = random.integers(1, 5, size=300)
    tokens = np.where(random.random(300) < 0.5, histories[:, 2], random.integers(1, 30, 300))
    model = NGrams(histories, tokens, 30)
    every = np.tile(np.arange(30), len(histories))
    shares, best = model(np.repeat(histories, 30, axis=0), every)
    shares, best = shares.reshape(-1, 30), best.reshape(-1, 30)[:, 0]
    np.testing.assert_allclose(shares[np.arange(300), best], shares.max(axis=1))
    assert (best != tokens).any()


def test_a_bigram_model_by_hand():
    """3 4 3 4: 3 is followed by 4 twice, 4 by 3 once; either has one token before it."""
    x, y = np.array([[3, 4, 3, 4]]), np.array([[4, 3, 4, -100]])
    asked = np.array([[4, 3, 3, 0, 4]])
    nats, best = fit_bigram(x, y, 5)(np.array([[3, 3, 4, 4, 1]]), asked)
    three = (1 - 2.5 / 3) / 2 + 2.5 / 3 / 5
    none, cut = 2.5 / 3 / 5, 1.5 / 4
    expected = [1 - cut / 2 + cut / 2 * three, cut / 2 * three, 1 - cut + cut * three]
    np.testing.assert_allclose(np.exp(-nats[0]), [*expected, cut * none, three])
    assert best.tolist() == [[4, 4, 3, 3, 3]]


def test_longer_histories_decide_where_shorter_cannot():
    """After 3 3 comes 4, after 4 3 comes 5: 3 alone does not tell."""
    x = np.tile([3, 3, 4, 3, 5], 20)[None]
    y = np.r_[x[0, 1:], 3][None]
    nats, best = fit_ngram(x, y, 6)(x, y)
    assert (best == y)[0, 2:].all()
    assert nats[0, 5:].max() < 0.4
    assert fit_bigram(x, y, 6)(x, y)[0].max() > 0.7


def test_the_longest_history_has_keys_of_63_bits():
    x = np.array([[59_999, 59_998, 59_999, 59_998]])
    y = np.array([[59_998, 59_999, 59_998, -100]])
    nats, best = fit_ngram(x, y, 60_000)(x, y)
    assert best[0, :3].tolist() == y[0, :3].tolist()
    assert (nats[0, :3] < 1.0).all()


def test_a_hidden_token_is_looked_up_between_its_neighbours():
    x = np.array([[2, 5, 6, 7, 2, 5, 8, 9, 3]])
    y = np.where(x > 3, x, -100)
    queries = np.array([[2, 5, 4, 9, 3], [2, 5, 4, 7, 3], [2, 4, 4, 9, 0]])
    asked = np.array([[0, 0, 8, 0, 0], [0, 0, 6, 0, 0], [0, 5, 0, 0, 0]])
    nats, best = fit_between(x, y, 10)(queries, np.where(asked == 0, -100, asked))
    assert (best[0, 2], best[1, 2], best[2, 1]) == (8, 6, 5)
    assert np.exp(-nats[0, 2]) > 0.25
    assert nats[0, [0, 1, 3, 4]].tolist() == [0.0] * 4


def test_a_unigram_model_counts_each_token_once_more_than_it_is_there():
    y = np.array([[3, 3, 4, -100]])
    nats, best = fit_unigram(y, y, 5)(y, np.array([[3, 4, 0, -100]]))
    np.testing.assert_allclose(np.exp(-nats[0, :3]), [3 / 8, 2 / 8, 1 / 8])
    assert best.tolist() == [[3] * 4]


def test_a_token_gets_its_most_frequent_tag_and_an_unknown_one_the_likeliest():
    x = np.array([[3, 3, 3, 4, 5, 0]])
    y = np.array([[1, 1, 0, 0, 0, -100]])
    nats, best = fit_frequent_tag(x, y, 3)(np.array([[3, 4, 6, 99]]), np.array([[1, 1, 0, -100]]))
    assert best.tolist() == [[1, 0, 0, 0]]
    shares = np.array([4, 3, 1]) / 8  # one of each tag added
    np.testing.assert_allclose(
        np.exp(-nats[0, :3]), [(2 + shares[1]) / 4, shares[1] / 2, shares[0]]
    )


@pytest.mark.parametrize(("kind", "most"), [("bpe", 2), ("char", 4)])
def test_tfidf_is_scikit_learns(kind: str, most: int):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    data = made("text-classification", Path())
    twice = np.concatenate([data.x[:40], data.x[:40]])  # so that every run is in two texts
    y = np.concatenate([data.y[:40], data.y[:40]])
    words = [" ".join(str(t) for t in row if t) for row in [*twice, *data.x]]
    theirs = TfidfVectorizer(ngram_range=(1, most), token_pattern=r"\d+", sublinear_tf=True)
    weights = theirs.fit_transform(words[:80]) * math.sqrt(10)
    model = LogisticRegression(max_iter=20).fit(weights, y)
    expected = model.predict_log_proba(theirs.transform(words[80:]) * math.sqrt(10))
    found = fit_tfidf(twice, y, 2, tokenizer={"kind": kind})(data.x)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    few = fit_tfidf(twice, 2 * y, 3, tokenizer={"kind": kind})(data.x)
    np.testing.assert_allclose(few[:, [0, 2]], expected, atol=1e-3)
    assert (few[:, 1] < -20).all()  # training lacks the second of three


def test_runs_that_one_text_has_are_left_out_but_not_single_tokens():
    bags = Bags(np.array([[3, 4, 5], [3, 4, 0], [6, 0, 0]]), 2)
    weights = bags(np.array([[3, 4, 0], [4, 5, 0], [5, 6, 9]]))
    assert weights.getnnz(axis=1).tolist() == [3, 2, 2]  # 3, 4 and 3 4; 4 and 5; 5 and 6
    assert weights.shape == (3, 5)


def test_the_most_frequent_answer_and_what_its_tokens_cost():
    y = np.array([[5, 6, 3], [5, 6, 3], [7, 3, 0], [5, 3, 0]])
    nats, best, written = fit_frequent_answer(y[:, :0], y, 8)(
        y[:1, :0], np.array([[5, 7, 3], [5, 6, -100]])
    )
    assert written.tolist() == [[5, 6, 3]] * 2
    trust = (6 + 1 + 1) / (10 + 2)  # 5 6 3 against 5 6 3 twice, against 7 3 and against 5 3
    shares = np.array([1, 1, 1, 5, 1, 4, 3, 2]) / 18
    expected = [trust + (1 - trust) * shares[5], (1 - trust) * shares[7]]
    np.testing.assert_allclose(np.exp(-nats[0, :2]), expected)
    assert best.tolist() == [[5, 6, 3]] * 2


def test_the_answer_to_the_most_similar_source():
    x = np.array([[5, 6, 7, 3], [5, 6, 3, 0], [8, 9, 8, 3], [8, 9, 3, 0]])
    y = np.array([[10, 11, 3], [10, 3, 0], [11, 11, 3], [11, 3, 0]])
    tell = fit_nearest_answer(x, y, 12, tokenizer={"kind": "char"})
    asked = np.array([[10, 3, -100], [11, 11, 3]])
    nats, best, written = tell(np.array([[6, 5, 6, 3], [9, 8, 9, 3]]), asked)
    assert written.tolist() == [y[1].tolist(), y[3].tolist()]
    trust = (4 + 1) / (8 + 2)  # each of the four against its like: the first token, not the second
    shares = np.array([1, 1, 1, 5, 1, 1, 1, 1, 1, 1, 3, 5]) / 22
    np.testing.assert_allclose(np.exp(-nats[0, 0]), trust + (1 - trust) * shares[10])
    np.testing.assert_allclose(np.exp(-nats[1, 1:]), [(1 - trust) * shares[11], shares[3]])
    assert best[0, :2].tolist() == [10, 3]


@pytest.mark.parametrize(
    ("task", "better", "worse", "metric"),
    [
        ("language-modeling", "bigram", "unigram", "token_log_loss"),
        ("masked-language-modeling", "between", "unigram", "token_log_loss"),
        ("text-to-text", "nearest_answer", "frequent_answer", "token_log_loss"),
        ("token-classification", "frequent_tag", "majority", "token_log_loss"),
        ("text-classification", "tfidf", "majority", "log_loss"),
        ("forecasting", "seasonal_naive", "last_value", "mase"),
    ],
)
def test_what_looks_closer_answers_better(
    tmp_path: Path, task: str, better: str, worse: str, metric: str
):
    data = made(task, tmp_path)
    good, bad = (run(n, data, tmp_path / n)[f"test_{metric}"] for n in (better, worse))
    assert good < 0.8 * bad
    if task == "forecasting":
        assert good == 0.0
        kept = read_outcome(tmp_path / better / OUTCOME, "test")
        np.testing.assert_allclose(kept.predicted, 2.0 * data.y[data.test] + 10.0)


def test_masked_tokens_are_those_that_a_network_is_asked_for(tmp_path: Path):
    import torch

    data = made("masked-language-modeling", tmp_path)
    run("between", data, tmp_path / "trial")
    kept = read_outcome(tmp_path / "trial" / OUTCOME, "test")
    masked, labels = mask_by_example(torch.from_numpy(data.x[data.test]).long(), WORDS)
    assert kept.predicted[:, 2].tolist() == (labels != -100).sum(1).tolist()
    nats, _ = fit_between(data.x[:60], data.y[:60], WORDS)(masked.numpy(), labels.numpy())
    np.testing.assert_allclose(kept.predicted[:, 0], nats.sum(axis=1), rtol=1e-5)


def test_answers_are_compared_as_texts_too(tmp_path: Path):
    data = made("text-to-text", tmp_path)
    found = run("nearest_answer", data, tmp_path / "trial")
    kept = read_outcome(tmp_path / "trial" / OUTCOME, "test").predicted
    tell = fit_nearest_answer(
        data.x[:60], data.y[:60], WORDS, tokenizer=data.preprocessing["tokenizer"]
    )
    _, _, written = tell(data.x[data.test], data.y[data.test])
    decode = open_tokenizer(data.preprocessing["tokenizer"]).decode
    pairs = [(decode(a), decode(b)) for a, b in zip(written, data.y[data.test], strict=True)]
    assert kept[:, 3].tolist() == [a == b for a, b in pairs]
    np.testing.assert_allclose(kept[:, 3:], count_texts(*zip(*pairs, strict=True)), rtol=1e-6)
    assert kept[:, 2].tolist() == [3.0] * 15
    assert 0 < found["test_exact_match"] <= 1


def test_the_majority_of_tags_counts_only_what_is_scored():
    y = np.array([[1, 1, 0, -100, -100, -100]])
    nats, best = fit_majority_tag(y[:, :0], y, 3)(y[:, :0], np.array([[0, 1, 2, -100]]))
    np.testing.assert_allclose(np.exp(-nats[0, :3]), [2 / 6, 3 / 6, 1 / 6])
    assert best.tolist() == [[1] * 4]


def test_tags_are_counted_as_tokens_and_as_spans(tmp_path: Path):
    data = made("token-classification", tmp_path)
    found = run("frequent_tag", data, tmp_path / "trial")
    assert (found["test_token_accuracy"], found["test_span_f1"]) == (1.0, 1.0)
    kept = read_outcome(tmp_path / "trial" / OUTCOME, "test")
    assert kept.predicted.shape == (15, len(COLUMNS["token-classification"]))
    assert kept.predicted[:, 2].tolist() == (data.x[data.test] > 0).sum(axis=1).tolist()


def test_ridge_forecasts_every_value(tmp_path: Path):
    data = made("forecasting", tmp_path)
    assert run("least_squares", data, tmp_path / "trial")["test_mase"] < 0.1


def test_examples_with_several_answers_are_drawn_by_chance():
    chosen = sample(np.zeros((50, 3)), 20, classes=4)
    assert len(set(chosen.tolist())) == 20
    assert chosen.tolist() == sorted(chosen)


def test_each_new_task_has_an_opponent():
    tasks = {task for method in METHODS.values() for task in method.fits}
    assert {
        "text-classification",
        "token-classification",
        "language-modeling",
        "masked-language-modeling",
        "text-to-text",
        "sequence-regression",
        "forecasting",
    } <= tasks
