"""From features to one score per class."""

from torch import Tensor, nn


class ImageHead(nn.Module):
    """Average over space, then dropout and a linear layer. (B, C, H, W) -> (B, outputs).

    Args:
        in_channels: Channels of the feature map.
        outputs: Scores per image.
        dropout: Fraction of the features dropped while training, in [0, 1).
    """

    def __init__(self, in_channels: int, outputs: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(in_channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return one row of logits per image."""
        x = x.mean(dim=(2, 3))  # (B, C)
        return self.linear(self.dropout(x))
