"""Layers of S equal networks as one layer: batches (S, B, ...) in and out, parameters (S, ...).

Linear layers become one batched product, convolutions one grouped convolution of S·C channels with
the channels innermost in memory, norms one norm with statistics of its own for every seed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.batch_norm import BatchNorm2d
from assay.blocks.depthwise import DepthwiseConv2d
from assay.blocks.max_pool import MaxPool2d

Layers = Sequence[nn.Module]


def fold(x: Tensor) -> Tensor:
    """(S, B, C, ...) -> (B, S·C, ...); images with their channels innermost in memory."""
    if x.dim() != 5:
        return x.transpose(0, 1).flatten(1, 2)
    seeds, batch, channels, height, width = x.shape
    pixels = x.permute(1, 3, 4, 0, 2).reshape(batch, height, width, seeds * channels)
    return pixels.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def unfold(y: Tensor, seeds: int) -> Tensor:
    """(B, S·C, ...) -> (S, B, C, ...), the same memory."""
    batch, channels, *rest = y.shape
    return y.view(batch, seeds, channels // seeds, *rest).transpose(0, 1)


def aligned(weights: Tensor, dimensions: int) -> Tensor:
    """(S, ...) -> (S, 1, ..., 1, ...) with so many dimensions, for broadcasting over batches."""
    ones = [1] * (dimensions - weights.dim())
    return weights.reshape(len(weights), *ones, *weights.shape[1:])


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(S, B, ..., I), (S, O, I), (S, O) -> (S, B, ..., O).

    The weights stand first in the product, so that their gradient comes in the weights' own layout;
    the other way round, torch makes a transposed copy of it in every step.
    """
    columns = x.flatten(1, -2).mT  # (S, I, rows)
    if bias is None:
        y = torch.bmm(weight, columns)
    else:
        y = torch.baddbmm(bias.unsqueeze(2), weight, columns)
    return y.mT.view(*x.shape[:-1], -1)


def convolution(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `F.conv1d` or `F.conv2d` for inputs (S, B, I, ...) and weights (S, O, I, ...)."""

    def apply(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Tensor:
        seeds = len(weight)
        flat = None if bias is None else bias.flatten()
        kernels = weight.flatten(0, 1)
        y = function(fold(x), kernels, flat, stride, padding, dilation, seeds * groups)
        return unfold(y, seeds)

    return apply


def folded(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return what treats every channel alone, such as a pool, for inputs (S, B, C, ...)."""

    def apply(x: Tensor, *args: object, **options: object) -> Tensor:
        return unfold(function(fold(x), *args, **options), len(x))

    return apply


class _Stacked(nn.Module):
    """Holds the parameters and buffers of equal layers, each as one tensor (S, ...)."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        for name in (*layers[0]._parameters, *layers[0]._buffers):
            put_together(self, layers, name)


class StackedLinear(_Stacked):
    """`nn.Linear`, once for each seed."""

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, ..., I) -> (S, B, ..., O)."""
        return linear(x, self.weight, self.bias)


class StackedConv(_Stacked):
    """`nn.Conv1d` or `nn.Conv2d`, once for each seed."""

    def __init__(self, layers: Sequence[nn.Conv1d | nn.Conv2d]) -> None:
        super().__init__(layers)
        first = layers[0]
        self._apply_kernels = CONVOLUTIONS[type(first).forward]
        self._options = first.stride, first.padding, first.dilation, first.groups

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, I, ...) -> (S, B, O, ...)."""
        return self._apply_kernels(x, self.weight, self.bias, *self._options)


class StackedBatchNorm(_Stacked):
    """Batch normalisation, of one or two dimensions: every seed has statistics of its own."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, layers: Sequence[nn.modules.batchnorm._BatchNorm]) -> None:
        super().__init__(layers)
        momentum = layers[0].momentum
        if momentum is None:
            raise ValueError("a running average that weighs all batches alike has no stacked form")
        self._momentum, self._eps = momentum, layers[0].eps

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, C, ...) -> the same."""
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        mean, variance, weight, bias = (
            None if values is None else values.view(-1)
            for values in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        fresh = self.training or mean is None
        y = F.batch_norm(fold(x), mean, variance, weight, bias, fresh, self._momentum, self._eps)
        return unfold(y, len(x))


class StackedLayerNorm(_Stacked):
    """`nn.LayerNorm`, once for each seed."""

    def __init__(self, layers: Sequence[nn.LayerNorm]) -> None:
        super().__init__(layers)
        self._shape, self._eps = layers[0].normalized_shape, layers[0].eps

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, ...) -> the same."""
        y = F.layer_norm(x, self._shape, eps=self._eps)
        if self.weight is not None:
            y = y * aligned(self.weight, y.dim())
        return y if self.bias is None else y + aligned(self.bias, y.dim())


