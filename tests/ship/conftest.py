"""Small trained models of every kind, made once by the same engine that studies use."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ship_models import Trained, labelled_rows, trial_spec

from assay.data.dataset import Dataset
from assay.data.load import load, load_arrays
from assay.engine.trial import run_trial
from assay.ship.artifact import save_artifact


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Dataset], Trained]:
    """Return a function that trains one network for a moment and saves it."""

    def trained(name: str, dataset: Dataset) -> Trained:
        home = tmp_path_factory.mktemp("trained")
        spec = trial_spec(name, dataset)
        record = run_trial(spec, dataset, home / "trial")
        assert record.status == "finished", record.reason
        folder = save_artifact(
            home / "artifact",
            weights=home / "trial" / "weights.safetensors",
            candidate=spec.candidate,
            dataset=dataset,
            facts={"steps": record.steps, "cost": float("nan")},
        )
        return Trained(folder, dataset, spec.candidate, home / "trial")

    return trained


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of class folders: bright images and dark ones, of two sizes."""
    home = tmp_path_factory.mktemp("data") / "photos"
    draw = np.random.default_rng(0)
    for label, level in (("dark", 40), ("light", 200)):
        (home / label).mkdir(parents=True)
        for at in range(12):
            side = 12 if at % 4 else 14
            pixels = (level + draw.integers(-30, 30, (side, side, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(home / label / f"{at:02}.png")
    return home


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with numbers, categories and missing cells."""
    path = tmp_path_factory.mktemp("data") / "flats.csv"
    draw = np.random.default_rng(0)
    lines = ["area,floor,town,price"]
    for _ in range(80):
        area, floor, town = draw.uniform(20, 90), draw.integers(9), draw.choice(["Ulm", "Bonn"])
        price = 10 * area + (100 if town == "Bonn" else 0)
        lines.append(f"{area:.1f},{floor if draw.random() > 0.1 else ''},{town},{price:.1f}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def image_model(
    train: Callable[[str, Dataset], Trained], photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    return train("whitened_cnn", load(photos, folder=tmp_path_factory.mktemp("prepared")))


@pytest.fixture(scope="session")
def regressor(
    train: Callable[[str, Dataset], Trained], table: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    prepared = tmp_path_factory.mktemp("prepared")
    return train("softmax_regression", load(table, folder=prepared, target="price"))


@pytest.fixture(scope="session")
def row_model(
    train: Callable[[str, Dataset], Trained], tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    x, y = labelled_rows()
    return train("softmax_regression", load_arrays(x, y, folder=tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def sequence_model(
    train: Callable[[str, Dataset], Trained], tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 6, 4))
    y = (x[:, :, 0].mean(axis=1) > 0).astype(int)
    return train("gru", load_arrays(x, y, folder=tmp_path_factory.mktemp("data")))
