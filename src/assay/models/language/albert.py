"""ALBERT: BERT whose layers are one and the same, and whose tokens' vectors are narrow.

Source: Lan et al., 2020, https://arxiv.org/abs/1909.11942, table 1; the tiny one: Xu et al., 2020,
https://arxiv.org/abs/2004.05986 (CLUE), table 4.
"""

import re
from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from assay.blocks.encoder_task import for_task
from assay.blocks.post_norm import PostNormEncoderBlock
from assay.blocks.sequence_head import readable
from assay.models.language.bert import EPS, BertEmbedding
from assay.models.renaming import by_patterns, renamed

gelu = partial(nn.GELU, approximate="tanh")  # the form of the authors' own code


class Albert(nn.Module):
    """The encoder: narrow embeddings, a map to the full width, one layer passed many times.

    Args:
        vocabulary: Tokens.
        length: The longest text.
        narrow: Width of the embeddings.
        embed_dim: Width of a token behind them.
        num_layers: How many times the one block is passed.
        num_heads: Of the attention; must divide `embed_dim`.
        hidden: Width inside the block's small network; four times `embed_dim` if not given.

    Shape:
        (B, T) -> (B, T, embed_dim)
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        *,
        embed_dim: int,
        num_layers: int,
        num_heads: int,
        hidden: int | None = None,
        narrow: int = 128,
    ) -> None:
        super().__init__()
        self.width, self.num_layers = embed_dim, num_layers
        self.embed = BertEmbedding(vocabulary, length, narrow, dropout=0.0)
        self.widen: nn.Module = nn.Linear(narrow, embed_dim)
        self.block = PostNormEncoderBlock(
            embed_dim, num_heads, hidden or 4 * embed_dim, act=gelu, eps=EPS, dropout=0.0
        )

    @property
    def words(self) -> nn.Embedding:
        """The tokens' vectors."""
        return self.embed.words

    def forward(self, tokens: Tensor) -> Tensor:
        """Return a vector for each token."""
        mask = readable(tokens)
        x = self.widen(self.embed(tokens))
        for _ in range(self.num_layers):
            x = self.block(x, mask)
        return x


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of transformers' `AlbertFor...` under our names; other entries stay."""
    return renamed(state, _place)


def _place(name: str) -> str:
    """Return our name, "NAME/q" for the part of a joined one, nothing for a copy."""
    name = re.sub(r"^(?=embeddings\.|encoder\.|pooler\.)", "albert.", name)  # of `AlbertModel`
    return "" if name in _COPIES else by_patterns(name, _NAMES)


_COPIES = (  # of the tokens' vectors and of their bias, and what is counted, not learned
    "predictions.decoder.weight",
    "predictions.decoder.bias",
    "albert.embeddings.position_ids",
)
_BLOCK = r"albert\.encoder\.albert_layer_groups\.0\.albert_layers\.0\."
_NAMES = {
    r"albert\.embeddings\.word_embeddings\.(.*)": r"encoder.embed.words.\1",
    r"albert\.embeddings\.position_embeddings\.(.*)": r"encoder.embed.places.\1",
    r"albert\.embeddings\.token_type_embeddings\.(.*)": r"encoder.embed.sentences.by_segment.\1",
    r"albert\.embeddings\.LayerNorm\.(.*)": r"encoder.embed.norm.\1",
    r"albert\.encoder\.embedding_hidden_mapping_in\.(.*)": r"encoder.widen.\1",
    _BLOCK + r"attention\.([qkv])(?:uery|ey|alue)\.(.*)": r"encoder.block.attention.qkv.\2/\1",
    _BLOCK + r"attention\.dense\.(.*)": r"encoder.block.attention.out.\1",
    _BLOCK + r"attention\.LayerNorm\.(.*)": r"encoder.block.norm_1.\1",
    _BLOCK + r"ffn\.(.*)": r"encoder.block.feedforward.wide.\1",
    _BLOCK + r"ffn_output\.(.*)": r"encoder.block.feedforward.narrow.\1",
    _BLOCK + r"full_layer_layer_norm\.(.*)": r"encoder.block.norm_2.\1",
    r"albert\.pooler\.(.*)": r"pooler.dense.\1",
    r"predictions\.bias": "bias",
    r"predictions\.dense\.(.*)": r"dense.\1",
    r"predictions\.LayerNorm\.(.*)": r"norm.\1",
    r"sop_classifier\.classifier\.(.*)": r"pair.\1",
    r"classifier\.(.*)": r"head.\1",
}


def albert_tiny(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return one layer of width 312 passed four times."""
    return _albert(inputs, outputs, task, embed_dim=312, num_layers=4, num_heads=12)


def albert_base(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return one layer of width 768 passed twelve times."""
    return _albert(inputs, outputs, task, embed_dim=768, num_layers=12, num_heads=12)


def albert_large(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return one layer of width 1024 passed 24 times."""
    return _albert(inputs, outputs, task, embed_dim=1024, num_layers=24, num_heads=16)


def albert_xlarge(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return one layer of width 2048 passed 24 times."""
    return _albert(inputs, outputs, task, embed_dim=2048, num_layers=24, num_heads=16)


def albert_xxlarge(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return one layer of width 4096 passed twelve times."""
    return _albert(inputs, outputs, task, embed_dim=4096, num_layers=12, num_heads=64)


def _albert(
    inputs: tuple[int, ...],
    outputs: int,
    task: str,
    *,
    embed_dim: int,
    num_layers: int,
    num_heads: int,
) -> nn.Module:
    length, vocabulary = inputs
    encoder = Albert(
        vocabulary, length, embed_dim=embed_dim, num_layers=num_layers, num_heads=num_heads
    )
    return for_task(encoder, inputs, outputs, task, act=gelu, pairs="order")
