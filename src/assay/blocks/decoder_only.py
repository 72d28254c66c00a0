"""The decoder-only language model: one stack of layers that reads a text and writes its next token.

What models differ in are arguments: the layers, the normalisation, and how places are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.attention import Attention
from assay.blocks.cache import empty_cache
from assay.blocks.learned_position import LearnedPosition
from assay.blocks.pre_norm import PreNormBlock
from assay.blocks.rotary import Rotary
from assay.blocks.sequence_head import LastStep, readable, real_steps
from assay.blocks.vocabulary import check_shared
from assay.errors import BadArgumentError

ANSWER, CLASSIFY = "text-to-text", "text-classification"

State = dict[str, Any]
Rooms = Sequence[tuple[Tensor, Tensor]]  # for the keys and values of each layer


class DecoderOnly(nn.Module):
    """Tokens and their places, layers in which a token sees those before it, scores of the next.

    In text to text the source stands before the answer, which continues it. To classify a text,
    its last token's state is scored.

    A token's place is two numbers, an anchor and how many steps it is behind it. With `step` they
    are told apart, else their sum counts. A source's tokens are their own anchors; an answer's are
    1, 2, ... steps behind the source's last token.

    Args:
        inputs: At most T tokens out of a vocabulary of V, (T, V).
        outputs: V, or classes to score.
        embed_dim: Width of a token.
        blocks: The layers.
        norm: Behind them.
        task: "language-modeling", "text-to-text" or "text-classification".
        position: What is added to a token at a place.
        step: What is added to a token so many steps behind its anchor.
        rotary: What queries and keys are turned by.
        blank: Stands behind a source and says that an answer goes there; the tokens of such a
            source see each other both ways. A language model's source is the blank alone.
        tied: Whether the next token is scored by the vectors of the tokens that are read.
        dropout: Of the embedded tokens.

    Attributes:
        context: T. Neither a source nor an answer may be longer.

    Shape:
        (B, T) -> (B, T, V) logits; (B, S), (B, U) -> (B, U, V); (B, T) -> (B, outputs)

    Raises:
        BadArgumentError: A network that writes tokens is to score others than it reads.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        embed_dim: int,
        blocks: Sequence[PreNormBlock],
        norm: nn.Module,
        task: str,
        position: LearnedPosition | None = None,
        step: LearnedPosition | None = None,
        rotary: Rotary | None = None,
        blank: int | None = None,
        tied: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.context = inputs[0]
        self.task = task
        self.blank = blank
        self.tokens = nn.Embedding(inputs[1], embed_dim)
        self.position, self.step, self.rotary = position, step, rotary
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()
        self.blocks = nn.ModuleList(blocks)
        self.norm = norm
        if task != CLASSIFY:
            check_shared(inputs, outputs)
        shares = tied and task != CLASSIFY
        self.head = None if shares else nn.Linear(embed_dim, outputs, bias=False)

    def forward(self, tokens: Tensor, answer: Tensor | None = None) -> Tensor:
        """Score what follows each token, or each token of an answer; or a whole text.

        Args:
            tokens: The text, or the source that is to be answered, padded on the right.
            answer: The tokens that the answer has so far; in text to text.

        Raises:
            BadArgumentError: A text has more tokens than the context.
        """
        if answer is not None:
            return self._score(self._answered(tokens, answer))
        if self.blank is not None:
            return self._score(self._answered(tokens[:, :0], tokens))
        self._require_room(tokens.shape[1])
        states = self._run(tokens, *self._steps(tokens, 0), None, causal=True)
        if self.task == CLASSIFY:
            states = LastStep()(states, real_steps(tokens))
        return self._score(states)

    def begin(self, source: Tensor, *, most: int) -> State:
        """Return the state after a source, or before the first token: see `blocks.generation`.

        Args:
            source: (B, S), padded on the right; (B, 0) of a language model.
            most: How many tokens `advance` will be given in all.

        Raises:
            BadArgumentError: The source has more tokens than the context.
        """
        source, real = self._prompted(source)
        held = source.shape[1]
        rooms = self._rooms(source, held + min(most, self.context))
        if held:
            anchors = torch.arange(held, device=source.device)[None]
            causal = self.blank is None
            self._run(source, anchors, anchors * 0, real, causal=causal, rooms=rooms)
        return {"rooms": rooms, "real": real, "said": 0}

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the logits (B, n, V) of the tokens that follow, and the state after `tokens`.

        Args:
            tokens: The next n tokens of every text, (B, n).
            state: Of `begin`, or of the last call.

        Raises:
            BadArgumentError: The text would have more tokens than the context.
        """
        real, said = state["real"], state["said"]
        held, now = real.shape[1] + said, said + tokens.shape[1]
        self._require_room(now)
        mask = F.pad(real, (0, now), value=True) if real.shape[1] else None
        anchors, steps = self._steps(tokens, said, real)
        states = self._run(
            tokens, anchors, steps, mask, causal=True, rooms=state["rooms"], held=held
        )
        return self._score(states), {**state, "said": now}

    def _answered(self, source: Tensor, answer: Tensor) -> Tensor:
        """Return the states of an answer's tokens. (B, S), (B, U) -> (B, U, E)."""
        self._require_room(answer.shape[1])
        source, real = self._prompted(source)
        first, count = real.shape[1], answer.shape[1]
        own = torch.arange(first, device=source.device).expand(real.shape)
        anchors, steps = self._steps(answer, 0, real)
        mask = F.pad(real, (0, count), value=True)  # (B, S + U)
        if self.blank is not None:
            past = torch.ones(first + count, first + count, dtype=torch.bool, device=mask.device)
            past = past.tril()
            past[:, :first] = True
            mask = mask[:, None] & past  # (B, S + U, S + U)
        states = self._run(
            torch.cat([source, answer], dim=1),
            torch.cat([own, anchors.expand(len(own), -1)], dim=1),
            torch.cat([own * 0, steps.expand(len(own), -1)], dim=1),
            mask,
            causal=self.blank is None,
        )
        return states[:, first:]

    def _prompted(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return a source as it is read before an answer, and which of its tokens are real."""
        self._require_room(source.shape[1])
        if self.blank is None:
            return source, readable(source)
        ends = (source != 0).sum(dim=1, keepdim=True)  # (B, 1)
        source = F.pad(source, (0, 1)).scatter(1, ends, self.blank)
        return source, readable(source)

    def _steps(
        self, tokens: Tensor, said: int, real: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return an answer's anchors, (1, n) or (B, n), and steps (1, n), behind `said` tokens."""
        count = tokens.shape[1]
        steps = torch.arange(said + 1, said + 1 + count, device=tokens.device)[None]
        if real is None or not real.shape[1]:
            return torch.full_like(steps, -1), steps
        return (real.sum(dim=1) - 1)[:, None].expand(-1, count), steps

    def _run(
        self,
        tokens: Tensor,
        anchors: Tensor,
        steps: Tensor,
        mask: Tensor | None,
        *,
        causal: bool,
        rooms: Rooms | None = None,
        held: int = 0,
    ) -> Tensor:
        """Return the states behind the last layer. (B, T) -> (B, T, E)."""
        places = anchors + steps
        x = self.tokens(tokens)
        if self.position is not None:
            x = x + self.position(places if self.step is None else anchors)
        if self.step is not None:
            x = x + self.step(steps)
        turn = None if self.rotary is None else self.rotary(places)
        x = self.drop(x)
        for number, block in enumerate(self.blocks):
            cache = None if rooms is None else (*rooms[number], held)
            x = block(x, mask=mask, causal=causal, turn=turn, cache=cache)
        return self.norm(x)

    def _rooms(self, source: Tensor, most: int) -> list[tuple[Tensor, Tensor]]:
        kind = source.device.type
        format = self.tokens.weight.dtype
        if torch.is_autocast_enabled(kind):
            format = torch.get_autocast_dtype(kind)
        like = torch.empty(len(source), 0, dtype=format, device=source.device)
        parts = (cast(Attention, block.attention) for block in self.blocks)
        return [empty_cache(like, a.num_kv_heads, most, a.head_dim) for a in parts]

    def _score(self, states: Tensor) -> Tensor:
        return F.linear(states, self.tokens.weight) if self.head is None else self.head(states)

    def _require_room(self, count: int) -> None:
        if count > self.context:
            raise BadArgumentError(
                f"A text must fit the context (n_positions) of {self.context} tokens that the "
                f"network was built for. Received {count} tokens; shorten the text, ask for fewer "
                f"new tokens, or build the network with inputs=({count}, "
                f"{self.tokens.num_embeddings}) and train it so."
            )


def start_as_gpt2(model: DecoderOnly) -> None:
    """Set first weights as GPT-2 does: what layers add to the stream is the smaller the more add.

    Source:
        Radford et al., 2019, "Language Models are Unsupervised Multitask Learners", section 2.3.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for block in model.blocks:
        for added in ("attention.out.weight", "feedforward.narrow.weight"):
            nn.init.normal_(block.get_parameter(added), std=0.02 * (2 * len(model.blocks)) ** -0.5)
