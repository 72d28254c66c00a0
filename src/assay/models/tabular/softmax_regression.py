"""Softmax regression: one linear layer, and nothing else.

Source: Cox, 1958, https://doi.org/10.1111/j.2517-6161.1958.tb00292.x (two classes); the softmax
form is the log-linear model for many.
"""

from math import prod

from torch import Tensor, nn


class SoftmaxRegression(nn.Module):
    """One weight per input and class; linear regression when there is a single output.

    Args:
        inputs: Shape of one example, of any rank.
        outputs: Scores per example.

    Shape:
        (B, *inputs) -> (B, outputs) logits
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(prod(inputs), outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of examples."""
        return self.linear(x.flatten(1))


def softmax_regression(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> SoftmaxRegression:
    """Return the model; `small` changes nothing."""
    return SoftmaxRegression(inputs, outputs)
