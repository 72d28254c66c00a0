"""How long choosing a token takes beside the network: `python benchmarks/decoding.py`.

The network answers at once with logits that were made before. Each line is the median over runs of
the time per step in microseconds, for all texts of a batch together.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from assay.decoding import Sampling, beam_search, decode, draws, greedy

STEPS, RUNS = 100, 3


class Ready:
    """A network that costs nothing."""

    def __init__(self, vocabulary: int) -> None:
        self.logits = 3 * torch.randn(1, 1, vocabulary)
        self.logits[..., 3] = -torch.inf  # it never ends

    def begin(self, source: Tensor, *, most: int) -> tuple:
        """Return nothing to remember."""
        return ()

    def advance(self, tokens: Tensor, state: tuple) -> tuple[Tensor, tuple]:
        """Return what was made before."""
        return self.logits.expand(*tokens.shape, -1), state


def microseconds(work: Callable[[], object]) -> float:
    """Return the median time of a step."""
    work()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) / STEPS * 1e6


def measured(vocabulary: int, count: int) -> dict[str, float]:
    """Return the microseconds of a step of `count` texts, by the way of choosing."""
    model, prompts = Ready(vocabulary), torch.full((count, 1), 5)
    chance = draws(count, STEPS, seed=0)
    ways = {
        "greedy": greedy,
        "temperature": Sampling(chance, temperature=0.8),
        "top-k 50": Sampling(chance, top_k=50),
        "top-k 50, top-p 0.9": Sampling(chance, top_k=50, top_p=0.9),
        "top-p 0.9": Sampling(chance, top_p=0.9),
    }
    found = {
        name: microseconds(partial(decode, model, prompts, most=STEPS, choose=choose))
        for name, choose in ways.items()
    }
    search = partial(beam_search, model, prompts, most=STEPS, beams=4)
    return found | {"beam search, 4 beams": microseconds(search)}


def main() -> None:
    """Print a table."""
    print(f"{'way':28}{'V':>8}{'B':>5}{'us/step':>10}{'us/token':>10}")
    for vocabulary in (100, 8_192, 50_257):
        for count in (1, 32):
            for name, taken in measured(vocabulary, count).items():
                print(f"{name:28}{vocabulary:8}{count:5}{taken:10.0f}{taken / count:10.1f}")


if __name__ == "__main__":
    main()
