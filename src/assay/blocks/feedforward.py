"""Two linear layers with an activation between: what Transformers and Mixers do to one vector."""

from collections.abc import Callable

from torch import Tensor, nn


class FeedForward(nn.Module):
    """Widen, activate, narrow again, along the last dimension. (..., width) -> (..., width).

    Args:
        width: Of the input and the output.
        hidden: Width between the two linear layers.
        act: Built without arguments.
        bias: Whether the two add a constant.
        linear: The layer that both are.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        *,
        act: Callable[[], nn.Module] = nn.GELU,
        bias: bool = True,
        linear: Callable[..., nn.Linear] = nn.Linear,
    ) -> None:
        super().__init__()
        self.wide = linear(width, hidden, bias)
        self.act = act()
        self.narrow = linear(hidden, width, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three in order."""
        return self.narrow(self.act(self.wide(x)))
