"""`--require "latency<5ms"`: what a candidate must keep to be recommended."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from assay.compare.result import CandidateResult
from assay.data.dataset import TASKS
from assay.errors import BadArgumentError, nearest
from assay.metrics import ALIASES, metrics_of

_FORM = re.compile(
    r"\s*([A-Za-z_][\w-]*)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:e[-+]?\d+)?)\s*([^\s\d]*)\s*", re.I
)
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TIME = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "": 1.0}  # milliseconds
_SPACE = {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9}
_SPACE |= {"kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}
_COUNT = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_SHARE = {"": 1.0, "%": 0.01}
_ENERGY = {"": 1.0, "uj": 1e-3, "µj": 1e-3, "mj": 1.0, "j": 1e3}  # millijoules
_PLAIN = {"": 1.0}
_RATE = {"": 1.0, "/s": 1.0}


@dataclass(frozen=True)
class _Quantity:
    """Something that can be asked for: where it is found, and its units."""

    field: str  # of Measurement, or of the metrics when `metric`
    units: Mapping[str, float]
    metric: bool = False


QUANTITIES: Mapping[str, _Quantity] = {
    "latency": _Quantity("latency_p50_ms", _TIME),
    "latency-p95": _Quantity("latency_p95_ms", _TIME),
    "throughput": _Quantity("throughput", _RATE),
    "params": _Quantity("parameters", _COUNT),
    "macs": _Quantity("macs", _COUNT),
    "memory": _Quantity("peak_memory_bytes", _SPACE),
    "size": _Quantity("artifact_bytes", _SPACE),
    "energy-proxy": _Quantity("energy_proxy_mj", _ENERGY),
    **{
        m.name: _Quantity(f"test_{m.key}", _SHARE if m.share else _PLAIN, metric=True)
        for task in TASKS
        for m in metrics_of(task).values()
        if m.recorded
    },
}


@dataclass(frozen=True)
class Requirement:
    """One bound on one quantity, in the quantity's own unit."""

    text: str
    name: str
    sign: str
    bound: float

    def met(self, candidate: CandidateResult) -> bool:
        """Return whether a candidate keeps it; what was not measured is not kept."""
        value = self.value(candidate)
        return not math.isnan(value) and _SIGNS[self.sign](value, self.bound)

    def value(self, candidate: CandidateResult) -> float:
        """Return what the candidate has of the quantity, or NaN."""
        quantity = QUANTITIES[self.name]
        if quantity.metric:
            return float(candidate.metrics.get(quantity.field, math.nan))
        return (
            math.nan if candidate.cost is None else float(getattr(candidate.cost, quantity.field))
        )


def parse_requirement(text: str) -> Requirement:
    """Return the requirement that `text` states.

    Raises:
        BadArgumentError: `text` is not a quantity, a sign and a number with a fitting unit.

    Example:
        >>> parse_requirement("size<5MB").bound
        5000000.0
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadArgumentError(
            "`require` must be a quantity, one of < <= > >=, and a number with a unit, such as "
            f'"latency<5ms" or "params<1e6". Received {text!r}.'
        )
    name = _canonical(match[1])
    return Requirement(
        text.strip(), name, match[2], _number(match[3], text) * _unit(name, match[4])
    )


def check_task(requirement: Requirement, task: str) -> None:
    """Refuse a requirement on a metric that the task does not have.

    Raises:
        BadArgumentError: Accuracy of a regression, or the root mean square of a classification.
    """
    own = [name for name in metrics_of(task) if name in QUANTITIES]
    if QUANTITIES[requirement.name].metric and requirement.name not in own:
        raise BadArgumentError(
            f"`require` must name a quantity that the task has. Received {requirement.text!r} for "
            f"{task}, which has {', '.join(sorted(own))}."
        )


def _canonical(name: str) -> str:
    plain = name.lower().replace("_", "-")
    plain = {"parameters": "params", "energy": "energy-proxy", **ALIASES}.get(plain, plain)
    if plain not in QUANTITIES:
        raise BadArgumentError(
            f"`require` must name one of {', '.join(sorted(QUANTITIES))}. "
            f"Received {name!r}.{nearest(plain, QUANTITIES)}"
        )
    return plain


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BadArgumentError(
            f"`require` must hold one number. Received {text!r} in {whole!r}; write 0.5 or 1e6."
        ) from error


def _unit(name: str, unit: str) -> float:
    units = QUANTITIES[name].units
    if unit.lower() not in units:
        known = ", ".join(sorted(u for u in units if u)) or "no unit"
        raise BadArgumentError(
            f"`require` must give {name} in a unit it has: {known}. Received {unit!r}."
        )
    return units[unit.lower()]
