"""One module in a few words: its class and what matters of its arguments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

_MOST = 6  # weighted layers that the words for a block name one by one


def kind_of_layer(module: nn.Module) -> str:
    """Return "Conv2d 3×3/2 64→128 g32" or the like: kernel/stride in→out groups dilation.

    A block is followed by the same of the few convolutions and linear layers in it.
    """
    return " ".join([type(module).__name__, *_details(module)])


def _details(module: nn.Module) -> list[str]:
    if isinstance(module, _ConvNd):
        return [_convolution(module)]
    if isinstance(module, nn.Linear):
        return [f"{module.in_features}→{module.out_features}"]
    if isinstance(module, (_MaxPoolNd, _AvgPoolNd)):
        return [_window(module)]
    if isinstance(module, (_AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd)):
        return [f"→{_sides(module.output_size)}"]
    if any(module.children()):
        return _inside(module)
    return _numbers(module)


def _numbers(module: Any) -> list[str]:
    """Return the width of a normalisation, a recurrent layer, an embedding; the rest has none."""
    if isinstance(module, _NormBase):
        return [f"{module.num_features}"]
    if isinstance(module, nn.LayerNorm):
        return [_sides(module.normalized_shape)]
    if isinstance(module, nn.GroupNorm):
        return [f"{module.num_channels} in {module.num_groups}"]
    if isinstance(module, nn.RNNBase):
        layers = [f"×{module.num_layers}"] if module.num_layers > 1 else []
        return [f"{module.input_size}→{module.hidden_size}", *layers]
    if isinstance(module, nn.Embedding):
        return [f"{module.num_embeddings}→{module.embedding_dim}"]
    if isinstance(module, nn.Dropout):
        return [f"{module.p:g}"]
    return []


def _inside(module: nn.Module) -> list[str]:
    """Return the words for each weighted layer of a block that has few."""
    found = [m for m in module.modules() if isinstance(m, (_ConvNd, nn.Linear))]
    if len(found) > _MOST:
        return []
    words = (" ".join(_details(m)) for m in found)
    return [", ".join(words)] if found else []


def _convolution(module: _ConvNd) -> str:
    words = [_window(module), f"{module.in_channels}→{module.out_channels}"]
    if module.groups > 1:
        words.append(f"g{module.groups}")
    if any(side > 1 for side in module.dilation):
        words.append(f"d{module.dilation[0]}")
    return " ".join(words)


def _window(module: Any) -> str:
    """Return "3×3/2": the sides of the kernel, and the stride unless it is 1."""
    count = {"1": 1, "3": 3}.get(type(module).__name__[-2], 2)
    kernel, stride = _each(module.kernel_size, count), _each(module.stride, count)
    if set(stride) == {1}:
        return _sides(kernel)
    step = str(stride[0]) if len(set(stride)) == 1 else _sides(stride)
    return f"{_sides(kernel)}/{step}"


def _each(value: int | Iterable[int], count: int) -> list[int]:
    return [value] * count if isinstance(value, int) else list(value)


def _sides(value: int | Iterable[int | None] | None) -> str:
    if value is None:
        return ""
    return "×".join(map(str, [value] if isinstance(value, int) else value))
