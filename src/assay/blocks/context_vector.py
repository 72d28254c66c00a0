"""One vector for a whole sequence: all that a decoder without attention learns of the source.

Sources: Cho et al., 2014, https://arxiv.org/abs/1406.1078, section 2.2; Sutskever, Vinyals and Le,
2014, https://arxiv.org/abs/1409.3215, section 2.
"""

from torch import Tensor

from assay.blocks.sequence_head import LastStep


def context_vector(states: Tensor, real: Tensor | None = None) -> Tensor:
    """Return what an encoder holds behind the last real token. (B, S, H) -> (B, H).

    Args:
        states: Of the encoder, at each token.
        real: Which tokens are no padding, (B, S) bool; None if all are.
    """
    return LastStep()(states, real)
