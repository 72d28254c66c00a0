"""A trained model that can travel: a folder with `model.safetensors` and `artifact.json`.

Nothing in it is executed: it holds numbers and facts. The network's code is found by its name, in
the catalog of this installation or in a library, and a user's own file has to be named again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from assay import __version__
from assay.data.dataset import TASKS, Dataset, Task
from assay.data.names import shown
from assay.data.series_calendar import Unit
from assay.data.target import spread
from assay.engine.spec import Candidate
from assay.errors import BadArgumentError, DataError, MissingPathError, StoreError, UnknownNameError

FORMAT = 1
FACTS = "artifact.json"
WEIGHTS = "model.safetensors"
LARGEST_INPUT = 2**28  # values of one example
LARGEST_FACTS = 64 * 2**20  # bytes; a header of more than that is no description of a model


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What `artifact.json` says, checked."""

    folder: Path
    name: str  # of the network: resnet18, timm:resnet10t, my_net.py:Net
    digest: str  # of its code when it was trained
    family: str
    adaptation: Mapping[str, str]
    task: Task
    inputs: tuple[int, ...]
    outputs: int
    classes: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    target: Mapping[str, float]  # regression: mean and std of the target that the network learned
    data: Mapping[str, Any]  # the set it learned from: name, hashes
    card: Mapping[str, Any]  # of the canon, empty for other networks
    facts: Mapping[str, Any] = field(default_factory=dict)  # measured
    assay: str = __version__  # that wrote it
    weights_bytes: int = 0
    weights_sha256: str = ""

    @property
    def weights(self) -> Path:
        """Where the tensors are."""
        return self.folder / WEIGHTS


def save_artifact(
    folder: str | Path,
    *,
    weights: Path,
    candidate: Candidate,
    dataset: Dataset,
    facts: Mapping[str, Any],
) -> Path:
    """Write an artifact; an older one in its place is exchanged in one step.

    Args:
        folder: Where to; its parents are made.
        weights: The trained state dict, a safetensors file; it is copied.
        candidate: The network that the weights belong to.
        dataset: What it learned from: shapes, classes and preprocessing are taken from here.
        facts: What was measured, JSON; numbers that are not finite become null.

    Returns:
        The folder, absolute.

    Raises:
        BadArgumentError: The folder holds something else.
        MissingPathError: There are no weights.
        StoreError: The folder cannot be written.
    """
    artifact = Artifact(
        folder=Path(folder).absolute(),
        name=candidate.name,
        digest=candidate.digest,
        family=candidate.family,
        adaptation=dict(candidate.adaptation),
        task=dataset.task,
        inputs=dataset.inputs,
        outputs=dataset.outputs,
        classes=dataset.classes,
        preprocessing=dict(dataset.preprocessing),
        target=_target(dataset),
        data={
            "name": dataset.name,
            "content_hash": dataset.content_hash,
            "split_hash": dataset.split_hash,
        },
        card=_card(candidate.name),
        facts=_finite(dict(facts)),
    )
    return write_artifact(artifact, weights)


def write_artifact(artifact: Artifact, weights: Path) -> Path:
    """Write an artifact to its folder with these weights; see `save_artifact`."""
    if not weights.is_file():
        raise MissingPathError(f"An artifact needs its weights. There is no file {shown(weights)}.")
    folder = artifact.folder
    _refuse_what_is_no_artifact(folder)
    with _exchanged(folder) as fresh:
        shutil.copyfile(weights, fresh / WEIGHTS)
        sealed = replace(
            artifact,
            weights_bytes=(fresh / WEIGHTS).stat().st_size,
            weights_sha256=_sha256(fresh / WEIGHTS),
        )
        told = {key: value for key, value in asdict(sealed).items() if key != "folder"}
        text = json.dumps({"format": FORMAT, **told}, ensure_ascii=False, indent=1, allow_nan=False)
        (fresh / FACTS).write_text(text + "\n", encoding="utf-8")
    return folder


def read_artifact(folder: str | Path) -> Artifact:
    """Return the checked facts of an artifact; the weights are read by `load`.

    Raises:
        DataError: The description is damaged, or of another version.
        MissingPathError: The folder holds no artifact.
    """
    folder = Path(folder).absolute()
    told = _read_json(folder / FACTS)
    number = told.get("format")
    if number != FORMAT:
        raise DataError(
            f"{shown(folder / FACTS)} has to be of format {FORMAT}. Received format={number!r}: "
            f"written by assay {told.get('assay')!r}, this is {__version__}; use that version."
        )
    wrong = sorted(key for key, fits in _FORM.items() if not fits(told.get(key)))
    wrong += sorted(set(told) - set(_FORM) - {"format"})
    if wrong:
        raise DataError(
            f"{shown(folder / FACTS)} is damaged: missing, unknown or of the wrong kind: "
            f"{', '.join(map(repr, wrong))}; copy the artifact again, or save it anew."
        )
    told = {key: tuple(v) if key in ("inputs", "classes") else v for key, v in told.items()}
    del told["format"]
    return _consistent(Artifact(folder=folder, **told))


