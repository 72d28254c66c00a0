"""Draw the next token by its probability."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from assay.decoding.nucleus import keep_nucleus
from assay.decoding.temperature import with_temperature
from assay.errors import BadArgumentError

COLDEST, HOTTEST = 1e-3, 1e3  # temperatures; beyond them float32 knows one token, or all alike
_FEW = 1024  # tokens among which a nucleus is looked for first


class Sampling:
    """Draws the next token by its probability.

    Chance is an argument: the number that decides a text's token stands in `uniform`, so that a
    text comes out the same alone and in a batch, with a cache and without.

    Args:
        uniform: Numbers in [0, 1), (B, most): for each text and each of its new tokens; see
            `draws`.
        temperature: In [0.001, 1000]; 1 leaves the probabilities as they are.
        top_k: Draw among so many of the likeliest tokens; None for all.
        top_p: Draw among the fewest tokens that have this probability together, in (0, 1].

    Raises:
        BadArgumentError: One of them lies outside.
    """

    def __init__(
        self,
        uniform: Tensor,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
    ) -> None:
        if not COLDEST <= temperature <= HOTTEST:
            raise BadArgumentError(
                f"`temperature` must be in [{COLDEST:g}, {HOTTEST:g}]. Received "
                f"temperature={temperature}; for the likeliest token each time, decode greedily."
            )
        if top_k is not None and top_k < 1:
            raise BadArgumentError(f"`top_k` must be at least 1. Received top_k={top_k}.")
        if not 0 < top_p <= 1:
            raise BadArgumentError(f"`top_p` must be in (0, 1]. Received top_p={top_p}.")
        self.uniform = uniform
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p

    def __call__(self, logits: Tensor, made: Tensor) -> Tensor:
        """Return one token each, int64 (B,).

        Args:
            logits: Of the next token (B, V).
            made: Tokens that each text has already (B,).
        """
        likely, tokens = self.odds(logits)
        sums = likely.softmax(1).double().cumsum(1)
        at = made.clamp(max=self.uniform.shape[1] - 1)[:, None]
        below = self.uniform.gather(1, at) * sums[:, -1:]
        drawn = torch.searchsorted(sums, below, right=True)
        return (drawn if tokens is None else tokens.gather(1, drawn))[:, 0]

    def odds(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the logits (B, n) that count, and of which tokens they are; None for all V.

        They are changed in the order of transformers: temperature, top-k, top-p. Of tokens that tie
        at place k, the first count. A large vocabulary is not sorted where it need not be: what can
        be drawn stands among few tokens nearly always.
        """
        tokens: Tensor | None = None
        p: float | Tensor = self.top_p
        if self.temperature != 1:
            logits = with_temperature(logits, self.temperature)
        if self.top_k is not None and self.top_k < logits.shape[1]:
            logits, tokens = logits.topk(self.top_k)
        elif self.top_p < 1 and logits.shape[1] > 2 * _FEW:
            few, places = logits.topk(_FEW)
            share = (few.logsumexp(1) - logits.logsumexp(1)).exp()[:, None]
            if bool((share > p).all()):
                logits, tokens, p = few, places, p / share
        return (logits if self.top_p == 1 else keep_nucleus(logits, p)), tokens


def draws(count: int, most: int, *, seed: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the chance of `Sampling`: float64 (count, most) in [0, 1).

    A row depends on the seed and on its place alone, on every machine.
    """
    rows = [np.random.default_rng((seed, row)).random(most, np.float32) for row in range(count)]
    return torch.from_numpy(np.stack(rows)).double().to(device)
