"""The Transformer of 2017: an encoder reads, a decoder writes, and both do it by attention alone.

Source: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, figure 1 and table 3.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.decoder_stack import advance_stack, begin_stack
from assay.blocks.generation import State
from assay.blocks.position import Sinusoids
from assay.blocks.post_norm import PostNormDecoderBlock, PostNormEncoderBlock
from assay.blocks.sequence_head import readable
from assay.blocks.vocabulary import check_shared


class Transformer(nn.Module):
    """An encoder and a decoder over one vocabulary, whose vectors are the output's weights too.

    Args:
        vocabulary: Tokens of source and target.
        embed_dim: Width of a token, even.
        num_layers: Blocks of the encoder, and of the decoder.
        num_heads: Of each attention; must divide `embed_dim`.
        hidden: Width inside the blocks' small network.
        dropout: Of the embeddings and of what each sublayer adds.

    Shape:
        source (B, S), target so far (B, U) -> (B, U, vocabulary) logits of the next tokens
    """

    def __init__(
        self,
        vocabulary: int,
        *,
        embed_dim: int,
        num_layers: int,
        num_heads: int,
        hidden: int,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embed_dim)
        self.position: nn.Module = Sinusoids()
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.ModuleList(
            PostNormEncoderBlock(embed_dim, num_heads, hidden, dropout=dropout)
            for _ in range(num_layers)
        )
        self.decoder = nn.ModuleList(
            PostNormDecoderBlock(embed_dim, num_heads, hidden, dropout=dropout)
            for _ in range(num_layers)
        )
        self.apply(_start)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score the next token at every place of the target.

        Args:
            source: What is read, padded on the right.
            target: What is written, from the begin on; each place sees those before it.
        """
        memory, mask = self._encode(source), readable(source)
        x = self._embed(target, 0)
        for block in self.decoder:
            x = block(x, memory, mask=mask)
        return self._scores(x)

    def begin(self, source: Tensor, *, most: int) -> State:
        """Return the state before the first token; see `blocks.generation.Generative`."""
        return begin_stack(self.decoder, self._encode(source), mask=readable(source), most=most)

    def advance(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the logits of the tokens that follow, and the state after `tokens`."""
        x, state = advance_stack(self.decoder, self._embed(tokens, state["held"]), state)
        return self._scores(x), state

    def no_weight_decay(self) -> set[str]:
        """Exempt the tokens' vectors."""
        return {"embed.weight"}

    def _encode(self, source: Tensor) -> Tensor:
        mask = readable(source)
        x = self._embed(source, 0)
        for block in self.encoder:
            x = block(x, mask)
        return x

    def _embed(self, tokens: Tensor, held: int) -> Tensor:
        """Return vectors times √E plus the codes of their places, sections 3.4 and 3.5."""
        x = self.embed(tokens) * self.embed.embedding_dim**0.5
        return self.dropout(self.position(x, held))

    def _scores(self, x: Tensor) -> Tensor:
        return F.linear(x, self.embed.weight)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)


def from_torch_nn(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of `torch.nn.Transformer` under our names; other entries stay."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        renamed |= _place(name, value)
    return renamed


def _place(name: str, value: Tensor) -> dict[str, Tensor]:
    side, _, rest = name.partition(".layers.")
    if not rest:
        return {name: value}
    number, part = rest.split(".", 1)
    place = f"{side}.{number}."
    part, _, kind = part.rpartition("_" if "in_proj" in part else ".")
    if part == "multihead_attn.in_proj":
        width = len(value) // 3
        return {
            f"{place}cross.q.{kind}": value[:width],
            f"{place}cross.kv.{kind}": value[width:],
        }
    return {f"{place}{_PARTS[part]}.{kind}": value}


_PARTS = {  # of a layer of torch.nn.Transformer
    "self_attn.in_proj": "attention.qkv",
    "self_attn.out_proj": "attention.out",
    "multihead_attn.out_proj": "cross.out",
    "linear1": "feedforward.wide",
    "linear2": "feedforward.narrow",
    "norm1": "norm_1",
    "norm2": "norm_2",
    "norm3": "norm_3",
}


def transformer_tiny(inputs: tuple[int, ...], outputs: int, *, task: str) -> Transformer:
    """Return tensor2tensor's `transformer_tiny`: two layers of width 128 on either side."""
    return _transformer(inputs, outputs, task, embed_dim=128, num_layers=2, num_heads=4, hidden=512)


def transformer_small(inputs: tuple[int, ...], outputs: int, *, task: str) -> Transformer:
    """Return tensor2tensor's `transformer_small`: two layers of width 256 on either side."""
    return _transformer(
        inputs, outputs, task, embed_dim=256, num_layers=2, num_heads=4, hidden=1024
    )


def transformer_base(inputs: tuple[int, ...], outputs: int, *, task: str) -> Transformer:
    """Return the paper's base model: six layers of width 512 on either side."""
    return _transformer(
        inputs, outputs, task, embed_dim=512, num_layers=6, num_heads=8, hidden=2048
    )


def transformer_big(inputs: tuple[int, ...], outputs: int, *, task: str) -> Transformer:
    """Return the paper's big model: six layers of width 1024 on either side, dropout 0.3."""
    return _transformer(
        inputs,
        outputs,
        task,
        embed_dim=1024,
        num_layers=6,
        num_heads=16,
        hidden=4096,
        dropout=0.3,
    )


def _transformer(
    inputs: tuple[int, ...],
    outputs: int,
    task: str,
    *,
    embed_dim: int,
    num_layers: int,
    num_heads: int,
    hidden: int,
    dropout: float = 0.1,
) -> Transformer:
    del task  # text-to-text is all it does
    return Transformer(
        check_shared(inputs, outputs),
        embed_dim=embed_dim,
        num_layers=num_layers,
        num_heads=num_heads,
        hidden=hidden,
        dropout=dropout,
    )
