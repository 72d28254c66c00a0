"""What a network is asked for each form of answer, what is kept of it, and how it is scored."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.data.tokenizer import train_tokenizer
from assay.data.tokens import BEGIN, END, NOT_SCORED, PAD
from assay.learners.objective import Masked, Values, objective_for
from assay.metrics.tokens import COLUMNS

SENTENCES = torch.tensor([[2, 7, 8, 9, 3, 6, 5, 7, 3, 0], [2, 5, 6, 7, 3, 9, 8, 3, 0, 0]])


def test_several_values_are_learnt_in_standard_units_and_answered_in_their_own():
    y = torch.tensor([[10.0, 30.0], [20.0, 20.0]])
    values = objective_for("forecasting", classes=(), outputs=2, y=y.numpy())
    assert isinstance(values, Values)
    assert (values.mean, values.deviation) == (20.0, pytest.approx(math.sqrt(50)))
    perfect = values.standard(y)
    assert values.score(perfect, y) == (0.0, 1.0)
    np.testing.assert_allclose(values.answers(perfect), y, rtol=1e-6)
    nothing = torch.zeros(2, 2)
    loss, r2 = values.score(nothing, y)
    assert loss == pytest.approx(1.0)
    assert r2 == pytest.approx(0.0)


def test_columns_that_are_padding_in_every_row_are_not_computed():
    x = torch.tensor([[5, 6, 0, 0, 0], [5, 6, 7, 0, 0]], dtype=torch.int32)
    labels = objective_for("text-classification", classes=("a", "b"), outputs=2)
    (tokens,), _ = labels.ask(x, torch.tensor([0, 1]), training=True)
    assert tokens.tolist() == [[5, 6, 0], [5, 6, 7]]
    tags = objective_for("token-classification", classes=("O", "B-X"), outputs=2)
    y = torch.tensor([[0, 1, -100, -100, -100], [1, 0, 1, -100, -100]], dtype=torch.int32)
    (tokens,), truth = tags.ask(x, y, training=False)
    assert tokens.shape == truth.shape == (2, 3)
    assert truth.dtype == torch.int64


def test_of_tokens_sums_are_kept_and_the_score_is_their_mean_probability():
    objective = objective_for("language-modeling", classes=(), outputs=9)
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 9)
    truth = torch.tensor([[5, 6, 7, 8], [5, NOT_SCORED, NOT_SCORED, NOT_SCORED]])
    kept = objective.keep(logits, truth)
    assert kept.shape == (2, len(COLUMNS["language-modeling"]))
    loss, score = objective.score(kept, truth)
    wanted = F.cross_entropy(logits.flatten(0, 1), truth.flatten(), ignore_index=NOT_SCORED)
    assert loss == pytest.approx(wanted.item())
    assert score == pytest.approx(math.exp(-loss))
    assert objective.loss(logits, truth, smoothing=0.3).item() == pytest.approx(loss)


def test_tags_count_their_spans():
    objective = objective_for("token-classification", classes=("O", "B-X", "I-X"), outputs=3)
    truth = torch.tensor([[1, 2, 0, 1, NOT_SCORED]])
    logits = F.one_hot(torch.tensor([[1, 2, 0, 0, 1]]), 3).float() * 10
    assert objective.keep(logits, truth)[0, 1:].tolist() == [3.0, 4.0, 1.0, 1.0, 2.0]


class Echo(nn.Module):
    """Writes back what it reads; the likeliest token at each place is the source's."""

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        places = torch.arange(target.shape[1]).clamp(max=source.shape[1] - 1)
        return F.one_hot(source[:, places], 12).float() * 20


def test_an_answer_is_asked_for_token_by_token_and_at_the_end_written_freely():
    tokenizer = train_tokenizer("char", ["abcdefg"], vocabulary=12)
    objective = objective_for("text-to-text", classes=(), outputs=12, tokenizer=tokenizer)
    y = torch.tensor([[6, 7, END, 0, 0], [6, END, 0, 0, 0]], dtype=torch.int32)
    given, truth = objective.ask(y, y, training=True)
    assert given[1].tolist() == [[BEGIN, 6, 7], [BEGIN, 6, END]]
    assert truth.tolist() == [[6, 7, END], [6, END, NOT_SCORED]]
    assert given[0].shape == (2, 3)
    model = Echo()
    kept = objective.keep(model(*given), truth)
    whole = objective.finish(model, given, truth, kept)
    names = COLUMNS["text-to-text"]
    assert whole.shape == (2, len(names))
    assert whole[:, names.index("exact")].tolist() == [1.0, 1.0]


