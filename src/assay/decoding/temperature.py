"""Make the likely tokens likelier, or all of them more alike.

Source: Ackley, Hinton and Sejnowski, 1985, https://doi.org/10.1016/S0364-0213(85)80012-4 (the
temperature of a Boltzmann distribution).
"""

from torch import Tensor


def with_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Return logits (B, V) divided by `temperature`, above 0; below 1 the likely tokens gain."""
    return logits / temperature
