"""What is counted of tokens, spans and texts, and the metrics of the sums."""

import warnings

import numpy as np
import pytest
import sacrebleu
import torch

from assay.data.dataset import TASKS
from assay.metrics import METRICS, Metric, evaluate, metrics_of
from assay.metrics.spans import count_spans, names_spans
from assay.metrics.text import count_texts, rouge_l_of
from assay.metrics.tokens import COLUMNS, count_tokens

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what torchmetrics imports
    import torchmetrics.functional as tm

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-PER"]
WORDS = np.array(["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "hill"])
ENGLISH = (
    ["the cat is on the mat now", "there is a cat on a mat", "he reads the book", "no"],
    ["the cat sat on the mat", "there is a cat on the mat", "he read the book", "yes sir"],
)
CHINESE = (["猫坐在垫子上。", "他看书"], ["猫躺在垫子上。", "他在读书！"])


def spoken(count: int, *, seed: int = 0) -> tuple[list[str], list[str]]:
    random = np.random.default_rng(seed)
    meant = [" ".join(random.choice(WORDS, size=random.integers(5, 12))) for _ in range(count)]
    said = [" ".join(t.split()[: random.integers(4, 12)] + ["a"]) for t in meant]
    said[::5] = meant[::5]
    return said, meant


def sums_of(metric: Metric, count: int) -> np.ndarray:
    """Return sums of examples of unequal lengths, as wide as the metric's widest task."""
    random = np.random.default_rng(0)
    tokens = random.integers(1, 30, count)
    right = random.binomial(tokens, 0.4)
    nats = random.gamma(2.0, 0.5, count) * tokens
    columns = [nats, right, tokens]
    if "token-classification" in metric.tasks:
        named, there = random.integers(0, 6, (2, count))
        columns += [
            np.minimum(random.integers(0, 6, count), np.minimum(named, there)),
            named,
            there,
        ]
    if "text-to-text" in metric.tasks:
        return np.concatenate([np.stack(columns[:3], 1), count_texts(*spoken(count))], axis=1)
    return np.stack(columns, axis=1).astype(np.float64)


OF_SUMS = [metric for metric in METRICS.values() if any(TASKS[task].sums for task in metric.tasks)]


@pytest.mark.parametrize("task", [name for name, facts in TASKS.items() if facts.sums])
def test_every_token_task_has_columns_and_metrics(task: str):
    assert COLUMNS[task][:3] == ("nats", "right", "tokens")
    ones = np.ones((3, len(COLUMNS[task])), np.float32)
    assert set(evaluate(ones, np.zeros(3), task)) == {m.key for m in metrics_of(task).values()}


@pytest.mark.parametrize("metric", OF_SUMS, ids=lambda m: m.name)
def test_values_of_examples_are_those_of_leaving_each_out(metric: Metric):
    count = 120
    sums = sums_of(metric, count)
    value, values = metric.score(sums, None)
    assert values.mean() == pytest.approx(value, rel=1e-12)
    rows = np.arange(count)
    theirs = count * value - (count - 1) * np.array(
        [metric.of(sums[rows != i], None) for i in rows]
    )
    assert np.corrcoef(values, theirs)[0, 1] > 0.998
    assert values.std() == pytest.approx(theirs.std(), rel=0.05)


OF_TOTALS = [metric for metric in OF_SUMS if metric.name not in ("exact-match", "rouge-l")]


@pytest.mark.parametrize("metric", OF_TOTALS, ids=lambda m: m.name)
def test_values_of_examples_are_the_slopes_of_the_metric(metric: Metric):
    count, more = 20, 1e-6
    sums = sums_of(metric, count)
    value, values = metric.score(sums, None)
    heavier = [np.where(np.arange(count)[:, None] == i, (1 + more) * sums, sums) for i in range(20)]
    slopes = np.array([metric.of(each, None) - value for each in heavier]) / more
    np.testing.assert_allclose(values, value + count * slopes, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("metric", OF_SUMS, ids=lambda m: m.name)
def test_nothing_to_score_is_no_fault(metric: Metric):
    value, values = metric.score(np.zeros((2, len(COLUMNS["text-to-text"]))), None)
    assert value == (1.0 if metric.name == "perplexity" else 0.0)
    assert values.tolist() == [value, value]


def test_a_network_that_came_apart_has_no_perplexity():
    sums = np.array([[9e4, 0.0, 3.0], [8e4, 0.0, 3.0]])
    assert "perplexity" not in evaluate(sums, np.zeros(2), "language-modeling")


@pytest.mark.parametrize("ignore", [-100, 0])
def test_tokens_are_counted_as_torch_scores_them(ignore: int, monkeypatch: pytest.MonkeyPatch):
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 9, 17, generator=random)
    y = torch.randint(1, 17, (4, 9), generator=random)
    y[1, 3:], y[2] = ignore, ignore
    y[0, 0] = logits[0, 0].argmax()
    each = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), y, ignore_index=ignore, reduction="none"
    )
    right = (logits.argmax(-1) == y) & (y != ignore)
    expected = torch.stack([each.sum(1), right.sum(1), (y != ignore).sum(1)], dim=1)
    for chunk in (2**22, 40):
        monkeypatch.setattr("assay.metrics.tokens._CHUNK", chunk)
        torch.testing.assert_close(count_tokens(logits, y.int(), ignore=ignore), expected)
    assert count_tokens(logits.bfloat16(), y, ignore=ignore).dtype == torch.float32
    theirs = tm.text.perplexity(logits, y, ignore_index=ignore).item()
    assert METRICS["perplexity"].of(expected.numpy(), None) == pytest.approx(theirs, rel=1e-5)


