"""What takes an idea's place in networks that read one thing after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.attention import Attention
from assay.blocks.attention_mechanism import AdditiveAttention, MultiplicativeAttention, attend
from assay.blocks.big_bird import BigBirdKernel, big_bird_layout
from assay.blocks.cache import Cache
from assay.blocks.causal_convolution import CausalConvolution
from assay.blocks.decoder_only import DecoderOnly
from assay.blocks.encoder_task import MaskedTokens, start_bert
from assay.blocks.feedforward import FeedForward
from assay.blocks.learned_position import LearnedPosition
from assay.blocks.linformer import LinformerKernel
from assay.blocks.lstm_encoder import LSTMEncoder
from assay.blocks.memory_cell import memory_cell
from assay.blocks.position import Sinusoids
from assay.blocks.post_norm import PostNormDecoderBlock, PostNormEncoderBlock
from assay.blocks.recurrence import BothEnds, RecurrentNetwork, States, Step
from assay.blocks.relative_bias import RelativeBias
from assay.blocks.segment_embedding import SegmentEmbedding
from assay.blocks.sequence_head import LastStep, readable
from assay.blocks.swiglu import SwiGLU
from assay.models.language.albert import Albert
from assay.models.language.bert import EPS, BertEmbedding
from assay.models.sequence import gru, lstm
from assay.models.sequence.tcn import TemporalBlock
from assay.models.surgery import Change, fixed


class Nothing(nn.Module):
    """Adds nothing to anything: a zero. Any -> ()."""

    def forward(self, x: Tensor, *_: object) -> Tensor:
        """Return zero."""
        return x.new_zeros(())


class Unplaced(nn.Module):
    """Tokens that are not told where they stand. (B, T, E) -> the same."""

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Return them as they are."""
        return x


