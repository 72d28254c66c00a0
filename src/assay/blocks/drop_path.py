"""Train with fewer layers than there are.

Sources: Huang, Sun, Liu, Sedra and Weinberger, 2016, https://arxiv.org/abs/1603.09382, equation 2
(a residual branch left out for a whole batch); Larsson, Maire and Shakhnarovich, 2016,
https://arxiv.org/abs/1605.07648 (the name).
"""

from torch import Tensor, nn

from assay.errors import BadArgumentError


class DropPath(nn.Module):
    """Sets a residual branch to zero for some examples of a batch, while training.

    What is kept is divided by the probability of keeping it, so that its mean stays and nothing
    changes in eval mode.

    Args:
        p: Probability of dropping, in [0, 1).

    Shape:
        (B, ...) -> (B, ...)

    Raises:
        BadArgumentError: `p` lies outside.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise BadArgumentError(
                f"`p` must be in [0, 1). Received p={p}; a branch that is always dropped is best "
                "left out."
            )
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return the branch, or zeros, example by example."""
        if not self.training or self.p == 0:
            return x
        shape = (len(x), *(1 for _ in x.shape[1:]))
        kept = x.new_empty(shape).bernoulli_(1 - self.p).div_(1 - self.p)
        return x * kept
