"""The keys and values of the tokens that were read already, kept for those to come."""

from torch import Tensor

from assay.errors import BadArgumentError

Cache = tuple[Tensor, Tensor, int]  # keys and values (B, key heads, most, d); how many are held


def empty_cache(like: Tensor, heads: int, most: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """Return room for the keys and values of one attention. -> two (B, heads, most, head_dim).

    It is reserved once, so that a new token costs a write of its own size, not a copy of all.

    Args:
        like: A tensor of the batch, (B, ...), of the device and number format to be kept.
        heads: Of the keys.
        most: Tokens that will be held at most.
        head_dim: Width of a key.
    """
    shape = (len(like), heads, most, head_dim)
    return like.new_zeros(shape), like.new_zeros(shape)


def remember(cache: Cache, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Write new keys and values behind those held; return all. -> two (B, heads, Tk, d).

    Args:
        cache: Room, and how many tokens it holds; written in place.
        k: Of the new tokens, (B, heads, T, d).
        v: The same.

    Raises:
        BadArgumentError: There is no room for them.
    """
    keys, values, held = cache
    end = held + k.shape[2]
    if end > keys.shape[2]:
        raise BadArgumentError(
            f"A cache holds as many tokens as were announced by `most`. Received token {end}, "
            f"most={keys.shape[2]}; begin with a larger `most`."
        )
    keys[:, :, held:end] = k
    values[:, :, held:end] = v
    return keys[:, :, :end], values[:, :, :end]
