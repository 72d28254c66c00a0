"""ChatGLM3: GLM's trunk of its third generation, near to LLaMA's, with two keys for all queries.

Source: GLM team, 2024, https://arxiv.org/abs/2406.12793, section 2, and the configuration at
https://huggingface.co/THUDM/chatglm3-6b.
"""

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from assay.blocks.decoder_only import DecoderOnly
from assay.blocks.rotary import turn_neighbours
from assay.models.language.llama import rotary_decoder

# half of a head is turned, neighbours are pairs, and queries, keys and values have a bias
decoder = partial(rotary_decoder, num_kv_heads=2, turned=0.5, rotate=turn_neighbours, bias=True)


def chatglm3_tiny(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return a size for a CPU: that of llama2.c's stories260k."""
    return decoder(inputs, outputs, task=task, embed_dim=64, num_layers=5, num_heads=8, hidden=172)


def chatglm3_6b(inputs: tuple[int, ...], outputs: int, *, task: str) -> DecoderOnly:
    """Return the published size."""
    return decoder(
        inputs, outputs, task=task, embed_dim=4096, num_layers=28, num_heads=32, hidden=13696
    )


_NAMES = {  # of the authors' ChatGLM3 on Hugging Face -> ours
    "embedding.word_embeddings.weight": "tokens.weight",
    "encoder.final_layernorm.weight": "norm.weight",
    "output_layer.weight": "head.weight",
}
_LAYER_NAMES = {
    "input_layernorm": "norm_1",
    "post_attention_layernorm": "norm_2",
    "self_attention.query_key_value": "attention.qkv",
    "self_attention.dense": "attention.out",
    "mlp.dense_h_to_4h": "feedforward.wide",
    "mlp.dense_4h_to_h": "feedforward.narrow",
}


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of the authors' ChatGLM3 (THUDM/chatglm3-6b) under our names.

    The rotary frequencies are no weights and are left out; a name that is not known stays as it is.
    """
    return {
        _ours(name.removeprefix("transformer.")): value
        for name, value in state.items()
        if not name.endswith("rotary_pos_emb.inv_freq")
    }


def _ours(name: str) -> str:
    if not name.startswith("encoder.layers."):
        return _NAMES.get(name, name)
    number, rest = name.removeprefix("encoder.layers.").split(".", 1)
    part, _, kind = rest.rpartition(".")
    return f"blocks.{number}.{_LAYER_NAMES.get(part, part)}.{kind}"