def spans_by_the_script(labels: list[str]) -> set[tuple[int, int, str]]:
    """Return spans by the rules of conlleval, written out one by one."""
    found, begin = set(), 0
    before, kind_before = "O", ""
    for at, label in enumerate([*labels, "O"]):
        place, _, kind = label.partition("-")
        changed = kind != kind_before
        ends = before in ("E", "S") or (before, place) in {
            ("B", "B"), ("B", "S"), ("B", "O"), ("I", "B"), ("I", "S"), ("I", "O")
        } or (before != "O" and changed)  # fmt: skip
        starts = place in ("B", "S") or (before, place) in {
            ("E", "E"), ("E", "I"), ("S", "E"), ("S", "I"), ("O", "E"), ("O", "I")
        } or (place != "O" and changed)  # fmt: skip
        if ends:
            found.add((begin, at - 1, kind_before))
        if starts:
            begin = at
        before, kind_before = place, kind
    return found


def test_spans_are_those_of_the_script_of_conll():
    random = np.random.default_rng(0)
    labels, truth = random.integers(len(TAGS), size=(2, 300, 9))
    truth[random.random(truth.shape) < 0.2] = -100
    labels = np.where(random.random(truth.shape) < 0.6, truth, labels)
    labels[labels < 0] = 3  # what is said of a token that is not scored is of no influence
    for counts, said, meant in zip(count_spans(labels, truth, TAGS), labels, truth, strict=True):
        ours, theirs = (
            spans_by_the_script([TAGS[label] for label in row[meant != -100]])
            for row in (said, meant)
        )
        assert counts.tolist() == [len(ours & theirs), len(ours), len(theirs)]


def test_the_worked_example_of_seqeval():
    # its README: F1 0.50 for these two sentences, in which PER is found and MISC is not
    classes = ["O", "B-MISC", "I-MISC", "B-PER", "I-PER"]
    truth = np.array([[0, 0, 0, 1, 2, 2, 0], [3, 4, 0, -100, -100, -100, -100]])
    labels = np.array([[0, 0, 1, 2, 2, 2, 0], [3, 4, 0, 0, 0, 0, 0]])
    counts = count_spans(labels, truth, classes)
    assert counts.tolist() == [[0, 1, 1], [1, 1, 1]]
    sums = np.concatenate([np.ones((2, 3)), counts], axis=1)
    assert METRICS["span-f1"].of(sums, None) == 0.5
    assert METRICS["span-precision"].of(sums, None) == METRICS["span-recall"].of(sums, None) == 0.5


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["O", "B-PER", "I-PER"], True),
        (["B", "M", "E", "S"], True),
        (["O", "I_LOC", "I_PER"], True),
        (["NOUN", "VERB"], False),
        (["E", "S", "I"], False),
        (["O"], False),
        (["B-PER", "PERSON"], False),
    ],
)
def test_labels_of_spans_are_recognised(classes: list[str], expected: bool):
    assert names_spans(classes) is expected


