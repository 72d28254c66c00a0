"""DeiT: a Vision Transformer with a second token that learns from a teacher.

Source: Touvron et al., 2020, https://arxiv.org/abs/2012.12877, figure 2 and table 1.
"""

import torch
from torch import Tensor, nn

from assay.blocks.encoder import EncoderBlock, start_linear
from assay.blocks.patch import PatchEmbedding, count_patches, small_patch
from assay.models.vision.vit import APART


class DistilledTransformer(nn.Module):
    """Patches, a class token and a distillation token, encoder blocks, a linear head for each.

    Args:
        inputs: Shape of one image, (C, H, W).
        outputs: Scores per image.
        patch: Side of a patch, pixels.
        embed_dim: Width of a token.
        num_layers: Encoder blocks.
        num_heads: Of each attention; must divide `embed_dim`.
        hidden: Width inside the blocks' small network.

    Shape:
        (B, C, H, W) -> (B, outputs) logits, the mean of both heads
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        patch: int,
        embed_dim: int,
        num_layers: int,
        num_heads: int,
        hidden: int,
    ) -> None:
        super().__init__()
        channels, height, width = inputs
        tokens = 2 + count_patches(height, width, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.positions = nn.Parameter(torch.zeros(1, tokens, embed_dim))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.patches = PatchEmbedding(channels, embed_dim, patch)
        self.blocks = nn.Sequential(
            *(EncoderBlock(embed_dim, num_heads, hidden, eps=1e-6) for _ in range(num_layers))
        )
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.head = nn.Linear(embed_dim, outputs)
        self.distillation_head = nn.Linear(embed_dim, outputs)
        self.apply(start_linear)
        for tokens_at_start in (self.positions, self.class_token, self.distillation_token):
            nn.init.normal_(tokens_at_start, std=APART)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        by_labels, by_teacher = self.both(x)
        return (by_labels + by_teacher) / 2

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of the class token and of the distillation token, for two losses."""
        x = self.patches(x)  # (B, N - 2, E)
        extra = (self.class_token, self.distillation_token)
        x = torch.cat([*(token.expand(len(x), -1, -1) for token in extra), x], dim=1)  # (B, N, E)
        x = self.norm(self.blocks(x + self.positions))
        return self.head(x[:, 0]), self.distillation_head(x[:, 1])


def deit_tiny_distilled(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> DistilledTransformer:
    """Return the Tiny size; small: six of its twelve layers, on patches of 2, 4 or 8 pixels."""
    return _sized(192, 3, inputs, outputs, small=small)


def deit_small_distilled(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> DistilledTransformer:
    """Return the Small size; small as for Tiny."""
    return _sized(384, 6, inputs, outputs, small=small)


def deit_base_distilled(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> DistilledTransformer:
    """Return the Base size; small as for Tiny."""
    return _sized(768, 12, inputs, outputs, small=small)


def _sized(
    embed_dim: int, num_heads: int, inputs: tuple[int, ...], outputs: int, *, small: bool
) -> DistilledTransformer:
    """Return table 1's network of a width; the small form is half as deep, its MLPs as narrow."""
    return DistilledTransformer(
        inputs,
        outputs,
        patch=small_patch(*inputs[1:]) if small else 16,
        embed_dim=embed_dim,
        num_layers=6 if small else 12,
        num_heads=num_heads,
        hidden=(2 if small else 4) * embed_dim,
    )
