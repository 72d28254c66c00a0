"""An activation that learns its own shape.

Source: Goodfellow, Warde-Farley, Mirza, Courville and Bengio, 2013,
https://arxiv.org/abs/1302.4389, section 3.
"""

from torch import Tensor, nn

from assay.errors import BadArgumentError


class Maxout(nn.Module):
    """Keeps the largest of each `pieces` neighbouring channels.

    Behind a linear or convolutional layer each unit is then the maximum of `pieces` linear
    functions: any convex function, as closely as there are pieces.

    Args:
        pieces: Channels that compete for one output.

    Shape:
        (B, C, ...) -> (B, C / pieces, ...); `pieces` divides C

    Raises:
        BadArgumentError: `pieces` does not divide the channels.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Return the winners."""
        if x.shape[1] % self.pieces:
            raise BadArgumentError(
                "`pieces` must divide the number of channels. "
                f"Received pieces={self.pieces} and {x.shape[1]} channels; change either."
            )
        rivals = x.reshape(len(x), -1, self.pieces, *x.shape[2:])  # (B, C / pieces, pieces, ...)
        return rivals.amax(dim=2)
