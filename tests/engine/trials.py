"""A tiny data set, and a network from a file that draws random numbers from every generator."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from assay.data.dataset import Dataset
from assay.engine.spec import Candidate, Plan, Recipe, TrialSpec

NETWORK = '''
import random
import numpy as np
import torch
from torch import nn

class Dropping(nn.Module):
    """Batch norm, dropout, and noise from numpy's and Python's own generators."""

    def __init__(self, inputs, outputs):
        super().__init__()
        width = int(np.prod(inputs))
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(width, 16), nn.BatchNorm1d(16))
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(16, outputs)

    def forward(self, x):
        x = self.dropout(self.hidden(x).relu())
        if self.training:
            x = x * (1 + 0.1 * np.random.standard_normal() + 0.1 * random.gauss(0, 1))
        return self.head(x)


class Convolving(nn.Module):
    """Its second convolution is wide and has 16 pixels to compute."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs[0], 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1, stride=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(64 * 16, outputs),
        )

    def forward(self, x):
        return self.layers(x)


class Hungry(Dropping):
    def forward(self, x):
        if self.training:
            torch.empty(2**60)
        return super().forward(x)


class Crashing(Dropping):
    """Fails in its fourth training step."""

    calls = 0

    def forward(self, x):
        if self.training:
            self.calls += 1
        if self.calls > 4:
            raise IndexError("tables turned")
        return super().forward(x)
'''


def make_dataset(kind: str = "image", count: int = 120) -> Dataset:
    """Return learnable examples of three classes, or of one value, in memory."""
    random = np.random.default_rng(0)
    y = random.integers(3, size=count)
    shapes = {"image": (1, 8, 8), "sequence": (6, 5), "table": (7,), "values": (7,)}
    x = random.normal(size=(count, *shapes[kind])).astype(np.float32)
    x += y.reshape(-1, *[1] * len(shapes[kind]))
    preprocessing: dict[str, Any] = {"kind": kind}
    if kind == "image":
        x = np.clip(60 * x + 100, 0, 255).astype(np.uint8)
        preprocessing |= {"mean": [0.5], "std": [0.25]}
    names = {"image": "image", "sequence": "sequence", "table": "tabular", "values": "tabular"}
    regression = kind == "values"
    return Dataset(
        folder=Path(),
        name=kind,
        source="made up",
        task=names[kind] + ("-regression" if regression else "-classification"),
        inputs=shapes[kind],
        classes=() if regression else ("a", "b", "c"),
        preprocessing=preprocessing,
        content_hash="0" * 64,
        split_hash="1" * 64,
        split_seed=0,
        x=x,
        y=(10 * x.mean(axis=1) + 50).astype(np.float32) if regression else y,
        train=np.arange(0, count - 40),
        val=np.arange(count - 40, count - 20),
        test=np.arange(count - 20, count),
    )


def make_spec(name: str, dataset: Dataset, **changes: Any) -> TrialSpec:
    """Return a short trial; a recipe's fields may be changed as well."""
    recipe = Recipe(batch_size=16)
    ours = {k: changes.pop(k) for k in list(changes) if hasattr(recipe, k)}
    spec = TrialSpec(
        candidate=Candidate(name=name, digest="0", recipe=replace(recipe, **ours)),
        task=dataset.task,
        inputs=dataset.inputs,
        outputs=dataset.outputs,
        split_hash=dataset.split_hash,
        seed=0,
        steps=24,
        evaluations=4,
        plan=Plan(),
    )
    return replace(spec, **changes)
