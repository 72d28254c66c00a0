"""LLaMA: a GPT with rotary positions, gated small networks, and normalisation without a mean.

Source: Touvron et al., 2023, https://arxiv.org/abs/2302.13971, section 2.2 and table 2; LLaMA 2:
Touvron et al., 2023, https://arxiv.org/abs/2307.09288; Llama 3: Grattafiori et al., 2024,
https://arxiv.org/abs/2407.21783, table 3; the stories sizes are of Karpathy's llama2.c,
https://github.com/karpathy/llama2.c.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from assay.blocks.attention import Attention, Rotate
from assay.blocks.decoder_only import DecoderOnly, start_as_gpt2
from assay.blocks.pre_norm import PreNormBlock
from assay.blocks.rotary import Rotary, turn_halves
from assay.blocks.swiglu import SwiGLU


def rotary_decoder(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    task: str,
    embed_dim: int,
    num_layers: int,
    num_heads: int,
    hidden: int,
    num_kv_heads: int | None = None,
    tied: bool = False,
    base: float = 10_000.0,
    eps: float = 1e-5,
    turned: float = 1.0,
    rotate: Rotate = turn_halves,
    bias: bool = False,
) -> DecoderOnly:
    """Return a decoder of LLaMA's kind.

    Args:
        inputs: At most T tokens out of V, (T, V).
        outputs: V, or classes.
        task: See `DecoderOnly`.
        embed_dim: Width of a token.
        num_layers: Layers.
        num_heads: Queries of a token.
        hidden: Width inside the gated networks.
        num_kv_heads: Keys of a token; as many as queries if not given.
        tied: Whether the next token is scored by the table of tokens.
        base: Of the rotary positions.
        eps: Of the normalisations.
        turned: Share of a head that is turned by its place.
        rotate: Which two numbers make a pair.
        bias: Whether the maps to queries, keys and values add a constant.
    """
    head_dim = embed_dim // num_heads
    norm = partial(nn.RMSNorm, embed_dim, eps)
    model = DecoderOnly(
        inputs,
        outputs,
        embed_dim=embed_dim,
        blocks=[
            PreNormBlock(
                norm,
                Attention(
                    embed_dim,
                    num_heads,
                    num_kv_heads=num_kv_heads,
                    bias=bias,
                    out_bias=False,
                    rotate=rotate,
                ),
                SwiGLU(embed_dim, hidden),
            )
            for _ in range(num_layers)
        ],
        norm=norm(),
        task=task,
        rotary=Rotary(int(head_dim * turned), base=base),
        tied=tied,
    )
    start_as_gpt2(model)
    return model


def stories260k(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return llama2.c's smallest size, for a vocabulary of 512."""
    return rotary_decoder(
        inputs,
        outputs,
        task=task,
        embed_dim=64,
        num_layers=5,
        num_heads=8,
        num_kv_heads=4,
        hidden=172,
        tied=True,
    )


def stories15m(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return llama2.c's 15M size."""
    return rotary_decoder(
        inputs,
        outputs,
        task=task,
        embed_dim=288,
        num_layers=6,
        num_heads=6,
        hidden=768,
        tied=True,
    )


def stories42m(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return llama2.c's 42M size."""
    return rotary_decoder(
        inputs,
        outputs,
        task=task,
        embed_dim=512,
        num_layers=8,
        num_heads=8,
        hidden=1376,
        tied=True,
    )


def stories110m(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return llama2.c's 110M size."""
    return rotary_decoder(
        inputs,
        outputs,
        task=task,
        embed_dim=768,
        num_layers=12,
        num_heads=12,
        hidden=2048,
        tied=True,
    )


def llama_7b(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the 7B size; LLaMA 2's is the same on 4,096 tokens."""
    return rotary_decoder(
        inputs, outputs, task=task, embed_dim=4096, num_layers=32, num_heads=32, hidden=11008
    )


def llama_13b(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the 13B size; LLaMA 2's is the same on 4,096 tokens."""
    return rotary_decoder(
        inputs, outputs, task=task, embed_dim=5120, num_layers=40, num_heads=40, hidden=13824
    )


def llama_33b(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the 33B size."""
    return rotary_decoder(
        inputs, outputs, task=task, embed_dim=6656, num_layers=60, num_heads=52, hidden=17920
    )


def llama_65b(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the 65B size."""
    return rotary_decoder(
        inputs, outputs, task=task, embed_dim=8192, num_layers=80, num_heads=64, hidden=22016
    )


def llama2_70b(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return LLaMA 2's 70B size, whose eight queries share a key."""
    return rotary_decoder(
        inputs,
        outputs,
        task=task,
        embed_dim=8192,
        num_layers=80,
        num_heads=64,
        num_kv_heads=8,
        hidden=28672,
    )


def llama3_8b(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return Llama 3's 8B size, whose four queries share a key."""
    return rotary_decoder(
        inputs,
        outputs,
        task=task,
        embed_dim=4096,
        num_layers=32,
        num_heads=32,
        num_kv_heads=8,
        hidden=14336,
        base=500_000.0,
    )


def llama3_70b(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return Llama 3's 70B size, whose eight queries share a key."""
    return rotary_decoder(
        inputs,
        outputs,
        task=task,
        embed_dim=8192,
        num_layers=80,
        num_heads=64,
        num_kv_heads=8,
        hidden=28672,
        base=500_000.0,
    )


_NAMES = {  # transformers' -> ours
    "embed_tokens.weight": "tokens.weight",
    "norm.weight": "norm.weight",
    "lm_head.weight": "head.weight",
    "score.weight": "head.weight",
}
_LAYER_NAMES = {
    "input_layernorm": "norm_1",
    "post_attention_layernorm": "norm_2",
    "self_attn.o_proj": "attention.out",
    "mlp.down_proj": "feedforward.narrow",
    "mlp.gate_up_proj": "feedforward.wide",
}
_JOINED = {
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "feedforward.wide": ("mlp.gate_proj", "mlp.up_proj"),
}


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of transformers' LLaMA, or of its GLM, under our names.

    Maps that are one with us are joined. A head equal to the table of tokens is the table itself
    and left out. A name that is not known stays as it is.
    """
    state = {name.removeprefix("model."): value for name, value in state.items()}
    ours = {}
    for name, value in state.items():
        found = None if _is_the_table(name, state) else _ours(name, state)
        if found is not None:
            ours[found[0]] = torch.cat(found[1]) if found[1] else value
    return ours


def _is_the_table(name: str, state: Mapping[str, Tensor]) -> bool:
    return name == "lm_head.weight" and torch.equal(state[name], state["embed_tokens.weight"])


def _ours(name: str, state: Mapping[str, Tensor]) -> tuple[str, list[Tensor]] | None:
    """Return our name and the tensors to be joined; None where an earlier one has joined it."""
    if name.endswith("rotary_emb.inv_freq"):
        return None
    if not name.startswith("layers."):
        return _NAMES.get(name, name), []
    _, number, rest = name.split(".", 2)
    part, _, kind = rest.rpartition(".")
    for joined, parts in _JOINED.items():
        if part == parts[0]:
            tensors = [state[f"layers.{number}.{p}.{kind}"] for p in parts]
            return f"blocks.{number}.{joined}.{kind}", tensors
        if part in parts:
            return None
    return f"blocks.{number}.{_LAYER_NAMES.get(part, part)}.{kind}", []
