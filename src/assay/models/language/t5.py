"""T5: every task is text to text; tokens know how far apart they stand, not where.

Source: Raffel et al., 2020, https://arxiv.org/abs/1910.10683, section 2.1; version 1.1: Shazeer,
2020, https://arxiv.org/abs/2002.05202; the tiny ones: Tay et al., 2022,
https://arxiv.org/abs/2109.10686.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.attention import Attention, Pair
from assay.blocks.cache import Cache
from assay.blocks.cross_attention import CrossAttention
from assay.blocks.decoder_stack import advance_stack, begin_stack
from assay.blocks.generation import State
from assay.blocks.relative_bias import RelativeBias
from assay.blocks.sequence_head import readable
from assay.blocks.vocabulary import check_shared
from assay.models.renaming import renamed

EPS = 1e-6


class ReluFeedForward(nn.Module):
    """Widen, rectify, narrow again, without constants: version 1.0. (..., width) -> the same."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.wide = nn.Linear(width, hidden, bias=False)
        self.narrow = nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three in order."""
        return self.narrow(self.dropout(self.wide(x).relu()))


class GatedGeluFeedForward(nn.Module):
    """Widen twice, let one half gate the other: version 1.1. (..., width) -> the same."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.wide = nn.Linear(width, hidden, bias=False)
        self.narrow = nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Gate by GELU and narrow."""
        gate = F.gelu(self.gate(x), approximate="tanh")
        return self.narrow(self.dropout(gate * self.wide(x)))


@dataclass(frozen=True, kw_only=True)
class Size:
    """A published size.

    Attributes:
        embed_dim: Width of a token.
        num_layers: Blocks of the encoder, and of the decoder.
        num_heads: Of each attention.
        hidden: Width inside the small network of a block.
        head_dim: Width of a query, key and value.
        feedforward: Builds the small network of a width, an inner width and a dropout.
        tied: Whether the tokens' vectors are the output's weights too.
    """

    embed_dim: int
    num_layers: int
    num_heads: int
    hidden: int
    head_dim: int = 64
    feedforward: Callable[[int, int, float], nn.Module] = ReluFeedForward
    tied: bool = True


class EncoderBlock(nn.Module):
    """Attention, then a small network; each normalised before, without a mean, and added after."""

    def __init__(self, size: Size, dropout: float) -> None:
        super().__init__()
        self.norm_1 = nn.RMSNorm(size.embed_dim, EPS)
        self.attention = _attention(size, dropout)
        self.norm_2 = nn.RMSNorm(size.embed_dim, EPS)
        self.feedforward = size.feedforward(size.embed_dim, size.hidden, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, bias: Tensor) -> Tensor:
        """Refine the tokens twice."""
        x = x + self.dropout(self.attention(self.norm_1(x), mask=mask, bias=bias))
        return x + self.dropout(self.feedforward(self.norm_2(x)))


class DecoderBlock(nn.Module):
    """Attention to the past and to the source, then a small network; as in `EncoderBlock`."""

    def __init__(self, size: Size, dropout: float) -> None:
        super().__init__()
        self.norm_1 = nn.RMSNorm(size.embed_dim, EPS)
        self.attention = _attention(size, dropout)
        self.norm_2 = nn.RMSNorm(size.embed_dim, EPS)
        self.cross = CrossAttention(
            size.embed_dim,
            size.num_heads,
            head_dim=size.head_dim,
            bias=False,
            scale=1.0,
            dropout=dropout,
        )
        self.norm_3 = nn.RMSNorm(size.embed_dim, EPS)
        self.feedforward = size.feedforward(size.embed_dim, size.hidden, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | Pair,
        *,
        mask: Tensor,
        bias: Tensor,
        cache: Cache | None = None,
    ) -> Tensor:
        """Refine the tokens three times."""
        read = self.attention(self.norm_1(x), causal=True, bias=bias, cache=cache)
        x = x + self.dropout(read)
        x = x + self.dropout(self.cross(self.norm_2(x), memory, mask=mask))
        return x + self.dropout(self.feedforward(self.norm_3(x)))


class T5(nn.Module):
    """An encoder and a decoder over one vocabulary, with learned scores of distance.

    The scores of a side are those of all its layers. Attention is not scaled: the first weights
    are drawn so that it need not be.

    Args:
        vocabulary: Tokens of source and target.
        size: Of the network.
        dropout: Of the embeddings, of attention's weights and of what each sublayer adds. None
            when it learns from random weights, as version 1.1 did; 0.1 to fine-tune published ones.

    Shape:
        source (B, S), target so far (B, U) -> (B, U, vocabulary) logits of the next tokens
    """

    def __init__(self, vocabulary: int, size: Size, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, size.embed_dim)
        self.encoder_bias = RelativeBias(size.num_heads, both_ways=True)
        self.encoder = nn.ModuleList(EncoderBlock(size, dropout) for _ in range(size.num_layers))
        self.encoder_norm = nn.RMSNorm(size.embed_dim, EPS)
        self.decoder_bias = RelativeBias(size.num_heads, both_ways=False)
        self.decoder = nn.ModuleList(DecoderBlock(size, dropout) for _ in range(size.num_layers))
        self.decoder_norm = nn.RMSNorm(size.embed_dim, EPS)
        self.dropout = nn.Dropout(dropout)
        self.head = None if size.tied else nn.Linear(size.embed_dim, vocabulary, bias=False)
        _start(self, size)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score the next token at every place of the target.

        Args:
            source: What is read, padded on the right.
            target: What is written, from the begin on; each place sees those before it.
        """
        memory, mask = self._encode(source), readable(source)
        bias = self.decoder_bias(target.shape[1], target.shape[1])
        x = self.dropout(self.embed(target))
        for block in self.decoder:
            x = block(x, memory, mask=mask, bias=bias)
        return self._scores(x)

    def begin(self, source: Tensor, *, most: int) -> State:
        """Return the state before the first token; see `blocks.generation.Generative`."""
        return begin_stack(self.decoder, self._encode(source), mask=readable(source), most=most)

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the logits of the tokens that follow, and the state after `tokens`."""
        new = tokens.shape[1]
        bias = self.decoder_bias(new, state["held"] + new)
        x = self.dropout(self.embed(tokens))
        x, state = advance_stack(self.decoder, x, state, bias=bias)
        return self._scores(x), state

    def no_weight_decay(self) -> set[str]:
        """Exempt what is looked up."""
        names = (self.embed, self.encoder_bias.by_bucket, self.decoder_bias.by_bucket)
        return {n for n, p in self.named_parameters() if any(p is m.weight for m in names)}

    def _encode(self, source: Tensor) -> Tensor:
        mask = readable(source)
        bias = self.encoder_bias(source.shape[1], source.shape[1])
        x = self.dropout(self.embed(source))
        for block in self.encoder:
            x = block(x, mask, bias)
        return self.dropout(self.encoder_norm(x))

    def _scores(self, x: Tensor) -> Tensor:
        x = self.dropout(self.decoder_norm(x))
        if self.head is not None:
            return self.head(x)
        return F.linear(x * self.embed.embedding_dim**-0.5, self.embed.weight)


def _attention(size: Size, dropout: float) -> Attention:
    return Attention(
        size.embed_dim,
        size.num_heads,
        head_dim=size.head_dim,
        bias=False,
        scale=1.0,
        dropout=dropout,
    )


@torch.no_grad()
def _start(model: T5, size: Size) -> None:
    """Draw the first weights as Mesh TensorFlow does: by the width that each reads."""
    width, inner = size.embed_dim, size.num_heads * size.head_dim
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        if isinstance(module, CrossAttention):
            module.q.weight.mul_(size.head_dim**-0.5)
        elif isinstance(module, Attention):
            module.qkv.weight[:inner].mul_(size.head_dim**-0.5)
        if isinstance(module, RelativeBias):
            nn.init.normal_(module.by_bucket.weight, std=width**-0.5)
    nn.init.normal_(model.embed.weight)


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of transformers' `T5ForConditionalGeneration` under our names.

    The output's weights count only where they are not the tokens' vectors.
    """
    copies = set(_COPIES)
    if _HEAD in state and torch.equal(state[_HEAD], state[_TOKENS]):
        copies.add(_HEAD)
    return renamed({k: v for k, v in state.items() if k not in copies}, _place)


