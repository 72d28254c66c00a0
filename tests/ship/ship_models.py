"""What the tests of shipping share."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay.compare.candidates import candidate
from assay.data.dataset import Dataset
from assay.engine.spec import Candidate, TrialSpec


@dataclass(frozen=True)
class Trained:
    """An artifact with what it was made from."""

    folder: Path
    dataset: Dataset
    candidate: Candidate
    trial: Path  # its files: weights, outcome


def trial_spec(name: str, dataset: Dataset, *, seed: int = 0) -> TrialSpec:
    """Return a trial of a moment."""
    return TrialSpec(
        candidate=candidate(name, dataset.inputs, dataset.task),
        task=dataset.task,
        inputs=dataset.inputs,
        outputs=dataset.outputs,
        split_hash=dataset.split_hash,
        seed=seed,
        steps=40,
        evaluations=2,
    )


def labelled_rows() -> tuple[np.ndarray, np.ndarray]:
    """Return ninety rows of three numbers, labelled by the first."""
    x = np.random.default_rng(0).normal(size=(90, 3))
    return x, np.array(["no", "perhaps", "yes"])[np.digitize(x[:, 0], [-0.5, 0.5])]
