"""What every source becomes: arrays on disk, the facts about them, and one frozen division."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from assay.canon.task import TASKS, Answers, Reads, Task

__all__ = ["PARTS", "TASKS", "Dataset", "Task"]
PARTS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A prepared data set: a folder with `x.npy`, `y.npy`, `split.npz` and `meta.json`.

    The arrays are opened as read-only memory maps, so that every worker process shares one copy
    and a set larger than memory is streamed by the page cache. Images are uint8 (N, C, H, W);
    tables float32 (N, F), encoded by `preprocessing`; sequences float32 (N, T, F); tokens int32
    (N, T), padded on the right with 0.
    """

    folder: Path
    name: str  # as the user called it: digits, photos
    source: str  # where it came from: a path or "built in"
    task: Task
    inputs: tuple[int, ...]  # one example's shape: (C, H, W), (F,), (T, F), or tokens (T, V)
    classes: tuple[str, ...]  # in label order; empty where answers are values or tokens
    preprocessing: Mapping[str, Any]  # JSON: how a raw example becomes a row of x; see data/prepare
    content_hash: str  # sha256 of everything that went in
    split_hash: str  # sha256 of the content hash, the seed and the three lists of indices
    split_seed: int
    notes: tuple[Mapping[str, str], ...] = ()  # {"en": ..., "zh": ...}: what was found or left out
    x: np.ndarray = field(repr=False)
    y: np.ndarray = field(repr=False)  # int64 labels, float32 values (N,) or (N, H), int32 (N, T)
    train: np.ndarray = field(repr=False)  # int64 indices into x, sorted
    val: np.ndarray = field(repr=False)
    test: np.ndarray = field(repr=False)
    ids: tuple[str, ...] = field(default=(), repr=False)  # a name a person can find: path, "row 17"

    @property
    def outputs(self) -> int:
        """Width of a model's last layer: classes, values to predict, or words to choose from."""
        if self.answers == "tokens":
            return self.inputs[1]
        return self.y.shape[1] if self.answers == "values" else len(self.classes) or 1

    @property
    def kind(self) -> Reads:
        """What one example is."""
        return TASKS[self.task].reads

    @property
    def answers(self) -> Answers:
        """What one answer is."""
        return TASKS[self.task].answers
