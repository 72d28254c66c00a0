"""A trained network with everything between a raw example and its label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from assay.data.batches import Normalise
from assay.data.encode import encode_arrays, encode_images, encode_rows
from assay.data.names import shown
from assay.errors import BadArgumentError
from assay.ship.artifact import Artifact, write_artifact

BATCH = 256  # examples scored at once
ROWS = 64  # the same for tables: always as many, since other shapes round differently


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
        self._normalise = Normalise(artifact.preprocessing)

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
        size = ROWS if self.artifact.preprocessing["kind"] == "table" else BATCH
        pieces = (encoded[start : start + size] for start in range(0, len(encoded), size))
        answers = [self._answer(piece) for piece in pieces]
        width = (self.artifact.outputs,) if self.classes else ()
        return np.concatenate([np.empty((0, *width), np.float32), *answers])

    def encode(self, inputs: Any) -> np.ndarray:
        """Return examples in the form of the prepared training data, by the code that prepared it.

        Raises:
            BadArgumentError: They are not of the kind that the model reads.
            DataError: One of them cannot be read, or is of another shape.
        """
        kind = self.artifact.preprocessing["kind"]
        try:
            if kind == "image":
                return self._encode_images(inputs)
            if kind == "table":
                return self._encode_rows(inputs)
            return self._encode_array(inputs, sides=2)
        except (AttributeError, TypeError) as error:
            raise self._unfit(inputs) from error

    def save(self, folder: str | Path) -> Path:
        """Write the model as an artifact that `assay.load` and `assay predict` read.

        Args:
            folder: Where to; an older artifact there is exchanged.
        """
        with TemporaryDirectory(prefix="assay-save-") as room:
            weights = Path(room) / "model.safetensors"
            tensors = self.model.state_dict()
            save_file({name: t.clone().contiguous() for name, t in tensors.items()}, weights)
            return write_artifact(replace(self.artifact, folder=Path(folder).absolute()), weights)

    def _encode_images(self, inputs: Any) -> np.ndarray:
        preprocessing = self.artifact.preprocessing
        if _is_picture(inputs):
            return encode_images([_upright(inputs)], preprocessing)
        if isinstance(inputs, list | tuple) and all(map(_is_picture, inputs)):
            return encode_images([_upright(each) for each in inputs], preprocessing)
        array = self._array(inputs)
        channels_last = (*preprocessing["size"], 1)
        alone = array.ndim == 3 and (preprocessing["mode"] == "RGB" or array.shape == channels_last)
        return encode_arrays(array[None] if alone or array.ndim == 2 else array, preprocessing)

    def _encode_rows(self, inputs: Any) -> np.ndarray:
        if isinstance(inputs, str | Path):
            raise self._unfit(inputs)
        if isinstance(inputs, Mapping):
            return encode_rows([inputs], self.artifact.preprocessing)
        named = hasattr(inputs, "columns") or _is_list_of_rows(inputs)
        if named:
            return encode_rows(inputs, self.artifact.preprocessing)
        return self._encode_array(inputs, sides=1)

    def _encode_array(self, inputs: Any, *, sides: int) -> np.ndarray:
        array = self._array(inputs)
        return encode_arrays(
            array[None] if array.ndim == sides else array, self.artifact.preprocessing
        )

    def _array(self, inputs: Any) -> np.ndarray:
        try:
            array = np.asarray(inputs)
        except (ValueError, TypeError) as error:  # lists of unequal lengths, other objects
            raise self._unfit(inputs) from error
        mixed = self.artifact.preprocessing["kind"] == "table"
        if array.dtype.kind not in ("iufbO" if mixed else "iufb"):
            raise self._unfit(inputs)
        return array

    def _unfit(self, inputs: Any) -> BadArgumentError:
        return BadArgumentError(
            f"This model reads {_READS[self.artifact.preprocessing['kind']]}. "
            f"Received {type(inputs).__name__} {shown(repr(inputs), most=60)}; convert it."
        )

    def _answer(self, encoded: np.ndarray) -> np.ndarray:
        examples = torch.from_numpy(np.array(encoded))  # a copy: torch wants to own its memory
        if examples.ndim == 2:  # a row's answer must not depend on how many come with it
            examples = nn.functional.pad(examples, (0, 0, 0, ROWS - len(examples)))
        with torch.inference_mode():
            outputs: Tensor = self.model(self._normalise(examples)).float()[: len(encoded)]
        if self.classes:
            return outputs.softmax(dim=1).numpy()
        target = self.artifact.target
        return (outputs.squeeze(1) * target["std"] + target["mean"]).numpy()


_READS = {
    "image": "images: paths, PIL images, or arrays (N, H, W), (N, H, W, C) or (N, C, H, W)",
    "sequence": "sequences: arrays (N, T, F)",
    "table": "rows: a DataFrame, dictionaries, or an array (N, columns)",
}


def _is_picture(value: Any) -> bool:
    """Return whether `value` is a path or a PIL image, without importing PIL."""
    pillow = any(kind.__module__.startswith("PIL.") for kind in type(value).__mro__)
    return isinstance(value, str | Path) or pillow


def _upright(picture: Any) -> Any:
    """Return a PIL image turned the way its camera says, as files are; paths stay as they are."""
    if isinstance(picture, str | Path):
        return picture
    from PIL import ImageOps

    return ImageOps.exif_transpose(picture)


def _is_list_of_rows(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(row, Mapping) for row in value)
