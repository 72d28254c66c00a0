"""MLP: linear layers with an activation between, every input connected to every unit.

Source: Rumelhart, Hinton and Williams, 1986, https://doi.org/10.1038/323533a0; rectified units and
their first weights of Glorot 2011 and He 2015.
"""

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn


class MLP(nn.Module):
    """Flatten, hidden layers, a linear head.

    Args:
        inputs: Shape of one example, of any rank.
        outputs: Scores per example.
        hidden: Width of each hidden layer.

    Shape:
        (B, *inputs) -> (B, outputs) logits
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int, *, hidden: Sequence[int]) -> None:
        super().__init__()
        width = prod(inputs)
        self.hidden = nn.Sequential()
        for out in hidden:
            linear = nn.Linear(width, out)
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
            self.hidden.extend([linear, nn.ReLU()])
            width = out
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of examples."""
        x = self.hidden(x.flatten(1))  # (B, hidden[-1])
        return self.head(x)


def mlp(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> MLP:
    """Return two hidden layers of 256 units; `small` changes nothing."""
    return MLP(inputs, outputs, hidden=(256, 256))
