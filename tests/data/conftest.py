"""Small data sets written to a folder of the test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.data.dataset import Dataset
from assay.data.load import load


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def opened(store: Path) -> Callable[..., Dataset]:
    return lambda source, **options: load(source, folder=store, **options)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten cats and ten dogs of 9x7 random RGB pixels."""
    home = tmp_path / "photos"
    numbers = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (home / label).mkdir(parents=True)
        for at in range(10):
            pixels = numbers.integers(0, 256, (9, 7, 3), np.uint8)
            Image.fromarray(pixels).save(home / label / f"{at}.png")
    return home
