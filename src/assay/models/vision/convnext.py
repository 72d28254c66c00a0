"""ConvNeXt: a residual network rebuilt, choice by choice, after the Swin Transformer.

Source: Liu et al., 2022, https://arxiv.org/abs/2201.03545, figure 4 and section 3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from assay.blocks.depthwise import DepthwiseConv2d
from assay.blocks.feedforward import FeedForward

BRANCH_SCALE = 0.1  # of a residual branch at the start: the paper's 1e-6 takes epochs to wake up


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of each pixel over its channels. (B, C, H, W) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise with the channels last, then put them back."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """Filter each channel 7x7, then widen and narrow each pixel; scaled and added to the input.

    Args:
        width: Channels of the input and the output.

    Shape:
        (B, width, H, W) -> (B, width, H, W)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), BRANCH_SCALE))
        self.depthwise = DepthwiseConv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.feedforward = FeedForward(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Refine the map."""
        change = self.depthwise(x).permute(0, 2, 3, 1)  # (B, H, W, C): linear layers read the last
        change = self.feedforward(self.norm(change)).permute(0, 3, 1, 2)
        return torch.addcmul(x, self.layer_scale, change)


class ConvNeXt(nn.Module):
    """Patches of 4x4, four stages of blocks with a 2x2 reduction between, average, linear head.

    Args:
        depths: Blocks in each stage.
        widths: Channels of each stage.
        in_channels: Channels of the image.
        outputs: Scores per image.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(
        self, depths: Sequence[int], widths: Sequence[int], *, in_channels: int, outputs: int
    ) -> None:
        super().__init__()
        width = widths[0]
        self.stages = nn.Sequential()
        for stage, (depth, out) in enumerate(zip(depths, widths, strict=True)):
            if stage == 0:
                shrink = [nn.Conv2d(in_channels, out, 4, 4), ChannelNorm(out, eps=1e-6)]
            else:
                shrink = [ChannelNorm(width, eps=1e-6), nn.Conv2d(width, out, 2, 2)]
            self.stages.append(nn.Sequential(*shrink))
            self.stages.append(nn.Sequential(*(ConvNeXtBlock(out) for _ in range(depth))))
            width = out
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, outputs)
        self.apply(_start)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.stages(x)  # (B, C, H/32, W/32)
        return self.head(self.norm(x.mean(dim=(2, 3))))


def _start(module: nn.Module) -> None:
    """Set a layer's first weights (appendix A.1)."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def convnext_tiny(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ConvNeXt:
    """Return the Tiny size; it has no small form."""
    del small
    return ConvNeXt((3, 3, 9, 3), (96, 192, 384, 768), in_channels=inputs[0], outputs=outputs)


def convnext_small(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ConvNeXt:
    """Return the Small size; it has no small form."""
    del small
    return ConvNeXt((3, 3, 27, 3), (96, 192, 384, 768), in_channels=inputs[0], outputs=outputs)


def convnext_base(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ConvNeXt:
    """Return the Base size; it has no small form."""
    del small
    return ConvNeXt((3, 3, 27, 3), (128, 256, 512, 1024), in_channels=inputs[0], outputs=outputs)
