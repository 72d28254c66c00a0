"""Images as sequences of patches."""

from math import ceil

from torch import Tensor, nn
from torch.nn import functional as F


class PatchEmbedding(nn.Module):
    """Cut the image into squares and give each one linear map.

    An edge that does not fill a square is filled up with zeros.

    Args:
        in_channels: Channels of the image.
        embed_dim: Width of a token.
        patch: Side of a square, pixels.

    Shape:
        (B, in_channels, H, W) -> (B, ceil(H / patch) * ceil(W / patch), embed_dim)
    """

    def __init__(self, in_channels: int, embed_dim: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.map = nn.Conv2d(in_channels, embed_dim, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """Return one token per square, row by row."""
        below, right = -x.shape[2] % self.patch, -x.shape[3] % self.patch
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        return self.map(x).flatten(2).transpose(1, 2)


def count_patches(height: int, width: int, patch: int) -> int:
    """Return how many tokens `PatchEmbedding` makes of an image."""
    return ceil(height / patch) * ceil(width / patch)


def small_patch(height: int, width: int, *, most: int = 64) -> int:
    """Return the least power of two from 2 on that makes at most `most` tokens of an image."""
    patch = 2
    while count_patches(height, width, patch) > most:
        patch *= 2
    return patch
