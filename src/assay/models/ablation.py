"""Taking one idea out of a network, by surgery on its tree of modules.

Here is how it is done in networks that read images; for those that read one thing after another
see `assay.models.ablation_series`.

What an idea is called, and what a network does in its place, stands in `assay.canon.idea`; which
ideas an entry has, on its card. Layers that a removal has to draw anew start as strong as those
whose place they take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.channel_shuffle import ChannelShuffle
from assay.blocks.convolution import ConvNormAct
from assay.blocks.drop_path import DropPath
from assay.blocks.max_feature_map import MaxFeatureMap
from assay.blocks.max_pool import MaxPool2d
from assay.blocks.pre_norm import PreNormBlock
from assay.blocks.preactivation import PreActivated
from assay.blocks.residual import Residual
from assay.blocks.squeeze_excitation import SqueezeExcitation
from assay.canon.card import Architecture, Shape, Variant
from assay.canon.task import Task
from assay.errors import BadArgumentError
from assay.models import ablation_series
from assay.models.build import build
from assay.models.dry import unstarted
from assay.models.surgery import Change, either, everywhere, fixed, replacing
from assay.models.vision.convnext import ConvNeXtBlock
from assay.models.vision.deit import DistilledTransformer
from assay.models.vision.densenet import DenseLayer, norm_act_conv
from assay.models.vision.ghostnet import Ghost
from assay.models.vision.googlenet import GoogLeNet
from assay.models.vision.inception_resnet_v2 import Scale
from assay.models.vision.inception_v3 import InceptionV3
from assay.models.vision.mixer import MixerBlock
from assay.models.vision.repvgg import RepBlock
from assay.models.vision.squeezenet import Fire
from assay.models.vision.swin import SwinBlock, WindowAttention
from assay.models.vision.vit import VisionTransformer
from assay.models.vision.whitened_cnn import Whitening


def remove(idea: str, network: nn.Module) -> nn.Module | None:
    """Return the network without an idea; it may be changed in place. None where it has none.

    Args:
        idea: A key of `SURGERY`.
        network: Whole, and not used afterwards.
    """
    return SURGERY[idea](network)


def without(idea: str, network: nn.Module, name: str, inputs: Shape) -> nn.Module:
    """Return the network without an idea, which it must have.

    Args:
        idea: A key of `SURGERY`.
        network: Whole, and not used afterwards.
        name: Of the whole network, for the message.
        inputs: That it was built for, for the message.

    Raises:
        BadArgumentError: It has no such thing.
    """
    left = remove(idea, network)
    if left is None:
        raise _absent([idea], name, inputs)
    return left


def require(idea: str, variant: Variant, inputs: Shape, task: Task | None = None) -> None:
    """Refuse an idea that a variant does not have when built for `inputs` and a task.

    Raises:
        BadArgumentError: It has no such thing.
    """
    if not _has(idea, variant, inputs, task):
        raise _absent([idea], variant.name, inputs)


def present(
    card: Architecture, variant: Variant, inputs: Shape, task: Task | None = None
) -> list[str]:
    """Return the removable ideas that a variant has when built for `inputs` and a task.

    Raises:
        BadArgumentError: It has none of them.
    """
    found = [idea for idea in card.removable if _has(idea, variant, inputs, task)]
    if not found:
        raise _absent(card.removable, variant.name, inputs)
    return found


def _has(idea: str, variant: Variant, inputs: Shape, task: Task | None) -> bool:
    """Return whether there is something to remove; no weight is drawn to find out."""
    with unstarted():
        return remove(idea, build(variant.name, inputs=inputs, task=task)) is not None


def _absent(ideas: Sequence[str], name: str, inputs: Shape) -> BadArgumentError:
    return BadArgumentError(
        f"Only what a network has can be removed. {name} built for inputs={tuple(inputs)} has no "
        f"{' and no '.join(ideas)}; choose another idea, another variant or larger examples."
    )


class Unadded(nn.Module):
    """A Transformer's layer whose two steps take each other's place in line, adding nothing.

    Args:
        whole: Whose layers it takes over.

    Shape:
        (B, T, E) -> (B, T, E)
    """

    def __init__(self, whole: PreNormBlock) -> None:
        super().__init__()
        self.norm_1, self.attention = whole.norm_1, whole.attention
        self.norm_2, self.feedforward = whole.norm_2, whole.feedforward
        self.drop = whole.drop

    def forward(self, x: Tensor, **seen: Any) -> Tensor:
        """Pass the tokens on; `seen` is what the attention is told."""
        x = self.drop(self.attention(self.norm_1(x), **seen))
        return self.drop(self.feedforward(self.norm_2(x)))


class ConvNeXtBranch(nn.Module):
    """A ConvNeXt block's branch alone. (B, C, H, W) -> (B, C, H, W).

    Args:
        block: Whose layers it takes over.
    """

    def __init__(self, block: ConvNeXtBlock) -> None:
        super().__init__()
        self.layer_scale = block.layer_scale
        self.depthwise, self.norm = block.depthwise, block.norm
        self.feedforward = block.feedforward

    def forward(self, x: Tensor) -> Tensor:
        """Return what the block would have added to its input."""
        change = self.depthwise(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        return self.layer_scale * self.feedforward(self.norm(change)).permute(0, 3, 1, 2)


class AveragedTransformer(nn.Module):
    """A Vision Transformer whose head reads the average of the patches.

    Args:
        whole: Whose layers it takes over, but for the class token and its position.

    Shape:
        (B, C, H, W) -> (B, outputs) logits
    """

    def __init__(self, whole: VisionTransformer) -> None:
        super().__init__()
        self.positions = nn.Parameter(whole.positions.detach()[:, 1:].clone())
        self.patches, self.blocks = whole.patches, whole.blocks
        self.norm, self.head = whole.norm, whole.head

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.blocks(self.patches(x) + self.positions)  # (B, N, E)
        return self.head(self.norm(x).mean(dim=1))


class UndistilledTransformer(nn.Module):
    """A DeiT with its class token and that token's head only.

    Args:
        whole: Whose layers it takes over.

    Shape:
        (B, C, H, W) -> (B, outputs) logits
    """

    def __init__(self, whole: DistilledTransformer) -> None:
        super().__init__()
        positions = whole.positions.detach()
        kept = torch.cat([positions[:, :1], positions[:, 2:]], dim=1)
        self.class_token, self.positions = whole.class_token, nn.Parameter(kept)
        self.patches, self.blocks = whole.patches, whole.blocks
        self.norm, self.head = whole.norm, whole.head

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.patches(x)  # (B, N - 1, E)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)  # (B, N, E)
        x = self.blocks(x + self.positions)
        return self.head(self.norm(x[:, 0]))


class LearnedFilters(nn.Conv2d):
    """A first layer that learns and does not look at images before it."""

    def initialize(self, images: Tensor) -> None:
        """Leave the filters as they are."""


def redrawn(old: nn.Conv2d, in_channels: int, out_channels: int, groups: int = 1) -> nn.Conv2d:
    """Return a convolution of the same kernel and step for other channels or groups.

    Its outputs start as strong as the old one's; the bias is kept where it fits, else zero.
    """
    new = (nn.Conv2d if groups == 1 else type(old))(
        in_channels,
        out_channels,
        cast("tuple[int, int]", old.kernel_size),
        cast("tuple[int, int]", old.stride),
        cast("str | tuple[int, int]", old.padding),
        cast("tuple[int, int]", old.dilation),
        groups,
        bias=old.bias is not None,
    ).to(old.weight)
    spread = old.weight.std() * (prod(old.weight.shape[1:]) / prod(new.weight.shape[1:])) ** 0.5
    with torch.no_grad():
        new.weight.normal_().mul_(spread)
        if new.bias is not None and old.bias is not None:
            fits = new.bias.shape == old.bias.shape
            new.bias.copy_(old.bias if fits else torch.zeros_like(new.bias))
    return new


def unnormalized(network: nn.Module) -> nn.Module | None:
    """Take batch normalisation out, and give every convolution the bias that it stood in for."""
    plain = everywhere(network, replacing(nn.BatchNorm2d, nn.Identity))
    return plain and (everywhere(plain, biased) or plain)


def biased(module: nn.Module) -> nn.Module | None:
    """Give a convolution without bias one of zeros."""
    if not isinstance(module, nn.Conv2d) or module.bias is not None:
        return None
    module.bias = nn.Parameter(module.weight.new_zeros(module.out_channels))
    return module


def straight(module: nn.Module) -> nn.Module | None:
    """Leave a block's branch alone; branches may then not be skipped either."""
    if isinstance(module, Residual):
        kept = (layer for layer in module.branch if not isinstance(layer, DropPath))
        return nn.Sequential(*kept, *([module.act] if module.act else []))
    if isinstance(module, PreActivated):
        return nn.Sequential(module.first, *module.branch)
    if isinstance(module, PreNormBlock):
        return Unadded(module)
    if isinstance(module, SwinBlock):
        return nn.Sequential(module.norm_1, module.attention, module.norm_2, module.feedforward)
    if isinstance(module, MixerBlock):
        layers = module.norm_1, module.along_tokens, module.norm_2, module.along_channels
        return nn.Sequential(*layers)
    if isinstance(module, ConvNeXtBlock):
        return ConvNeXtBranch(module)
    if isinstance(module, RepBlock) and module.identity is not None:
        module.identity = None
        return module
    return None


