"""Greedy decoding and sampling: transformers' filters, and texts that depend on nothing else."""

import pytest
import torch
from random_models import NEVER, Cached, Plain, gpt2, prompts, t5
from torch import Tensor
from transformers.generation import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from assay.data.tokens import BEGIN, END, PAD
from assay.decoding import (
    Sampling,
    Uncached,
    decode,
    draws,
    greedy,
    keep_most_likely,
    keep_nucleus,
    stream,
    with_temperature,
)
from assay.errors import BadArgumentError

MOST = 12


def theirs(model, texts: Tensor) -> list[list[int]]:
    answer = model.generate(
        texts,
        attention_mask=(texts != PAD).long(),
        max_new_tokens=MOST,
        do_sample=False,
        suppress_tokens=NEVER,
    )
    read = 1 if model.config.is_encoder_decoder else texts.shape[1]
    made = answer[:, read:]
    return torch.nn.functional.pad(made, (0, MOST - made.shape[1])).tolist()


@pytest.mark.parametrize("seed", [0, 2])
def test_greedy_is_that_of_transformers(seed: int):
    model, texts = gpt2(seed=seed), prompts(6, seed=seed)
    made = decode(Cached(model), texts, most=MOST, choose=greedy)
    assert made.tolist() == theirs(model, texts)
    assert len((made != PAD).sum(1).unique()) > 1  # some end, some go on


def test_greedy_answers_are_those_of_transformers():
    model, sources = t5(), prompts(5, 6)
    made = decode(
        Uncached(Plain(model)),
        torch.full((5, 1), BEGIN),
        source=sources,
        most=MOST,
        choose=greedy,
    )
    assert made.tolist() == theirs(model, sources)


@pytest.mark.parametrize("k", [1, 5, 100])
@pytest.mark.parametrize("p", [0.05, 0.6, 0.95])
def test_filters_are_those_of_transformers(k: int, p: float):
    logits = 3 * torch.randn(7, 20, generator=torch.Generator().manual_seed(k))
    logits[:, 3] = logits[:, 4]  # a tie
    for ours, theirs in (
        (with_temperature(logits, 0.7), TemperatureLogitsWarper(0.7)),
        (keep_most_likely(logits, k), TopKLogitsWarper(k)),
        (keep_nucleus(logits, p), TopPLogitsWarper(p)),
    ):
        torch.testing.assert_close(ours, theirs(None, logits))


@pytest.mark.parametrize("words", [20, 3000])
@pytest.mark.parametrize(("k", "p"), [(None, 1.0), (6, 1.0), (None, 0.8), (6, 0.8), (None, 0.9999)])
def test_the_odds_are_those_of_transformers_filters_in_their_order(words: int, k, p: float):
    logits = 1.5 * torch.randn(4, words, generator=torch.Generator().manual_seed(1))
    expected = TemperatureLogitsWarper(0.7)(None, logits)
    expected = TopKLogitsWarper(k or words)(None, expected)
    expected = TopPLogitsWarper(p)(None, expected)
    choose = Sampling(draws(4, 1, seed=0), temperature=0.7, top_k=k, top_p=p)
    likely, tokens = choose.odds(logits)
    if tokens is not None:
        likely = torch.full_like(logits, -torch.inf).scatter(1, tokens, likely)
    torch.testing.assert_close(likely, expected)
    narrow = k or (p == 0.8 and words == 3000)
    assert (tokens is not None) == bool(narrow)  # a large vocabulary is sorted only if it must be


def test_tokens_come_as_often_as_they_are_likely():
    logits = torch.tensor([[2.0, 1.0, -torch.inf, 0.0, 0.5]])
    count = 40_000
    choose = Sampling(draws(1, count, seed=0).T.contiguous())
    drawn = choose(logits.expand(count, -1), torch.zeros(count, dtype=torch.int64))
    shares = torch.bincount(drawn, minlength=5) / count
    torch.testing.assert_close(shares, logits.softmax(1)[0], rtol=0, atol=0.01)
    assert shares[2] == 0


