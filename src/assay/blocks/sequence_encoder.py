"""An encoder whose attention is an argument: what Linformer, Performer and their like share."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from assay.blocks.feedforward import FeedForward
from assay.blocks.position import Sinusoids
from assay.blocks.pre_norm import PreNormBlock
from assay.blocks.sequence_head import entrance, exit_of, real_steps

CAUSAL = "language-modeling"  # the task in which a token must not see the later ones


class SequenceEncoder(nn.Module):
    """Tokens or vectors with their positions, blocks of attention, a linear head.

    Args:
        inputs: Shape of one example: (T, V) for tokens, else (T, F).
        outputs: Scores per answer.
        task: Which decides whether every step is answered or their mean, and whether later tokens
            are hidden.
        attention: Builds the attention of one block, given its number.
        embed_dim: Width of a token, even.
        num_layers: Blocks.
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
        attention: Callable[[int], nn.Module],
        embed_dim: int,
        num_layers: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.causal = task == CAUSAL
        self.embed = entrance(task, inputs, embed_dim)
        self.position: nn.Module = Sinusoids()
        norm = partial(nn.LayerNorm, embed_dim)
        self.blocks = nn.ModuleList(
            PreNormBlock(norm, attention(i), FeedForward(embed_dim, hidden))
            for i in range(num_layers)
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.exit = exit_of(task, "mean")
        self.head = nn.Linear(embed_dim, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch."""
        real = real_steps(x)
        states = self.placed(x)
        for block in self.blocks:
            states = block(states, mask=real, causal=self.causal)
        return self.head(self.exit(self.norm(states), real))

    def placed(self, x: Tensor, start: int = 0) -> Tensor:
        """Return the embedded steps with their positions. (B, T) or (B, T, F) -> (B, T, E).

        Args:
            x: The steps.
            start: Position of the first one.
        """
        return self.position(self.embed(x), start)
