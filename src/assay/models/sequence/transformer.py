"""Transformer encoder: every step looks at every other, and nothing is passed along in time.

Source: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, figure 1, left half.
"""

from torch import Tensor, nn

from assay.blocks.encoder import EncoderBlock
from assay.blocks.position import sinusoids


class TransformerEncoder(nn.Module):
    """A linear map of each step plus its position, encoder blocks, the average, a linear head.

    Args:
        features: Width of one time step.
        outputs: Scores per sequence.
        embed_dim: Width of a token, even.
        num_layers: Encoder blocks.
        num_heads: Of each attention; must divide `embed_dim`.
        hidden: Width inside the blocks' small network.

    Shape:
        (B, T, features) -> (B, outputs) logits
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        embed_dim: int,
        num_layers: int,
        num_heads: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.embed = nn.Linear(features, embed_dim)
        self.blocks = nn.Sequential(
            *(EncoderBlock(embed_dim, num_heads, hidden, act=nn.ReLU) for _ in range(num_layers))
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.head = nn.Linear(embed_dim, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of sequences of any length."""
        where = sinusoids(x.shape[1], self.embed_dim).to(x)  # (T, E)
        x = self.blocks(self.embed(x) + where)  # (B, T, E)
        return self.head(self.norm(x).mean(dim=1))


def transformer_encoder(
    inputs: tuple[int, ...], outputs: int, *, small: bool = False
) -> TransformerEncoder:
    """Return two blocks of width 128; `small` changes nothing."""
    return TransformerEncoder(
        inputs[1], outputs, embed_dim=128, num_layers=2, num_heads=4, hidden=256
    )
