"""`--require "latency<5ms"`: what a candidate must keep to be recommended."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
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
    limits: tuple[float, float] = (0.0, math.inf)
    early: bool = False  # whether it is known before anything is trained


QUANTITIES: Mapping[str, _Quantity] = {
    "latency": _Quantity("latency_p50_ms", _TIME),
    "latency-p95": _Quantity("latency_p95_ms", _TIME),
    "throughput": _Quantity("throughput", _RATE),
    "params": _Quantity("parameters", _COUNT, early=True),
    "macs": _Quantity("macs", _COUNT, early=True),
    "memory": _Quantity("peak_memory_bytes", _SPACE),
    "size": _Quantity("artifact_bytes", _SPACE),
    "energy-proxy": _Quantity("energy_proxy_mj", _ENERGY),
    **{
        m.name: _Quantity(
            f"test_{m.key}", _SHARE if m.share else _PLAIN, metric=True, limits=m.bounds
        )
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
        return not math.isnan(value) and self.holds(value)

    def holds(self, value: float) -> bool:
        """Return whether a value of the quantity keeps the bound."""
        return _SIGNS[self.sign](value, self.bound)

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
        BadArgumentError: `text` is not a quantity, a sign and a number with a fitting unit, or
            nothing can be so.

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
    bound = _number(match[3], text) * _unit(name, match[4])
    found = Requirement(text.strip(), name, match[2], bound)
    _refuse_impossible(found)
    return found


def _refuse_impossible(asked: Requirement) -> None:
    """Refuse a bound that the best of all values does not keep."""
    least, most = QUANTITIES[asked.name].limits
    if not asked.holds(least if asked.sign.startswith("<") else most):
        end = f"at least {least:g}" if asked.sign.startswith("<") else f"at most {most:g}"
        raise BadArgumentError(
            f"`require` must be something that a network can meet, and {asked.name} is {end}. "
            f"Received {asked.text!r}."
        )


def known_early(asked: Sequence[Requirement]) -> list[Requirement]:
    """Return those whose quantity is known before anything is trained."""
    return [requirement for requirement in asked if QUANTITIES[requirement.name].early]


def check_met(asked: Sequence[Requirement], costs: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse a requirement that no candidate can meet, before any is trained.

    Args:
        asked: Of `known_early`.
        costs: Of each candidate, by the name of the quantity; nothing of those that failed.

    Raises:
        BadArgumentError: There is one; the text names the candidate that comes nearest.
    """
    for requirement in asked:
        values = {name: cost[requirement.name] for name, cost in costs.items()}
        if not values or any(map(requirement.holds, values.values())):
            continue
        choose = min if requirement.sign.startswith("<") else max
        nearest_one = choose(values, key=lambda name: values[name])
        raise BadArgumentError(
            f"`require` must be met by a candidate. Received {requirement.text!r}, and none of "
            f"{len(values)} does: {nearest_one} comes nearest with {values[nearest_one]:,.0f}; "
            "name other candidates with --models or allow more."
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
