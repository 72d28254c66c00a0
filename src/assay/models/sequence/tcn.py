"""Temporal convolution network: causal convolutions whose reach doubles from block to block.

Source: Bai, Kolter and Koltun, 2018, https://arxiv.org/abs/1803.01271, figure 1.
"""

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.causal_convolution import CausalConvolution
from assay.blocks.sequence_head import READS_TOKENS, TokenEmbedding, exit_of, real_steps

Pasts = tuple[tuple[Tensor, Tensor], ...]  # of each block's two convolutions


class TemporalBlock(nn.Module):
    """Two causal convolutions and a shortcut. (B, T, C) -> (B, T, channels).

    Args:
        in_channels: C.
        channels: Of the output.
        kernel_size: Of both.
        dilation: Of both.
        dropout: Fraction dropped behind each while training, in [0, 1).
    """

    def __init__(
        self, in_channels: int, channels: int, kernel_size: int, *, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        self.conv_1 = CausalConvolution(in_channels, channels, kernel_size, dilation=dilation)
        self.conv_2 = CausalConvolution(channels, channels, kernel_size, dilation=dilation)
        self.dropout = nn.Dropout(dropout)
        self.shortcut: nn.Module | None = None
        if in_channels != channels:
            self.shortcut = nn.Linear(in_channels, channels)
            nn.init.normal_(self.shortcut.weight, std=0.01)

    def forward(
        self, x: Tensor, pasts: tuple[Tensor | None, Tensor | None] = (None, None)
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the output, and what the next steps need of the past."""
        middle, first = self.conv_1(x, pasts[0])
        middle = self.dropout(F.relu(middle))
        y, second = self.conv_2(middle, pasts[1])
        y = self.dropout(F.relu(y))
        kept = x if self.shortcut is None else self.shortcut(x)
        return F.relu(y + kept), (first, second)


class TCN(nn.Module):
    """An embedding of tokens if there are any, temporal blocks, a linear head.

    One answer per example is given from the last real step; tagging and language modelling answer
    at every step.

    Args:
        inputs: Shape of one example, (T, V) for tokens, else (T, F).
        outputs: Scores of each answer.
        task: One of `assay.canon.task.TASKS`, not text-to-text.
        channels: Of each block; the dilation doubles from each to the next.
        kernel_size: Of all convolutions.
        embed_dim: Values that a token is embedded in.
        dropout: Fraction dropped behind each convolution and the embedding while training.
        tied: Whether a language model's head has the embedding's weights.

    Shape:
        (B, T) tokens or (B, T, F) -> (B, outputs) or (B, T, outputs) logits
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: int,
        *,
        task: str,
        channels: Sequence[int],
        kernel_size: int,
        embed_dim: int,
        dropout: float,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.embed: TokenEmbedding | None = None
        width = inputs[1]
        if task in READS_TOKENS:
            width = embed_dim
            self.embed = TokenEmbedding(inputs[1], width, std=0.1)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            TemporalBlock(before, after, kernel_size, dilation=2**level, dropout=dropout)
            for level, (before, after) in enumerate(
                zip((width, *channels[:-1]), channels, strict=True)
            )
        )
        self.exit = exit_of(task, "last")
        self.head = nn.Linear(channels[-1], outputs)
        if tied and self.embed is not None and task == "language-modeling":
            self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch."""
        states, _ = self.run(x, None)
        return self.head(self.exit(states, real_steps(x)))

    def run(self, x: Tensor, pasts: Pasts | None) -> tuple[Tensor, Pasts]:
        """Return what the last block says at each step, (B, T, C), and the next steps' past."""
        steps = x if self.embed is None else self.dropout(self.embed(x))
        after = []
        for number, block in enumerate(self.blocks):
            steps, past = block(steps, (None, None) if pasts is None else pasts[number])
            after.append(past)
        return steps, tuple(after)

    def begin(self, source: Tensor, *, most: int) -> Pasts:
        """Return the past of the first token: see `assay.blocks.generation.Generative`."""
        blocks = cast(list[TemporalBlock], list(self.blocks))
        return tuple(
            (block.conv_1.no_past(len(source)), block.conv_2.no_past(len(source)))
            for block in blocks
        )

    def advance(self, tokens: Tensor, state: Pasts) -> tuple[Tensor, Pasts]:
        """Return the logits behind each of these tokens, and the past of the next."""
        states, state = self.run(tokens, state)
        return self.head(states), state


def tcn(inputs: tuple[int, ...], outputs: int, *, task: str) -> TCN:
    """Return the paper's network for images read pixel by pixel: eight blocks, reach 3,061."""
    return TCN(
        inputs, outputs, task=task, channels=[25] * 8, kernel_size=7, embed_dim=25, dropout=0.05
    )


def tcn_char(inputs: tuple[int, ...], outputs: int, *, task: str) -> TCN:
    """Return the paper's network for characters: three blocks, reach 29."""
    return TCN(
        inputs,
        outputs,
        task=task,
        channels=[450, 450, 100],
        kernel_size=3,
        embed_dim=100,
        dropout=0.1,
        tied=True,
    )
