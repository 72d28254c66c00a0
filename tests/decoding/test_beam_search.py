"""Beam search finds the texts, in the order and with the scores, that transformers finds."""

import pytest
import torch
from random_models import NEVER, WORDS, Cached, Plain, gpt2, prompts, t5
from torch import Tensor

from assay.data.tokens import BEGIN, END, PAD
from assay.decoding import Hypotheses, Uncached, beam_search, decode, greedy
from assay.errors import BadArgumentError

MOST = 12


def theirs(model, texts: Tensor, **settings) -> tuple[Tensor, Tensor]:
    """Return transformers' texts (B n, at most MOST) without prompt, and their scores."""
    answer = model.generate(
        texts,
        attention_mask=(texts != PAD).long(),
        max_new_tokens=MOST,
        do_sample=False,
        suppress_tokens=NEVER,
        return_dict_in_generate=True,
        output_scores=True,
        **settings,
    )
    read = 1 if model.config.is_encoder_decoder else texts.shape[1]
    made = answer.sequences[:, read:]
    after = (made == END).cumsum(1) - (made == END).long() > 0
    return made.masked_fill(after, PAD), answer.sequences_scores  # theirs repeats END if PAD is 0


def compare(found: Hypotheses, texts: Tensor, scores: Tensor) -> None:
    ours = found.tokens.flatten(0, 1)
    padded = torch.nn.functional.pad(texts, (0, MOST - texts.shape[1]))
    torch.testing.assert_close(ours, padded)
    torch.testing.assert_close(found.scores.flatten(), scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("early", [True, False, "never"])
@pytest.mark.parametrize("penalty", [-0.7, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_language_models_beams_are_those_of_transformers(seed: int, penalty: float, early):
    model, texts = gpt2(seed=seed), prompts(6, seed=seed)
    settings = {"length_penalty": penalty, "early_stopping": early}
    found = beam_search(Cached(model), texts, most=MOST, beams=4, n_best=4, **settings)
    compare(found, *theirs(model, texts, num_beams=4, num_return_sequences=4, **settings))


@pytest.mark.parametrize("beams", [2, 5])
def test_answers_to_sources_are_those_of_transformers(beams: int):
    model, sources = t5(), prompts(5, 6, seed=1)
    sources[1, 4:] = PAD
    starts = torch.full((5, 1), BEGIN)
    plain = Uncached(Plain(model))
    found = beam_search(plain, starts, source=sources, most=MOST, beams=beams, n_best=2)
    compare(found, *theirs(model, sources, num_beams=beams, num_return_sequences=2))


def test_the_cases_hold_texts_that_end_and_texts_that_do_not():
    found = beam_search(Cached(gpt2()), prompts(6), most=MOST, beams=4, n_best=4)
    lengths = (found.tokens != PAD).sum(-1)
    assert len(lengths.unique()) > 2
    assert (found.tokens[:, :, -1] != PAD).any()
    assert ((found.tokens == END).sum(-1) <= 1).all()


def test_one_beam_is_greedy():
    model, texts = Cached(gpt2()), prompts(6)
    one = beam_search(model, texts, most=MOST, beams=1, early_stopping=True)
    assert one.tokens[:, 0].tolist() == decode(model, texts, most=MOST, choose=greedy).tolist()


def test_a_cache_a_batch_and_a_longer_list_change_nothing():
    model, texts = gpt2(seed=2), prompts(5, seed=2)
    whole = beam_search(Cached(model), texts, most=MOST, beams=3, n_best=3)
    plain = beam_search(Uncached(Plain(model)), texts, most=MOST, beams=3, n_best=3)
    alone = [beam_search(Cached(model), t[None], most=MOST, beams=3) for t in texts]
    assert whole.tokens.tolist() == plain.tokens.tolist()
    assert whole.tokens[:, 0].tolist() == [each.tokens[0, 0].tolist() for each in alone]
    torch.testing.assert_close(whole.scores, plain.scores)
    torch.testing.assert_close(whole.scores[:, :1], torch.cat([each.scores for each in alone]))


def test_a_score_is_the_log_probability_over_the_penalised_length():
    model, text = gpt2(), prompts(1)
    found = beam_search(Cached(model), text, most=MOST, beams=4, n_best=4, length_penalty=0.6)
    for tokens, score in zip(found.tokens[0], found.scores[0], strict=True):
        made = tokens[tokens != PAD]
        logits = model(torch.cat([text[0], made])[None]).logits[0, 2:-1]
        each = logits.log_softmax(-1).gather(1, made[:, None])
        torch.testing.assert_close(score, each.sum() / len(made) ** 0.6)


def test_more_beams_than_words_are_no_fault():
    found = beam_search(Cached(gpt2(words=7)), prompts(2) % 7, most=3, beams=9, n_best=9)
    kept = found.scores > -1e8
    assert kept.any(1).all()
    texts = [tuple(t.tolist()) for t in found.tokens[0][kept[0]]]
    assert len(set(texts)) == len(texts)


def test_nothing_forbidden_is_written():
    found = beam_search(Cached(gpt2(seed=3)), prompts(8), most=MOST, beams=4, never=(PAD, 5, 6))
    assert not torch.isin(found.tokens, torch.tensor([5, 6])).any()
    assert found.tokens.max() < WORDS


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"beams": 0}, "`beams` must be at least 1. Received beams=0."),
        (
            {"beams": 2, "n_best": 3},
            "`n_best` must be between 1 and `beams`. Received n_best=3 with beams=2.",
        ),
        (
            {"beams": 2, "early_stopping": "soon"},
            "`early_stopping` must be True, False or 'never'. Received 'soon'.",
        ),
        ({"beams": 2, "most": 0}, "`most` must be at least 1 token. Received most=0."),
    ],
)
def test_what_cannot_be_searched_is_told(settings: dict, told: str):
    with pytest.raises(BadArgumentError) as caught:
        beam_search(Cached(gpt2()), prompts(), **{"most": 3, **settings})
    assert str(caught.value) == told