def check_weights(artifact: Artifact) -> None:
    """Refuse weights that are not the ones the artifact was saved with.

    Raises:
        DataError: They are cut short or changed.
        MissingPathError: They are not there.
    """
    path = artifact.weights
    if not path.is_file():
        raise MissingPathError(
            f"An artifact is {FACTS} and {WEIGHTS} together. {shown(path)} is missing; copy both."
        )
    size = path.stat().st_size
    if size != artifact.weights_bytes:
        raise DataError(
            f"{shown(path)} has to have {artifact.weights_bytes:,} bytes. It has {size:,}: "
            "cut short or of another model; copy the artifact again."
        )
    if _sha256(path) != artifact.weights_sha256:
        raise DataError(
            f"{shown(path)} is not what was saved: its sha256 differs from the one in {FACTS}; "
            "copy the artifact again."
        )


def _target(dataset: Dataset) -> dict[str, float]:
    """Return the scale that the engine put the target on."""
    if TASKS[dataset.task].answers not in ("value", "values"):
        return {}
    mean, std = spread(dataset.y[dataset.train])
    return {"mean": mean, "std": std}


def _card(name: str) -> dict[str, Any]:
    """Return what the canon says of a network, for the reader of the file."""
    from assay.canon.catalog import catalog
    from assay.canon.pretrained import untrained

    try:
        card, variant = catalog().find(untrained(name)[0])
    except UnknownNameError:
        return {}
    return {
        "id": card.id,
        "variant": variant.name if variant else "",
        "en": {"name": card.en.name, "idea": card.en.idea},
        "zh": {"name": card.zh.name, "idea": card.zh.idea},
        "paper": f"{card.paper.title} ({card.paper.authors}, {card.paper.year})",
        "url": card.paper.url,
    }


def _finite(value: Any) -> Any:
    """Return `value` with tuples as lists and null for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_what_is_no_artifact(folder: Path) -> None:
    if folder.is_dir() and (not any(folder.iterdir()) or (folder / FACTS).is_file()):
        return
    if folder.exists() or folder.is_symlink():
        raise BadArgumentError(
            f"An artifact is saved into a folder of its own. {shown(folder)} holds something else; "
            "name a new folder."
        )


@contextmanager
def _exchanged(folder: Path) -> Iterator[Path]:
    """Give a new folder to fill; put it where `folder` is when that went well."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        fresh = room / "fresh"
        fresh.mkdir()
        yield fresh
        for path in fresh.iterdir():
            _sync(path)
        if folder.exists():
            folder.rename(room / "old")
        fresh.rename(folder)
        _sync(folder.parent)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The artifact has to be written to {shown(folder)}. The system says: "
        f"{error.strerror or error}; free space or name a folder that can be written."
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingPathError(
            f"An artifact is a folder with {FACTS}. There is no file {shown(path)}."
        )
    size = path.stat().st_size
    if size > LARGEST_FACTS:
        raise DataError(
            f"{shown(path)} may have {LARGEST_FACTS:,} bytes. It has {size:,}; this is "
            "no artifact of assay's, save it anew."
        )
    try:
        told = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{shown(path)} has to be JSON. It is damaged ({_reason(error)}); "
            "copy the artifact again."
        ) from error
    except OSError as error:
        raise StoreError(
            f"{shown(path)} has to be readable. The system says: {error.strerror}; "
            "check its permissions."
        ) from error
    if not isinstance(told, dict):
        raise DataError(
            f"{shown(path)} has to hold one JSON object. It holds a {type(told).__name__}; "
            "copy the artifact again."
        )
    return told


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    return "nested too deep" if isinstance(error, RecursionError) else "not UTF-8"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**40


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= 3 and all(map(_is_count, value))


def _is_name(value: Any) -> bool:
    """Return whether it can be a column's name, or that there is none."""
    return value is None or isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_scale(value: Any) -> bool:
    return value == {} or (
        _is_object(value) and set(value) == {"mean", "std"} and all(map(_is_number, value.values()))
    )


_FORM = {  # what every key of artifact.json has to be
    "assay": _is_text,
    "name": _is_text,
    "digest": _is_text,
    "family": _is_text,
    "adaptation": _is_object,
    "task": lambda value: value in TASKS,
    "inputs": _is_shape,
    "outputs": _is_count,
    "classes": _is_texts,
    "preprocessing": _is_object,
    "target": _is_scale,
    "data": _is_object,
    "card": _is_object,
    "facts": _is_object,
    "weights_bytes": _is_count,
    "weights_sha256": _is_text,
}


