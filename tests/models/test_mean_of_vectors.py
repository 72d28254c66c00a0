"""Networks whose vectors are learned from the training texts before any label is seen."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from assay.embeddings.token_text import token_text
from assay.models.language.mean_of_vectors import mean_of_cbow, mean_of_glove, mean_of_skip_gram
from assay.models.language.paragraph_vector import paragraph_vector

BUILDERS = [mean_of_cbow, mean_of_skip_gram, mean_of_glove, paragraph_vector]
every_builder = pytest.mark.parametrize("builder", BUILDERS, ids=lambda b: b.__name__)
Builder = Callable[..., nn.Module]


def two_topics(number: int = 400) -> tuple[Tensor, Tensor]:
    """Texts of 10 to 20 words: each topic has 20 words that the other seldom has; 10 are common."""
    torch.manual_seed(0)
    topics = torch.arange(number) % 2
    whose = topics[:, None] ^ (torch.rand(number, 20) < 0.15)
    own = 5 + 20 * whose + torch.randint(20, (number, 20))
    common = 45 + torch.randint(10, (number, 20))
    texts = torch.where(torch.rand(number, 20) < 0.4, own, common)
    ends = torch.randint(10, 21, (number, 1))
    return texts.where(torch.arange(20) < ends, 0), topics


def test_padded_tokens_are_a_text_of_ranked_words():
    text = token_text(np.array([[7, 5, 7, 0], [0, 0, 0, 0], [9, 7, 5, 5]]))
    assert text.words.tolist() == [5, 7, 9]
    assert text.counts.tolist() == [3, 3, 1]
    assert text.corpus.tokens.tolist() == [1, 0, 1, 2, 1, 0, 0]
    assert text.corpus.starts.tolist() == [0, 3, 3, 7]


@every_builder
def test_ten_labels_suffice_where_vectors_are_learned_from_the_texts(builder: Builder):
    texts, topics = two_topics()
    torch.manual_seed(1)
    model = builder((20, 60), 2, task="text-classification")
    random = right(summaries(model, texts), topics)
    model.initialize(texts)
    learned = summaries(model, texts)
    torch.testing.assert_close(learned.square().mean(), torch.tensor(1.0))
    assert right(learned, topics) > random + 0.1


def summaries(model: nn.Module, texts: Tensor) -> Tensor:
    found = model.infer(texts) if hasattr(model, "infer") else model.summary(texts)
    return (found - model.centre) / model.spread


def right(rows: Tensor, topics: Tensor, labels: int = 10) -> float:
    """Return how many of the other topics the mean rows of a few labelled ones tell."""
    known, told = rows[:labels], topics[:labels]
    centres = torch.stack([known[told == k].mean(0) for k in (0, 1)])
    guesses = torch.cdist(rows[labels:], centres).argmin(1)
    return (guesses == topics[labels:]).float().mean().item()


@every_builder
def test_only_the_linear_layer_learns(builder: Builder):
    model = builder((20, 60), 3, task="text-classification")
    assert {name for name, _ in model.named_parameters()} == {"head.weight", "head.bias"}


@every_builder
def test_padding_and_unknown_words_change_nothing_that_was_learned(builder: Builder):
    texts, _ = two_topics(40)
    torch.manual_seed(1)
    model = builder((20, 60), 2, task="text-classification").eval()
    model.initialize(texts)
    longer = torch.cat([texts, texts.new_zeros(40, 7)], dim=1)
    torch.testing.assert_close(model(longer), model(texts))
    assert model(torch.full((1, 20), 59)).isfinite().all()  # a word that no training text has
    assert model(torch.zeros(1, 20, dtype=torch.int64)).isfinite().all()


@every_builder
def test_the_same_seed_learns_the_same_vectors(builder: Builder):
    texts, _ = two_topics(40)
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        model = builder((20, 60), 2, task="text-classification")
        model.initialize(texts)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_paragraph_vector_comes_near_the_best_one():
    texts, _ = two_topics()
    torch.manual_seed(1)
    model = paragraph_vector((20, 60), 2, task="text-classification")
    model.initialize(texts)

    def told(vectors: Tensor) -> Tensor:
        scores = vectors @ model.told.T
        logs = nn.functional.logsigmoid
        shares = model._shares(texts)
        return (shares * logs(scores)).sum(1) + 5 * (model.noise * logs(-scores)).sum(1)

    found = model.infer(texts)
    best = found.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([best], max_iter=200)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -told(best).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    start, end, top = (told(v).mean().item() for v in (torch.zeros_like(found), found, best))
    assert start + 0.5 * (top - start) < end <= top + 1e-4
