"""Look at all states of the source, each as much as it matters now, instead of at one vector.

Sources: Bahdanau, Cho and Bengio, 2015, https://arxiv.org/abs/1409.0473, section 3.1 and appendix
A.1.2 (additive); Luong, Pham and Manning, 2015, https://arxiv.org/abs/1508.04025, section 3.1
(multiplicative: dot and general).
"""

import torch
from torch import Tensor, nn


def attend(scores: Tensor, values: Tensor, real: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the values' mean, weighted by the softmax of the scores, and the weights.

    Args:
        scores: (B, U, S).
        values: (B, S, E).
        real: Which of the S are no padding, (B, S) bool; None if all are. A row without any gets
            equal weights.

    Returns:
        (B, U, E) and (B, U, S).
    """
    if real is not None:
        least = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~real[:, None], least)
    weights = scores.softmax(dim=2)
    return weights @ values, weights


class AdditiveAttention(nn.Module):
    """score = v · tanh(W·query + U·memory), a small network with one hidden layer.

    Args:
        query_dim: Q.
        memory_dim: E.
        hidden: Width of the hidden layer.
    """

    def __init__(self, query_dim: int, memory_dim: int, hidden: int) -> None:
        super().__init__()
        self.of_query = nn.Linear(query_dim, hidden, bias=False)
        self.of_memory = nn.Linear(memory_dim, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(
        self,
        query: Tensor,
        memory: Tensor,
        real: Tensor | None = None,
        *,
        keys: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return what is looked at, (B, U, E), and the weights, (B, U, S).

        Args:
            query: (B, U, Q).
            memory: (B, S, E).
            real: Which of the S are no padding, (B, S) bool; None if all are.
            keys: `of_memory(memory)`, if it is known already.
        """
        keys = self.of_memory(memory) if keys is None else keys
        both = torch.tanh(self.of_query(query)[:, :, None] + keys[:, None])  # (B, U, S, hidden)
        return attend(self.score(both).squeeze(3), memory, real)


class MultiplicativeAttention(nn.Module):
    """score = query · W·memory ("general"), or query · memory ("dot").

    Args:
        query_dim: Q.
        memory_dim: E; equal to Q for "dot".
        dot: Whether there is no W.
    """

    def __init__(self, query_dim: int, memory_dim: int, *, dot: bool = False) -> None:
        super().__init__()
        self.weight = None if dot else nn.Linear(memory_dim, query_dim, bias=False)

    def forward(
        self, query: Tensor, memory: Tensor, real: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what is looked at, (B, U, E), and the weights, (B, U, S).

        Args:
            query: (B, U, Q).
            memory: (B, S, E).
            real: Which of the S are no padding, (B, S) bool; None if all are.
        """
        keys = memory if self.weight is None else self.weight(memory)
        return attend(query @ keys.transpose(1, 2), memory, real)