def _place(name: str) -> str:
    """Return our name; "NAME/q" is the part of a joined one."""
    if name in _WHOLE:
        return _WHOLE[name]
    side, _, rest = name.partition(".block.")
    if not rest:
        return name
    number, _, layer, what = rest.split(".", 3)
    sublayer = ("attention", "feedforward")[int(layer)] if side == "encoder" else _DECODER[layer]
    place = f"{side}.{number}."
    if what == "layer_norm.weight":
        return f"{place}norm_{int(layer) + 1}.weight"
    if what.endswith("relative_attention_bias.weight"):
        return f"{side}_bias.by_bucket.weight"
    kind = what.split(".")[1]
    if sublayer == "feedforward":
        return f"{place}feedforward.{_FEEDFORWARD[kind]}.weight"
    if kind == "o":
        return f"{place}{sublayer}.out.weight"
    if sublayer == "attention":
        return f"{place}attention.qkv.weight/{kind}"
    return f"{place}cross.q.weight" if kind == "q" else f"{place}cross.kv.weight/{kind}"


_TOKENS, _HEAD = "shared.weight", "lm_head.weight"
_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")  # of the tokens' vectors
_WHOLE = {
    _TOKENS: "embed.weight",
    _HEAD: "head.weight",
    "encoder.final_layer_norm.weight": "encoder_norm.weight",
    "decoder.final_layer_norm.weight": "decoder_norm.weight",
}
_DECODER = {"0": "attention", "1": "cross", "2": "feedforward"}
_FEEDFORWARD = {"wi": "wide", "wi_0": "gate", "wi_1": "wide", "wo": "narrow"}


