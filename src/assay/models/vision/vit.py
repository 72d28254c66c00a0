"""Vision Transformer: an image is a sequence of patches.

Source: Dosovitskiy et al., 2020, https://arxiv.org/abs/2010.11929, equations 1 to 4; the Tiny size
is of Touvron et al., 2020, https://arxiv.org/abs/2012.12877, table 1.
"""

import torch
from torch import Tensor, nn

from assay.blocks.encoder import EncoderBlock
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
        self.apply(_start)
        nn.init.normal_(self.positions, std=APART)
        nn.init.normal_(self.class_token, std=APART)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.patches(x)  # (B, N - 1, E)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)  # (B, N, E)
        x = self.blocks(x + self.positions)
        return self.head(self.norm(x[:, 0]))


def _start(module: nn.Module) -> None:
    """Set a linear layer's first weights."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def vit_tiny(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VisionTransformer:
    """Return the Tiny size; small: six of its twelve layers, on patches of 2, 4 or 8 pixels."""
    return VisionTransformer(
        inputs,
        outputs,
        patch=small_patch(*inputs[1:]) if small else 16,
        embed_dim=192,
        num_layers=6 if small else 12,
        num_heads=3,
        hidden=384 if small else 768,
    )