def full(module: nn.Module) -> nn.Module | None:
    """Make a depthwise convolution read all channels."""
    if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
        return redrawn(module, module.in_channels, module.out_channels)
    return None


def unaided(module: nn.Module) -> nn.Module | None:
    """Leave a network its last classifier."""
    if not isinstance(module, GoogLeNet | InceptionV3) or not module.auxiliary:
        return None
    module.auxiliary = nn.ModuleList()
    return module


def ungrouped(module: nn.Module) -> nn.Module | None:
    """Make a grouped convolution, but no depthwise one, read all channels."""
    if isinstance(module, nn.Conv2d) and 1 < module.groups < module.in_channels:
        return redrawn(module, module.in_channels, module.out_channels)
    return None


def unwidened(module: nn.Module) -> nn.Module | None:
    """Let an inverted residual filter at the width of the block's input, without widening first."""
    if not (isinstance(module, nn.Sequential) and _is_inverted(module)):
        return None
    width = cast("ConvNormAct", module[0]).conv.in_channels
    depthwise = cast("ConvNormAct", module[1])
    old = depthwise.norm
    depthwise.conv = redrawn(depthwise.conv, width, width, groups=width)
    depthwise.norm = BatchNorm2d(width, old.eps, old.momentum, inplace=True).to(old.weight)
    for layer in module[2:]:
        if isinstance(layer, ConvNormAct):
            layer.conv = redrawn(layer.conv, width, layer.conv.out_channels)
        elif isinstance(layer, SqueezeExcitation):
            layer.reduce = redrawn(layer.reduce, width, layer.reduce.out_channels)
            layer.expand = redrawn(layer.expand, layer.expand.in_channels, width)
    del module[0]
    return module


