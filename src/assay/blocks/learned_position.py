"""One learned vector per place: what GPT, BERT and the Vision Transformer add to their tokens."""

from torch import Tensor, nn


class LearnedPosition(nn.Module):
    """A vector for each place, learned like a word's. Places (..., T) -> (..., T, embed_dim).

    Args:
        places: How many there are, from 0 on; later ones do not exist.
        embed_dim: Width of a token.

    Source:
        Gehring et al., 2017, https://arxiv.org/abs/1705.03122, section 3.1.
    """

    def __init__(self, places: int, embed_dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(places, embed_dim)

    def forward(self, position: Tensor) -> Tensor:
        """Return what is added to the tokens at these places."""
        return self.table(position)
