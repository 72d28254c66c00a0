"""Batch normalisation of channels-first maps, whose statistics torch takes value by value.

While training, loops in C take the same statistics many values at a time, in a fifth of the time
and equal to the bit; torch's kernels normalise by them and take the gradients. Where there is no
compiler, or another layout, type or device, all of it is torch's. In inference a map that nothing
else reads is overwritten. `benchmarks/layers.py` times it beside torch.
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

LEAST = 1 << 17  # values from which on the loops pay for their further calls


class BatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d`: its arguments, values and gradients, in less time.

    Args:
        num_features: Channels.
        eps: Added to the variance.
        momentum: Of the running statistics.
        inplace: Whether nothing else reads the input, so that inference may overwrite it.

    Shape:
        (B, num_features, H, W) -> (B, num_features, H, W)
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        *,
        inplace: bool = False,
    ) -> None:
        super().__init__(num_features, eps, momentum)
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Normalise a batch of maps."""
        if not isinstance(input, Tensor):  # it is being traced
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias,
                self.training, self.momentum or 0.0, self.eps,
            )  # fmt: skip
        learnt, kept = self._parameters, self._buffers  # attributes take as long as a small map
        mean, variance = kept.get("running_mean"), kept.get("running_var")
        as_built = "weight" in learnt and "bias" in learnt  # not pruned, for one
        if mean is None or variance is None or not as_built or input.ndim != 4:
            return super().forward(input)
        how = mean, variance, learnt["weight"], learnt["bias"]
        if not self.training:
            if self.inplace and _may_be_overwritten(input, how):
                return _overwritten(input, *how, self.eps)
            return _as_torch(input, *how, 0.0, self.eps, training=False)
        if not self.momentum or input.numel() <= input.shape[1]:
            return super().forward(input)
        cast("Tensor", kept["num_batches_tracked"]).add_(1)
        if _is_slow(input, how):
            return cast("Tensor", _Normalised.apply(input, *how, self.momentum, self.eps))
        return _as_torch(input, *how, self.momentum, self.eps, training=True)


Values = tuple[Tensor, Tensor, Tensor | None, Tensor | None]  # mean, variance, weight, bias


def _is_slow(x: Tensor, how: Values) -> bool:
    """Return whether torch would take the statistics value by value, and nobody follows it."""
    if x.numel() < LEAST or is_transformed() or torch.get_num_threads() > 1:
        return False
    known = all(
        values.dtype == torch.float32 and values.device.type == "cpu" and values.is_contiguous()
        for values in (x, *how[:2])
    )
    return known and type(x) is Tensor and _fit(x, how) and _statistics() is not None


def _may_be_overwritten(x: Tensor, how: Values) -> bool:
    """Return whether no gradient may be asked for, and nobody follows the operations."""
    if torch.is_grad_enabled() or is_transformed() or type(x) is not Tensor or not x.is_cpu:
        return False
    if x.dtype is not torch.float32 or how[0].dtype is not torch.float32 or not _fit(x, how):
        return False
    here = torch.is_inference_mode_enabled() or not x.is_inference()
    return here and not (x._is_view() or x.requires_grad)


def _fit(x: Tensor, how: Values) -> bool:
    """Return whether there is a value for each channel; torch's checked way says what is not so."""
    channels = x.shape[1]
    return all(values is None or values.numel() == channels for values in how)


def _as_torch(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
    *,
    training: bool,
) -> Tensor:
    """Do what `torch.nn.functional.batch_norm` does, without its checks."""
    cudnn = not x.is_cpu and torch.backends.cudnn.enabled  # to ask takes a third of a microsecond
    return torch.batch_norm(
        x, weight, bias, mean, variance, training, momentum, eps, cudnn_enabled=cudnn
    )


def _overwritten(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    torch.native_batch_norm(
        x, weight, bias, mean, variance, training=False, momentum=0.0, eps=eps,
        out=(x, _nothing(), _nothing()),
    )  # fmt: skip
    return x


@cache
def _nothing() -> Tensor:
    """Return what takes the place of statistics, which inference does not have."""
    with torch.inference_mode(mode=False):
        return torch.empty(0, dtype=torch.float32, device="cpu")


class _Normalised(torch.autograd.Function):
    """Normalises by the statistics of the batch, and draws the running ones towards them."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Tensor:
        """Return the normalised maps."""
        images, channels, height, width = x.shape
        mean, inverse = torch.empty_like(running_mean), torch.empty_like(running_mean)
        places = (values.data_ptr() for values in (mean, inverse, running_mean, running_var))
        fill = cast("Callable[..., None]", _statistics())
        fill(x.data_ptr(), images, channels, height * width, eps, momentum, *places)
        scale = inverse if weight is None else inverse * weight
        one = torch.ones_like(mean)  # as variance: the scale holds it already
        y = torch.native_batch_norm(
            x, scale, bias, mean, one, training=False, momentum=0.0, eps=0.0
        )[0]
        ctx.eps = eps
        ctx.save_for_backward(x, weight, mean, inverse)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the maps, the weight and the bias."""
        x, weight, mean, inverse = ctx.saved_tensors
        wanted = [ctx.needs_input_grad[place] for place in (0, 3, 4)]
        found = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, None, None, mean, inverse,
            train=True, eps=ctx.eps, output_mask=wanted,
        )  # fmt: skip
        of_x, of_weight, of_bias = (
            one if asked else None for one, asked in zip(found, wanted, strict=True)
        )
        return of_x, None, None, of_weight, of_bias, None, None


@cache
def _statistics() -> Callable[..., None] | None:
    """Return the compiled loops; None where there are none."""
    library = compiled(Path(__file__).with_name("statistics.c"), "-ffp-contract=off")
    if library is None:
        return None
    place, size = ctypes.c_void_p, ctypes.c_int64
    library.statistics.argtypes = [
        place, size, size, size, ctypes.c_double, ctypes.c_float, place, place, place, place,
    ]  # fmt: skip
    library.statistics.restype = None
    return cast("Callable[..., None]", library.statistics)
