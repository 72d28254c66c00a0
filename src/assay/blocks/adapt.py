"""What stands before a network so that it can read the user's shapes."""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from assay.blocks.auxiliary import Auxiliary


class Upsample(nn.Module):
    """Enlarges images, bilinearly. (B, C, H, W) -> (B, C, *size).

    Args:
        size: Height and width, pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return the images in the new size."""
        return functional.interpolate(x, self.size, mode="bilinear", align_corners=False)


class Rows(nn.Module):
    """Reads an image from top to bottom, one row a time step. (B, C, H, W) -> (B, H, C * W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the sequence of rows."""
        return x.transpose(1, 2).flatten(2)


class Adapted(nn.Sequential):
    """A network behind what adapts its inputs.

    Args:
        before: `Upsample` or `Rows`.
        network: What reads the result.
    """

    def __init__(self, before: nn.Module, network: nn.Module) -> None:
        super().__init__(before, network)

    @property
    def auxiliary_weight(self) -> float:
        """That of the network's auxiliary classifiers; 0 where it knows none."""
        return getattr(self[1], "auxiliary_weight", 0.0)

    def forward_all(self, x: Tensor) -> list[Tensor]:
        """Return the scores of the network's auxiliary classifiers, then those of its head."""
        before, network = self
        return cast(Auxiliary, network).forward_all(before(x))

    def initialize(self, images: Tensor) -> None:
        """Let a network that looks at training images before it learns see them adapted."""
        before, network = self
        look = getattr(network, "initialize", None)
        if callable(look):
            look(before(images))
