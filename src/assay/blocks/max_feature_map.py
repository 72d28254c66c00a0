"""An activation by competition between two channels.

Source: Wu, He, Sun and Tan, 2015, https://arxiv.org/abs/1511.02683, equation 2 (MFM 2/1).
"""

import torch
from torch import Tensor, nn

from assay.errors import BadArgumentError


class MaxFeatureMap(nn.Module):
    """Compares channel i with channel i + C / 2 and keeps the greater value at each place.

    Shape:
        (B, C, ...) -> (B, C / 2, ...); C is even

    Raises:
        BadArgumentError: C is odd.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the winners."""
        if x.shape[1] % 2:
            raise BadArgumentError(
                "A max-feature-map needs an even number of channels. "
                f"Received {x.shape[1]}; give the layer before it one more or one fewer."
            )
        return torch.maximum(*x.chunk(2, dim=1))
