"""Vision Transformer: an image is a sequence of patches.

Source: Dosovitskiy et al., 2020, https://arxiv.org/abs/2010.11929, equations 1 to 4 and table 1;
the Tiny and Small sizes are of Touvron et al., 2020, https://arxiv.org/abs/2012.12877, table 1.
"""

import torch
from torch import Tensor, nn

from assay.blocks.encoder import EncoderBlock, start_linear
from assay.blocks.patch import PatchEmbedding, count_patches, small_patch

APART = 0.5  # how far positions differ at the start: at 0.02 it takes epochs to tell them apart


class VisionTransformer(nn.Module):
    """Patches and one class token with learned positions, encoder blocks, a linear head.

    Args:
        inputs: Shape of one image, (C, H, W).
        outputs: Scores per image.
        patch: Side of a patch, pixels.
        embed_dim: Width of a token.
        num_layers: Encoder blocks.
        num_heads: Of each attention; must divide `embed_dim`.
        hidden: Width inside the blocks' small network.

    Shape:
        (B, C, H, W) -> (B, outputs) logits
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
        tokens = 1 + count_patches(height, width, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.positions = nn.Parameter(torch.zeros(1, tokens, embed_dim))
        self.patches = PatchEmbedding(channels, embed_dim, patch)
        self.blocks = nn.Sequential(
            *(EncoderBlock(embed_dim, num_heads, hidden, eps=1e-6) for _ in range(num_layers))
        )
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.head = nn.Linear(embed_dim, outputs)
        self.apply(start_linear)
        nn.init.normal_(self.positions, std=APART)
        nn.init.normal_(self.class_token, std=APART)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.patches(x)  # (B, N - 1, E)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)  # (B, N, E)
        x = self.blocks(x + self.positions)
        return self.head(self.norm(x[:, 0]))


def _sized(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    small: bool,
    patch: int = 16,
    embed_dim: int,
    num_layers: int = 12,
    num_heads: int,
) -> VisionTransformer:
    """Return one size; small: six of its layers, half as wide inside, patches of 2, 4 or 8."""
    return VisionTransformer(
        inputs,
        outputs,
        patch=small_patch(*inputs[1:]) if small else patch,
        embed_dim=embed_dim,
        num_layers=6 if small else num_layers,
        num_heads=num_heads,
        hidden=2 * embed_dim if small else 4 * embed_dim,
    )


def vit_tiny(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VisionTransformer:
    """Return the Tiny size, Ti/16."""
    return _sized(inputs, outputs, small=small, embed_dim=192, num_heads=3)


def vit_small(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VisionTransformer:
    """Return the Small size, S/16."""
    return _sized(inputs, outputs, small=small, embed_dim=384, num_heads=6)


def vit_small_32(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> VisionTransformer:
    """Return the Small size on patches of 32 pixels, S/32."""
    return _sized(inputs, outputs, small=small, patch=32, embed_dim=384, num_heads=6)


def vit_base(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VisionTransformer:
    """Return the Base size, B/16."""
    return _sized(inputs, outputs, small=small, embed_dim=768, num_heads=12)


def vit_base_32(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VisionTransformer:
    """Return the Base size on patches of 32 pixels, B/32: a quarter of the tokens."""
    return _sized(inputs, outputs, small=small, patch=32, embed_dim=768, num_heads=12)


def vit_large(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VisionTransformer:
    """Return the Large size, L/16."""
    return _sized(inputs, outputs, small=small, embed_dim=1024, num_layers=24, num_heads=16)


def vit_large_32(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> VisionTransformer:
    """Return the Large size on patches of 32 pixels, L/32."""
    return _sized(
        inputs, outputs, small=small, patch=32, embed_dim=1024, num_layers=24, num_heads=16
    )