def test_chinese_words_are_spans():
    counts = count_spans(np.array([[0, 2, 3, 0, 1, 2]]), np.array([[0, 2, 3, 0, 2, 3]]), [*"BMES"])
    assert counts.tolist() == [[2, 3, 4]]  # BE S BME against BE S BE S


def test_labels_that_name_no_spans_are_spans_of_one_token():
    labels, truth = np.array([[0, 1, 1], [1, 0, 0]]), np.array([[0, 0, 1], [1, -100, -100]])
    assert count_spans(labels, truth, ["NOUN", "VERB"]).tolist() == [[2, 3, 3], [1, 1, 1]]


def sums_of_texts(said: list[str], meant: list[str]) -> np.ndarray:
    return np.concatenate([np.ones((len(said), 3)), count_texts(said, meant)], axis=1)


@pytest.mark.parametrize("upto", [4, 3, 1])
def test_bleu_is_that_of_sacrebleu_whole_and_smoothed(upto: int):
    said, meant = (side[:upto] for side in ENGLISH)
    theirs = sacrebleu.corpus_bleu(said, [meant]).score
    assert METRICS["bleu"].of(sums_of_texts(said, meant), None) == pytest.approx(theirs)
    said, meant = spoken(40)
    theirs = sacrebleu.corpus_bleu(said, [meant]).score
    sums = sums_of_texts(said, meant).astype(np.float32)  # as outcomes keep them
    assert METRICS["bleu"].of(sums, None) == pytest.approx(theirs)


def test_chinese_bleu_counts_characters():
    theirs = sacrebleu.corpus_bleu(CHINESE[0], [CHINESE[1]], tokenize="zh").score
    assert METRICS["bleu"].of(sums_of_texts(*CHINESE), None) == pytest.approx(theirs)
    assert theirs > 10


def test_bleu_of_answers_of_one_word_is_the_share_of_the_right_ones():
    sums = sums_of_texts(["7", "12", "3", "9"], ["7", "12", "3", "8"])
    assert METRICS["bleu"].of(sums, None) == pytest.approx(75.0)


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE, spoken(30), (["", "ab"], ["x", "ab c"])])
def test_chrf_is_that_of_sacrebleu(texts: tuple[list[str], list[str]]):
    theirs = sacrebleu.corpus_chrf(texts[0], [texts[1]]).score
    assert METRICS["chrf"].of(sums_of_texts(*texts), None) == pytest.approx(theirs)


def test_rouge_l_is_that_of_torchmetrics():
    for said, meant in zip(*(a + b for a, b in zip(ENGLISH, spoken(30), strict=True)), strict=True):
        theirs = tm.text.rouge_score(said, meant, rouge_keys="rougeL")["rougeL_fmeasure"].item()
        assert rouge_l_of(said, meant) == pytest.approx(theirs)


def test_rouge_l_reads_chinese_by_character():
    # 4 of 6 characters against 6 stay in order
    assert rouge_l_of("猫坐在垫子下", "猫躺在垫子上") == pytest.approx(4 / 6)
    assert rouge_l_of("", "") == 0.0


def test_an_exact_match_overlooks_white_space_at_the_ends_alone():
    sums = sums_of_texts([" 42\n", "4 2", "a"], ["42", "42", "A"])
    assert METRICS["exact-match"].per_example(sums, None).tolist() == [1.0, 0.0, 0.0]
