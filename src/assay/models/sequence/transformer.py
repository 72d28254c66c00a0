"""Transformer encoder: every step looks at every other, and nothing is passed along in time.

Source: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, figure 1, left half.
"""

from torch import Tensor, nn

from assay.blocks.encoder import EncoderBlock
from assay.blocks.position import Sinusoids
from assay.blocks.sequence_head import entrance, exit_of, readable, real_steps


class TransformerEncoder(nn.Module):
    """Each token or step and its place, encoder blocks, the average or each step, a linear head.

    Args:
        inputs: Shape of one example: (T, V) for tokens, else (T, F).
        outputs: Scores per answer.
        task: What is read, and whether each step is answered. A forecast is made from the last
            step, a label or a value from the average.
        embed_dim: Width of a token, even.
        num_layers: Encoder blocks.
        num_heads: Of each attention; must divide `embed_dim`.
        hidden: Width inside the blocks' small network.

    Shape:
        (B, T) tokens or (B, T, F) -> (B, outputs) or (B, T, outputs) logits
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        task: str,
        embed_dim: int,
        num_layers: int,
        num_heads: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.embed = entrance(task, inputs, embed_dim)
        self.position: nn.Module = Sinusoids()
        self.blocks = nn.ModuleList(
            EncoderBlock(embed_dim, num_heads, hidden, act=nn.ReLU) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.exit = exit_of(task, "last" if task == "forecasting" else "mean")
        self.head = nn.Linear(embed_dim, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of sequences of any length; padding is not looked at."""
        real = real_steps(x)
        mask = None if real is None else readable(x)
        x = self.position(self.embed(x))  # (B, T, E)
        for block in self.blocks:
            x = block(x, mask=mask)
        return self.head(self.exit(self.norm(x), real))


def transformer_encoder(inputs: tuple[int, ...], outputs: int, *, task: str) -> TransformerEncoder:
    """Return two blocks of width 128."""
    return TransformerEncoder(
        inputs, outputs, task=task, embed_dim=128, num_layers=2, num_heads=4, hidden=256
    )
