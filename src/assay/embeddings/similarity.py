"""Which vectors are near: FAISS searches, exactly or approximately."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assay.embeddings.vocabulary import Floats
from assay.errors import BadArgumentError, MissingExtraError

LINKS = 32  # of each vector in the graph that is searched approximately
BREADTH = 128  # candidates that the search keeps


class Neighbours:
    """An index of vectors that finds those with the largest cosine.

    Args:
        vectors: (n, d); a row of zeros is near nothing.
        approximate: Search a graph (HNSW: Malkov and Yashunin, 2018,
            https://arxiv.org/abs/1603.09320) in place of all rows: for millions of them.

    Raises:
        BadArgumentError: `vectors` are not rows of finite numbers.
        MissingExtraError: faiss is not installed.
    """

    def __init__(self, vectors: ArrayLike, *, approximate: bool = False) -> None:
        rows = unit(vectors)
        faiss = _faiss()
        number, width = rows.shape
        if approximate:
            self.index: Any = faiss.IndexHNSWFlat(width, LINKS, faiss.METRIC_INNER_PRODUCT)
            self.index.hnsw.efConstruction = self.index.hnsw.efSearch = BREADTH
        else:
            self.index = faiss.IndexFlatIP(width)
        self.index.add(rows)
        self.number = number

    def search(self, queries: ArrayLike, topn: int) -> tuple[NDArray[np.int64], Floats]:
        """Return the nearest rows of each query and their cosines, nearest first: (q, n) each.

        Args:
            queries: (q, d).
            topn: Rows per query, at least 1; fewer come where there are fewer.
        """
        if topn < 1:
            raise BadArgumentError(
                f"`topn` must be at least 1. Received topn={topn}; the default is 10."
            )
        cosines, rows = self.index.search(unit(queries), min(topn, self.number))
        return rows, cosines


def unit(vectors: ArrayLike) -> Floats:
    """Return rows of length 1, those of zeros unchanged. (n, d) -> (n, d).

    Raises:
        BadArgumentError: `vectors` are not rows of finite numbers.
    """
    rows = np.array(vectors, np.float32, order="C")
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise BadArgumentError(
            "Vectors to be searched must be rows of finite numbers, (n, d). Received an array of "
            f"shape {rows.shape}{'' if np.isfinite(rows).all() else ' with others among them'}; "
            "give one row per vector."
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    divisors: Floats = np.where(lengths > 0, lengths, 1)
    return rows / divisors


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError(
            "The search for near vectors needs faiss, which is not installed: "
            "pip install 'assay[search]'."
        ) from error
    return faiss