def test_own_answers_are_as_long_as_those_of_the_data_whatever_stands_beside_them():
    tokenizer = train_tokenizer("char", ["abcdefg"], vocabulary=12)
    y = torch.tensor([[6, 7, 8, 9, 10, END], [6, END, 0, 0, 0, 0]], dtype=torch.int32)
    objective = objective_for(
        "text-to-text", classes=(), outputs=12, y=y.numpy(), tokenizer=tokenizer
    )
    model, source = Echo(), torch.full((2, 1), 6, dtype=torch.int32)  # which it repeats for ever
    at = COLUMNS["text-to-text"].index("said1")

    def letters(rows: slice) -> list[float]:
        given, truth = objective.ask(source[rows], y[rows], training=False)
        return objective.finish(model, given, truth, torch.zeros(len(truth), 3))[:, at].tolist()

    assert letters(slice(0, 2)) == [6.0, 6.0]
    assert letters(slice(1, 2)) == [6.0]


def test_label_smoothing_is_for_answers_and_not_for_language_models():
    objective = objective_for("text-to-text", classes=(), outputs=9)
    torch.manual_seed(0)
    logits, truth = torch.randn(1, 3, 9), torch.tensor([[5, 6, 7]])
    plain = objective.loss(logits, truth, smoothing=0.0)
    smooth = objective.loss(logits, truth, smoothing=0.1)
    wanted = F.cross_entropy(logits.flatten(0, 1), truth.flatten(), label_smoothing=0.1)
    torch.testing.assert_close(smooth, wanted)
    assert smooth > plain


def test_a_batch_without_a_scored_token_costs_nothing():
    objective = objective_for("token-classification", classes=("O", "B-X"), outputs=2)
    logits = torch.zeros(1, 3, 2, requires_grad=True)
    loss = objective.loss(logits, torch.full((1, 3), NOT_SCORED), smoothing=0.0)
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_loss_is_the_mean_of_as_many_answers_as_its_weight_says():
    x = torch.tensor([[5, 6, 7, 0], [5, 0, 0, 0]])
    weights = {
        task: objective_for(task, classes=("O", "B"), outputs=9).weight(x, y)
        for task, y in {
            "text-classification": torch.tensor([0, 1]),
            "token-classification": torch.tensor([[0, 1, 1, -100], [0, -100, -100, -100]]),
            "text-to-text": torch.tensor([[6, 3, 0], [3, 0, 0]]),
            "masked-language-modeling": x,
        }.items()
    }
    assert list(weights.values()) == [2, 4, 3, 4]


class Pairs(nn.Module):
    """Answers a masked batch and its pairs with fixed scores."""

    def __init__(self, pairs: str) -> None:
        super().__init__()
        self.pairs = pairs


@pytest.mark.parametrize(("pairs", "labels"), [("next", {0, 1}), ("order", {0, 1})])
def test_masked_models_learn_from_pairs_too(pairs: str, labels: set[int]):
    torch.manual_seed(1)
    objective = objective_for(
        "masked-language-modeling", classes=(), outputs=10, model=Pairs(pairs)
    )
    rows = SENTENCES.repeat(8, 1).int()
    (masked,), (hidden, belong) = objective.ask(rows, rows, training=True)
    assert masked.shape == hidden.shape == (16, 9)
    assert set(belong.tolist()) == labels
    logits, scores = torch.randn(16, 9, 10), torch.randn(16, 2)
    together = objective.loss((logits, scores), (hidden, belong), smoothing=0.0)
    apart = objective.loss(logits, hidden, smoothing=0.0) + F.cross_entropy(scores, belong)
    assert together.item() == pytest.approx(apart.item())
    assert objective.loss(logits, (hidden, belong), smoothing=0.0) < together


def test_a_network_that_is_asked_nothing_of_pairs_reads_sentences_as_they_are():
    objective = objective_for("masked-language-modeling", classes=(), outputs=10, model=Pairs(""))
    rows = SENTENCES.repeat(8, 1).int()
    (masked,), (hidden, belong) = objective.ask(rows, rows, training=True)
    shown = torch.where(hidden == NOT_SCORED, masked, hidden)
    assert torch.equal(shown, rows[:, :9].long())
    assert set(belong.tolist()) == {NOT_SCORED}


def test_what_is_hidden_in_an_evaluation_depends_on_the_example_alone():
    objective = objective_for("masked-language-modeling", classes=(), outputs=10)
    assert isinstance(objective, Masked)
    rows = SENTENCES.int()
    (whole,), labels = objective.ask(rows, rows, training=False)
    (alone,), _ = objective.ask(rows[1:], rows[1:], training=False)
    torch.testing.assert_close(whole[1:, : alone.shape[1]], alone)
    assert ((labels != NOT_SCORED).sum(1) >= 1).all()
    assert (labels[rows[:, :9].long() == PAD] == NOT_SCORED).all()
