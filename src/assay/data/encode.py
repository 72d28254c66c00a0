"""How a raw example becomes a row of x: fitted on the train part, applied to everything.

Preparing and predicting call the same functions, so that a model is served what it was trained on.
The fitted facts are plain JSON, kept as `Dataset.preprocessing` and in every artifact:

    {"kind": "image", "mode": "L" or "RGB", "size": [H, W], "mean": [C], "std": [C],
     "range": [low, high]}       mean and std of pixels on 0..1; range only if raw arrays were not
                                 uint8: the values that became 0 and 255
    {"kind": "sequence", "steps": T, "mean": [F], "std": [F]}
    {"kind": "tokens", ...}     see data/text_fit
    {"kind": "table", "columns": [...], "target": {"name": ..., "mean": ..., "std": ...}}
        {"name": ..., "kind": "numeric", "mean": ..., "std": ..., "missing": bool}
        {"name": ..., "kind": "categorical", "values": [...], "other": bool}

A numeric column gives its standardised value, with 0 where it is missing, and one column more
that marks the missing ones if train had any. A categorical column gives one column for each of its
`values` (null is a missing cell) and one for every other level if train had rare ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.data.image import UnreadableError, decode, open_image, pixels, quiet
from assay.data.names import listed, shown
from assay.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

LEVELS = 32  # of a categorical column that get a column each


def fit_images(x: np.ndarray, train: np.ndarray, **more: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Return uint8 images as they are, and how a batch of them is to be normalised."""
    mean, std = _pixel_statistics(x, train)
    _, channels, height, width = x.shape
    mode = "L" if channels == 1 else "RGB"
    facts = {"kind": "image", "mode": mode, "size": [height, width], "mean": mean, "std": std}
    return x, facts | more


