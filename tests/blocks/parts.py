"""What a card's code names, so that the tests hold the very thing that the card points to."""

from importlib import import_module
from typing import Any

import numpy as np

from assay.canon.card import Part
from assay.canon.catalog import catalog


def part(name: str) -> Any:
    """Return the class or function of the card called `name`."""
    card, _ = catalog().find(name)
    assert isinstance(card, Part)
    module, _, code = card.code.partition(":")
    return getattr(import_module(module), code)


def windows(x: np.ndarray, side: int, stride: int) -> np.ndarray:
    """Return the square windows of (..., H, W) as (..., H', W', side²), cut out one by one."""
    rows = range(0, x.shape[-2] - side + 1, stride)
    columns = range(0, x.shape[-1] - side + 1, stride)
    cut = [[x[..., i : i + side, j : j + side] for j in columns] for i in rows]
    return np.moveaxis(np.array(cut), (0, 1), (-4, -3)).reshape(
        *x.shape[:-2], len(rows), len(columns), side**2
    )