class EqualLook(nn.Module):
    """The mean of the source's states, whatever is asked; called as the attention it replaces."""

    def of_memory(self, memory: Tensor) -> Tensor:
        """Return the states themselves: none is compared with anything."""
        return memory

    def forward(
        self,
        query: Tensor,
        memory: Tensor,
        real: Tensor | None = None,
        *,
        keys: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the mean of the real states, (B, U, E), and equal weights, (B, U, S)."""
        return attend(query.new_zeros(*query.shape[:2], memory.shape[1]), memory, real)


class UnaddedEncoderBlock(nn.Module):
    """A layer of the first Transformer's encoder whose steps add nothing. (B, T, E) -> the same.

    Args:
        whole: Whose layers it takes over.
    """

    def __init__(self, whole: PostNormEncoderBlock) -> None:
        super().__init__()
        self.attention, self.norm_1 = whole.attention, whole.norm_1
        self.feedforward, self.norm_2 = whole.feedforward, whole.norm_2
        self.dropout = whole.dropout

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pass the tokens on; the mask says which may be read."""
        x = self.norm_1(self.dropout(self.attention(x, mask=mask)))
        return self.norm_2(self.dropout(self.feedforward(x)))


class UnaddedDecoderBlock(nn.Module):
    """The same of its decoder. (B, T, E), memory (B, S, E) -> (B, T, E).

    Args:
        whole: Whose layers it takes over.
    """

    def __init__(self, whole: PostNormDecoderBlock) -> None:
        super().__init__()
        self.attention, self.norm_1 = whole.attention, whole.norm_1
        self.cross, self.norm_2 = whole.cross, whole.norm_2
        self.feedforward, self.norm_3 = whole.feedforward, whole.norm_3
        self.dropout = whole.dropout

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        *,
        mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Pass the tokens on; called as the whole block is."""
        x = self.norm_1(self.dropout(self.attention(x, causal=True, cache=cache)))
        x = self.norm_2(self.dropout(self.cross(x, memory, mask=mask)))
        return self.norm_3(self.dropout(self.feedforward(x)))


class UnsharedAlbert(nn.Module):
    """An ALBERT with a layer of its own for each pass. (B, T) -> (B, T, width).

    Args:
        whole: Whose embeddings it takes over; its layer is the first.
    """

    def __init__(self, whole: Albert) -> None:
        super().__init__()
        self.width, self.embed, self.widen = whole.width, whole.embed, whole.widen
        others = (deepcopy(whole.block).apply(start_bert) for _ in range(1, whole.num_layers))
        self.blocks = nn.ModuleList([whole.block, *others])

    @property
    def words(self) -> nn.Embedding:
        """The tokens' vectors."""
        return self.embed.words

    def forward(self, tokens: Tensor) -> Tensor:
        """Return a vector for each token."""
        mask = readable(tokens)
        x = self.widen(self.embed(tokens))
        for block in self.blocks:
            x = block(x, mask)
        return x


class UnpairedTokens(nn.Module):
    """Scores of hidden tokens alone. (B, T) -> (B, T, V) logits.

    Args:
        whole: Whose layers it takes over, but for those of two sentences.
    """

    def __init__(self, whole: MaskedTokens) -> None:
        super().__init__()
        self.encoder, self.dense, self.act = whole.encoder, whole.dense, whole.act
        self.norm, self.bias = whole.norm, whole.bias

    def forward(self, tokens: Tensor) -> Tensor:
        """Score each token of the vocabulary at each place."""
        x = self.norm(self.act(self.dense(self.encoder(tokens))))
        return F.linear(x, self.encoder.words.weight, self.bias)


class SteppedLSTM(nn.LSTM):
    """An LSTM's weights for steps that torch's kernels do not know."""

    def flatten_parameters(self) -> None:
        """Leave the weights apart: no kernel reads them."""


class SteppedGRU(nn.GRU):
    """The same of a GRU."""

    def flatten_parameters(self) -> None:
        """Leave the weights apart: no kernel reads them."""


def keep_all(driven: Tensor, states: States, weight_back: Tensor, bias_back: Tensor) -> States:
    """Return an LSTM's next state and cell, each (B, H), where no gate lets the cell forget.

    Args:
        driven: (B, 3·H), the input of this step times the weights of write, content and show.
        states: State and cell of the step before.
        weight_back: (3·H, H).
        bias_back: (3·H,).
    """
    state, cell = states
    gates = driven + F.linear(state, weight_back, bias_back)
    write, content, show = gates.chunk(3, dim=1)
    kept = torch.ones_like(write)
    cell = memory_cell(cell, write.sigmoid(), kept, torch.tanh(content))
    return show.sigmoid() * torch.tanh(cell), cell


def show_all(driven: Tensor, states: States, weight_back: Tensor, bias_back: Tensor) -> States:
    """Return an LSTM's next state and cell, each (B, H), where the whole cell is always shown.

    Args:
        driven: (B, 3·H), the input of this step times the weights of write, keep and content.
        states: State and cell of the step before.
        weight_back: (3·H, H).
        bias_back: (3·H,).
    """
    state, cell = states
    gates = driven + F.linear(state, weight_back, bias_back)
    write, keep, content = gates.chunk(3, dim=1)
    cell = memory_cell(cell, write.sigmoid(), keep.sigmoid(), torch.tanh(content))
    return torch.tanh(cell), cell


def look_back(driven: Tensor, states: States, weight_back: Tensor, bias_back: Tensor) -> States:
    """Return a GRU's next state (B, H), where what is new always sees the whole state.

    Args:
        driven: (B, 2·H), the input of this step times the weights of update and new.
        states: The state of the step before.
        weight_back: (2·H, H).
        bias_back: (2·H,).
    """
    (state,) = states
    update, new = (driven + F.linear(state, weight_back, bias_back)).chunk(2, dim=1)
    update = update.sigmoid()
    return (update * state + (1 - update) * torch.tanh(new),)


def without_gate(whole: Step, kind: type[nn.RNNBase], gate: int, step: Step) -> Change:
    """Return the change that takes a gate and its weights out of recurrent layers.

    Args:
        whole: The step with all gates.
        kind: Of the layer whose weights remain.
        gate: Its place among the rows of the weights.
        step: Without it.
    """

    def change(module: nn.Module) -> nn.Module | None:
        if not isinstance(module, RecurrentNetwork) or module.step is not whole:
            return None
        module.layer = _cut(module.layer, kind, gate)
        module.step, module.kernel = step, "steps"
        return module

    return change


def _cut(old: nn.RNNBase, kind: type[nn.RNNBase], gate: int) -> nn.RNNBase:
    new = _like(old, kind, bidirectional=old.bidirectional)
    gates = 4 if isinstance(old, nn.LSTM) else 3
    for name, weight in old.named_parameters():
        rows = weight.detach().chunk(gates)
        left = torch.cat([part for number, part in enumerate(rows) if number != gate])
        setattr(new, name, nn.Parameter(left))
    return new


def _like(old: nn.RNNBase, kind: Callable[..., nn.RNNBase], *, bidirectional: bool) -> nn.RNNBase:
    return kind(
        old.input_size,
        old.hidden_size,
        old.num_layers,
        batch_first=True,
        dropout=old.dropout,
        bidirectional=bidirectional,
    )


def one_way(module: nn.Module) -> nn.Module | None:
    """Leave a network that reads both ways the direction from first to last."""
    if not isinstance(module, RecurrentNetwork) or not module.layer.bidirectional:
        return None
    both, half = module.layer, module.layer.hidden_size
    module.layer = _like(both, type(both), bidirectional=False)
    head = nn.Linear(half, module.head.out_features)
    with torch.no_grad():
        for name, weight in module.layer.named_parameters():
            old = both.get_parameter(name)
            weight.copy_(old[:, : weight.shape[1]] if weight.dim() == 2 else old)
        head.weight.copy_(module.head.weight[:, :half])
        head.bias.copy_(module.head.bias)
    module.head = head
    if isinstance(module.exit, BothEnds):
        module.exit = LastStep()
    return module


def placeless(module: nn.Module) -> nn.Module | None:
    """Say nothing of where a token stands, nor of how far it is from another."""
    if isinstance(module, Sinusoids):
        return Unplaced()
    if isinstance(module, DecoderOnly):
        module.position, module.step, module.rotary = None, None, None
        return module
    if isinstance(module, BertEmbedding):
        places = module.places
        fixed(places, "weight", torch.zeros_like(places.weight[:, :1]))
        return module
    if isinstance(module, RelativeBias):
        fixed(module.by_bucket, "weight", torch.zeros_like(module.by_bucket.weight))
        return module
    return None


def unstepped(module: nn.Module) -> nn.Module | None:
    """Tell a token its place in the text alone, not how far into the blank it stands."""
    if not isinstance(module, DecoderOnly) or module.step is None or module.position is None:
        return None
    old = module.position.table
    module.position = LearnedPosition(2 * old.num_embeddings, old.embedding_dim)
    nn.init.normal_(module.position.table.weight, std=0.02)
    module.step = None
    return module


def straight(module: nn.Module) -> nn.Module | None:
    """Leave a block's branch alone."""
    if isinstance(module, TemporalBlock):
        module.shortcut = Nothing()
        return module
    if isinstance(module, PostNormEncoderBlock):
        return UnaddedEncoderBlock(module)
    if isinstance(module, PostNormDecoderBlock):
        return UnaddedDecoderBlock(module)
    return None


def near(module: nn.Module) -> nn.Module | None:
    """Let a convolution over time read steps that lie side by side."""
    if not isinstance(module, CausalConvolution) or module.dilation == 1:
        return None
    module.reach //= module.dilation
    module.dilation = 1
    return module


def ungated(module: nn.Module) -> nn.Module | None:
    """Put a plain small network of as many weights in the place of a gated one."""
    if not isinstance(module, SwiGLU):
        return None
    hidden, width = module.narrow.in_features, module.narrow.out_features
    new = FeedForward(width, 3 * hidden // 2, act=nn.SiLU, bias=False)
    for name in ("wide.weight", "narrow.weight"):
        nn.init.normal_(new.get_parameter(name), std=_spread(module.get_parameter(name)))
    return new


def _spread(weight: Tensor) -> float:
    """Return the deviation of a layer's weights, at which what takes its place starts."""
    return float(weight.detach().std())


def unshared_keys(module: nn.Module) -> nn.Module | None:
    """Give each query a key and a value of its own."""
    if not isinstance(module, Attention) or module.num_kv_heads == module.num_heads:
        return None
    old, asked = module.qkv, module.num_heads * module.head_dim
    module.qkv = nn.Linear(old.in_features, 3 * asked, old.bias is not None)
    nn.init.normal_(module.qkv.weight, std=_spread(old.weight))
    if module.qkv.bias is not None:
        nn.init.zeros_(module.qkv.bias)
    module.num_kv_heads = module.num_heads
    return module


def centred(module: nn.Module) -> nn.Module | None:
    """Normalise by the mean too."""
    if not isinstance(module, nn.RMSNorm):
        return None
    return nn.LayerNorm(module.normalized_shape, module.eps or 1e-5)


def unsegmented(module: nn.Module) -> nn.Module | None:
    """Do not tell two sentences apart."""
    return Nothing() if isinstance(module, SegmentEmbedding) else None


def unpaired(module: nn.Module) -> nn.Module | None:
    """Ask for hidden tokens alone."""
    return UnpairedTokens(module) if isinstance(module, MaskedTokens) else None


def unshared_layers(module: nn.Module) -> nn.Module | None:
    """Give each pass of an ALBERT a layer of its own."""
    return UnsharedAlbert(module) if isinstance(module, Albert) else None


def full_embedding(module: nn.Module) -> nn.Module | None:
    """Give an ALBERT's tokens vectors of its full width, and score hidden ones at that width."""
    if isinstance(module, Albert):
        words, places = module.embed.words, module.embed.places
        module.embed = BertEmbedding(
            words.num_embeddings, places.num_embeddings, module.width, dropout=0.0
        ).apply(start_bert)
        module.widen = nn.Identity()
        return module
    if isinstance(module, MaskedTokens) and isinstance(module.encoder, Albert):
        width = module.encoder.width
        module.dense = nn.Linear(width, width)
        start_bert(module.dense)
        module.norm = nn.LayerNorm(width, EPS)
        return module
    return None


def in_order(module: nn.Module) -> nn.Module | None:
    """Read the source from its first token to its last."""
    if not isinstance(module, LSTMEncoder):
        return None
    module.order = _as_it_stands
    return module


def _as_it_stands(x: Tensor, real: Tensor | None) -> Tensor:
    return x


def unlooked(module: nn.Module) -> nn.Module | None:
    """Show each step of an answer the same mean of the source's states."""
    kinds = AdditiveAttention | MultiplicativeAttention
    return EqualLook() if isinstance(module, kinds) else None


def undrawn(module: nn.Module) -> nn.Module | None:
    """Let blocks of tokens see those near them and the global ones."""
    if not isinstance(module, BigBirdKernel):
        return None
    left = module.layout & big_bird_layout(*module.layout.shape[:2], drawn=0)
    return None if (left == module.layout).all() else BigBirdKernel(left, module.block)


def unglobal(module: nn.Module) -> nn.Module | None:
    """Let blocks of tokens see those near them and the drawn ones."""
    if not isinstance(module, BigBirdKernel):
        return None
    heads, blocks = module.layout.shape[:2]
    everywhere_seen = big_bird_layout(heads, blocks, drawn=0)
    near_ones = big_bird_layout(heads, blocks, first=0, drawn=0)
    left = module.layout & (near_ones | ~everywhere_seen)
    return None if (left == module.layout).all() else BigBirdKernel(left, module.block)


def unmixed_keys(module: nn.Module) -> nn.Module | None:
    """Let each query look at every position."""
    if not isinstance(module, Attention) or not isinstance(module.kernel, LinformerKernel):
        return None
    del module.kernel
    module.kernel = "fused"
    return module


CHANGES: Mapping[str, Change] = {
    "attention": unlooked,
    "backward_direction": one_way,
    "block_position": unstepped,
    "dilation": near,
    "forget_gate": without_gate(lstm.step, SteppedLSTM, 1, keep_all),
    "global_blocks": unglobal,
    "grouped_queries": unshared_keys,
    "mixtures": unmixed_keys,
    "narrow_embedding": full_embedding,
    "output_gate": without_gate(lstm.step, SteppedLSTM, 3, show_all),
    "random_blocks": undrawn,
    "reset_gate": without_gate(gru.step, SteppedGRU, 0, look_back),
    "reversed_source": in_order,
    "rms_norm": centred,
    "segments": unsegmented,
    "sentence_pairs": unpaired,
    "shared_layers": unshared_layers,
    "swiglu": ungated,
}
