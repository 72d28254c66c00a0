"""RepVGG: three branches while it learns, one plain 3x3 convolution afterwards.

Source: Ding et al., 2021, https://arxiv.org/abs/2101.03697, figure 4 and table 2.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.convolution import MOMENTUM, ConvNormAct
from assay.blocks.head import ImageHead


class RepBlock(nn.Module):
    """relu(3x3 + 1x1 + identity), each with its own normalisation.

    An ablation may take the last two branches away, or every normalisation.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Step between outputs. The identity is left out where the shapes differ.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        alike = in_channels == out_channels and stride == 1
        self.identity = BatchNorm2d(out_channels, momentum=MOMENTUM) if alike else None
        self.dense = ConvNormAct(in_channels, out_channels, 3, stride, act=None)
        self.point: ConvNormAct | None = ConvNormAct(in_channels, out_channels, 1, stride, act=None)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Add the branches."""
        total = self.dense(x)
        if self.point is not None:
            total = total + self.point(x)
        if self.identity is not None:
            total += self.identity(x)
        return self.act(total)

    @torch.no_grad()
    def folded(self) -> nn.Sequential:
        """Return one 3x3 convolution and an activation that answer as this block in eval mode."""
        old = self.dense.conv
        branches = [_absorbed(old.weight, old.bias, self.dense.norm)]
        if self.point is not None:
            point = self.point.conv
            branches.append(_absorbed(_centred(point.weight), point.bias, self.point.norm))
        if self.identity is not None:
            same = torch.eye(old.out_channels, device=old.weight.device, dtype=old.weight.dtype)
            branches.append(_absorbed(_centred(same[:, :, None, None]), None, self.identity))
        conv = nn.Conv2d(
            old.in_channels, old.out_channels, 3, cast(tuple[int, int], old.stride), 1
        ).to(old.weight)
        weights, biases = zip(*branches, strict=True)
        conv.weight.copy_(torch.stack(weights).sum(dim=0))
        cast(Tensor, conv.bias).copy_(torch.stack(biases).sum(dim=0))
        return nn.Sequential(conv, nn.ReLU(inplace=True))


def _centred(weight: Tensor) -> Tensor:
    """Return 1x1 filters as 3x3 ones with zeros around."""
    return F.pad(weight, (1, 1, 1, 1))


def _absorbed(weight: Tensor, bias: Tensor | None, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of a convolution that includes its normalisation (equation 3)."""
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    if not isinstance(norm, nn.BatchNorm2d):
        return weight, bias
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight / (variance + norm.eps).sqrt()
    return weight * scale[:, None, None, None], norm.bias + (bias - mean) * scale


class RepVGG(nn.Module):
    """A stem and four stages of blocks, each of which halves the image, then a linear head.

    Args:
        depths: Blocks in each stage.
        widths: Channels of the stem and of each stage.
        in_channels: Channels of the image.
        outputs: Scores per image.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(
        self, depths: Sequence[int], widths: Sequence[int], *, in_channels: int, outputs: int
    ) -> None:
        super().__init__()
        width = in_channels
        self.blocks = nn.Sequential()
        for depth, out in zip((1, *depths), widths, strict=True):
            for block in range(depth):
                self.blocks.append(RepBlock(width, out, 2 if block == 0 else 1))
                width = out
        self.head = ImageHead(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.blocks(x)  # (B, C, H/32, W/32)
        return self.head(x)

    def folded(self) -> nn.Sequential:
        """Return a plain stack of 3x3 convolutions that answers as this network in eval mode."""
        plain = (cast(RepBlock, block).folded() for block in self.blocks)
        return nn.Sequential(*plain, deepcopy(self.head)).train(self.training)


def repvgg_a0(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> RepVGG:
    """Return the A0 size in its learning form; it has no small form."""
    del small
    widths = (48, 48, 96, 192, 1280)
    return RepVGG((2, 4, 14, 1), widths, in_channels=inputs[0], outputs=outputs)
