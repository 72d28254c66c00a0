"""Activations and sums that overwrite what they read."""

import torch
from torch import Tensor, nn


def in_place(act: nn.Module) -> nn.Module:
    """Return an activation that overwrites its input, where torch has such a form of it.

    For inputs that nothing else reads, such as the output of a normalisation or a sum: in
    inference a new map costs as much time as the activation itself.
    """
    if hasattr(act, "inplace"):
        act.inplace = True  # type: ignore[assignment]
    return act


def residual_sum(change: Tensor, kept: Tensor, x: Tensor, *, spare: bool = False) -> Tensor:
    """Return change + kept; the sum takes the place of `change` where nothing else reads that.

    In inference that is so unless `change` is the block's input, what is kept of it, or a view of
    either. Where a gradient may be asked for, the layer that made `change` may need it. A forward
    hook that keeps `change` sees the sum, as in torchvision's networks.

    Args:
        change: What a branch made of `x`, any shape.
        kept: The shortcut's answer, of the same shape.
        x: The block's input.
        spare: Whether batch normalisation made `change`: its gradient needs only what it read.
    """
    if not isinstance(change, Tensor) or torch.compiler.is_compiling():  # it is being traced
        return change + kept
    if change.dtype != kept.dtype:
        return change + kept
    if torch.is_grad_enabled():
        return change.add_(kept) if spare and not change._is_view() else change + kept
    same = torch._C._is_alias_of  # type: ignore[attr-defined]
    if same(change, kept) or same(change, x):
        return change + kept
    return change.add_(kept)
