"""Receptive fields, followed from operation to operation while a network runs.

A value's receptive field is the part of the input that it depends on through convolutions and
pools, as in https://distill.pub/2019/computing-receptive-fields/. Where branches meet, the largest
field counts; padding counts as if the input went on, and statistics of normalisation do not count.
A global pool sees everything, and so does all that its result is multiplied with: from the first
squeeze-and-excitation on. After attention and other products along positions nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf, isfinite, isinf, isnan, nan
from typing import Any

from torch import Tag

Arguments = dict[str, Any]
Shape = tuple[int, ...]
Window = tuple[float, float]  # how far beyond one value it reaches, and its stride

ALL, UNKNOWN = inf, nan


@dataclass(frozen=True)
class Field:
    """What one value of a tensor depends on, along each axis of the input.

    Attributes:
        sizes: How many positions; ALL of them, or UNKNOWN.
        jumps: How many positions lie between one value and the next; 0.5 where an image grew.
    """

    sizes: tuple[float, ...]
    jumps: tuple[float, ...]

    @property
    def told(self) -> tuple[int | None, ...]:
        """The sizes in whole positions; None is all, -1 is not known."""
        return tuple(
            None if isinf(size) else -1 if isnan(size) else ceil(round(size, 6))
            for size in self.sizes
        )

    def of_size(self, size: float) -> Field:
        """Return the field with the same size along every axis."""
        return Field((size,) * len(self.sizes), self.jumps)

    def through(self, windows: Sequence[Window]) -> Field:
        """Return what is seen through a window along each axis."""
        if len(windows) != len(self.sizes):
            return self.of_size(UNKNOWN)
        axes = list(zip(self.sizes, self.jumps, windows, strict=True))
        return Field(
            tuple(size + reach * jump for size, jump, (reach, _) in axes),
            tuple(jump * stride for _, jump, (_, stride) in axes),
        )


def start(inputs: Shape) -> Field | None:
    """Return the field of an image (C, H, W) or a sequence (T, F); None of a row, without axes."""
    axes = {3: 2, 2: 1}.get(len(inputs), 0)
    return Field((1,) * axes, (1,) * axes) if axes else None


def follow(func: Any, call: Arguments, fields: Sequence[Field], shape: Shape) -> Field | None:
    """Return the field of an operation's result; None if it reads nothing but a shape.

    Args:
        func: The operation, one of `torch.ops.aten`.
        call: Its arguments by name.
        fields: Of those of its arguments that have one, at least one.
        shape: Of its result.
    """
    name = func._schema.name.rpartition("::")[2].strip("_")
    if name.endswith("_like") or name.startswith("new_"):
        return None
    field = _largest(fields)
    if not any(map(isfinite, field.sizes)):
        return field
    if name in _RULES:
        return _RULES[name](call, field, shape)
    keeps = Tag.pointwise in func.tags or name in _KEEPING
    return field if keeps else field.of_size(UNKNOWN)


def _largest(fields: Sequence[Field]) -> Field:
    sizes = zip(*(field.sizes for field in fields), strict=True)
    jumps = zip(*(field.jumps for field in fields), strict=True)
    return Field(
        tuple(UNKNOWN if any(map(isnan, meeting)) else max(meeting) for meeting in sizes),
        tuple(map(max, jumps)),
    )


def _convolution(call: Arguments, field: Field, shape: Shape) -> Field:
    windows = _windows(call["weight"].shape[2:], call["stride"], call["dilation"])
    if len(windows) > len(field.sizes):  # a sequence as an image of one row
        sides = call["input"].shape[2:]
        windows = [window for window, side in zip(windows, sides, strict=True) if side > 1]
    if call["transposed"]:
        windows = [(reach // stride, 1 / stride) for reach, stride in windows]
    return field.through(windows)


def _pool(call: Arguments, field: Field, shape: Shape) -> Field:
    kernel = call["kernel_size"]
    windows = _windows(kernel, call.get("stride") or kernel, call.get("dilation", [1]))
    return field.through(windows[-len(field.sizes) :])  # those before pool channels


def _windows(kernel: Shape, strides: Sequence[int], dilations: Sequence[int]) -> list[Window]:
    count = len(kernel)
    strides, dilations = (list(v) * count if len(v) == 1 else v for v in (strides, dilations))
    each = zip(kernel, strides, dilations, strict=True)
    return [((side - 1) * dilation, stride) for side, stride, dilation in each]


def _pool_to_size(call: Arguments, field: Field, shape: Shape) -> Field:
    sides = zip(call["self"].shape, shape, strict=True)
    windows = [(ALL if new == 1 < old else ceil(old / new) - 1, old / new) for old, new in sides]
    return field.through(windows[-len(field.sizes) :])


def _resize(taps: int) -> Callable[[Arguments, Field, Shape], Field]:
    """Return the rule for interpolation between so many neighbours."""

    def rule(call: Arguments, field: Field, shape: Shape) -> Field:
        sides = zip(call["self"].shape[2:], shape[2:], strict=True)
        return field.through([(taps - 1 if old != new else 0, old / new) for old, new in sides])

    return rule


def _reduce(call: Arguments, field: Field, shape: Shape) -> Field:
    """Follow a mean over all positions, or over channels (B, C, ...) alone."""
    rank, given = call["self"].dim(), call.get("dim")
    dims = [given] if isinstance(given, int) else given or range(rank)
    reduced = {dim % rank for dim in dims} - {0}
    if len(reduced) >= rank - 2:
        return field.of_size(ALL)
    return field if reduced == {1} else field.of_size(UNKNOWN)


def _multiply(call: Arguments, field: Field, shape: Shape) -> Field:
    """Follow a matrix product: of one row, all positions of the only example are in it."""
    return field.of_size(ALL if shape[0] == 1 else UNKNOWN)


def _view(call: Arguments, field: Field, shape: Shape) -> Field:
    """Follow a change of shape; one that cuts positions into pieces leaves nothing to tell."""
    before, axes = tuple(call["self"].shape), len(field.sizes)
    cut = len(shape) > len(before) and shape[-axes:] != before[-axes:]
    return field.of_size(UNKNOWN) if cut else field


_RULES: dict[str, Callable[[Arguments, Field, Shape], Field]] = {
    "convolution": _convolution,
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d", "avg_pool3d"), _pool),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _pool_to_size),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d"), _resize(1)),
    **dict.fromkeys(("upsample_linear1d", "upsample_bilinear2d"), _resize(2)),
    **dict.fromkeys(("mean", "sum", "amax", "max", "var", "softmax"), _reduce),
    "linalg_vector_norm": _reduce,
    **dict.fromkeys(("mm", "addmm"), _multiply),
    **dict.fromkeys(("view", "unsafe_view"), _view),
    "slice": lambda call, field, _: field if call["step"] == 1 else field.of_size(UNKNOWN),
}
_KEEPING = frozenset(
    [
        *("alias", "cat", "channel_shuffle", "constant_pad_nd", "copy", "detach", "expand", "glu"),
        *("hardswish", "native_batch_norm_legit", "native_batch_norm_legit_no_training"),
        *("native_group_norm", "native_layer_norm", "permute", "prelu_kernel", "reflection_pad2d"),
        *("replication_pad2d", "select", "split", "split_with_sizes", "squeeze", "stack", "t"),
        *("to_copy", "transpose", "unbind", "unsqueeze"),
    ]
)
