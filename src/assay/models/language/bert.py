"""BERT: an encoder that learns by finding hidden tokens from what stands on both sides of them.

Source: Devlin et al., 2019, https://arxiv.org/abs/1810.04805; the small ones: Turc et al., 2019,
https://arxiv.org/abs/1908.08962, table 1.
"""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from assay.blocks.encoder_task import for_task
from assay.blocks.post_norm import PostNormEncoderBlock
from assay.blocks.segment_embedding import SegmentEmbedding
from assay.blocks.sequence_head import readable
from assay.data.tokens import PAD
from assay.models.renaming import by_patterns, renamed

EPS = 1e-12


class BertEmbedding(nn.Module):
    """The sum of three learned vectors: of a token, of its place and of its sentence.

    Args:
        vocabulary: Tokens.
        length: Places, the longest text.
        embed_dim: Width of a vector.
        dropout: Of the normalised sum.

    Shape:
        (B, T) with T at most `length` -> (B, T, embed_dim)
    """

    def __init__(self, vocabulary: int, length: int, embed_dim: int, *, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, embed_dim, padding_idx=PAD)
        self.places = nn.Embedding(length, embed_dim)
        self.sentences = SegmentEmbedding(embed_dim)
        self.norm = nn.LayerNorm(embed_dim, EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Look up the three and add them."""
        places = self.places.weight[: tokens.shape[1]]
        x = self.words(tokens) + places + self.sentences(tokens)
        return self.dropout(self.norm(x))


class Bert(nn.Module):
    """The encoder: embeddings, then layers of attention to both sides.

    Args:
        vocabulary: Tokens.
        length: The longest text.
        embed_dim: Width of a token.
        num_layers: Blocks.
        hidden: Width inside the blocks' small network; four times `embed_dim` if not given.
        num_heads: Of the attention; `embed_dim / 64` if not given.
        dropout: Of the embeddings, of what sublayers add and of the attention's weights.

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
        hidden: int | None = None,
        num_heads: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width = embed_dim
        self.embed = BertEmbedding(vocabulary, length, embed_dim, dropout=dropout)
        self.blocks = nn.ModuleList(
            PostNormEncoderBlock(
                embed_dim,
                num_heads or embed_dim // 64,
                hidden or 4 * embed_dim,
                act=nn.GELU,
                eps=EPS,
                dropout=dropout,
                attention_dropout=dropout,
            )
            for _ in range(num_layers)
        )

    @property
    def words(self) -> nn.Embedding:
        """The tokens' vectors."""
        return self.embed.words

    def forward(self, tokens: Tensor) -> Tensor:
        """Return a vector for each token."""
        mask = readable(tokens)
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, mask)
        return x


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of transformers' `BertFor...` under our names; other entries stay."""
    return renamed(state, _place)


def _place(name: str) -> str:
    """Return our name, "NAME/q" for the part of a joined one, nothing for a copy."""
    name = name.replace(".gamma", ".weight").replace(".beta", ".bias")  # of the first release
    name = re.sub(r"^(?=embeddings\.|encoder\.|pooler\.)", "bert.", name)  # of `BertModel`
    if name in _COPIES:
        return ""
    return by_patterns(name, _NAMES)


_COPIES = (  # of the tokens' vectors and of their bias, and what is counted, not learned
    "cls.predictions.decoder.weight",
    "cls.predictions.decoder.bias",
    "bert.embeddings.position_ids",
)
_NAMES = {
    r"bert\.embeddings\.word_embeddings\.(.*)": r"encoder.embed.words.\1",
    r"bert\.embeddings\.position_embeddings\.(.*)": r"encoder.embed.places.\1",
    r"bert\.embeddings\.token_type_embeddings\.(.*)": r"encoder.embed.sentences.by_segment.\1",
    r"bert\.embeddings\.LayerNorm\.(.*)": r"encoder.embed.norm.\1",
    r"bert\.encoder\.layer\.(\d+)\.attention\.self\.([qkv])\w+\.(.*)": (
        r"encoder.blocks.\1.attention.qkv.\3/\2"
    ),
    r"bert\.encoder\.layer\.(\d+)\.attention\.output\.dense\.(.*)": (
        r"encoder.blocks.\1.attention.out.\2"
    ),
    r"bert\.encoder\.layer\.(\d+)\.attention\.output\.LayerNorm\.(.*)": (
        r"encoder.blocks.\1.norm_1.\2"
    ),
    r"bert\.encoder\.layer\.(\d+)\.intermediate\.dense\.(.*)": (
        r"encoder.blocks.\1.feedforward.wide.\2"
    ),
    r"bert\.encoder\.layer\.(\d+)\.output\.dense\.(.*)": (
        r"encoder.blocks.\1.feedforward.narrow.\2"
    ),
    r"bert\.encoder\.layer\.(\d+)\.output\.LayerNorm\.(.*)": r"encoder.blocks.\1.norm_2.\2",
    r"bert\.pooler\.dense\.(.*)": r"pooler.dense.\1",
    r"cls\.predictions\.bias": "bias",
    r"cls\.predictions\.transform\.dense\.(.*)": r"dense.\1",
    r"cls\.predictions\.transform\.LayerNorm\.(.*)": r"norm.\1",
    r"cls\.seq_relationship\.(.*)": r"pair.\1",
    r"classifier\.(.*)": r"head.\1",
}


def bert_tiny(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return two layers of width 128."""
    return _bert(inputs, outputs, task, embed_dim=128, num_layers=2)


def bert_mini(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return four layers of width 256."""
    return _bert(inputs, outputs, task, embed_dim=256, num_layers=4)


def bert_small(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return four layers of width 512."""
    return _bert(inputs, outputs, task, embed_dim=512, num_layers=4)


def bert_medium(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return eight layers of width 512."""
    return _bert(inputs, outputs, task, embed_dim=512, num_layers=8)


def bert_base(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return twelve layers of width 768."""
    return _bert(inputs, outputs, task, embed_dim=768, num_layers=12)


def bert_large(inputs: tuple[int, ...], outputs: int, *, task: str) -> nn.Module:
    """Return 24 layers of width 1024."""
    return _bert(inputs, outputs, task, embed_dim=1024, num_layers=24)


def _bert(
    inputs: tuple[int, ...], outputs: int, task: str, *, embed_dim: int, num_layers: int
) -> nn.Module:
    length, vocabulary = inputs
    encoder = Bert(vocabulary, length, embed_dim=embed_dim, num_layers=num_layers)
    return for_task(encoder, inputs, outputs, task)
