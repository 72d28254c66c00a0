"""GLM: a blank in a text is filled from left to right, by a network that reads the rest both ways.

Source: Du et al., 2022, https://arxiv.org/abs/2103.10360, figure 2 and section 2.3; sizes:
https://github.com/THUDM/GLM, config.
"""

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from assay.blocks.attention import Attention
from assay.blocks.decoder_only import DecoderOnly, start_as_gpt2
from assay.blocks.feedforward import FeedForward
from assay.blocks.learned_position import LearnedPosition
from assay.blocks.pre_norm import PreNormBlock

BLANK = 4  # <mask> of assay.data.tokens


def sized(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    task: str,
    embed_dim: int,
    num_layers: int,
    num_heads: int,
) -> DecoderOnly:
    """Return one size: two learned vectors for a place, of the blank and of the step behind it."""
    norm = partial(nn.LayerNorm, embed_dim)
    act = partial(nn.GELU, approximate="tanh")
    model = DecoderOnly(
        inputs,
        outputs,
        embed_dim=embed_dim,
        blocks=[
            PreNormBlock(
                norm,
                Attention(embed_dim, num_heads),
                FeedForward(embed_dim, 4 * embed_dim, act=act),
            )
            for _ in range(num_layers)
        ],
        norm=norm(),
        task=task,
        position=LearnedPosition(inputs[0] + 1, embed_dim),  # the blank comes on top
        step=LearnedPosition(inputs[0] + 1, embed_dim),  # 0 is the source
        blank=BLANK,
    )
    start_as_gpt2(model)
    return model


def glm_tiny(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return four layers of 128, a size for a CPU."""
    return sized(inputs, outputs, task=task, embed_dim=128, num_layers=4, num_heads=4)


def glm_base(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the Base size."""
    return sized(inputs, outputs, task=task, embed_dim=768, num_layers=12, num_heads=12)


def glm_large(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the Large size."""
    return sized(inputs, outputs, task=task, embed_dim=1024, num_layers=24, num_heads=16)


def glm_10b(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the 10B size."""
    return sized(inputs, outputs, task=task, embed_dim=4096, num_layers=48, num_heads=64)


_NAMES = {  # of the authors' GLM on Hugging Face -> ours
    "word_embeddings.weight": "tokens.weight",
    "transformer.position_embeddings.weight": "position.table.weight",
    "transformer.block_position_embeddings.weight": "step.table.weight",
    "transformer.final_layernorm.weight": "norm.weight",
    "transformer.final_layernorm.bias": "norm.bias",
}
_LAYER_NAMES = {
    "input_layernorm": "norm_1",
    "post_attention_layernorm": "norm_2",
    "attention.query_key_value": "attention.qkv",
    "attention.dense": "attention.out",
    "mlp.dense_h_to_4h": "feedforward.wide",
    "mlp.dense_4h_to_h": "feedforward.narrow",
}


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the authors' GLM (THUDM/glm-large and its like) under our names.

    A name that is not known stays as it is.
    """
    return {_ours(name.removeprefix("glm.")): value for name, value in state.items()}


def _ours(name: str) -> str:
    if not name.startswith("transformer.layers."):
        return _NAMES.get(name, name)
    number, rest = name.removeprefix("transformer.layers.").split(".", 1)
    part, _, kind = rest.rpartition(".")
    return f"blocks.{number}.{_LAYER_NAMES.get(part, part)}.{kind}"
