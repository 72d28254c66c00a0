"""Small random models of transformers, and GPT-2 in the form that decoding asks for."""

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, T5Config
from transformers import T5ForConditionalGeneration as T5

from assay.data.tokens import BEGIN, END, MASK, PAD

WORDS = 14
NEVER = [PAD, BEGIN, MASK]


def gpt2(*, seed: int = 0, spread: float = 0.5, words: int = WORDS) -> GPT2LMHeadModel:
    """A GPT-2 whose choices differ from step to step; it ends its texts after some tokens."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=words,
        n_positions=64,
        n_embd=16,
        n_layer=2,
        n_head=2,
        initializer_range=spread,
        bos_token_id=BEGIN,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    return GPT2LMHeadModel(config).eval()


def t5(*, seed: int = 0) -> T5:
    """A T5 that answers sources."""
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=WORDS,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        initializer_factor=3.0,
        decoder_start_token_id=BEGIN,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    return T5(config).eval()


class Plain(nn.Module):
    """From tokens, or source and tokens, to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *texts: Tensor) -> Tensor:
        if len(texts) == 1:
            return self.model(texts[0], use_cache=False).logits
        source, tokens = texts
        seen = (source != PAD).long()
        return self.model(
            input_ids=source, attention_mask=seen, decoder_input_ids=tokens, use_cache=False
        ).logits


class Cached:
    """A GPT-2 with its keys and values as state."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        self.model = model
        self.steps = 0

    def begin(self, source: Tensor, *, most: int) -> dict:
        assert source.shape[1] == 0
        return {"layers": [], "at": 0, "most": most}

    def advance(self, tokens: Tensor, state: dict) -> tuple[Tensor, dict]:
        self.steps += 1
        at = state["at"] + tokens.shape[1]
        assert at <= state["most"], "more tokens than a cache would have room for"
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(state["layers"]):
            cache.update(keys, values, layer)
        answer = self.model(tokens, past_key_values=cache, use_cache=True)
        layers = [(layer.keys, layer.values) for layer in answer.past_key_values.layers]
        return answer.logits, {"layers": layers, "at": at, "most": state["most"]}


def prompts(count: int = 4, length: int = 3, *, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(5, WORDS, (count, length), generator=random)
