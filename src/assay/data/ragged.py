"""Rows of different lengths in two flat arrays, and the padded table they become."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from assay.data.tokens import BEGIN, END, PAD


@dataclass(frozen=True, kw_only=True)
class Ragged:
    """Tokens of many texts, one after the other.

    Attributes:
        ids: int32, of all texts.
        lengths: int64, how many of them belong to each text.
    """

    ids: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    @classmethod
    def of(cls, rows: Iterable[np.ndarray]) -> Ragged:
        """Return rows joined.

        Args:
            rows: One array of ids for each text.
        """
        listed = [np.asarray(row, np.int32) for row in rows]
        flat = np.concatenate(listed) if listed else np.empty(0, np.int32)
        return cls(ids=flat, lengths=np.fromiter(map(len, listed), np.int64, len(listed)))

    @property
    def starts(self) -> np.ndarray:
        """Where each text begins in `ids`."""
        return np.cumsum(self.lengths) - self.lengths

    def taken(self, chosen: np.ndarray) -> Ragged:
        """Return some of the rows.

        Args:
            chosen: Their numbers.
        """
        ends = np.cumsum(self.lengths)
        return Ragged.of(self.ids[ends[at] - self.lengths[at] : ends[at]] for at in chosen)

    def padded(
        self, width: int, *, begin: bool = False, end: bool = False, fill: int = PAD
    ) -> np.ndarray:
        """Return one row for each text, cut or filled on the right.

        Args:
            width: Tokens in a row, with the marks; at least one more than the marks.
            begin: Put the mark of a beginning before each text.
            end: Put the mark of an end after each text, after what is left of one that is cut.
            fill: What stands after the end.

        Shape:
            -> (N, width) int32
        """
        kept = np.minimum(self.lengths, width - begin - end)
        table = np.full((len(kept), width), fill, np.int32)
        starts = np.cumsum(kept) - kept
        rows = np.repeat(np.arange(len(kept)), kept)
        within = np.arange(int(kept.sum())) - np.repeat(starts, kept)
        table[rows, within + begin] = self.ids[np.repeat(self.starts, kept) + within]
        if begin:
            table[:, 0] = BEGIN
        if end:
            table[np.arange(len(kept)), kept + begin] = END
        return table
