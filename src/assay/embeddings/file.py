"""Trained vectors on disk: a folder with `vectors.safetensors` and `vectors.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from assay.errors import DataError, MissingPathError

ARRAYS, FACTS = "vectors.safetensors", "vectors.json"
Arrays = dict[str, NDArray[Any]]


def save(folder: str | Path, kind: str, arrays: Arrays, facts: Mapping[str, Any]) -> None:
    """Write a folder; what is in it is replaced.

    Args:
        folder: Made if it is not there.
        kind: "word2vec" or the like.
        arrays: By name.
        facts: JSON values.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, place / ARRAYS)
    text = json.dumps({"kind": kind, **facts}, ensure_ascii=False)
    (place / FACTS).write_text(text, encoding="utf-8")


def load(folder: str | Path, kind: str) -> tuple[Arrays, dict[str, Any]]:
    """Read a folder.

    Args:
        folder: Of `save`.
        kind: What it must hold.

    Raises:
        MissingPathError: One of the two files is not there.
        DataError: They are damaged, or of another kind.
    """
    place = Path(folder)
    for name in (ARRAYS, FACTS):
        if not (place / name).is_file():
            raise MissingPathError(
                f"Saved vectors are a folder with {ARRAYS} and {FACTS}. Received {place}, which "
                f"has no {name}; give the folder that `save` wrote."
            )
    try:
        facts = json.loads((place / FACTS).read_text(encoding="utf-8"))
        arrays = load_file(place / ARRAYS)
        found = facts["kind"]
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(
            f"The vectors in {place} are damaged: {error}; train and save them again."
        ) from error
    if found != kind:
        raise DataError(f"{place} must hold {kind}. Received {found}; load it as what it is.")
    return arrays, facts
