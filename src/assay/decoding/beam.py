"""Beam search: follow the likeliest beginnings of each text side by side.

Source: Graves, 2012, https://arxiv.org/abs/1211.3711; scores, length penalty and the three ways to
stop are those of transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from assay.blocks.generation import Generative, no_source, reorder
from assay.data.tokens import END, PAD
from assay.decoding.loop import NEVER, check, without
from assay.errors import BadArgumentError

_NONE = -1e9  # the score of a place that holds no text
EarlyStopping = Literal[True, False, "never"]


class Hypotheses(NamedTuple):
    """The texts that beam search found, the best of each first."""

    tokens: Tensor  # int64 (B, n_best, most), PAD after the end
    scores: Tensor  # log-probability over length ** length_penalty (B, n_best), descending


class _Finished(NamedTuple):
    """The best texts that have ended, W for each prompt; a text is where its last token stands."""

    scores: Tensor  # (B, W)
    step: Tensor  # of the last token (B, W)
    parent: Tensor  # the beam that it continued (B, W)
    token: Tensor  # itself (B, W)
    there: Tensor  # bool (B, W)


@torch.no_grad()
def beam_search(
    model: Generative,
    prompts: Tensor,
    *,
    most: int,
    beams: int,
    length_penalty: float = 1.0,
    early_stopping: EarlyStopping = False,
    n_best: int = 1,
    source: Tensor | None = None,
    end: int = END,
    never: Sequence[int] = NEVER,
) -> Hypotheses:
    """Return the continuations with the best scores that the beams came by.

    A text's score is its log-probability over its length (with its end, without the prompt) to the
    power of `length_penalty`: above 0 favours long texts, below 0 short ones.

    Args:
        model: In evaluation mode.
        prompts: What the texts begin with, int64 (B, P), P at least 1, without padding.
        most: New tokens of a text, at least 1.
        beams: Beginnings that are followed of each text, at least 1.
        length_penalty: See above.
        early_stopping: When to give a text up: True, as soon as `beams` of them have ended; False,
            when the likeliest that goes on would not become one of the best if it ended now;
            "never", when it could not become one of the best at any length.
        n_best: Texts to return for each prompt, at most `beams`.
        source: What is to be answered (B, S), for models of text to text.
        end: The token that ends a text.
        never: Tokens that are not chosen.

    Raises:
        BadArgumentError: An argument lies outside.
    """
    check(prompts, most)
    _check(beams, n_best, early_stopping)
    every = torch.arange(len(prompts), device=prompts.device)[:, None]
    total = prompts.shape[1] + most - 1
    state = model.begin(no_source(prompts) if source is None else source, most=total)
    logits, state = model.advance(prompts, state)
    state = reorder(state, every.expand(-1, beams).flatten())
    logits = logits[:, -1:].repeat_interleave(beams, dim=0)
    running = torch.full((len(prompts), beams), _NONE, device=prompts.device)
    running[:, 0] = 0.0  # all beams are the prompt still: one of them goes on
    finished = _nothing(running)
    hopeful = torch.ones_like(every, dtype=torch.bool)  # where a better text could still come
    parents: list[Tensor] = []  # of each step: the beams that were continued, (B, beams),
    tokens: list[Tensor] = []  # and by what
    for step in range(most):
        scores, parent, token = _candidates(logits[:, -1], running, never)
        ends = (token == end) | (step + 1 == most)
        ended = scores / (step + 1) ** length_penalty
        finished = _entered(finished, ended, step, parent, token, ends & hopeful)
        running, chosen = (scores + ends * _NONE).topk(beams)
        parents.append(parent.gather(1, chosen))
        tokens.append(token.gather(1, chosen))
        length = most if early_stopping == "never" and length_penalty > 0 else step + 1
        hopeful = hopeful & _may_improve(finished, running[:, :1] / length**length_penalty)
        hopeful = hopeful & ~ends.all(1, keepdim=True)
        if early_stopping is True:
            hopeful = hopeful & ~finished.there.all(1, keepdim=True)
        if not bool(hopeful.any()):
            break
        state = reorder(state, (parents[-1] + every * beams).flatten())
        logits, state = model.advance(tokens[-1].view(-1, 1), state)
    best = _Finished(*(part[:, :n_best] for part in finished))
    return Hypotheses(_traced(best, parents, tokens, most), best.scores)


def _candidates(
    logits: Tensor, running: Tensor, never: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the likeliest 2 W ways to go on, so that W are left where W of them end.

    Args:
        logits: Of the next token, (B W, V).
        running: Log-probabilities of the beams (B, W).
        never: Tokens that are not chosen.

    Returns:
        Log-probabilities, beams and tokens, each (B, 2 W), the likeliest first.
    """
    beams, width = running.shape[1], logits.shape[1]
    each = without(logits.float().log_softmax(1), never).view(-1, beams, width)
    scores, place = (each + running[:, :, None]).flatten(1).topk(min(2, width) * beams)
    return scores, place // width, place % width


def _nothing(like: Tensor) -> _Finished:
    zeros = torch.zeros_like(like, dtype=torch.int64)
    return _Finished(torch.full_like(like, _NONE), zeros, zeros, zeros, zeros.bool())


def _entered(
    before: _Finished, scores: Tensor, step: int, parent: Tensor, token: Tensor, may: Tensor
) -> _Finished:
    """Return the best W of the texts that had ended and of the likeliest W that end now.

    Args:
        before: What had ended.
        scores: Of the candidates (B, 2 W), descending.
        step: Of their last token.
        parent: The beam that they continue (B, 2 W).
        token: Their last token (B, 2 W).
        may: Which of them end (B, 2 W).
    """
    beams = before.scores.shape[1]
    may = may & (torch.arange(may.shape[1], device=may.device) < beams)
    entering = _Finished(scores + ~may * _NONE, torch.full_like(token, step), parent, token, may)
    both = [torch.cat(pair, dim=1) for pair in zip(before, entering, strict=True)]
    order = both[0].topk(beams).indices
    return _Finished(*(part.gather(1, order) for part in both))


def _may_improve(finished: _Finished, best: Tensor) -> Tensor:
    """Return where a running text of score `best` (B, 1) would enter what has ended, (B, 1)."""
    worst = torch.where(finished.there, finished.scores.min(1, keepdim=True).values, _NONE)
    return (best > worst).any(1, keepdim=True)


def _traced(best: _Finished, parents: list[Tensor], tokens: list[Tensor], most: int) -> Tensor:
    """Return the tokens (B, n, most) of texts, followed back from their last one."""
    texts = torch.full((*best.token.shape, most), PAD, device=best.token.device)
    beam = best.parent
    for step in reversed(range(len(tokens))):
        is_last, inside = best.step == step, best.step > step
        before = torch.where(inside, tokens[step].gather(1, beam), PAD)
        texts[:, :, step] = torch.where(is_last & best.there, best.token, before)
        beam = torch.where(inside, parents[step].gather(1, beam), beam)
    return texts


def _check(beams: int, n_best: int, early_stopping: EarlyStopping) -> None:
    if beams < 1:
        raise BadArgumentError(f"`beams` must be at least 1. Received beams={beams}.")
    if not 1 <= n_best <= beams:
        raise BadArgumentError(
            f"`n_best` must be between 1 and `beams`. Received n_best={n_best} with beams={beams}."
        )
    if early_stopping not in (True, False, "never"):
        raise BadArgumentError(
            f"`early_stopping` must be True, False or 'never'. Received {early_stopping!r}."
        )