def fit_sequences(x: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Return standardised sequences and what standardised them."""
    seen = x[train].astype(np.float64)
    mean, std = seen.mean(axis=(0, 1)), seen.std(axis=(0, 1))
    facts = {"kind": "sequence", "steps": x.shape[1], "mean": mean.tolist(), "std": _spread(std)}
    return encode_arrays(x, facts), facts


def fit_table(
    rows: pd.DataFrame | np.ndarray,
    train: np.ndarray,
    *,
    names: Sequence[str],
    target: dict[str, Any],
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return encoded rows and what encoded them.

    Args:
        rows: Every row.
        train: Which of them to learn from.
        names: The columns to use, in order.
        target: What to remember of the target.
    """
    numbers = [_numbers(rows, at, name) for at, name in enumerate(names)]
    columns = [
        _fit_levels(name, _levels(rows, name)[train])
        if found is None
        else _fit_numbers(name, found[train])
        for name, found in zip(names, numbers, strict=True)
    ]
    facts = {"kind": "table", "columns": columns, "target": target}
    return encode_rows(rows, facts), facts


def encode_images(
    images: Sequence[str | Path | Image], preprocessing: Mapping[str, Any]
) -> np.ndarray:
    """Return image files or PIL images as stored examples.

    Shape:
        -> (N, C, H, W) uint8

    Raises:
        DataError: One of them cannot be read.
    """
    mode, (height, width) = preprocessing["mode"], preprocessing["size"]
    x = np.empty((len(images), 1 if mode == "L" else 3, height, width), np.uint8)
    with quiet():
        for at, image in enumerate(images):
            try:
                x[at] = _one_image(image, mode=mode, size=(height, width))
            except UnreadableError as error:
                what = image if isinstance(image, (str, Path)) else f"image {at}"
                raise DataError(
                    f"{shown(what)!r} cannot be read as an image ({error}); repair or replace it."
                ) from error
    return x


def encode_texts(texts: Sequence[str], preprocessing: Mapping[str, Any]) -> np.ndarray:
    """Return texts as stored examples, each cut to the length of training.

    Args:
        texts: One for each example.
        preprocessing: Of tokens, for a task with an answer to each text.

    Shape:
        -> (N, T) int32

    Raises:
        DataError: One of them is empty or no text, or the tokenizer is not the model's.
        MissingExtraError: The tokenizer's library is not installed.
    """
    from assay.data.text import clean
    from assay.data.text_fit import encoded
    from assay.data.tokenizer import tokenizer_of

    texts = [clean(text, f"Text {at + 1}") for at, text in enumerate(texts)]
    found = encoded(tokenizer_of(preprocessing), texts)
    return found.padded(
        preprocessing["length"], begin=preprocessing["begin"], end=preprocessing["end"]
    )


def encode_words(
    sentences: Sequence[Sequence[str]], preprocessing: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return sentences of words as stored examples, and where in its row each word is labelled.

    Args:
        sentences: The words of each.
        preprocessing: Of tokens, for a task with a label for each word.

    Shape:
        -> (N, T) int32, (N, W) int64; -1 where a word was cut off or there is none

    Raises:
        DataError: A word is empty or no text, or the tokenizer is not the model's.
        MissingExtraError: The tokenizer's library is not installed.
    """
    from assay.data.text import clean
    from assay.data.text_fit import words_encoded
    from assay.data.tokenizer import tokenizer_of

    for at, sentence in enumerate(sentences):
        for word in sentence:
            clean(word, f"Each word of sentence {at + 1}")
    found, first = words_encoded(tokenizer_of(preprocessing), sentences)
    length, begin, end = (preprocessing[key] for key in ("length", "begin", "end"))
    places = first.padded(int(first.lengths.max(initial=1)), fill=-1 - begin).astype(np.int64)
    places += begin
    places[places >= length - end] = -1
    return found.padded(length, begin=begin, end=end), places


def encode_rows(rows: Any, preprocessing: Mapping[str, Any]) -> np.ndarray:
    """Return rows as stored examples.

    Args:
        rows: A DataFrame, a list of dictionaries, or an array whose columns are in order.
        preprocessing: Of a table.

    Shape:
        -> (N, F) float32

    Raises:
        DataError: A column is missing, or a cell cannot be what its column was in training.
    """
    columns: list[dict[str, Any]] = preprocessing["columns"]
    rows = _as_rows(rows, columns)
    blocks: list[np.ndarray] = []
    for at, column in enumerate(columns):
        if column["kind"] == "numeric":
            blocks += _encode_numbers(_promised_numbers(rows, at, column["name"]), column)
        else:
            blocks += _encode_levels(_levels(rows, column["name"]), column)
    return np.column_stack(blocks).astype(np.float32)


def encode_arrays(x: np.ndarray, preprocessing: Mapping[str, Any]) -> np.ndarray:
    """Return an array of raw images, sequences or rows as stored examples.

    Images of uint8 are pixels on 0..255 as they are; of another type they must be in the range
    that training had.

    Raises:
        DataError: The shape or the type is not what training had.
    """
    kind = preprocessing["kind"]
    if kind == "table":
        return encode_rows(x, preprocessing)
    if kind == "sequence":
        return _encode_sequences(np.asarray(x), preprocessing)
    return _encode_pixels(np.asarray(x), preprocessing)


def channels_first(x: np.ndarray) -> np.ndarray:
    """Return images with their channels in front of height and width.

    Shape:
        (N, H, W) or (N, H, W, C) or (N, C, H, W) -> (N, C, H, W)

    Raises:
        DataError: No axis can be the channels.
    """
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[1] in (1, 3):
        return x
    if x.ndim == 4 and x.shape[3] in (1, 3):
        return np.moveaxis(x, 3, 1)
    raise DataError(
        "Images must be (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels. Received "
        f"shape {x.shape}; reorder or convert them."
    )


def scale_pixels(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values of low..high as uint8 of 0..255; what lies outside is cut."""
    scaled = (x.astype(np.float32) - low) * (255 / (high - low))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def _pixel_statistics(x: np.ndarray, train: np.ndarray) -> tuple[list[float], list[float]]:
    """Return each channel's mean and standard deviation in train, on 0..1.

    Counted exactly, in pieces, so that the set may be larger than memory.
    """
    counts = np.zeros((x.shape[1], 256), np.int64)
    for start in range(0, len(train), 1024):
        piece = x[train[start : start + 1024]]
        for channel in range(x.shape[1]):
            counts[channel] += np.bincount(piece[:, channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ levels
    return mean.tolist(), _spread(np.sqrt((share * (levels - mean[:, None]) ** 2).sum(axis=1)))


def _spread(std: np.ndarray) -> list[float]:
    """Return standard deviations to divide by: 1 where there is none but rounding."""
    return [float(value) if value > 1e-12 else 1.0 for value in std]


def _one_image(image: str | Path | Image, *, mode: str, size: tuple[int, int]) -> np.ndarray:
    if isinstance(image, (str, Path)):
        with open_image(Path(image)) as data:
            return decode(data, mode=mode, size=size)
    return pixels(image, mode=mode, size=size)


def _encode_pixels(x: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
    images = channels_first(x)
    expected = (1 if facts["mode"] == "L" else 3, *facts["size"])
    if images.shape[1:] != expected:
        raise DataError(
            f"Images must be {'x'.join(map(str, expected))} as in training. Received "
            f"{'x'.join(map(str, images.shape[1:]))}; resize them, or give files or PIL images."
        )
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if "range" not in facts:
        raise DataError(
            "Images must be uint8, pixels on 0..255, as in training. Received "
            f"{images.dtype}; convert them."
        )
    return np.ascontiguousarray(scale_pixels(_finite(images), *facts["range"]))


def _encode_sequences(x: np.ndarray, facts: Mapping[str, Any]) -> np.ndarray:
    expected = (facts["steps"], len(facts["mean"]))
    if x.ndim != 3 or x.shape[1:] != expected:
        raise DataError(
            f"Sequences must be (N, {expected[0]}, {expected[1]}) as in training. Received shape "
            f"{x.shape}; cut or pad them."
        )
    mean, std = (np.asarray(facts[key]) for key in ("mean", "std"))
    return ((_finite(x) - mean) / std).astype(np.float32)


def _finite(x: np.ndarray) -> np.ndarray:
    """Return x.

    Raises:
        DataError: Not every value is a finite number.
    """
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        place = np.argwhere(~np.isfinite(x))[0].tolist()
        raise DataError(
            f"`x` must hold finite numbers. x{place} is {x[tuple(place)]}; replace it or remove "
            "the example."
        )
    return x


def _as_rows(rows: Any, columns: Sequence[Mapping[str, Any]]) -> Any:
    """Return a DataFrame that has every column, or a two-dimensional array of numbers."""
    if isinstance(rows, np.ndarray) and all(c["kind"] == "numeric" for c in columns):
        if rows.ndim != 2 or rows.shape[1] != len(columns):
            raise DataError(
                f"Rows must be (N, {len(columns)}) as in training. Received shape {rows.shape}; "
                "give the same columns in the same order."
            )
        return rows
    import pandas as pd

    names = [column["name"] for column in columns]
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    if isinstance(rows, np.ndarray) and rows.shape[1:] == (len(names),):
        frame.columns = pd.Index(names)
    lost = [name for name in names if name not in frame.columns]
    if lost:
        raise DataError(
            f"Rows must have the columns of training. Missing: {listed(lost)}; add them, empty "
            "where unknown."
        )
    return frame


def _numbers(rows: Any, at: int, name: str) -> np.ndarray | None:
    """Return a column as float64 with NaN where it is missing, or None if it is not of numbers."""
    if isinstance(rows, np.ndarray):
        return rows[:, at].astype(np.float64)
    column = rows[name]
    if column.dtype.kind not in "iufb":
        return None
    return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))


def _promised_numbers(rows: Any, at: int, name: str) -> np.ndarray:
    """Return a column as float64.

    Raises:
        DataError: A cell is text or infinite.
    """
    values = _numbers(rows, at, name)
    if values is None:
        import pandas as pd

        column = rows[name]
        values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        wrong = np.flatnonzero(np.isnan(values) & column.notna().to_numpy())
        if len(wrong):
            raise DataError(
                f"Column {shown(name)!r} must hold numbers. Row {wrong[0] + 1} has "
                f"{shown(column.iloc[wrong[0]], most=40)!r}; correct it or leave the cell empty."
            )
    wrong = np.flatnonzero(np.isinf(values))
    if len(wrong):
        raise DataError(
            f"Column {shown(name)!r} must hold finite numbers. Row {wrong[0] + 1} has "
            f"{values[wrong[0]]}; correct it or leave the cell empty."
        )
    return values


def _levels(rows: Any, name: str) -> np.ndarray:
    """Return a column as strings, None where it is missing."""
    column = rows[name]
    return np.array(
        [None if lost else str(v) for v, lost in zip(column, column.isna(), strict=True)], object
    )


def _fit_numbers(name: str, values: np.ndarray) -> dict[str, Any]:
    present = values[~np.isnan(values)]
    mean, std = (present.mean(), present.std()) if len(present) else (0.0, 1.0)
    return {
        "name": name,
        "kind": "numeric",
        "mean": float(mean),
        "std": _spread(np.array([std]))[0],
        "missing": len(present) < len(values),
    }


def _fit_levels(name: str, values: np.ndarray) -> dict[str, Any]:
    often = Counter(values.tolist()).most_common()
    often.sort(key=lambda level: (-level[1], level[0] is None, level[0] or ""))
    kept = [level for level, _ in often[:LEVELS]]
    return {"name": name, "kind": "categorical", "values": kept, "other": len(often) > LEVELS}


def _encode_numbers(values: np.ndarray, column: Mapping[str, Any]) -> list[np.ndarray]:
    lost = np.isnan(values)
    scaled = np.where(lost, 0.0, (values - column["mean"]) / column["std"])
    return [scaled, lost.astype(np.float64)] if column["missing"] else [scaled]


def _encode_levels(values: np.ndarray, column: Mapping[str, Any]) -> list[np.ndarray]:
    place = {level: at for at, level in enumerate(column["values"])}
    found = np.array([place.get(value, len(place)) for value in values.tolist()], np.int64)
    width = len(place) + column["other"]
    return [(found == at).astype(np.float32) for at in range(width)]
