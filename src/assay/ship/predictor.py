"""A trained network with everything between a raw example and its label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from assay.canon.task import TASKS, Answers
from assay.data.batches import Normalise
from assay.data.encode import (
    encode_arrays,
    encode_images,
    encode_rows,
    encode_texts,
    encode_words,
)
from assay.data.names import shown
from assay.data.series_history import History, read_history
from assay.errors import BadArgumentError
from assay.ship.artifact import Artifact, write_artifact
from assay.ship.blanks import fill_blanks

BATCH = 256  # examples scored at once
ROWS = 64  # the same for tables: always as many, since other shapes round differently


class Predictor:
    """A model that takes what the user has and answers with labels; made by `assay.load`.

    Images are paths, PIL images, or uint8 arrays of the shape the network was trained on. Rows
    are a DataFrame with the columns of the training table, dictionaries, or a 2-d array.
    Sequences are arrays (N, T, F); a forecast's history is a DataFrame with the columns of
    training. Texts are strings. One example may be given alone; the answer is always an array.

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
        """Return one label per example, or one value for regression.

        A model of tags returns a list of them for each text, one for each word between spaces, or
        for each list of words; a forecaster the next values of each series, (S, H); a model of text
        to text its answers; a masked language model the texts with each `<mask>` filled.

        Raises:
            BadArgumentError: They are not of the kind that the model reads, or it is a language
                model, which continues texts: see `generate`.
        """
        special = {
            "token-classification": self._tags,
            "forecasting": self._forecasts,
            "text-to-text": self._texts,
            "language-modeling": self._refuse_to_label,
            "masked-language-modeling": self._without_blanks,
        }.get(self.artifact.task)
        if special is not None:
            return special(inputs)
        scores = self.score(self.encode(inputs))
        if not self.classes:
            return scores
        return np.asarray(self.classes)[scores.argmax(axis=1)]

    def predict_proba(self, inputs: Any) -> np.ndarray:
        """Return probabilities (N, K), columns in the order of `classes`.

        Raises:
            BadArgumentError: The model's answer to an example is no label.
        """
        answers, call = TASKS[self.artifact.task].answers, "predict"
        if answers != "label":
            if self.artifact.task == "language-modeling":
                call = "generate"
            raise BadArgumentError(
                "`predict_proba` is for models with one label for each example. This model gives "
                f"{_GIVES[answers]} ({self.artifact.name}, {self.artifact.task}); use `{call}`."
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
        if not answers:
            width = (self.artifact.outputs,) if self.classes else ()
            return np.empty((0, *width), np.float32)
        return np.concatenate(answers)

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
            if kind == "tokens":
                return self._encode_texts(inputs)
            return self._encode_array(inputs, sides=2)
        except (AttributeError, TypeError) as error:
            raise self._unfit(inputs) from error

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float = 1.0,
        beams: int = 1,
        length_penalty: float = 1.0,
        seed: int = 0,
    ) -> list[str]:
        """Return for each prompt the text that a language model adds, or the answer to it.

        Args:
            prompts: One text, or several, which are written together.
            tokens: New tokens at most; see `ship.generator.Settings`, as for the others.
            temperature: 0 takes the likeliest token each time.
            top_k: Draw among so many of the likeliest.
            top_p: Draw among the fewest that have this probability together.
            beams: Beginnings that beam search follows; 1 for no search.
            length_penalty: Of beam search.
            seed: Of what is drawn; the same seed gives the same texts.

        Raises:
            BadArgumentError: The model does not write, or an argument lies outside.
            DataError: A prompt is no text.

        Example:
            >>> assay.load("winner").generate("Once upon a time", tokens=50)  # doctest: +SKIP
            [', there was a little girl who ...']
        """
        from assay.ship.generator import Generator, Settings

        settings = Settings(
            tokens=tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            beams=beams,
            length_penalty=length_penalty,
            seed=seed,
        )
        written = Generator(self.artifact, self.model).write(self._several(prompts), settings)
        return [best.text for best, *_ in written]

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

    def _tags(self, inputs: Any) -> np.ndarray:
        sentences = self._sentences(inputs)
        encoded, places = encode_words(sentences, self.artifact.preprocessing)
        scores = self.score(encoded).argmax(axis=2)
        answers = np.empty(len(sentences), object)
        for at, (row, where) in enumerate(zip(scores, places, strict=True)):
            found = where[: len(sentences[at])]
            answers[at] = [self.classes[row[place]] if place >= 0 else "" for place in found]
        return answers

    def _sentences(self, inputs: Any) -> list[list[str]]:
        """Return the words of each text, or of each list of words."""
        listed = isinstance(inputs, list | tuple) and all(
            isinstance(w, list | tuple) for w in inputs
        )
        if listed:
            return [self._several(words) for words in inputs]
        return [text.split() for text in self._several(inputs)]

    def _forecasts(self, inputs: Any) -> np.ndarray:
        """Return the next values of each series in a table of its history, (S, H)."""
        return self.history(inputs)[1]

    def history(self, frame: Any, *, where: str = "the table") -> tuple[History, np.ndarray]:
        """Return the last window of each series, and the values forecast after it, (S, H)."""
        if not hasattr(frame, "columns"):
            raise BadArgumentError(
                "A forecast reads a DataFrame with the columns of training. Received "
                f"{type(frame).__name__} {shown(repr(frame), most=60)}; convert it."
            )
        found = read_history(frame, self.artifact.preprocessing, where=where)
        return found, found.forecast(self.score(found.x))

    def _texts(self, inputs: Any) -> np.ndarray:
        return np.array(self.generate(inputs), object)

    def _without_blanks(self, inputs: Any) -> np.ndarray:
        filled = fill_blanks(self._several(inputs), self.artifact.preprocessing, self.model)
        return np.array(filled, object)

    def _refuse_to_label(self, inputs: Any) -> np.ndarray:
        del inputs
        raise BadArgumentError(
            f"`predict` is for models that label, measure or answer. {self.artifact.name} is for "
            f"{self.artifact.task}; language models continue texts: use `generate`."
        )

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

    def _encode_texts(self, inputs: Any) -> np.ndarray:
        if self.artifact.task == "token-classification":
            return encode_words(self._sentences(inputs), self.artifact.preprocessing)[0]
        return encode_texts(self._several(inputs), self.artifact.preprocessing)

    def _several(self, inputs: Any) -> list[str]:
        """Return texts, one or several, as a list."""
        alone = isinstance(inputs, str)
        texts: list[Any] = [inputs] if alone or not isinstance(inputs, Iterable) else list(inputs)
        if not all(isinstance(text, str) for text in texts):
            raise self._unfit(inputs)
        return texts

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
        kind = self.artifact.preprocessing["kind"]
        if kind == "tokens":
            examples = examples.long()
        if kind == "table":  # a row's answer must not depend on how many come with it
            examples = nn.functional.pad(examples, (0, 0, 0, ROWS - len(examples)))
        with torch.inference_mode():
            outputs: Tensor = self.model(self._normalise(examples)).float()[: len(encoded)]
        if self.classes:
            return outputs.softmax(dim=-1).numpy()
        target = self.artifact.target
        values = outputs * target["std"] + target["mean"]
        return (values if self.artifact.task == "forecasting" else values.squeeze(1)).numpy()


_READS = {
    "image": "images: paths, PIL images, or arrays (N, H, W), (N, H, W, C) or (N, C, H, W)",
    "sequence": "sequences: arrays (N, T, F)",
    "tokens": "texts: one string or several",
    "table": "rows: a DataFrame, dictionaries, or an array (N, columns)",
}


_GIVES: Mapping[Answers, str] = {
    "value": "values",
    "values": "values",
    "labels": "a label for each word",
    "tokens": "text",
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
