"""`learn.c` as a library."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Literal

from assay.compiled import compiled

SOURCE = Path(__file__).with_name("learn.c")


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled loops; None where there is no C compiler, or it fails."""
    loaded = compiled(SOURCE, "-ffast-math")
    if loaded is not None:
        loaded.learn_counts.restype = ctypes.c_double
        loaded.learn_examples.restype = None
    return loaded


def loops() -> Literal["compiled", "torch"]:
    """Return which loops vectors learn in here: they round differently."""
    return "torch" if library() is None else "compiled"