def _consistent(artifact: Artifact) -> Artifact:
    """Refuse facts that contradict each other."""
    answers = TASKS[artifact.task].answers
    named, scaled = answers in ("label", "labels"), answers in ("value", "values")
    told, needed = len(artifact.classes), artifact.outputs if named else 0
    if told != needed or scaled != bool(artifact.target):
        raise _contradiction(
            artifact,
            f"{artifact.outputs} outputs, {told} classes and "
            f"{'a' if artifact.target else 'no'} target scale",
        )
    if math.prod(artifact.inputs) > LARGEST_INPUT or not _prepares(artifact):
        raise _contradiction(
            artifact, f"inputs of shape {artifact.inputs} and another preprocessing"
        )
    return artifact


def _contradiction(artifact: Artifact, what: str) -> DataError:
    return DataError(
        f"{shown(artifact.folder / FACTS)} contradicts itself: {artifact.task} with {what}; "
        "save the artifact anew."
    )


def _prepares(artifact: Artifact) -> bool:
    """Return whether the preprocessing makes examples of the shape that the network reads."""
    facts, kind = artifact.preprocessing, TASKS[artifact.task].reads
    if kind == "tokens":
        return _reads_tokens(artifact)
    if kind == "table":
        columns = facts.get("columns")
        if facts.get("kind") != "table" or not isinstance(columns, list):
            return False
        return artifact.inputs == (sum(_width(column) for column in columns),)
    if facts.get("kind") != kind or not (_is_numbers(facts, "mean") and _is_numbers(facts, "std")):
        return False
    width = len(facts["mean"])
    if len(facts["std"]) != width or not all(facts["std"]):
        return False
    if kind == "sequence":
        named = _is_name(facts.get("series_column")) and _is_name(facts.get("time_column"))
        named = named and _is_texts(facts.get("columns", []))
        whole = artifact.task != "forecasting" or _forecasts(artifact)
        return artifact.inputs == (facts.get("steps"), width) and named and whole
    channels = {"L": 1, "RGB": 3}.get(str(facts.get("mode")))
    ranged = "range" not in facts or (_is_numbers(facts, "range") and len(facts["range"]) == 2)
    size = facts.get("size")
    return ranged and isinstance(size, list) and artifact.inputs == (channels, *size)


def _forecasts(artifact: Artifact) -> bool:
    """Return whether the facts say how to read a history, and what is forecast."""
    facts, width = artifact.preprocessing, artifact.inputs[-1]
    time: Any = facts.get("time")
    series: Any = facts.get("series")
    return (
        isinstance(facts.get("columns"), list)
        and len(facts["columns"]) == width
        and facts.get("horizon") == artifact.outputs
        and _is_object(time)
        and _is_text(time.get("name"))
        and time.get("unit") in get_args(Unit)
        and _is_number(time.get("step"))
        and _is_number(time.get("origin"))
        and isinstance(time.get("dated"), bool)
        and len(time) == 5
        and isinstance(series, list)
        and all(_is_scaled(one, width) for one in series)
    )


def _is_scaled(series: Any, width: int) -> bool:
    return (
        _is_object(series)
        and _is_text(series.get("name"))
        and _is_number(series.get("naive"))
        and all(_is_numbers(series, key) and len(series[key]) == width for key in ("mean", "std"))
    )


def _reads_tokens(artifact: Artifact) -> bool:
    facts = artifact.preprocessing
    marks = isinstance(facts.get("begin"), bool) and isinstance(facts.get("end"), bool)
    named = _is_count(facts.get("answer_length", 1)) and _is_name(facts.get("column"))
    tokenizer = facts.get("kind") == "tokens" and _is_object(facts.get("tokenizer"))
    writes = TASKS[artifact.task].answers == "tokens"
    return (
        (marks and named and tokenizer)
        and _is_count(facts.get("length"))
        and facts["length"] <= artifact.inputs[0]
        and artifact.inputs[1:] == (facts.get("vocabulary"),)
        and (not writes or artifact.outputs == artifact.inputs[1])
    )


def _is_numbers(facts: Mapping[str, Any], key: str) -> bool:
    values = facts.get(key)
    return isinstance(values, list) and all(map(_is_number, values))


def _width(column: Any) -> int:
    """Return how many inputs a column of a table becomes; a huge number if it is no column."""
    if not isinstance(column, dict) or not isinstance(column.get("name"), str):
        return LARGEST_INPUT
    if column.get("kind") == "numeric":
        whole = _is_number(column.get("mean")) and _is_number(column.get("std"))
        return 1 + int(column.get("missing") is True) if whole and column["std"] else LARGEST_INPUT
    values = column.get("values")
    if column.get("kind") != "categorical" or not isinstance(values, list):
        return LARGEST_INPUT
    whole = all(value is None or isinstance(value, str) for value in values)
    return len(values) + int(column.get("other") is True) if whole else LARGEST_INPUT
