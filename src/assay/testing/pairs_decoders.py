"""GPT-2, LLaMA, GLM and ChatGLM3 beside transformers' own.

transformers has neither the first GLM nor ChatGLM3. What GLM adds to GPT-2, the second place and
the source that is seen both ways, is put around transformers' GPT-2 here. ChatGLM3 is held against
transformers' GLM, which is that of the fourth generation: it has the same layers, other sizes, and
keeps a gate and what it lets pass in one map as both do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from assay.models.language import chatglm3, glm, gpt2, llama
from assay.testing.language_parity import LanguagePair, sources_and_targets

VOCABULARY = 61
SHAPE = (16, VOCABULARY)  # at most 16 tokens
TASK = "language-modeling"


def _gpt2(**options: Any) -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    off: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(bos_token_id=None, eos_token_id=None, **off, **options))


def _llama(**options: Any) -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(rms_norm_eps=1e-5, **options))


def _glm(**options: Any) -> nn.Module:
    from transformers import GlmConfig, GlmForCausalLM

    config = GlmConfig(
        rms_norm_eps=1e-5,
        attention_bias=True,
        attention_dropout=0.0,
        num_key_value_heads=2,
        pad_token_id=None,
        **options,
    )
    return GlmForCausalLM(config)


class TwoPlaces(nn.Module):
    """transformers' GPT-2 as GLM: a blank behind the source, two places for each token.

    Args:
        context: Tokens of a source, and of an answer.
        embed_dim: Width of a token.
        options: Of the GPT-2.
    """

    def __init__(self, context: int, embed_dim: int, **options: Any) -> None:
        super().__init__()
        self.gpt2: Any = _gpt2(n_positions=context + 1, n_embd=embed_dim, **options).transformer
        self.step = nn.Embedding(context + 1, embed_dim)

    def forward(self, source: Tensor, answer: Tensor) -> Tensor:
        """Score the next token at every place of an answer, one example after the other."""
        return torch.cat([self._one(s[s != 0], a) for s, a in zip(source, answer, strict=True)])

    def _one(self, source: Tensor, answer: Tensor) -> Tensor:
        """Return the scores of one example without padding. (S,), (U,) -> (1, U, V)."""
        end, count = len(source), len(answer)  # the blank stands at `end`
        tokens = torch.cat([source, torch.tensor([glm.BLANK]), answer])
        place = torch.cat([torch.arange(end + 1), torch.full((count,), end)])
        step = torch.cat([torch.zeros(end + 1, dtype=torch.int64), torch.arange(1, count + 1)])
        seen = torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril()
        seen[: end + 1, : end + 1] = True
        states = self.gpt2(
            inputs_embeds=(self.gpt2.wte(tokens) + self.step(step))[None],
            position_ids=place[None],
            attention_mask=torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))[None, None],
        ).last_hidden_state
        return (states @ self.gpt2.wte.weight.T)[:, end + 1 :]


def _from_two_places(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    ours = gpt2.from_transformers(
        {n.removeprefix("gpt2."): value for n, value in state.items() if n.startswith("gpt2.")}
    )
    return {**ours, "step.table.weight": state["step.weight"]}


def _ask(theirs: nn.Module, tokens: Tensor) -> Tensor:
    return theirs(input_ids=tokens, use_cache=False).logits


def _call(theirs: nn.Module, *inputs: Tensor) -> Tensor:
    return theirs(*inputs)


_SMALL: dict[str, Any] = {"embed_dim": 32, "num_layers": 2, "num_heads": 4}
_SMALL_GPT2: dict[str, Any] = {"vocab_size": VOCABULARY, "n_layer": 2, "n_head": 4}
_SMALL_LLAMA: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_LLAMA3: dict[str, Any] = {"rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0}}

PAIRS = [
    LanguagePair(
        entry="gpt2",
        reference="transformers:GPT2LMHeadModel",
        ours=lambda: gpt2.sized(SHAPE, VOCABULARY, task=TASK, **_SMALL),
        theirs=lambda: _gpt2(n_positions=16, n_embd=32, **_SMALL_GPT2),
        translate=gpt2.from_transformers,
        ask=_ask,
        full=lambda: (gpt2.gpt2((1024, 50_257), 50_257, task=TASK), _gpt2()),
    ),
    LanguagePair(
        entry="llama_7b",
        reference="transformers:LlamaForCausalLM",
        ours=lambda: llama.rotary_decoder(SHAPE, VOCABULARY, task=TASK, hidden=48, **_SMALL),
        theirs=lambda: _llama(**_SMALL_LLAMA),
        translate=llama.from_transformers,
        ask=_ask,
        full=lambda: (llama.llama_7b((2048, 32_000), 32_000, task=TASK), _llama()),
    ),
    LanguagePair(
        entry="llama3_8b",
        reference="transformers:LlamaForCausalLM",
        ours=lambda: llama.rotary_decoder(
            SHAPE, VOCABULARY, task=TASK, hidden=48, num_kv_heads=2, base=500_000.0, **_SMALL
        ),
        theirs=lambda: _llama(num_key_value_heads=2, **_LLAMA3, **_SMALL_LLAMA),
        translate=llama.from_transformers,
        ask=_ask,
        full=lambda: (
            llama.llama3_8b((8192, 128_256), 128_256, task=TASK),
            _llama(vocab_size=128_256, intermediate_size=14_336, num_key_value_heads=8, **_LLAMA3),
        ),
    ),
    LanguagePair(
        entry="chatglm3_6b",
        reference="transformers:GlmForCausalLM",
        ours=lambda: chatglm3.decoder(SHAPE, VOCABULARY, task=TASK, hidden=48, **_SMALL),
        theirs=lambda: _glm(head_dim=8, **_SMALL_LLAMA),
        translate=llama.from_transformers,
        ask=_ask,
        full=lambda: (
            chatglm3.chatglm3_6b((8192, 65_024), 65_024, task=TASK),
            _glm(vocab_size=65_024, intermediate_size=13_696, num_hidden_layers=28),
        ),
    ),
    LanguagePair(
        entry="glm_base",
        reference="transformers:GPT2Model",
        ours=lambda: glm.sized(SHAPE, VOCABULARY, task="text-to-text", **_SMALL),
        theirs=lambda: TwoPlaces(16, 32, **_SMALL_GPT2),
        translate=_from_two_places,
        ask=_call,
        inputs=sources_and_targets,
        full=lambda: (
            glm.glm_base((512, 30_592), 30_592, task="text-to-text"),
            TwoPlaces(512, 768, vocab_size=30_592),
        ),
    ),
]