class StackedGroupNorm(_Stacked):
    """`nn.GroupNorm`, once for each seed."""

    def __init__(self, layers: Sequence[nn.GroupNorm]) -> None:
        super().__init__(layers)
        self._groups, self._eps = layers[0].num_groups, layers[0].eps

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, C, ...) -> the same."""
        weight, bias = (None if v is None else v.flatten() for v in (self.weight, self.bias))
        return unfold(F.group_norm(fold(x), len(x) * self._groups, weight, bias, self._eps), len(x))


class StackedDropout(nn.Module):
    """`nn.Dropout`: each seed draws its masks from its own generator, in the order of the layers.

    These are the masks that the seed would have drawn alone, but for images with their channels
    innermost in memory, whose values torch draws in another order.

    Args:
        dropout: Probability of dropping, in [0, 1].
        generators: One for each seed; shared by all layers, and shortened when a seed leaves.
    """

    def __init__(self, dropout: float, generators: list[torch.Generator]) -> None:
        super().__init__()
        self.dropout, self._generators = dropout, generators

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, ...) -> the same."""
        if not self.training or self.dropout == 0:
            return x
        if self.dropout == 1:
            return x * 0
        mask = torch.empty(x.shape, dtype=x.dtype)  # drawn where the generators are
        for one, generator in zip(mask, self._generators, strict=True):
            one.bernoulli_(1 - self.dropout, generator=generator)
        return x * mask.div_(1 - self.dropout).to(x.device)


class Folded(nn.Module):
    """A layer without parameters that treats every channel alone."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """(S, B, C, ...) -> (S, B, C, ...)."""
        return unfold(self.layer(fold(x)), len(x))


CONVOLUTIONS = {
    nn.Conv1d.forward: convolution(F.conv1d),
    nn.Conv2d.forward: convolution(F.conv2d),
    DepthwiseConv2d.forward: convolution(F.conv2d),
}


def put_together(owner: nn.Module, owners: Layers, name: str) -> None:
    """Give `owner` the parameter or buffer `name` of all `owners` as one tensor (S, ...)."""
    first = owners[0]
    values = [getattr(one, name) for one in owners]
    joined = None
    if values[0] is not None:
        joined = torch.stack([value.detach() for value in values]).contiguous()
    if name in first._parameters:
        free = joined is not None and values[0].requires_grad
        parameter = None if joined is None else nn.Parameter(joined, requires_grad=free)
        owner.register_parameter(name, parameter)
    else:
        kept = name not in first._non_persistent_buffers_set
        owner.register_buffer(name, joined, persistent=kept)


def stacked_layer(layers: Layers, generators: list[torch.Generator]) -> nn.Module | None:
    """Return the layer that computes all of `layers`, equal but for their weights; None if unknown.

    Args:
        layers: One for each seed.
        generators: Of the seeds, for what is drawn by chance while training.
    """
    first = layers[0]
    found: nn.Module | None = None
    if type(first) in _EACH_VALUE_ALONE:
        found = copy.deepcopy(first)
        if hasattr(found, "inplace"):
            found.inplace = False  # type: ignore[assignment]
    elif isinstance(first, nn.Flatten):
        found = nn.Flatten(behind(first.start_dim), behind(first.end_dim))
    elif type(first) is nn.Dropout:
        found = StackedDropout(first.p, generators)
    elif type(first) in _EACH_CHANNEL_ALONE and not getattr(first, "return_indices", False):
        found = Folded(first)
    elif _known(first):
        kind = next(k for base, k in _WITH_WEIGHTS if type(first).forward is base.forward)
        found = kind(layers)
    return None if found is None else found.train(mode=first.training)


def is_leaf(module: nn.Module) -> bool:
    """Return whether `stacked_layer` takes a module whole."""
    whole = (*_EACH_VALUE_ALONE, *_EACH_CHANNEL_ALONE, nn.Flatten, nn.Dropout)
    return type(module) in whole or _known(module)


def _known(module: nn.Module) -> bool:
    """Whether a layer with weights computes as torch's own does, and in a way that is known."""
    if not any(type(module).forward is base.forward for base, _ in _WITH_WEIGHTS):
        return False
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return module.padding_mode == "zeros"
    average = isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum is None
    return not average


def behind(dimension: int) -> int:
    """Return the place of a dimension once that of the seeds is put before all."""
    return dimension + 1 if dimension >= 0 else dimension


_WITH_WEIGHTS: tuple[tuple[type[nn.Module], Callable[..., nn.Module]], ...] = (
    (nn.Linear, StackedLinear),
    (nn.Conv1d, StackedConv),
    (nn.Conv2d, StackedConv),
    (DepthwiseConv2d, StackedConv),
    (nn.BatchNorm1d, StackedBatchNorm),
    (nn.BatchNorm2d, StackedBatchNorm),
    (BatchNorm2d, StackedBatchNorm),
    (nn.LayerNorm, StackedLayerNorm),
    (nn.GroupNorm, StackedGroupNorm),
)
_EACH_VALUE_ALONE: tuple[type[nn.Module], ...] = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Tanh, nn.Sigmoid, nn.Hardswish, nn.Hardsigmoid, nn.Softplus,
)  # fmt: skip
_EACH_CHANNEL_ALONE: tuple[type[nn.Module], ...] = (
    MaxPool2d, nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
