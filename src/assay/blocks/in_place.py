"""Activations that overwrite what they read."""

from torch import nn


def in_place(act: nn.Module) -> nn.Module:
    """Return an activation that overwrites its input, where torch has such a form of it.

    For inputs that nothing else reads, such as the output of a normalisation or a sum: in
    inference a new map costs as much time as the activation itself.
    """
    if hasattr(act, "inplace"):
        act.inplace = True  # type: ignore[assignment]
    return act
