"""Whether somebody follows operations, who is to see those that a network is written in."""

import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_in_torch_dispatch_mode


def is_followed() -> bool:
    """Return whether operations are compiled, traced, or counted one by one.

    Blocks that do in several cheap operations what torch does in one do not, then.
    """
    return torch.compiler.is_compiling() or torch._C._is_tracing() or is_in_torch_dispatch_mode()


def is_transformed() -> bool:
    """Return whether operations are followed, or derived or batched by torch.func."""
    if is_followed():  # first: who compiles stops at the other questions
        return True
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