SIZES: Mapping[str, Size] = {
    "efficient_tiny_nl2": Size(embed_dim=256, num_layers=2, num_heads=4, hidden=1024),
    "efficient_tiny": Size(embed_dim=256, num_layers=4, num_heads=4, hidden=1024),
    "small": Size(embed_dim=512, num_layers=6, num_heads=8, hidden=2048),
    "base": Size(embed_dim=768, num_layers=12, num_heads=12, hidden=3072),
    "large": Size(embed_dim=1024, num_layers=24, num_heads=16, hidden=4096),
    "3b": Size(embed_dim=1024, num_layers=24, num_heads=32, hidden=16384, head_dim=128),
    "11b": Size(embed_dim=1024, num_layers=24, num_heads=128, hidden=65536, head_dim=128),
    "v1_1_small": Size(
        embed_dim=512,
        num_layers=8,
        num_heads=6,
        hidden=1024,
        feedforward=GatedGeluFeedForward,
        tied=False,
    ),
    "v1_1_base": Size(
        embed_dim=768,
        num_layers=12,
        num_heads=12,
        hidden=2048,
        feedforward=GatedGeluFeedForward,
        tied=False,
    ),
    "v1_1_large": Size(
        embed_dim=1024,
        num_layers=24,
        num_heads=16,
        hidden=2816,
        feedforward=GatedGeluFeedForward,
        tied=False,
    ),
    "v1_1_xl": Size(
        embed_dim=2048,
        num_layers=24,
        num_heads=32,
        hidden=5120,
        feedforward=GatedGeluFeedForward,
        tied=False,
    ),
    "v1_1_xxl": Size(
        embed_dim=4096,
        num_layers=24,
        num_heads=64,
        hidden=10240,
        feedforward=GatedGeluFeedForward,
        tied=False,
    ),
}


def t5_efficient_tiny_nl2(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return two layers of width 256 on either side."""
    return _t5("efficient_tiny_nl2", inputs, outputs, task)


def t5_efficient_tiny(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return four layers of width 256 on either side."""
    return _t5("efficient_tiny", inputs, outputs, task)


def t5_small(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return six layers of width 512 on either side."""
    return _t5("small", inputs, outputs, task)


def t5_base(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return twelve layers of width 768 on either side."""
    return _t5("base", inputs, outputs, task)


def t5_large(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return 24 layers of width 1024 on either side."""
    return _t5("large", inputs, outputs, task)


def t5_3b(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return 24 layers of width 1024 with 32 heads of 128 on either side."""
    return _t5("3b", inputs, outputs, task)


def t5_11b(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return 24 layers of width 1024 with 128 heads of 128 on either side."""
    return _t5("11b", inputs, outputs, task)


def t5_v1_1_small(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return eight gated layers of width 512 on either side."""
    return _t5("v1_1_small", inputs, outputs, task)


def t5_v1_1_base(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return twelve gated layers of width 768 on either side."""
    return _t5("v1_1_base", inputs, outputs, task)


def t5_v1_1_large(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return 24 gated layers of width 1024 on either side."""
    return _t5("v1_1_large", inputs, outputs, task)


def t5_v1_1_xl(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return 24 gated layers of width 2048 on either side."""
    return _t5("v1_1_xl", inputs, outputs, task)


def t5_v1_1_xxl(inputs: tuple[int, ...], outputs: int, *, task: str) -> T5:
    """Return 24 gated layers of width 4096 on either side."""
    return _t5("v1_1_xxl", inputs, outputs, task)


def _t5(size: str, inputs: tuple[int, ...], outputs: int, task: str) -> T5:
    del task  # text-to-text is all it does
    return T5(check_shared(inputs, outputs), SIZES[size])
