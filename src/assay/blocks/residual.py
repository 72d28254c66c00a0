"""Add a branch to a shortcut."""

from torch import Tensor, nn

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
        self.shortcut = shortcut or nn.Identity()
        self.act = in_place(act) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum."""
        return self.act(residual_sum(self.branch(x), self.shortcut(x), x))
