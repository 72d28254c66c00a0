"""What every source becomes: arrays on disk, the facts about them, and one frozen division."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

Task = Literal[
    "image-classification",
    "sequence-classification",
    "tabular-classification",
    "tabular-regression",
]
TASKS: tuple[Task, ...] = (
    "image-classification",
    "sequence-classification",
    "tabular-classification",
    "tabular-regression",
)
PARTS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A prepared data set: a folder with `x.npy`, `y.npy`, `split.npz` and `meta.json`.

    The arrays are opened as read-only memory maps, so that every worker process shares one copy
    and a set larger than memory is streamed by the page cache. Images are uint8 (N, C, H, W);
    tables float32 (N, F), encoded by `preprocessing`; sequences float32 (N, T, F).
    """

    folder: Path
    name: str  # as the user called it: digits, photos
    source: str  # where it came from: a path or "built in"
    task: Task
    inputs: tuple[int, ...]  # one example's shape: (C, H, W), (F,) or (T, F)
    classes: tuple[str, ...]  # in label order; empty for regression
    preprocessing: Mapping[str, Any]  # JSON: how a raw example becomes a row of x; see data/prepare
    content_hash: str  # sha256 of everything that went in
    split_hash: str  # sha256 of the content hash, the seed and the three lists of indices
    split_seed: int
    notes: tuple[Mapping[str, str], ...] = ()  # {"en": ..., "zh": ...}: what was found or left out
    x: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)  # int64 labels or float32 values
    train: np.ndarray = field(repr=False)  # int64 indices into x, sorted
    val: np.ndarray = field(repr=False)
    test: np.ndarray = field(repr=False)
    ids: tuple[str, ...] = field(default=(), repr=False)  # a name a person can find: path, "row 17"

    @property
    def outputs(self) -> int:
        """Width of a model's last layer: the classes, or 1 for regression."""
        return len(self.classes) or 1

    @property
    def kind(self) -> Literal["image", "sequence", "table"]:
        """What one example is."""
        names: tuple[Literal["table", "sequence", "image"], ...] = ("table", "sequence", "image")
        return names[len(self.inputs) - 1]