def _is_inverted(layers: nn.Sequential) -> bool:
    """Return whether the layers begin with a widening 1x1 and a depthwise convolution."""
    if len(layers) < 3:
        return False
    wide, filters = layers[0], layers[1]
    if not (isinstance(wide, ConvNormAct) and isinstance(filters, ConvNormAct)):
        return False
    widens = wide.conv.kernel_size == (1, 1) and wide.conv.out_channels > wide.conv.in_channels
    return widens and filters.conv.groups == filters.conv.in_channels


def rectified(module: nn.Module) -> nn.Module | None:
    """Give the narrow end of an inverted residual the activation of its filters."""
    if not isinstance(module, nn.Sequential):
        return None
    layers = [layer for layer in module if isinstance(layer, ConvNormAct)]
    if len(layers) < 2 or layers[-2].conv.groups == 1 or layers[-1].activates:
        return None
    layers[-1].act = deepcopy(layers[-2].act)
    return module


def expanded_3x3(module: nn.Module) -> nn.Module | None:
    """Make all of a Fire block's expansions 3x3."""
    if not isinstance(module, Fire):
        return None
    wide = module.expand3x3.out_channels + module.expand1x1.out_channels
    expand = redrawn(module.expand3x3, module.expand3x3.in_channels, wide)
    return nn.Sequential(module.squeeze, nn.ReLU(), expand, nn.ReLU())


def unreduced(module: nn.Module) -> nn.Module | None:
    """Let the filter behind a 1x1 reduction read all channels."""
    if not isinstance(module, nn.Sequential) or len(module) < 2:
        return None
    reduction, filters = _convolution(module[0]), _convolution(module[1])
    if reduction is None or filters is None:
        return None
    if reduction.kernel_size != (1, 1) or filters.kernel_size == (1, 1):
        return None
    new = redrawn(filters, reduction.in_channels, filters.out_channels)
    cast("nn.Sequential", module[1])[0] = new
    del module[0]
    return module


