"""Attention, its kernels and its memory, in float64 against torch's layer and plain formulas."""

import numpy as np
import pytest
import torch
from parts import part
from torch import Tensor, nn

from assay.blocks.attention import Attention
from assay.blocks.cache import empty_cache
from assay.errors import BadArgumentError

KERNELS = ["fused", "matmul"]
PADDED = torch.tensor([[True, True, True, False, False], [True, True, True, True, True]])


@pytest.fixture
def tokens() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 5, 12, dtype=torch.float64)


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def with_biases(theirs: nn.MultiheadAttention) -> nn.MultiheadAttention:
    """Give torch's layer biases that show; it starts them at zero."""
    nn.init.normal_(theirs.in_proj_bias)
    nn.init.normal_(theirs.out_proj.bias)
    return theirs.double()


@pytest.mark.parametrize("kernel", KERNELS)
def test_self_attention_is_its_formula(tokens: Tensor, kernel: str):
    attention = part("self-attention")(12).double()
    attention.kernel = kernel
    x = tokens.numpy()
    weight, bias = attention.qkv.weight.detach().numpy(), attention.qkv.bias.detach().numpy()
    q, k, v = np.split(x @ weight.T + bias, 3, axis=-1)
    mixed = softmax(q @ k.swapaxes(1, 2) / 12**0.5) @ v
    last = attention.out
    expected = mixed @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    torch.testing.assert_close(attention(tokens), torch.as_tensor(expected))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_multi_head_attention_equals_torchs(
    tokens: Tensor, kernel: str, causal: bool, masked: bool, biased: bool
):
    theirs = with_biases(nn.MultiheadAttention(12, 3, batch_first=True))
    ours = part("multi-head-attention")(12, 3, kernel=kernel).double()
    ours.load_state_dict(
        {
            "qkv.weight": theirs.in_proj_weight,
            "qkv.bias": theirs.in_proj_bias,
            "out.weight": theirs.out_proj.weight,
            "out.bias": theirs.out_proj.bias,
        }
    )
    bias = torch.randn(3, 5, 5, dtype=torch.float64) if biased else None
    added = torch.zeros(2, 3, 5, 5, dtype=torch.float64) if bias is None else bias.repeat(2, 1, 1)
    added = added.reshape(6, 5, 5)
    if causal:
        added = added.masked_fill(~torch.ones(5, 5, dtype=torch.bool).tril(), float("-inf"))
    if masked:
        added = added.masked_fill(~PADDED.repeat_interleave(3, 0)[:, None], float("-inf"))
    expected = theirs(tokens, tokens, tokens, attn_mask=added, need_weights=False)[0]
    mask = PADDED if masked else None
    torch.testing.assert_close(ours(tokens, mask=mask, causal=causal, bias=bias), expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_queries_that_share_a_key_equal_repeated_keys(tokens: Tensor, kernel: str):
    few = Attention(12, 6, num_kv_heads=2, kernel=kernel).double()
    many = Attention(12, 6, kernel=kernel).double()
    q, k, v = few.qkv.weight.split((12, 4, 4))
    repeated = [t.unflatten(0, (2, 2)).repeat_interleave(3, 0).flatten(0, 1) for t in (k, v)]
    many.qkv.weight.data = torch.cat([q, *repeated])
    q, k, v = few.qkv.bias.split((12, 4, 4))
    repeated = [t.unflatten(0, (2, 2)).repeat_interleave(3, 0).flatten(0, 1) for t in (k, v)]
    many.qkv.bias.data = torch.cat([q, *repeated])
    many.out.load_state_dict(few.out.state_dict())
    torch.testing.assert_close(few(tokens, causal=True), many(tokens, causal=True))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("heads", [6, 2])
def test_key_value_cache_gives_what_all_tokens_at_once_give(
    tokens: Tensor, kernel: str, heads: int
):
    assert part("key-value-cache").__module__ == "assay.blocks.cache"
    attention = Attention(12, 6, num_kv_heads=heads, kernel=kernel).double()
    rooms = empty_cache(tokens, heads, 5, 2)
    portions = [(0, 2), (2, 4), (4, 5)]
    pieces = [attention(tokens[:, a:b], causal=True, cache=(*rooms, a)) for a, b in portions]
    torch.testing.assert_close(torch.cat(pieces, 1), attention(tokens, causal=True))


def test_a_cache_without_room_is_named(tokens: Tensor):
    attention = Attention(12, 6).double()
    with pytest.raises(BadArgumentError) as caught:
        attention(tokens, causal=True, cache=(*empty_cache(tokens, 6, 4, 2), 0))
    assert str(caught.value) == (
        "A cache holds as many tokens as were announced by `most`. Received token 5, most=4; "
        "begin with a larger `most`."
    )


def test_a_memorys_keys_and_values_may_be_made_once(tokens: Tensor):
    attention = Attention(12, 3, memory_dim=8).double()
    memory = torch.randn(2, 7, 8, dtype=torch.float64)
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[0, 4:] = False
    once = attention.keys_values(memory)
    torch.testing.assert_close(
        attention(tokens, once, mask=mask), attention(tokens, memory, mask=mask)
    )
    torch.testing.assert_close(
        attention(tokens, memory, mask=mask)[:1], attention(tokens[:1], memory[:1, :4])
    )


class Equal(nn.Module):
    """A kernel that weights all tokens alike."""

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor | None, causal: bool
    ) -> Tensor:
        assert (q.shape, k.shape, mask, causal) == ((2, 6, 5, 2), (2, 6, 5, 2), None, False)
        return v.mean(2, keepdim=True).expand_as(q)


def test_a_kernel_may_be_a_module(tokens: Tensor):
    attention = Attention(12, 6, num_kv_heads=2, kernel=Equal()).double()
    once = attention(tokens)
    torch.testing.assert_close(once, once[:, :1].expand_as(once))


def test_dropped_weights_leave_the_average_and_only_in_training(tokens: Tensor):
    torch.manual_seed(0)
    attention = Attention(12, 3, dropout=0.5, kernel="matmul").double()
    still = attention.eval()(tokens)
    attention.train()
    drawn = torch.stack([attention(tokens) for _ in range(2000)])
    assert drawn.std(0).mean() > 0.05
    torch.testing.assert_close(drawn.mean(0), still, rtol=0.2, atol=0.03)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "`num_heads` must divide `embed_dim`. Received num_heads=5, embed_dim=12; these "
         "divide it: 1, 2, 3, 4, 6, 12."),
        ({"head_dim": 4, "num_kv_heads": 2}, "`num_kv_heads` must divide `num_heads`. Received "
         "num_kv_heads=2, num_heads=5; these divide it: 1, 5."),
    ],
)  # fmt: skip
def test_heads_that_do_not_fit_are_named(options: dict[str, int], told: str):
    with pytest.raises(BadArgumentError) as caught:
        Attention(12, 5, **options)
    assert str(caught.value) == told