@pytest.mark.parametrize("uniform", [0.0, 1 - 2.0**-24])
def test_the_first_and_the_last_chance_bring_a_token_that_may_come(uniform: float):
    logits = torch.full((64, 50), -torch.inf)
    logits[:, 10:40] = torch.randn(64, 30, generator=torch.Generator().manual_seed(0))
    chosen = Sampling(torch.full((64, 1), uniform, dtype=torch.float64))(
        logits, torch.zeros(64, dtype=torch.int64)
    )
    assert set(chosen.tolist()) == {10 if uniform == 0 else 39}


def test_a_text_is_the_same_alone_in_a_batch_and_without_a_cache():
    model, texts = gpt2(seed=1, spread=0.3), prompts(5)
    chance = draws(5, MOST, seed=3)
    settings = {"temperature": 0.9, "top_k": 8, "top_p": 0.95}
    whole = decode(Cached(model), texts, most=MOST, choose=Sampling(chance, **settings))
    plain = decode(Uncached(Plain(model)), texts, most=MOST, choose=Sampling(chance, **settings))
    alone = [
        decode(Cached(model), text[None], most=MOST, choose=Sampling(own[None], **settings))
        for text, own in zip(texts, chance, strict=True)
    ]
    assert whole.tolist() == plain.tolist() == [made[0].tolist() for made in alone]
    other = decode(Cached(model), texts, most=MOST, choose=Sampling(draws(5, MOST, seed=4)))
    assert whole.tolist() != other.tolist()


def test_prompts_of_different_lengths_share_a_batch():
    model, texts = gpt2(), prompts(4, 6)
    lengths = torch.tensor([6, 2, 4, 2])
    padded = texts.masked_fill(torch.arange(6) >= lengths[:, None], PAD)
    chance = draws(4, MOST, seed=0)
    together = decode(Cached(model), padded, lengths=lengths, most=MOST, choose=Sampling(chance))
    for i, length in enumerate(lengths.tolist()):
        one = Sampling(chance[i, None])
        alone = decode(Cached(model), texts[i, None, :length], most=MOST, choose=one)
        assert together[i].tolist() == alone[0].tolist()


def test_draws_depend_on_seed_and_place_alone():
    few, many = draws(2, 5, seed=7), draws(4, 5, seed=7)
    assert few.tolist() == many[:2].tolist()
    assert len(many.unique()) == 20
    assert draws(1, 5, seed=8).tolist() != few[:1].tolist()
    assert ((many >= 0) & (many < 1)).all()


def test_a_text_ends_once_and_holds_nothing_forbidden():
    texts = prompts(64)
    made = decode(Cached(gpt2(spread=0.02)), texts, most=10, choose=Sampling(draws(64, 10, seed=0)))
    ended = (made == END).any(1)
    assert 0 < ended.sum() < 64
    first = torch.where(ended, (made == END).int().argmax(1), 10)
    assert ((made == PAD) == (torch.arange(10) > first[:, None])).all()
    assert not torch.isin(made, torch.tensor([BEGIN, 4])).any()


def test_nothing_is_computed_after_the_last_text_has_ended():
    model = Cached(gpt2())
    steps = list(stream(model, prompts(1), most=5, choose=lambda logits, made: made * 0 + END))
    assert [step.tolist() for step in steps] == [[END]]
    assert model.steps == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"temperature": 0.0},
            "`temperature` must be in [0.001, 1000]. Received temperature=0.0; for the likeliest "
            "token each time, decode greedily.",
        ),
        ({"top_k": 0}, "`top_k` must be at least 1. Received top_k=0."),
        ({"top_p": 1.2}, "`top_p` must be in (0, 1]. Received top_p=1.2."),
    ],
)
def test_odds_outside_their_range_are_told(settings: dict, told: str):
    with pytest.raises(BadArgumentError) as caught:
        Sampling(draws(1, 1, seed=0), **settings)
    assert str(caught.value) == told


def test_an_empty_prompt_is_told():
    with pytest.raises(BadArgumentError) as caught:
        decode(Cached(gpt2()), torch.empty((2, 0), dtype=torch.int64), most=3, choose=greedy)
    assert str(caught.value) == (
        "`prompts` must be (B, P) with at least one text of at least one token. Received shape "
        "(2, 0); begin an empty text with the token 2."
    )
