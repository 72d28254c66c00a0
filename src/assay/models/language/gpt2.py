"""GPT-2: guess the next token, over and over, from all tokens before it.

Source: Radford et al., 2019, "Language Models are Unsupervised Multitask Learners", table 2; the
small sizes are of Karpathy's nanoGPT, https://github.com/karpathy/nanoGPT.
"""

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from assay.blocks.attention import Attention
from assay.blocks.decoder_only import ANSWER, DecoderOnly, start_as_gpt2
from assay.blocks.feedforward import FeedForward
from assay.blocks.learned_position import LearnedPosition
from assay.blocks.pre_norm import PreNormBlock


def sized(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    task: str,
    embed_dim: int,
    num_layers: int,
    num_heads: int,
    bias: bool = True,
    dropout: float = 0.0,
) -> DecoderOnly:
    """Return one size: layers four times as wide inside, one learned vector for each place."""
    norm = partial(nn.LayerNorm, embed_dim, bias=bias)
    act = partial(nn.GELU, approximate="tanh")
    model = DecoderOnly(
        inputs,
        outputs,
        embed_dim=embed_dim,
        blocks=[
            PreNormBlock(
                norm,
                Attention(embed_dim, num_heads, bias=bias, dropout=dropout),
                FeedForward(embed_dim, 4 * embed_dim, act=act, bias=bias),
                dropout=dropout,
            )
            for _ in range(num_layers)
        ],
        norm=norm(),
        task=task,
        position=LearnedPosition(inputs[0] * (2 if task == ANSWER else 1), embed_dim),
        dropout=dropout,
    )
    start_as_gpt2(model)
    return model


def gpt2_nano(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return nanoGPT's setting for a CPU, of 64 characters: four layers of 128, no biases."""
    return sized(inputs, outputs, task=task, embed_dim=128, num_layers=4, num_heads=4, bias=False)


def gpt2_baby(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return nanoGPT's "baby GPT" of 256 characters: six layers of 384, no biases, dropout 0.2."""
    return sized(
        inputs,
        outputs,
        task=task,
        embed_dim=384,
        num_layers=6,
        num_heads=6,
        bias=False,
        dropout=0.2,
    )


def gpt2(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the smallest published size, 124M."""
    return sized(inputs, outputs, task=task, embed_dim=768, num_layers=12, num_heads=12)


def gpt2_medium(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the 355M size."""
    return sized(inputs, outputs, task=task, embed_dim=1024, num_layers=24, num_heads=16)


def gpt2_large(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the 774M size."""
    return sized(inputs, outputs, task=task, embed_dim=1280, num_layers=36, num_heads=20)


def gpt2_xl(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the 1.5B size."""
    return sized(inputs, outputs, task=task, embed_dim=1600, num_layers=48, num_heads=25)


_NAMES = {  # transformers' -> ours
    "wte.weight": "tokens.weight",
    "wpe.weight": "position.table.weight",
    "ln_f.weight": "norm.weight",
    "ln_f.bias": "norm.bias",
    "score.weight": "head.weight",
}
_LAYER_NAMES = {
    "ln_1": "norm_1",
    "ln_2": "norm_2",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "mlp.c_fc": "feedforward.wide",
    "mlp.c_proj": "feedforward.narrow",
}


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of transformers' GPT-2 under our names.

    Its maps are stored transposed. The head is the table of tokens, and buffers are no weights:
    both are left out; a name that is not known stays as it is.
    """
    ours = {}
    for name, value in state.items():
        short = name.removeprefix("transformer.")
        if short == "lm_head.weight" or short.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        ours[_ours(short)] = value.T.contiguous() if ".c_" in short and value.dim() == 2 else value
    return ours


def _ours(name: str) -> str:
    if not name.startswith("h."):
        return _NAMES.get(name, name)
    _, number, rest = name.split(".", 2)
    part, _, kind = rest.rpartition(".")
    return f"blocks.{number}.{_LAYER_NAMES.get(part, part)}.{kind}"
