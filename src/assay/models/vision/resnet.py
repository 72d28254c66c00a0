"""ResNet: blocks that learn a correction to their input rather than a new output.

Source: He, Zhang, Ren and Sun, 2015, https://arxiv.org/abs/1512.03385, table 1 and figure 5, and
section 4.2 for the networks of small images; the bottleneck halves the image in its 3x3
convolution, as torchvision's does. Pre-activation: by the same, 2016,
https://arxiv.org/abs/1603.05027, figure 4(e).
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead
from assay.blocks.max_pool import MaxPool2d
from assay.blocks.preactivation import NormAct, PreActivated, plain
from assay.blocks.residual import Residual

WIDTHS = (64, 128, 256, 512)  # channels of the four stages, a quarter of what bottlenecks return
SMALL_WIDTHS = (16, 32, 64)  # of the three stages of the networks for small images (section 4.2)


def basic(in_channels: int, out_channels: int, stride: int) -> Residual:
    """Return two 3x3 convolutions. (B, in, H, W) -> (B, out, H / stride, W / stride)."""
    return Residual(
        ConvNormAct(in_channels, out_channels, 3, stride),
        ConvNormAct(out_channels, out_channels, 3, act=None),
        shortcut=project(in_channels, out_channels, stride),
        act=nn.ReLU(),
    )


def bottleneck(
    in_channels: int, out_channels: int, stride: int, *, groups: int = 1, group_width: int = 64
) -> Residual:
    """Return narrow 1x1, filter 3x3, widen 1x1. (B, in, H, W) -> (B, out, H / stride, W / stride).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Of the 3x3 convolution.
        groups: Filters of the 3x3 convolution that run side by side.
        group_width: Channels of each group in the first stage; 64 is the paper's one group.
    """
    width = out_channels // 4 * group_width // 64 * groups
    return Residual(
        ConvNormAct(in_channels, width, 1),
        ConvNormAct(width, width, 3, stride, groups=groups),
        ConvNormAct(width, out_channels, 1, act=None),
        shortcut=project(in_channels, out_channels, stride),
        act=nn.ReLU(),
    )


def project(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Return a 1x1 convolution where the shapes disagree (section 3.3, B)."""
    if in_channels == out_channels and stride == 1:
        return None
    return ConvNormAct(in_channels, out_channels, 1, stride, act=None)


class ZeroPad(nn.Module):
    """Every `stride`-th pixel, zeros as the new channels. (B, in, H, W) -> (B, out, H / s, W / s).

    Costs no weight (section 3.3, A).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.added = out_channels - in_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return fewer pixels in more channels."""
        return F.pad(F.avg_pool2d(x, 1, self.stride), (0, 0, 0, 0, 0, self.added))


def small_basic(in_channels: int, out_channels: int, stride: int) -> Residual:
    """Return `basic` with a shortcut that has no weights, as the networks of small images."""
    same = in_channels == out_channels and stride == 1
    return Residual(
        ConvNormAct(in_channels, out_channels, 3, stride),
        ConvNormAct(out_channels, out_channels, 3, act=None),
        shortcut=None if same else ZeroPad(in_channels, out_channels, stride),
        act=nn.ReLU(),
    )


def preact_basic(in_channels: int, out_channels: int, stride: int) -> PreActivated:
    """Return `basic` with its activations first. (B, in, H, W) -> (B, out, H / s, W / s)."""
    return PreActivated(
        in_channels,
        plain(in_channels, out_channels, 3, stride),
        NormAct(out_channels, inplace=True),
        plain(out_channels, out_channels, 3),
        shortcut=preact_project(in_channels, out_channels, stride),
    )


def preact_bottleneck(in_channels: int, out_channels: int, stride: int) -> PreActivated:
    """Return `bottleneck` with its activations first. (B, in, H, W) -> (B, out, H / s, W / s)."""
    width = out_channels // 4
    return PreActivated(
        in_channels,
        plain(in_channels, width, 1),
        NormAct(width, inplace=True),
        plain(width, width, 3, stride),
        NormAct(width, inplace=True),
        plain(width, out_channels, 1),
        shortcut=preact_project(in_channels, out_channels, stride),
    )


