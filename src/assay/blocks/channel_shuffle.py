"""Let channels that grouped convolutions keep apart meet.

Source: Zhang, Zhou, Lin and Sun, 2017, https://arxiv.org/abs/1707.01083, figure 1 and section 3.1.
"""

from torch import Tensor, nn

from assay.errors import BadArgumentError


class ChannelShuffle(nn.ChannelShuffle):
    """Deals the channels out like cards: first those that stand first in their group, and so on.

    It is torch's own, which keeps the memory format and is the faster for it.

    Args:
        groups: Equal parts of the channels, in order; 1 leaves them as they are.

    Shape:
        (B, C, H, W) -> (B, C, H, W); `groups` divides C

    Raises:
        BadArgumentError: `groups` does not divide the channels.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the channels in their new order."""
        if x.shape[1] % self.groups:
            raise BadArgumentError(
                "`groups` must divide the number of channels. "
                f"Received groups={self.groups} and {x.shape[1]} channels; change either."
            )
        return super().forward(x)
