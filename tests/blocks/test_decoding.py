"""The parts that choose tokens, against their formulas written out."""

import itertools

import torch
from parts import part
from torch import Tensor

LOGITS = torch.tensor([[2.0, 1.0, 0.5, 0.0, -1.0], [0.1, 0.0, 0.2, 0.05, 3.0]])


class Chain:
    """A language model whose next token depends on the last one alone."""

    def __init__(self, odds: Tensor) -> None:
        self.odds = odds  # (V, V)

    def begin(self, source: Tensor, *, most: int) -> tuple:
        return ()

    def advance(self, tokens: Tensor, state: tuple) -> tuple[Tensor, tuple]:
        return self.odds[tokens].log(), state


def test_beam_search_with_as_many_beams_as_texts_finds_the_likeliest_text():
    odds = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)).softmax(1)
    odds[:, [0, 2, 4]] = 0.0  # 3 ends a text, 1 and 5 go on
    odds = odds / odds.sum(1, keepdim=True)
    scores = {}
    for length in range(1, 5):
        for words in itertools.product([1, 5], repeat=length - 1):
            for last in [3] if length < 4 else [1, 3, 5]:
                text = (5, *words, last)
                steps = [odds[a, b].log() for a, b in itertools.pairwise(text)]
                scores[text[1:]] = float(sum(steps)) / length**0.5
    search = part("beam-search")
    found = search(
        Chain(odds),
        torch.tensor([[5]]),
        most=4,
        beams=16,
        n_best=3,
        length_penalty=0.5,
        early_stopping="never",
    )
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:3]
    ours = [tuple(t[t != 0].tolist()) for t in found.tokens[0]]
    assert ours == best
    torch.testing.assert_close(found.scores[0], torch.tensor([scores[text] for text in best]))


def test_temperature_sampling_sharpens_and_flattens():
    scaled = part("temperature-sampling")(LOGITS, 0.5).softmax(1)
    expected = LOGITS.softmax(1) ** 2
    torch.testing.assert_close(scaled, expected / expected.sum(1, keepdim=True))


def test_top_k_sampling_keeps_the_likeliest_and_ties():
    kept = part("top-k-sampling")(torch.tensor([[3.0, 1.0, 2.0, 2.0, 0.0]]), 2)
    assert kept.tolist() == [[3.0, -torch.inf, 2.0, 2.0, -torch.inf]]


def test_nucleus_sampling_keeps_the_fewest_tokens_of_a_probability():
    keep = part("nucleus-sampling")
    for p in (0.3, 0.6, 0.9, 1.0):
        for row, kept in zip(LOGITS, keep(LOGITS, p), strict=True):
            ordered = sorted(row.softmax(0).tolist(), reverse=True)
            fewest = next((n for n in range(1, 6) if sum(ordered[:n]) >= p), 5)
            assert int((kept > -torch.inf).sum()) == fewest
            assert bool(kept[row.argmax()] == row.max())
