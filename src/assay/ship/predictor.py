"""A trained network with everything between a raw example and its label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assay.data.encode import encode_images, encode_rows
from assay.errors import BadArgumentError
from assay.ship.artifact import Artifact

BATCH = 256  # examples scored at once


class Predictor:
    """A model that takes what the user has and answers with labels; made by `assay.load`.

    Images are paths, PIL images, or uint8 arrays of the shape the network was trained on. Rows
    are a DataFrame with the columns of the training table, dictionaries, or a 2-d array.
    Sequences are arrays (N, T, F). One example may be given alone; the answer is always an array.

    Args:
        artifact: Its facts.
        model: Its network with its weights, in evaluation mode.
    """

    def __init__(self, artifact: Artifact, model: nn.Module) -> None:
        self.artifact = artifact
        self.model = model

    def __repr__(self) -> str:
        return f"Predictor({self.artifact.name!r}, {self.artifact.task!r})"

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels in the order of `predict_proba`'s columns; empty for regression."""
        return self.artifact.classes

    def predict(self, inputs: Any) -> np.ndarray:
        """Return one label per example, or one value for regression."""
        scores = self.score(self.encode(inputs))
        if not self.classes:
            return scores
        return np.asarray(self.classes)[scores.argmax(axis=1)]

    def predict_proba(self, inputs: Any) -> np.ndarray:
        """Return probabilities (N, K), columns in the order of `classes`.

        Raises:
            BadArgumentError: The model predicts values, which have no probabilities.
        """
        if not self.classes:
            raise BadArgumentError(
                "`predict_proba` is for classifiers. This model predicts values "
                f"({self.artifact.name}, {self.artifact.task}); use `predict`."
            )
        return self.score(self.encode(inputs))

    def score(self, encoded: np.ndarray) -> np.ndarray:
        """Return probabilities (N, K), or values (N,), of examples that are encoded already.

        Args:
            encoded: As `encode` returns them: the form of a prepared data set's `x`.
        """
        starts = range(0, len(encoded), BATCH)
        answers = [self._answer(encoded[start : start + BATCH]) for start in starts]
        width = (self.artifact.outputs,) if self.classes else ()
        return np.concatenate([np.empty((0, *width), np.float32), *answers])

    def encode(self, inputs: Any) -> np.ndarray:
        """Return examples in the form of the prepared training data, by the same code.

        Raises:
            BadArgumentError: They are not of the kind or the shape the model reads.
            DataError: One of them cannot be read.
        """
        kind = self.artifact.task.split("-")[0]
        if kind == "image":
            return self._images(inputs)
        if kind == "tabular":
            return self._rows(inputs)
        return self._sequences(inputs)

    def _answer(self, encoded: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            outputs: Tensor = self.model(self._normalised(encoded)).float()
        if self.classes:
            return outputs.softmax(dim=1).numpy()
        target = self.artifact.target
        return (outputs.squeeze(1) * target["std"] + target["mean"]).numpy()