def squared(module: nn.Module) -> nn.Module | None:
    """Make one square convolution of each row and column that follow each other."""
    if not isinstance(module, nn.Sequential):
        return None
    place, changed = 0, False
    while place + 1 < len(module):
        first, second = _convolution(module[place]), _convolution(module[place + 1])
        if first is not None and second is not None and _is_cross(first, second):
            cast("nn.Sequential", module[place + 1])[0] = _square(first, second)
            del module[place]
            changed = True
        place += 1
    return module if changed else None


def _is_cross(first: nn.Conv2d, second: nn.Conv2d) -> bool:
    """Return whether two kernels are 1xn and nx1, in either order, of one n above 1."""
    crosses = first.kernel_size == second.kernel_size[::-1]
    return crosses and 1 in first.kernel_size and max(first.kernel_size) > 1


def _square(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    side, bias = max(first.kernel_size), second.bias is not None
    new = nn.Conv2d(first.in_channels, second.out_channels, side, padding=side // 2, bias=bias)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    return new.to(second.weight)


def _convolution(layer: nn.Module) -> nn.Conv2d | None:
    """Return the convolution of a layer that is one with what follows it."""
    if isinstance(layer, nn.Sequential) and len(layer) and isinstance(layer[0], nn.Conv2d):
        return layer[0]
    return None


def unghosted(module: nn.Module) -> nn.Module | None:
    """Compute all of a Ghost module's channels by its 1x1 convolution."""
    if not isinstance(module, Ghost):
        return None
    layer, old = module.primary, module.primary.norm
    wide = layer.conv.out_channels + module.cheap.conv.out_channels
    layer.conv = redrawn(layer.conv, layer.conv.in_channels, wide)
    layer.norm = BatchNorm2d(wide, old.eps, old.momentum, inplace=True).to(old.weight)
    return layer


def uncontested(module: nn.Module) -> nn.Module | None:
    """Rectify as many maps as would have won, in place of making twice as many."""
    if not isinstance(module, nn.Sequential):
        return None
    places = [place for place, layer in enumerate(module) if isinstance(layer, MaxFeatureMap)]
    for place in places:
        module[place - 1] = _halved(module[place - 1])
        module[place] = nn.ReLU()
    return module if places else None


def _halved(layer: nn.Module) -> nn.Module:
    """Return a layer of half the outputs, started so that rectified values keep their strength."""
    if isinstance(layer, nn.Conv2d):
        new: nn.Conv2d | nn.Linear = redrawn(layer, layer.in_channels, layer.out_channels // 2)
        with torch.no_grad():
            new.weight.mul_(2**0.5)
        return new
    whole = cast("nn.Linear", layer)
    new = nn.Linear(whole.in_features, whole.out_features // 2)
    nn.init.kaiming_normal_(new.weight, nonlinearity="relu")
    nn.init.zeros_(new.bias)
    return new


def unbranched(module: nn.Module) -> nn.Module | None:
    """Leave a RepVGG block its 3x3 convolution and its identity."""
    if not isinstance(module, RepBlock):
        return None
    module.point = None
    return module


def undense(module: nn.Module) -> nn.Module | None:
    """Let a dense layer compute what it would have copied."""
    if not isinstance(module, DenseLayer):
        return None
    grow, channels = _of_dense(module)
    module.grow[2] = redrawn(grow, grow.in_channels, channels + grow.out_channels)
    return nn.Sequential(module.squeeze, module.grow)


def unsqueezed(module: nn.Module) -> nn.Module | None:
    """Let a dense layer's 3x3 convolution read all channels."""
    if not isinstance(module, DenseLayer) or not len(module.squeeze):
        return None
    grow, channels = _of_dense(module)
    module.grow = norm_act_conv(channels, grow.out_channels, 3)
    module.squeeze = nn.Sequential()
    return module


def _of_dense(layer: DenseLayer) -> tuple[nn.Conv2d, int]:
    """Return a dense layer's last convolution, and how many channels the layer reads."""
    first = [*layer.squeeze, *layer.grow][0]
    return cast("nn.Conv2d", layer.grow[2]), cast("nn.BatchNorm2d", first).num_features


def one_convolution(module: nn.Module) -> nn.Module | None:
    """Make one convolution of a filter and the two 1x1 convolutions behind it."""
    if not isinstance(module, nn.Sequential) or len(module) < 5:
        return None
    filters, second, third = module[0], module[2], module[4]
    if not (isinstance(filters, nn.Conv2d) and isinstance(second, nn.Conv2d)):
        return None
    if not isinstance(third, nn.Conv2d):
        return None
    new = redrawn(filters, filters.in_channels, third.out_channels)
    return nn.Sequential(new, *module[5:])


def apart(module: nn.Module) -> nn.Module | None:
    """Make overlapping pools read each pixel once."""
    if isinstance(module, nn.MaxPool2d) and (module.kernel_size, module.stride) == (3, 2):
        return MaxPool2d(2, 2, ceil_mode=module.ceil_mode)
    return None


def placeless(module: nn.Module) -> nn.Module | None:
    """Say nothing of where a token stands."""
    if isinstance(module, VisionTransformer | DistilledTransformer):
        return fixed(module, "positions", torch.zeros_like(module.positions[:, :1, :1]))
    if isinstance(module, WindowAttention):
        return fixed(module, "bias", torch.zeros_like(module.bias))
    return None


def unscaled(module: nn.Module) -> nn.Module | None:
    """Add a ConvNeXt block's branch in full."""
    if not isinstance(module, ConvNeXtBlock):
        return None
    return fixed(module, "layer_scale", torch.ones_like(module.layer_scale[:1]))


def unshifted(module: nn.Module) -> nn.Module | None:
    """Let windows begin at the corner."""
    if not isinstance(module, WindowAttention) or not module.shift:
        return None
    module.shift = 0
    return module


def unmixed(module: nn.Module) -> nn.Module | None:
    """Leave a Mixer block its network along channels."""
    if not isinstance(module, MixerBlock):
        return None
    return Residual(module.norm_2, module.along_channels)


def learned(module: nn.Module) -> nn.Module | None:
    """Let a whitening layer learn instead."""
    if not isinstance(module, Whitening):
        return None
    count, channels, *kernel_size = module.filters.shape
    return LearnedFilters(channels, count, kernel_size[0], module.stride, 1, bias=False)


def untokened(module: nn.Module) -> nn.Module | None:
    """Average the patches in place of reading a class token."""
    return AveragedTransformer(module) if isinstance(module, VisionTransformer) else None


def undistilled(module: nn.Module) -> nn.Module | None:
    """Leave a DeiT its class token."""
    return UndistilledTransformer(module) if isinstance(module, DistilledTransformer) else None


def undropped(module: nn.Module) -> nn.Module | None:
    """Drop no feature."""
    return nn.Identity() if isinstance(module, nn.Dropout) and module.p > 0 else None


def unskipped(module: nn.Module) -> nn.Module | None:
    """Skip no branch."""
    return nn.Identity() if isinstance(module, DropPath) and module.p > 0 else None


_CHANGES: Mapping[str, Change] = {
    **ablation_series.CHANGES,
    "asymmetric": squared,
    "auxiliary_heads": unaided,
    "bottleneck": unsqueezed,
    "branch_1x1": unbranched,
    "channel_shuffle": replacing(ChannelShuffle, nn.Identity),
    "class_token": untokened,
    "dense_connections": undense,
    "depthwise": full,
    "distillation_token": undistilled,
    "drop_path": unskipped,
    "dropout": undropped,
    "expand_1x1": expanded_3x3,
    "gelu": replacing(nn.GELU, nn.ReLU),
    "ghost": unghosted,
    "groups": ungrouped,
    "hard_swish": replacing(nn.Hardswish, nn.ReLU),
    "inverted_residual": unwidened,
    "layer_norm": replacing(nn.LayerNorm, nn.Identity),
    "layer_scale": unscaled,
    "leaky_relu": replacing(nn.LeakyReLU, nn.ReLU),
    "linear_bottleneck": rectified,
    "max_feature_map": uncontested,
    "mlpconv": one_convolution,
    "overlapping_pool": apart,
    "position": either(placeless, ablation_series.placeless),
    "reduction_1x1": unreduced,
    "relu": replacing(nn.ReLU, nn.Tanh),
    "residual_scale": replacing(Scale, nn.Identity),
    "response_norm": replacing(nn.LocalResponseNorm, nn.Identity),
    "shifted_windows": unshifted,
    "shortcut": either(straight, ablation_series.straight),
    "squeeze_excitation": replacing(SqueezeExcitation, nn.Identity),
    "swish": replacing(nn.SiLU, nn.ReLU),
    "token_mixing": unmixed,
    "whitening": learned,
}
SURGERY: Mapping[str, Callable[[nn.Module], nn.Module | None]] = {
    "batch_norm": unnormalized,
    **{idea: partial(everywhere, change=change) for idea, change in _CHANGES.items()},
}
