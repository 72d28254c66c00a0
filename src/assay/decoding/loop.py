"""Writing texts token by token, all of a batch at each step.

How a token is chosen is an argument: `greedy`, or a `Sampling`. Beam search follows several
continuations of each text and has a loop of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from assay.blocks.generation import Generative, no_source
from assay.data.tokens import BEGIN, END, MASK, PAD
from assay.errors import BadArgumentError

NEVER = (PAD, BEGIN, MASK)  # tokens that no text contains
Choose = Callable[[Tensor, Tensor], Tensor]  # logits (B, V), tokens made so far (B,) -> ids (B,)


@torch.no_grad()
def stream(
    model: Generative,
    prompts: Tensor,
    *,
    most: int | Tensor,
    choose: Choose,
    lengths: Tensor | None = None,
    source: Tensor | None = None,
    end: int = END,
    never: Sequence[int] = NEVER,
) -> Iterator[Tensor]:
    """Yield the new tokens of each step, int64 (B,).

    A text has PAD at steps that bring it nothing: while its prompt is longer than another's and is
    still being read, and after its end. A text gets the same tokens whatever stands beside it.

    Args:
        model: In evaluation mode.
        prompts: What the texts begin with, int64 (B, P) with P at least 1, padded on the right.
        most: New tokens of a text, at least 1; of each one (B,) if they differ.
        choose: `greedy` or a `Sampling`.
        lengths: Tokens of each prompt (B,), each at least 1; all of P if not given.
        source: What is to be answered (B, S), for models of text to text.
        end: The token that ends a text; it is yielded too.
        never: Tokens that are not chosen.

    Raises:
        BadArgumentError: There is nothing to begin with, or nothing to write.
    """
    most = torch.as_tensor(most)
    check(prompts, int(most.min()))
    count, longest = prompts.shape
    lengths = prompts.new_full((count,), longest) if lengths is None else lengths
    shortest, last = int(lengths.min()), int((lengths + most).max()) - 1
    state = model.begin(no_source(prompts) if source is None else source, most=last)
    made, over = torch.zeros_like(lengths), torch.zeros_like(lengths, dtype=torch.bool)
    portion = prompts[:, :shortest]
    for at in range(shortest, last + 1):
        logits, state = model.advance(portion, state)
        chosen = choose(without(logits[:, -1], never), made)
        writes = (lengths <= at) & ~over
        new = torch.where(writes, chosen, PAD)
        yield new
        made = made + writes
        over = over | (writes & ((chosen == end) | (made == most)))
        if bool(over.all()):
            return
        given = torch.where(lengths > at, prompts[:, at], new) if at < longest else new
        portion = given[:, None]


def decode(
    model: Generative,
    prompts: Tensor,
    *,
    most: int | Tensor,
    choose: Choose,
    lengths: Tensor | None = None,
    source: Tensor | None = None,
    end: int = END,
    never: Sequence[int] = NEVER,
) -> Tensor:
    """Return what `stream` yields, text by text: int64 (B, most), after its end PAD."""
    width = int(torch.as_tensor(most).max())
    texts = prompts.new_full((len(prompts), width + 1), PAD)  # the last takes what is nothing
    made = prompts.new_zeros((len(prompts), 1))
    for new in stream(
        model,
        prompts,
        most=most,
        choose=choose,
        lengths=lengths,
        source=source,
        end=end,
        never=never,
    ):
        brings = (new != PAD)[:, None]
        texts.scatter_(1, torch.where(brings, made, width), new[:, None])
        made += brings
    return texts[:, :width]


def without(logits: Tensor, never: Sequence[int]) -> Tensor:
    """Return logits (B, V) in float32 that are -inf for the tokens `never`, those there are."""
    scores = logits.to(torch.float32, copy=True)
    for token in never:  # one by one: a list of them would cross over to the logits' device
        if token < scores.shape[1]:
            scores[:, token] = -torch.inf
    return scores


def check(prompts: Tensor, most: int) -> None:
    """Refuse what no text can come of."""
    if prompts.ndim != 2 or not prompts.numel():
        raise BadArgumentError(
            "`prompts` must be (B, P) with at least one text of at least one token. Received "
            f"shape {tuple(prompts.shape)}; begin an empty text with the token {BEGIN}."
        )
    if most < 1:
        raise BadArgumentError(f"`most` must be at least 1 token. Received most={most}.")
