"""A score for how far apart two tokens stand, learned by head, in buckets that widen with distance.

Source: Raffel et al., 2020, https://arxiv.org/abs/1910.10683, section 2.1; Mesh TensorFlow's
`_relative_position_bucket`.
"""

import math

import torch
from torch import Tensor, nn


class RelativeBias(nn.Module):
    """What attention adds to the score of each pair of places. -> (num_heads, T, Tk).

    Args:
        num_heads: Of the attention.
        both_ways: Whether later places are told from earlier ones; else all later are one.
        buckets: Distances that are told apart.
        furthest: From this distance on all are one.
    """

    def __init__(
        self, num_heads: int, *, both_ways: bool, buckets: int = 32, furthest: int = 128
    ) -> None:
        super().__init__()
        self.both_ways, self.furthest = both_ways, furthest
        self.by_bucket = nn.Embedding(buckets, num_heads)

    def forward(self, asking: int, read: int) -> Tensor:
        """Return the scores of `asking` places, the last of the `read` ones."""
        device = self.by_bucket.weight.device
        places = torch.arange(read, device=device)
        apart = places - places[read - asking :, None]  # (asking, read)
        bucket = bucket_of(
            apart,
            both_ways=self.both_ways,
            buckets=self.by_bucket.num_embeddings,
            furthest=self.furthest,
        )
        return self.by_bucket(bucket).permute(2, 0, 1)


def bucket_of(apart: Tensor, *, both_ways: bool, buckets: int, furthest: int) -> Tensor:
    """Return the bucket of each distance, in [0, buckets).

    The first half of the buckets holds one distance each, the second half grows geometrically.

    Args:
        apart: Place that is read less place that asks, any shape.
        both_ways: Whether half of the buckets are for later places.
        buckets: How many.
        furthest: The distance from which on all share the last.
    """
    later = torch.zeros_like(apart)
    if both_ways:
        buckets //= 2
        later = (apart > 0).long() * buckets
        distance = apart.abs()
    else:
        distance = (-apart).clamp(min=0)
    single = buckets // 2
    growth = torch.log(distance.clamp(min=1) / single) / math.log(furthest / single)
    wide = (single + (growth * (buckets - single)).long()).clamp(max=buckets - 1)
    return later + torch.where(distance < single, distance, wide)
