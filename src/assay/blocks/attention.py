"""Attention: every token asks, and reads from the tokens whose keys answer."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.cache import Cache, remember
from assay.errors import BadArgumentError

Pair = tuple[Tensor, Tensor]  # keys and values, each (B, key heads, Tk, head_dim)
Rotate = Callable[[Tensor, Tensor], Tensor]  # vectors (B, heads, T, d), turn -> the same


class Attention(nn.Module):
    """Tokens look at tokens, in `num_heads` independent ways.

    Without `memory_dim` they look at each other (self-attention, one `qkv` map); with it they look
    at other tokens, handed over as `memory` (cross-attention, a `q` and a `kv` map).

    Args:
        embed_dim: Width of a token.
        num_heads: Queries of a token. Must divide `embed_dim` unless `head_dim` is given.
        num_kv_heads: Keys and values of a token, each shared by as many queries (grouped-query
            attention). Must divide `num_heads`; as many as these if not given.
        head_dim: Width of a query, key and value; `embed_dim / num_heads` if not given.
        memory_dim: Width of a memory's token; None for self-attention.
        bias: Whether the maps to queries, keys and values add a constant.
        out_bias: The same of the map that joins the heads; as `bias` if not given.
        scale: What scores are multiplied by; `head_dim ** -0.5` if not given.
        rotate: Turns queries and keys by their positions: see `blocks.rotary`. Called with them
            and the `turn` of the call.
        dropout: Probability that a weight is dropped in training. A `kernel` module drops its own.
        kernel: How keys, queries and values are put together.

    Attributes:
        kernel: "fused" is torch's own; "matmul" is the same written out, faster when training few
            tokens in bf16 on a CPU; a module is called as `kernel(q, k, v, mask=..., causal=...)`
            with (B, heads, T, d) each, keys and values repeated for each query that shares them,
            the mask as given to `forward`. May be set at any time.

    Shape:
        (B, T, embed_dim), and a memory (B, Tk, memory_dim) -> (B, T, embed_dim)

    Raises:
        BadArgumentError: `num_heads` does not divide `embed_dim`, or `num_kv_heads` these.

    Source:
        Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, section 3.2; shared keys: Ainslie
        et al., 2023, https://arxiv.org/abs/2305.13245, figure 2.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        memory_dim: int | None = None,
        bias: bool = True,
        out_bias: bool | None = None,
        scale: float | None = None,
        rotate: Rotate | None = None,
        dropout: float = 0.0,
        kernel: Literal["fused", "matmul"] | nn.Module = "fused",
    ) -> None:
        super().__init__()
        if head_dim is None:
            _require_divisor("num_heads", num_heads, "embed_dim", embed_dim)
        self.num_heads = num_heads
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        _require_divisor("num_kv_heads", self.num_kv_heads, "num_heads", num_heads)
        self.head_dim = head_dim or embed_dim // num_heads
        self.scale = self.head_dim**-0.5 if scale is None else scale
        self.rotate = rotate
        self.dropout = dropout
        self.kernel = kernel
        asked, read = self.num_heads * self.head_dim, 2 * self.num_kv_heads * self.head_dim
        if memory_dim is None:
            self.qkv = nn.Linear(embed_dim, asked + read, bias)
        else:
            self.q = nn.Linear(embed_dim, asked, bias)
            self.kv = nn.Linear(memory_dim, read, bias)
        self.out = nn.Linear(asked, embed_dim, bias if out_bias is None else out_bias)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | Pair | None = None,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        bias: Tensor | None = None,
        turn: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Mix the tokens.

        Args:
            x: The tokens that ask, (B, T, embed_dim).
            memory: The tokens that are read, or what `keys_values` made of them once for many
                calls; only in cross-attention.
            mask: True where a token may be read: (B, Tk), or (B, T, Tk) for each asking one.
            causal: Whether a token reads only itself and those before it. Of more keys than
                queries, the queries are the last.
            bias: Added to the scores: (heads, T, Tk) or (B, heads, T, Tk).
            turn: For `rotate`.
            cache: Keys and values of the tokens before these, `(keys, values, length)` of
                `blocks.cache.empty_cache`: those of `x` are written into it in place, at
                `length`, and all are read. Who calls counts `length` on.
        """
        if memory is None:
            q, k, v = self._self(x)
        else:
            q = heads(self.q(x), self.num_heads)
            k, v = memory if isinstance(memory, tuple) else self.keys_values(memory)
        if self.rotate is not None and turn is not None:
            q, k = self.rotate(q, turn), self.rotate(k, turn)
        if cache is not None:
            k, v = remember(cache, k, v)
        mixed = self._mix(q, k, v, mask, bias, causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))  # (B, T, embed_dim)

    def keys_values(self, memory: Tensor) -> Pair:
        """Return a memory's keys and values. (B, Tk, memory_dim) -> two (B, heads, Tk, d)."""
        k, v = self.kv(memory).chunk(2, dim=-1)
        return heads(k, self.num_kv_heads), heads(v, self.num_kv_heads)

    def _self(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        read = self.num_kv_heads * self.head_dim
        q, k, v = self.qkv(x).split((self.num_heads * self.head_dim, read, read), dim=-1)
        return heads(q, self.num_heads), heads(k, self.num_kv_heads), heads(v, self.num_kv_heads)

    def _mix(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None,
        bias: Tensor | None,
        *,
        causal: bool,
    ) -> Tensor:
        if isinstance(self.kernel, nn.Module):
            k, v = shared(k, self.num_heads), shared(v, self.num_heads)
            return self.kernel(q, k, v, mask=mask, causal=causal)
        dropout = self.dropout if self.training else 0.0
        mix = partial(
            written_out if self.kernel == "matmul" else fused, scale=self.scale, dropout=dropout
        )
        if q.shape[2] == 1 and bias is None:  # its queries stand in the places of tokens,
            one = torch.unflatten(q, 1, (self.num_kv_heads, -1)).squeeze(3)  # so no key is repeated
            mask = mask[:, 0] if mask is not None and mask.dim() == 3 else mask
            return mix(one, k, v, mask=mask).flatten(1, 2).unsqueeze(2)
        k, v = shared(k, self.num_heads), shared(v, self.num_heads)
        return mix(q, k, v, mask=mask, causal=causal, bias=bias)


def heads(x: Tensor, number: int) -> Tensor:
    """Cut tokens into heads. (B, T, heads * d) -> (B, heads, T, d)."""
    return torch.unflatten(x, -1, (number, -1)).transpose(1, 2)


def shared(x: Tensor, num_heads: int) -> Tensor:
    """Repeat keys or values for each query that shares them. (B, kv, T, d) -> (B, heads, T, d)."""
    times = num_heads // x.shape[1]
    return x if times == 1 else x[:, :, None].expand(-1, -1, times, -1, -1).flatten(1, 2)


def written_out(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
    bias: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Return softmax(q kᵀ / √d + bias) v, equation 1. Three times (B, heads, T, d) -> the same.

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        mask: As `Attention.forward` takes it.
        causal: The same.
        bias: The same.
        scale: In place of 1 / √d.
        dropout: Probability that a weight is dropped.
    """
    scores = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(-2, -1)
    added = _added(_visible(q, k, mask, causal=causal), bias, scores.dtype)
    weights = (scores if added is None else scores + added).softmax(dim=-1)  # (B, heads, T, Tk)
    return F.dropout(weights, dropout) @ v if dropout else weights @ v


def fused(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
    bias: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Return what `written_out` returns, by torch's own kernel, which never holds all weights.

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        mask: As `Attention.forward` takes it.
        causal: The same.
        bias: The same.
        scale: In place of 1 / √d.
        dropout: Probability that a weight is dropped.
    """
    square = causal and mask is None and bias is None and q.shape[2] == k.shape[2]
    seen = None if square else _visible(q, k, mask, causal=causal)
    added = seen if bias is None else _added(seen, bias, q.dtype)
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=added, dropout_p=dropout, is_causal=square, scale=scale
    )


def _visible(q: Tensor, k: Tensor, mask: Tensor | None, *, causal: bool) -> Tensor | None:
    """Return what may be read, to be broadcast over (B, heads, T, Tk); None for everything."""
    asking, read = q.shape[2], k.shape[2]
    if mask is not None:
        mask = mask[:, None, None] if mask.dim() == 2 else mask[:, None]
    if not causal or asking == 1:
        return mask
    past = torch.ones(asking, read, dtype=torch.bool, device=q.device).tril(read - asking)
    return past if mask is None else mask & past


def _added(seen: Tensor | None, bias: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return what is added to the scores, -inf where a token may not be read."""
    if seen is None:
        return bias
    nothing = torch.zeros((), dtype=dtype, device=seen.device) if bias is None else bias
    return torch.where(seen, nothing.to(dtype), float("-inf"))


def _require_divisor(name: str, part: int, whole_name: str, whole: int) -> None:
    if part < 1 or whole % part:
        fitting = ", ".join(str(n) for n in range(1, whole + 1) if whole % n == 0)
        raise BadArgumentError(
            f"`{name}` must divide `{whole_name}`. "
            f"Received {name}={part}, {whole_name}={whole}; these divide it: {fitting}."
        )
