"""Depthwise convolution, the gradient of whose larger kernels torch takes value by value.

That of kernels of 5x5 and more takes torch 9 to 30 times as long as the convolution itself; loops
in C take 0.7 to 2 times as long. All else is torch's, and so is the gradient where there is no
compiler, or another type or device. `benchmarks/layers.py` times it beside torch.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.follow import is_transformed
from assay.compiled import compiled

SIDES = (5, 7, 9)  # of kernels that the loops know


class DepthwiseConv2d(nn.Conv2d):
    """`torch.nn.Conv2d`: its arguments, values and gradients; faster with a kernel a channel.

    Shape:
        (B, C, H, W) -> (B, C, H', W'), the sides that torch gives
    """

    def forward(self, input: Tensor) -> Tensor:
        """Convolve a batch of maps."""
        weight = self._parameters.get("weight")  # none where it is computed from others
        if weight is not None and weight.requires_grad and torch.is_grad_enabled():
            known = _have_values(input, weight) and input.ndim == 4
            padding = _known_padding(self, weight) if known else None
            if padding is not None:
                how = self.stride[0], padding
                return cast("Tensor", _Convolved.apply(input, weight, self.bias, *how))
        return super().forward(input)


def _known_padding(layer: nn.Conv2d, weight: Tensor) -> int | None:
    """Return by how much the loops would pad; None where they do not know the layer."""
    side, stride, padding = weight.shape[-1], layer.stride, layer.padding
    if side not in SIDES or weight.shape != (layer.groups, 1, side, side):
        return None
    if stride not in ((1, 1), (2, 2)) or layer.dilation != (1, 1) or layer.padding_mode != "zeros":
        return None
    if padding == "same":
        return side // 2
    return int(padding[0]) if padding in ((0, 0), (side // 2, side // 2)) else None


def _have_values(*tensors: Tensor) -> bool:
    """Return whether the loops may read the values as they lie, and nobody follows them."""
    if is_transformed() or torch.get_num_threads() > 1 or torch.is_autocast_enabled("cpu"):
        return False
    plain = all(
        type(x) in (Tensor, nn.Parameter)
        and x.dtype is torch.float32
        and x.is_cpu
        and torch._C._has_storage(x)
        and not (x.is_neg() or x._is_zerotensor())
        for x in tensors
    )
    return plain and _loops() is not None


class _Convolved(torch.autograd.Function):
    """A depthwise convolution by torch, with the gradient of its kernels by our loops."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
    ) -> Tensor:
        """Return the convolved maps."""
        ctx.save_for_backward(x, weight)
        ctx.how = stride, padding
        return F.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the maps, the kernels and the bias."""
        x, weight = ctx.saved_tensors
        stride, padding = ctx.how
        wanted = list(ctx.needs_input_grad[:3])
        kernels = None
        twice = torch.is_grad_enabled()  # somebody asks for gradients of gradients
        if wanted[1] and not twice and _have_values(x, weight, gradient):
            kernels = _kernel_gradient(x, weight, gradient, stride, padding)
        mask = wanted if kernels is None else [wanted[0], False, False]
        found = torch.ops.aten.convolution_backward(
            gradient, x, weight, [len(weight)], [stride] * 2, [padding] * 2, [1, 1],
            transposed=False, output_padding=[0, 0], groups=len(weight), output_mask=mask,
        )  # fmt: skip
        if kernels is None:
            return (*found, None, None)
        bias = gradient.sum(dim=(0, 2, 3)) if wanted[2] else None
        return found[0], kernels, bias, None, None


def _kernel_gradient(
    x: Tensor, weight: Tensor, gradient: Tensor, stride: int, padding: int
) -> Tensor | None:
    """Return the gradient of the kernels; None where memory does not suffice."""
    steps = ctypes.c_int64 * 4
    sizes = (*x.shape, *gradient.shape[2:], weight.shape[-1], stride, padding)
    found = torch.empty_like(weight, memory_format=torch.contiguous_format)
    done = cast("Callable[..., int]", _loops())(
        x.data_ptr(), steps(*x.stride()), gradient.data_ptr(), steps(*gradient.stride()),
        (ctypes.c_int64 * len(sizes))(*sizes), found.data_ptr(),
    )  # fmt: skip
    return found if done else None


@cache
def _loops() -> Callable[..., int] | None:
    """Return the compiled loops; None where there are none."""
    library = compiled(Path(__file__).with_name("depthwise.c"))
    if library is None:
        return None
    place = ctypes.c_void_p
    library.kernel_gradient.argtypes = [place] * 6
    library.kernel_gradient.restype = ctypes.c_int
    return cast("Callable[..., int]", library.kernel_gradient)
