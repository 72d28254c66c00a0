"""A StudyResult as JSON and back. Strict JSON: a number that is not finite becomes null."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from assay.compare.result import StudyResult
from assay.errors import DataError

T = TypeVar("T")
_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def result_to_json(result: StudyResult) -> dict[str, Any]:
    """Return plain dictionaries, lists, strings, finite numbers, booleans and None."""
    plain: dict[str, Any] = _plain(result)
    return plain


def result_from_json(facts: Mapping[str, Any]) -> StudyResult:
    """Return the StudyResult that `result_to_json` made `facts` of."""
    return _decode(StudyResult, facts, "result")


def read_result(path: Path) -> StudyResult:
    """Return the result that was saved in the file `path`.

    Raises:
        DataError: It cannot be read, or does not hold a result of this version.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "not whole JSON"
        raise DataError(
            f"A saved result must be a JSON file. Cannot read {clean(str(path))} ({reason}); "
            "run the comparison again, which reuses its records."
        ) from error
    return result_from_json(facts)


def cleaned(result: StudyResult) -> StudyResult:
    """Return the same result with every text safe to show: see `clean`."""
    return result_from_json(_with_texts(result_to_json(result), clean))


def clean(text: str) -> str:
    """Return `text` without characters that steer a terminal or turn the reading direction."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter in "\n\r\t\v\f\u2028\u2029":
        return " "
    hidden = letter in _BIDI or unicodedata.category(letter) in ("Cc", "Cs")
    return "\N{REPLACEMENT CHARACTER}" if hidden else letter


def _with_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(k): _with_texts(v, change) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_texts(v, change) for v in value]
    return value


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [_plain(v) for v in (value if isinstance(value, Sequence) else sorted(value))]
    return _plain_number(value)


def _plain_number(value: Any) -> Any:
    number = value.item() if hasattr(value, "item") else value  # NumPy's numbers
    if isinstance(number, float):
        return number if math.isfinite(number) else None
    return number if isinstance(number, bool | int) else str(number)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(kind: Any, value: Any, place: str) -> Any:
    """Return `value` as the annotated type `kind`; `place` says where it stands."""
    if is_dataclass(kind) and isinstance(kind, type):
        return _decode_object(kind, value, place)
    origin = get_origin(kind)
    if kind is float:
        return _decode_float(value, place)
    if origin in (Union, UnionType):
        inner = next(k for k in get_args(kind) if k is not type(None))
        return None if value is None else _decode(inner, value, place)
    if origin is tuple:
        return _decode_tuple(get_args(kind)[0], value, place)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _decode_mapping(get_args(kind)[1], value, place)
    return value


def _decode_float(value: Any, place: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(place, "a number", value)
    return float(value)


def _decode_tuple(kind: Any, value: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(place, "a list", value)
    return tuple(_decode(kind, v, f"{place}[{i}]") for i, v in enumerate(value))


def _decode_mapping(kind: Any, value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(place, "an object", value)
    return {k: _decode(kind, v, f"{place}.{k}") for k, v in value.items()}


def _decode_object(kind: type[T], value: Any, place: str) -> T:
    if not isinstance(value, Mapping):
        raise _wrong(place, "an object", value)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    needed = [n for n, f in known.items() if f.default is f.default_factory is MISSING]
    odd = sorted(set(value) - set(known)) + [n for n in needed if n not in value]
    if odd:
        state = "is unknown" if odd[0] in value else "is missing"
        raise DataError(
            f"A saved result must have the fields of this version of Assay. In {place}, "
            f"{odd[0]!r} {state}; run the comparison again, which reuses its records."
        )
    hints = _hints(kind)  # type: ignore[arg-type]
    return kind(**{n: _decode(hints[n], v, f"{place}.{n}") for n, v in value.items()})


def _wrong(place: str, wanted: str, value: Any) -> DataError:
    return DataError(
        f"A saved result must have {wanted} at {place}. Received {str(value)[:40]!r}; "
        "run the comparison again, which reuses its records."
    )
