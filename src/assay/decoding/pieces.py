"""Showing a text while it is written: tokens go in one by one, whole characters come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_BROKEN = "\ufffd"  # how a decoder shows bytes that are no character yet


class Pieces:
    """What can be shown of a text so far.

    A token may be a part of a character (byte-level BPE) or change how the one before is spaced, so
    that a text is decoded from the last place where it was whole. What has been given out is never
    taken back; together it is the text.

    Args:
        decode: From tokens to text.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._given = 0  # of them, tokens whose text has been given out
        self._start = 0  # the token from which decoding starts, before the given ones' end

    def push(self, token: int) -> str:
        """Return what `token` makes certain, often its own text, sometimes nothing yet."""
        self._tokens.append(token)
        return self._next(whole=True)

    def rest(self) -> str:
        """Return what was held back, when no more tokens come."""
        return self._next(whole=False)

    def _next(self, *, whole: bool) -> str:
        before = self._decode(self._tokens[self._start : self._given])
        now = self._decode(self._tokens[self._start :])
        if whole and (now.endswith(_BROKEN) or len(now) <= len(before)):
            return ""
        self._start, self._given = self._given, len(self._tokens)
        return now[len(before) :]
