"""What a finished trial answered, example by example: `outcome.parquet`.

One row for each held-out example: `part` ("val" or "test"), `example` (its index in the data set),
and, by the form of the task's answers: `truth`, `label` and `probabilities` (one float32 for each
class); `truth` and `value`; `truth` and `values`, as many as a forecast has; or `sums` over an
example's tokens, whose names are in `assay.metrics.tokens.COLUMNS`. Each part is a row group of
its own, each page has a checksum.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from assay.canon.task import Answers as Form

OUTCOME = "outcome.parquet"
_FACTS = b"assay"
_PREDICTED = ("probabilities", "value", "values", "sums")
_ENCODING: Mapping[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": ["part"],
    "use_byte_stream_split": [
        "probabilities.list.element",
        "values.list.element",
        "sums.list.element",
        "value",
    ],
    "write_page_checksum": True,
    "write_statistics": False,
}


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The examples of one part, and what was predicted of them."""

    example: np.ndarray  # (N,) indices into the data set
    truth: np.ndarray  # (N,) labels or values, or (N, H) values; (N,) zeros beside sums
    predicted: np.ndarray  # float32: probabilities (N, K), values (N,) or (N, H), or sums (N, C)


def write_outcome(
    path: Path,
    parts: Mapping[str, Answers],
    facts: Mapping[str, Any],
    form: Form | None = None,
) -> None:
    """Write the answers of one trial, whole or not at all.

    Args:
        path: The trial's `outcome.parquet`.
        parts: By name: "val", "test".
        facts: JSON, such as the trial's hash; kept in the file's metadata.
        form: Of the task's answers; labels or values by what was predicted, if not given.

    Raises:
        StoreError: The system refused.
    """
    from assay.engine import files

    tables = [_table(part, answers, form) for part, answers in parts.items()]
    about = json.dumps({**facts, "parts": list(parts)}, ensure_ascii=False)
    schema = tables[0].schema.with_metadata({_FACTS: about})
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, **_known(schema)) as writer:
        for table in tables:
            writer.write_table(table.cast(schema), row_group_size=max(len(table), 1))
    files.write(path, memoryview(sink.getvalue()))


def read_outcome(path: Path, part: str) -> Answers:
    """Return what a trial answered on one part.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: It is damaged, or has no such part.
    """
    table = _read(path, part, ["example", "truth", *_PREDICTED])
    (name,) = _only(table, _PREDICTED)
    _only(table, ["example"])
    example = _numbers(table["example"])
    predicted = _numbers(table[name]) if name == "value" else _matrix(table, name)
    if name == "sums":
        return Answers(example=example, truth=np.zeros(len(example), np.int64), predicted=predicted)
    _only(table, ["truth"])
    truth = _matrix(table, "truth") if name == "values" else _numbers(table["truth"])
    return Answers(example=example, truth=truth, predicted=predicted)


def read_predicted(path: Path, part: str) -> np.ndarray:
    """Return the labels, values or sums that a trial predicted, without the probabilities.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: It is damaged, or has no such part.
    """
    table = _read(path, part, ["label", "value", "values", "sums"])
    (name,) = _only(table, ["label", "value", "values", "sums"])
    return _numbers(table[name]) if name in ("label", "value") else _matrix(table, name)


def _only(table: pa.Table, names: Sequence[str]) -> list[str]:
    """Return those of the columns that a table has; it must be one."""
    found = [name for name in names if name in table.schema.names]
    if len(found) != 1:
        raise ValueError(f"not the outcome of a trial: it has {len(found)} of {', '.join(names)}")
    return found


def _table(part: str, answers: Answers, form: Form | None) -> pa.Table:
    count = len(answers.truth)
    columns: dict[str, Any] = {
        "part": _repeated(part.encode(), count),
        "example": _column(answers.example, np.int64),
    }
    predicted = np.ascontiguousarray(answers.predicted, dtype=np.float32)
    if predicted.ndim == 1:
        truth = _column(answers.truth, np.float32)
        return pa.table({**columns, "truth": truth, "value": _column(predicted, np.float32)})
    if form == "values":
        return pa.table({**columns, "truth": _lists(answers.truth), "values": _lists(predicted)})
    if form in ("labels", "tokens"):
        return pa.table({**columns, "sums": _lists(predicted)})
    columns["truth"] = _column(answers.truth, np.int64)
    columns["label"] = _column(predicted.argmax(1), np.int64)
    columns["probabilities"] = _lists(predicted)
    return pa.table(columns)


def _lists(rows: np.ndarray) -> pa.Array:
    """Return rows (N, K) as a column of lists."""
    flat = _column(rows.reshape(-1), np.float32)
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def _repeated(word: bytes, count: int) -> pa.Array:
    ends = np.arange(count + 1, dtype=np.int32) * len(word)
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(word * count))


# pyarrow's own conversions import pandas, which takes a second in the process of every trial.
def _column(values: np.ndarray, kind: type[np.generic]) -> pa.Array:
    """Return an array (N,) as a column."""
    plain = np.ascontiguousarray(values, dtype=kind)
    return pa.Array.from_buffers(
        pa.from_numpy_dtype(plain.dtype), len(plain), [None, pa.py_buffer(plain)]
    )


def _known(schema: pa.Schema) -> dict[str, Any]:
    """Return the encoding, without the columns that this table does not have."""
    split = [c for c in _ENCODING["use_byte_stream_split"] if c.split(".")[0] in schema.names]
    return {**_ENCODING, "use_byte_stream_split": split}


def _read(path: Path, part: str, columns: list[str]) -> pa.Table:
    content = path.read_bytes()
    try:
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
            groups = json.loads(file.schema_arrow.metadata[_FACTS])["parts"]
            wanted = [name for name in columns if name in file.schema_arrow.names]
            return file.read_row_group(groups.index(part), wanted, use_threads=False)
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(f"not the outcome of a trial: {error}") from error


def _numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return a column of numbers as an array, read-only."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if whole.null_count:
        raise ValueError("not the outcome of a trial: it has gaps")
    kind = {pa.int64(): np.int64, pa.float32(): np.float32}[whole.type]
    numbers = np.frombuffer(whole.buffers()[-1], kind)
    return numbers[whole.offset : whole.offset + len(whole)]


def _matrix(table: pa.Table, name: str) -> np.ndarray:
    """Return the lists of one column as rows (N, K)."""
    column = table[name].combine_chunks()
    return _numbers(column.flatten()).reshape(-1, column.type.list_size)
