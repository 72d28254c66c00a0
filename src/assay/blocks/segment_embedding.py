"""Which of two sentences a token belongs to."""

from torch import Tensor, nn

from assay.data.tokens import END, PAD


class SegmentEmbedding(nn.Module):
    """One learned vector for the tokens of each sentence.

    Args:
        embed_dim: Width of a token.
        number: Sentences that are told apart; BERT's two.

    Shape:
        tokens (B, T) -> (B, T, embed_dim)

    Source:
        Devlin et al., 2019, https://arxiv.org/abs/1810.04805, figure 2.
    """

    def __init__(self, embed_dim: int, number: int = 2) -> None:
        super().__init__()
        self.by_segment = nn.Embedding(number, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Look up the sentence of each token."""
        return self.by_segment(segments(tokens).clamp(max=self.by_segment.num_embeddings - 1))


def segments(tokens: Tensor) -> Tensor:
    """Return the number of the sentence of each token. (B, T) -> (B, T) int64.

    A sentence ends with its end token; padding and all of a row with one end at most are 0.
    """
    ends = (tokens == END).long()
    before = ends.cumsum(1) - ends
    several = ends.sum(1, keepdim=True) > 1
    return before * (several & (tokens != PAD))
