"""MLP-Mixer: no convolution, no attention; one small network along tokens, one along channels.

Source: Tolstikhin et al., 2021, https://arxiv.org/abs/2105.01601, figure 1 and table 1.
"""

import torch
from torch import Tensor, nn

from assay.blocks.feedforward import FeedForward
from assay.blocks.patch import PatchEmbedding, count_patches, small_patch


class TokenLinear(nn.Linear):
    """A linear layer along the tokens: torch's own needs them last, which costs two copies.

    Shape:
        (B, in_features, embed_dim) -> (B, out_features, embed_dim)
    """

    def forward(self, input: Tensor) -> Tensor:
        """Multiply each image's tokens by the same weights."""
        weight = self.weight.expand(input.shape[0], -1, -1)
        return torch.baddbmm(self.bias.unsqueeze(1), weight, input)


class MixerBlock(nn.Module):
    """Mix each channel over the tokens, then each token over its channels.

    Args:
        tokens: Patches of an image.
        embed_dim: Width of a token.
        token_hidden: Width inside the network along tokens.
        channel_hidden: Width inside the network along channels.

    Shape:
        (B, tokens, embed_dim) -> (B, tokens, embed_dim)
    """

    def __init__(self, tokens: int, embed_dim: int, token_hidden: int, channel_hidden: int) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(embed_dim, eps=1e-6)
        self.along_tokens = FeedForward(tokens, token_hidden, linear=TokenLinear)
        self.norm_2 = nn.LayerNorm(embed_dim, eps=1e-6)
        self.along_channels = FeedForward(embed_dim, channel_hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Mix both ways, each added to its input."""
        x = x + self.along_tokens(self.norm_1(x))
        return x + self.along_channels(self.norm_2(x))


class Mixer(nn.Module):
    """Patches, Mixer blocks, the average of the tokens, a linear head.

    Args:
        inputs: Shape of one image, (C, H, W).
        outputs: Scores per image.
        patch: Side of a patch, pixels.
        embed_dim: Width of a token.
        num_layers: Mixer blocks.
        token_hidden: Width inside the networks along tokens.
        channel_hidden: Width inside the networks along channels.

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
        token_hidden: int,
        channel_hidden: int,
    ) -> None:
        super().__init__()
        channels, height, width = inputs
        tokens = count_patches(height, width, patch)
        self.patches = PatchEmbedding(channels, embed_dim, patch)
        self.blocks = nn.Sequential(
            *(
                MixerBlock(tokens, embed_dim, token_hidden, channel_hidden)
                for _ in range(num_layers)
            )
        )
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self.head = nn.Linear(embed_dim, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.blocks(self.patches(x))  # (B, N, E)
        return self.head(self.norm(x).mean(dim=1))


def mixer_s16(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> Mixer:
    """Return the S/16 size; small: a quarter as wide, half as deep, patches of 2, 4 or 8 pixels."""
    return Mixer(
        inputs,
        outputs,
        patch=small_patch(*inputs[1:]) if small else 16,
        embed_dim=128 if small else 512,
        num_layers=4 if small else 8,
        token_hidden=64 if small else 256,
        channel_hidden=512 if small else 2048,
    )


def mixer_b16(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> Mixer:
    """Return the B/16 size; small: a quarter as wide, half as deep, patches of 2, 4 or 8 pixels."""
    return Mixer(
        inputs,
        outputs,
        patch=small_patch(*inputs[1:]) if small else 16,
        embed_dim=192 if small else 768,
        num_layers=6 if small else 12,
        token_hidden=96 if small else 384,
        channel_hidden=768 if small else 3072,
    )
