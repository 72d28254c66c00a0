"""Add a branch to a shortcut."""

import torch
from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.in_place import in_place, residual_sum


class Residual(nn.Module):
    """act(branch(x) + shortcut(x)); both must return the same shape.

    Args:
        branch: The layers whose output is a correction, in order.
        shortcut: What the correction is added to; None is the input itself.
        act: Applied to the sum; None leaves it out.
    """

    def __init__(
        self,
        *branch: nn.Module,
        shortcut: nn.Module | None = None,
        act: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)
        self.shortcut = shortcut
        self.act = in_place(act) if act else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        total = self.total(x, x if self.shortcut is None else self.shortcut(x))
        return total if self.act is None else self.act(total)

    def total(self, x: Tensor, kept: Tensor) -> Tensor:
        """Return branch(x) + kept, what is kept being the shortcut's answer."""
        spare = torch.is_grad_enabled() and _ends_in_norm(self.branch)
        return residual_sum(self.branch(x), kept, x, spare=spare)


def _ends_in_norm(branch: nn.Sequential) -> bool:
    """Return whether no activation follows the last convolution and its normalisation."""
    last = [None, *branch][-1]
    return isinstance(last, ConvNormAct) and not last.activates
