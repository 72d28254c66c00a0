"""An encoder whose attention is an argument: what Linformer, Performer and their like share."""

from collections.abc import Callable

from torch import Tensor, nn

from assay.blocks.feedforward import FeedForward
from assay.blocks.position import sinusoids
from assay.blocks.sequence_head import entrance, exit_of, real_steps

CAUSAL = "language-modeling"  # the task in which a token must not see the later ones


class MixingBlock(nn.Module):
    """Attention, then a small network on each token; normalised before, added after.

    Args:
        embed_dim: Width of a token.
        attention: Called as `attention(x, mask=..., causal=...)`.
        hidden: Width inside the small network.

    Shape:
        (B, T, embed_dim) -> (B, T, embed_dim)
    """

    def __init__(self, embed_dim: int, attention: nn.Module, hidden: int) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(embed_dim)
        self.attention = attention
        self.norm_2 = nn.LayerNorm(embed_dim)
        self.feedforward = FeedForward(embed_dim, hidden)

    def forward(self, x: Tensor, mask: Tensor | None, *, causal: bool) -> Tensor:
        """Refine the tokens twice."""
        x = x + self.attention(self.norm_1(x), mask=mask, causal=causal)
        return x + self.feedforward(self.norm_2(x))


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
        blocks = (MixingBlock(embed_dim, attention(i), hidden) for i in range(num_layers))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(embed_dim)
        self.exit = exit_of(task, "mean")
        self.head = nn.Linear(embed_dim, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch."""
        real = real_steps(x)
        states = self.placed(x)
        for block in self.blocks:
            states = block(states, real, causal=self.causal)
        return self.head(self.exit(self.norm(states), real))

    def placed(self, x: Tensor, start: int = 0) -> Tensor:
        """Return the embedded steps with their positions. (B, T) or (B, T, F) -> (B, T, E).

        Args:
            x: The steps.
            start: Position of the first one.
        """
        states = self.embed(x)
        end = start + x.shape[1]
        return states + sinusoids(end, states.shape[2])[start:].to(states)
