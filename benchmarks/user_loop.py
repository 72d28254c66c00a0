"""The loop that people write today: torchvision data set, transforms, DataLoader, fp32, eager."""

import gzip
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.common import FASHION


def fashion_root() -> Path:
    """Return a folder that torchvision.datasets.FashionMNIST takes for its download."""
    root = Path(tempfile.gettempdir()) / "assay-benchmark"
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for packed in FASHION.glob("*.gz"):
        if not (raw / packed.stem).exists():
            with gzip.open(packed) as source, (raw / packed.stem).open("wb") as target:
                shutil.copyfileobj(source, target)
    return root


def fashion_loader(*, train: bool = True, batch_size: int = 64) -> torch.utils.data.DataLoader:
    """Return the DataLoader of the tutorials: ToTensor, Normalize, no worker processes."""
    from torchvision import datasets, transforms

    steps = [transforms.ToTensor(), transforms.Normalize((0.286,), (0.353,))]
    images = datasets.FashionMNIST(
        str(fashion_root()), train=train, transform=transforms.Compose(steps)
    )
    return torch.utils.data.DataLoader(images, batch_size=batch_size, shuffle=train)


def random_sequences(*, length: int, width: int, batch_size: int) -> torch.utils.data.DataLoader:
    """Return a DataLoader over random sequences with random labels of ten classes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2048, length, width, generator=generator)
    y = torch.randint(10, (2048,), generator=generator)
    data = torch.utils.data.TensorDataset(x, y)
    return torch.utils.data.DataLoader(data, batch_size=batch_size, shuffle=True)


def plain_steps(model: nn.Module, loader: torch.utils.data.DataLoader) -> Callable[[], int]:
    """Return a function that takes one training step and returns the number of examples."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches: Iterator = itertools.chain.from_iterable(itertools.repeat(loader))
    model.train()

    def step() -> int:
        x, y = next(batches)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        loss.item()  # as everyone does, for the running mean
        return len(y)

    return step


def plain_accuracy(model: nn.Module, loader: torch.utils.data.DataLoader) -> float:
    """Return the fraction of examples that `model` gets right."""
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            total += len(y)
    return right / total
