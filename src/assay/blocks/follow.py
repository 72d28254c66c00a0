"""Whether somebody follows operations, who is to see those that a network is written in."""

import torch
from torch.utils._python_dispatch import is_in_torch_dispatch_mode


def is_followed() -> bool:
    """Return whether operations are compiled, traced, or counted one by one.

    Blocks that do in several cheap operations what torch does in one do not, then.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return True
    return is_in_torch_dispatch_mode()