def preact_project(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Return a 1x1 convolution where the shapes disagree; it reads what was activated."""
    if in_channels == out_channels and stride == 1:
        return None
    return plain(in_channels, out_channels, 1, stride)


def preact_head(in_channels: int, outputs: int) -> nn.Sequential:
    """Return a last activation, the average, a 1x1 convolution. (B, C, H, W) -> (B, outputs)."""
    score = nn.Conv2d(in_channels, outputs, 1)
    return nn.Sequential(NormAct(in_channels), nn.AdaptiveAvgPool2d(1), score, nn.Flatten())


def small_preact_head(in_channels: int, outputs: int) -> nn.Sequential:
    """Return a last activation, the average, a linear layer. (B, C, H, W) -> (B, outputs)."""
    return nn.Sequential(NormAct(in_channels), ImageHead(in_channels, outputs))


class ResNet(nn.Module):
    """A stem, stages of residual blocks of which all but the first halve the image, a linear head.

    Args:
        depths: Blocks in each stage.
        block: Builds one block, given its channels in and out and its stride.
        widths: Channels of each stage.
        expansion: Channels that a block returns, in multiples of `widths`; 4 for bottlenecks.
        stem: Channels of the stem; None takes those of the first stage.
        first: Builds the stem's convolution, given its channels in and out, kernel and stride.
        head: Builds what scores the last map, given its channels and the outputs.
        in_channels: Channels of the image.
        outputs: Scores per image.
        small: A 3x3 stem that keeps the size, in place of 7x7, stride 2 and a pool.

    Shape:
        (B, in_channels, H, W) -> (B, outputs) logits
    """

    def __init__(
        self,
        depths: Sequence[int],
        block: Callable[[int, int, int], nn.Module] = basic,
        *,
        widths: Sequence[int] = WIDTHS,
        expansion: int = 1,
        stem: int | None = None,
        first: Callable[[int, int, int, int], nn.Module] = ConvNormAct,
        head: Callable[[int, int], nn.Module] = ImageHead,
        in_channels: int,
        outputs: int,
        small: bool,
    ) -> None:
        super().__init__()
        width = widths[0] if stem is None else stem
        self.stem = (
            nn.Sequential(first(in_channels, width, 3, 1))
            if small
            else nn.Sequential(first(in_channels, width, 7, 2), MaxPool2d(3, 2, 1))
        )
        self.stages = nn.Sequential()
        for stage, (depth, base) in enumerate(zip(depths, widths, strict=True)):
            out = base * expansion
            opening = block(width, out, 1 if stage == 0 else 2)  # the stem already shrank stage 0
            rest = (block(out, out, 1) for _ in range(depth - 1))
            self.stages.append(nn.Sequential(opening, *rest))
            width = out
        self.head = head(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.stem(x)  # (B, stem, H/4, W/4), or H, W when small
        x = self.stages(x)  # (B, widths[-1] * expansion, H/32, W/32) with four stages
        return self.head(x)


def resnet18(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 18 layers."""
    return ResNet((2, 2, 2, 2), in_channels=inputs[0], outputs=outputs, small=small)


def resnet34(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 34 layers."""
    return ResNet((3, 4, 6, 3), in_channels=inputs[0], outputs=outputs, small=small)


def resnet50(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 50 layers, in bottlenecks."""
    return ResNet(
        (3, 4, 6, 3), bottleneck, expansion=4, in_channels=inputs[0], outputs=outputs, small=small
    )


def resnet101(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 101 layers, in bottlenecks."""
    return ResNet(
        (3, 4, 23, 3), bottleneck, expansion=4, in_channels=inputs[0], outputs=outputs, small=small
    )


def resnet152(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 152 layers, in bottlenecks."""
    return ResNet(
        (3, 8, 36, 3), bottleneck, expansion=4, in_channels=inputs[0], outputs=outputs, small=small
    )


def preact_resnet18(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 18 layers, activated before its convolutions."""
    return ResNet(
        (2, 2, 2, 2),
        preact_basic,
        first=plain,
        head=preact_head,
        in_channels=inputs[0],
        outputs=outputs,
        small=small,
    )


def preact_resnet50(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 50 layers, in bottlenecks activated before their convolutions."""
    return ResNet(
        (3, 4, 6, 3),
        preact_bottleneck,
        expansion=4,
        first=plain,
        head=preact_head,
        in_channels=inputs[0],
        outputs=outputs,
        small=small,
    )


def resnet20(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 20 layers for small images; they reach its stages at full size."""
    return _for_small_images(3, inputs, outputs)


def resnet32(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 32 layers for small images."""
    return _for_small_images(5, inputs, outputs)


def resnet44(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 44 layers for small images."""
    return _for_small_images(7, inputs, outputs)


def resnet56(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 56 layers for small images."""
    return _for_small_images(9, inputs, outputs)


def resnet110(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 110 layers for small images."""
    return _for_small_images(18, inputs, outputs)


def preact_resnet164(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> ResNet:
    """Return the network of 164 layers for small images, in pre-activated bottlenecks."""
    return small_preact(18, preact_bottleneck, inputs, outputs, expansion=4)


def small_preact(
    depth: int,
    block: Callable[[int, int, int], nn.Module],
    inputs: tuple[int, ...],
    outputs: int,
    *,
    factor: int = 1,
    expansion: int = 1,
) -> ResNet:
    """Return three stages of `depth` pre-activated blocks for small images.

    Args:
        depth: Blocks in each stage.
        block: As for `ResNet`.
        inputs: Shape of one image, (C, H, W).
        outputs: Scores per image.
        factor: Of the width of every stage, but not of the stem.
        expansion: As for `ResNet`.
    """
    return ResNet(
        (depth, depth, depth),
        block,
        widths=[factor * width for width in SMALL_WIDTHS],
        expansion=expansion,
        stem=SMALL_WIDTHS[0],
        first=plain,
        head=small_preact_head,
        in_channels=inputs[0],
        outputs=outputs,
        small=True,
    )


def _for_small_images(depth: int, inputs: tuple[int, ...], outputs: int) -> ResNet:
    """Return section 4.2's network of 6 * `depth` + 2 layers."""
    return ResNet(
        (depth, depth, depth),
        small_basic,
        widths=SMALL_WIDTHS,
        in_channels=inputs[0],
        outputs=outputs,
        small=True,
    )
