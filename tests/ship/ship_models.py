"""What the tests of shipping share."""

from dataclasses import dataclass
from pathlib import Path

from assay.data.dataset import Dataset
from assay.engine.spec import Candidate


@dataclass(frozen=True)
class Trained:
    """An artifact with what it was made from."""

    folder: Path
    dataset: Dataset
    candidate: Candidate
    trial: Path  # its files: weights, outcome
