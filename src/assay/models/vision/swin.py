"""Swin Transformer: attention inside small windows, which shift by half from layer to layer.

Source: Liu et al., 2021, https://arxiv.org/abs/2103.14030, figure 3, section 3.2 and equation 4.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.feedforward import FeedForward

WINDOW = 7  # tokens on a side of a window
DEPTHS_TINY, DEPTHS_DEEP = (2, 2, 6, 2), (2, 2, 18, 2)


def windows(x: Tensor) -> Tensor:
    """Cut a map into windows. (B, H, W, C) -> (B, H * W / 49, 49, C), sides divisible by 7."""
    batch, height, width, channels = x.shape
    cut = x.reshape(batch, height // WINDOW, WINDOW, width // WINDOW, WINDOW, channels)
    return cut.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def joined(x: Tensor, height: int, width: int) -> Tensor:
    """Put the windows of a map together again. (B, H * W / 49, 49, C) -> (B, H, W, C)."""
    cut = x.reshape(len(x), height // WINDOW, width // WINDOW, WINDOW, WINDOW, x.shape[-1])
    return cut.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def offsets() -> Tensor:
    """Return which of the 13 x 13 possible offsets lies between each two tokens. -> (49, 49)."""
    place = torch.arange(WINDOW)
    apart = place[:, None] - place + WINDOW - 1  # (7, 7), from 0 to 12
    rows, columns = apart[:, None, :, None], apart[None, :, None, :]
    return (rows * (2 * WINDOW - 1) + columns).flatten(2).flatten(0, 1)


def neighbours(height: int, width: int, shift: tuple[int, int], device: torch.device) -> Tensor:
    """Return which tokens of a window were neighbours before the map was rolled.

    Rolling brings the first rows beside the last ones; those must not see each other (figure 4).

    Returns:
        (H * W / 49, 1, 49, 49), true where two tokens of a window may look at each other.
    """
    down, across = (
        (torch.arange(side, device=device) >= side - step).int()  # 1 where the map was wrapped
        for side, step in zip((height, width), shift, strict=True)
    )
    region = 2 * down[:, None] + across  # (H, W), one number for each part of the rolled map
    parts = windows(region[None, :, :, None])[0, :, :, 0]  # (H * W / 49, 49)
    return (parts[:, :, None] == parts[:, None, :]).unsqueeze(1)


class WindowAttention(nn.Module):
    """Every token looks at the tokens of its own window, with a learned bias for each offset.

    Args:
        embed_dim: Width of a token.
        num_heads: Must divide `embed_dim`.
        shift: How far the windows lie from the corner, tokens. An axis that one window covers is
            not shifted.

    Shape:
        (B, H, W, embed_dim) -> (B, H, W, embed_dim)
    """

    offset: Tensor

    def __init__(self, embed_dim: int, num_heads: int, shift: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.shift = shift
        self.bias = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, num_heads))
        self.register_buffer("offset", offsets(), persistent=False)
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.out = nn.Linear(embed_dim, embed_dim)
        nn.init.trunc_normal_(self.bias, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of each window."""
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % WINDOW, 0, -height % WINDOW))  # to whole windows
        whole = x.shape[1], x.shape[2]
        down, across = (self.shift if side > WINDOW else 0 for side in whole)
        bias = self.bias[self.offset].permute(2, 0, 1)  # (heads, 49, 49)
        if down or across:
            x = x.roll((-down, -across), dims=(1, 2))
            near = neighbours(*whole, (down, across), x.device)
            bias = bias.masked_fill(~near, float("-inf"))  # (windows, heads, 49, 49)
        x = joined(self.attend(windows(x), bias), *whole)
        if down or across:
            x = x.roll((down, across), dims=(1, 2))
        return x[:, :height, :width]

    def attend(self, x: Tensor, bias: Tensor) -> Tensor:
        """Mix tokens within windows. (B, windows, 49, E) -> the same."""
        q, k, v = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(2, 3)  # (B, windows, heads, 49, d)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.out(mixed.transpose(2, 3).flatten(3))


class SwinBlock(nn.Module):
    """Attention in windows, then a small network on each token; normalised before, added after.

    Args:
        embed_dim: Width of a token.
        num_heads: Must divide `embed_dim`.
        shift: Of the windows, tokens.

    Shape:
        (B, H, W, embed_dim) -> (B, H, W, embed_dim)
    """

    def __init__(self, embed_dim: int, num_heads: int, shift: int) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(embed_dim)
        self.attention = WindowAttention(embed_dim, num_heads, shift)
        self.norm_2 = nn.LayerNorm(embed_dim)
        self.feedforward = FeedForward(embed_dim, 4 * embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Refine the tokens twice."""
        x = x + self.attention(self.norm_1(x))
        return x + self.feedforward(self.norm_2(x))


class PatchMerging(nn.Module):
    """Make one token, twice as wide, of each 2x2. (B, H, W, C) -> (B, H/2, W/2, 2C), rounded up."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * embed_dim, 2 * embed_dim, bias=False)
        self.norm = nn.LayerNorm(4 * embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Lay the four side by side, column by column, and map them."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        four = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(four, dim=-1)))


class Swin(nn.Module):
    """Patches of 4x4, four stages of blocks with a merging between, average, linear head.

    Args:
        depths: Blocks in each stage.
        heads: Of the attention in each stage.
        embed_dim: Width of a token in the first stage; each later one doubles it.
        in_channels: Channels of the image.
        outputs: Scores per image.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(
        self,
        depths: Sequence[int],
        heads: Sequence[int],
        *,
        embed_dim: int,
        in_channels: int,
        outputs: int,
    ) -> None:
        super().__init__()
        width = embed_dim
        self.patches = nn.Conv2d(in_channels, width, 4, 4)
        self.norm_patches = nn.LayerNorm(width)
        self.stages = nn.Sequential()
        for stage, (depth, num_heads) in enumerate(zip(depths, heads, strict=True)):
            if stage > 0:
                self.stages.append(PatchMerging(width))
                width *= 2
            shifts = (0 if block % 2 == 0 else WINDOW // 2 for block in range(depth))
            blocks = (SwinBlock(width, num_heads, shift) for shift in shifts)
            self.stages.append(nn.Sequential(*blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        self.apply(_start)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.norm_patches(self.patches(x).permute(0, 2, 3, 1))  # (B, H/4, W/4, E)
        x = self.norm(self.stages(x))  # (B, H/32, W/32, 8E)
        return self.head(x.mean(dim=(1, 2)))


def _start(module: nn.Module) -> None:
    """Set a linear layer's first weights."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def swin_t(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> Swin:
    """Return the Tiny size; it has no small form."""
    del small
    return Swin(DEPTHS_TINY, (3, 6, 12, 24), embed_dim=96, in_channels=inputs[0], outputs=outputs)


def swin_s(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> Swin:
    """Return the Small size, three times as deep in the third stage; it has no small form."""
    del small
    return Swin(DEPTHS_DEEP, (3, 6, 12, 24), embed_dim=96, in_channels=inputs[0], outputs=outputs)


def swin_b(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> Swin:
    """Return the Base size; it has no small form."""
    del small
    return Swin(DEPTHS_DEEP, (4, 8, 16, 32), embed_dim=128, in_channels=inputs[0], outputs=outputs)
