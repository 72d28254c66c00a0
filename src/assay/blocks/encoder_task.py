"""What stands behind an encoder of text, for each of its tasks.

An encoder is a module that turns tokens (B, T) into vectors (B, T, `width`), has the tokens'
vectors in `words` (an embedding), and tells its `width`.

Source: Devlin et al., 2019, https://arxiv.org/abs/1810.04805, figure 1 and section 3.1.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.vocabulary import check_shared


class Encoder(Protocol):
    """What an encoder offers; it is a module too."""

    @property
    def words(self) -> nn.Embedding:
        """The tokens' vectors."""

    @property
    def width(self) -> int:
        """Of what it returns."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """Return a vector for each token. (B, T) -> (B, T, width)."""


class Pooler(nn.Module):
    """The first token's vector, mapped once more and squashed. (B, T, width) -> (B, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Summarise each example."""
        return self.dense(x[:, 0]).tanh()


class MaskedTokens(nn.Module):
    """Scores of what a hidden token was, and of how two sentences belong together.

    The tokens' vectors are the weights of the scores. The second half takes part only in
    `forward_pair`, whose loss the objective adds where the data has pairs of sentences.

    Args:
        encoder: See above.
        act: Between the two maps, built without arguments.
        pairs: What is asked of two sentences: whether the second comes "next" (BERT), or in which
            "order" they stand (ALBERT). The objective makes the pairs.
        eps: Of the normalisation between the two maps.
        dropout: Of the summary of a pair.

    Shape:
        tokens (B, T) -> (B, T, V) logits
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        act: Callable[[], nn.Module] = nn.GELU,
        pairs: Literal["next", "order"] = "next",
        eps: float = 1e-12,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.pairs = pairs
        vocabulary, narrow = encoder.words.weight.shape
        self.encoder = encoder
        self.dense = nn.Linear(encoder.width, narrow)
        self.act = act()
        self.norm = nn.LayerNorm(narrow, eps)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.pooler = Pooler(encoder.width)
        self.dropout = nn.Dropout(dropout)
        self.pair = nn.Linear(encoder.width, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        """Score each token of the vocabulary at each place."""
        return self._scores(self.encoder(tokens))

    def forward_pair(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of the tokens (B, T, V), and of the two sentences (B, 2).

        The second scores are of BERT's "follows" and "is from elsewhere", or ALBERT's "in order"
        and "swapped".
        """
        x = self.encoder(tokens)
        return self._scores(x), self.pair(self.dropout(self.pooler(x)))

    def _scores(self, x: Tensor) -> Tensor:
        x = self.norm(self.act(self.dense(x)))
        return F.linear(x, self.encoder.words.weight, self.bias)


class TextLabel(nn.Module):
    """Scores of a label for the whole text. (B, T) -> (B, outputs) logits.

    Args:
        encoder: See above.
        outputs: Labels.
        dropout: Of the summary.
    """

    def __init__(self, encoder: Encoder, outputs: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooler = Pooler(encoder.width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Score a batch of texts."""
        return self.head(self.dropout(self.pooler(self.encoder(tokens))))


class TokenLabels(nn.Module):
    """Scores of a label for each token. (B, T) -> (B, T, outputs) logits.

    Args:
        encoder: See above.
        outputs: Labels.
        dropout: Of the tokens' vectors.
    """

    def __init__(self, encoder: Encoder, outputs: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Score a batch of texts, token by token."""
        return self.head(self.dropout(self.encoder(tokens)))


def start_bert(module: nn.Module) -> None:
    """Set the first weights of a module as BERT's are; to be applied to all modules."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        nn.init.zeros_(module.weight[module.padding_idx])


def for_task(
    encoder: Encoder,
    inputs: tuple[int, ...],
    outputs: int,
    task: str,
    *,
    act: Callable[[], nn.Module] = nn.GELU,
    pairs: Literal["next", "order"] = "next",
) -> nn.Module:
    """Return an encoder with what its task needs behind it, and BERT's first weights.

    Args:
        encoder: See above.
        inputs: Shape of one example, (T, V).
        outputs: Labels, or V for masked-language-modeling.
        task: "masked-language-modeling", "token-classification" or "text-classification".
        act: Of the scores of hidden tokens, built without arguments.
        pairs: What is asked of two sentences, see `MaskedTokens`.

    Raises:
        BadArgumentError: Hidden tokens are to be found in another vocabulary than that read.
    """
    if task == "masked-language-modeling":
        check_shared(inputs, outputs)
        return MaskedTokens(encoder, act=act, pairs=pairs).apply(start_bert)
    behind = TokenLabels if task == "token-classification" else TextLabel
    return behind(encoder, outputs).apply(start_bert)
