"""The periods of a time series: what one step is, and after how many the series repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from assay.data.names import shown
from assay.errors import DataError

Unit = Literal["year", "quarter", "month", "week", "day", "business day", "step"]
DAY = 86_400_000_000  # microseconds
_LONG: Mapping[Unit, tuple[float, float]] = {
    "month": (27.5, 31.5),
    "quarter": (89.0, 92.5),
    "year": (364.0, 367.0),
}  # days, about
_SEASONS: Mapping[Unit, int] = {
    "year": 1,
    "quarter": 4,
    "month": 12,
    "week": 52,
    "day": 7,
    "business day": 5,
}
_CYCLES = (DAY, DAY // 24, DAY // 1440)  # of steps shorter than a day: a day, an hour, a minute
_OFF = 1e-6  # share of a step by which a time may miss it
_CLEAR = 0.3  # autocorrelation of a season that is taken for one
WORDS: Mapping[str, tuple[str, str]] = {  # in English, plural; in Chinese
    "year": ("years", "年"),
    "quarter": ("quarters", "个季度"),
    "month": ("months", "个月"),
    "week": ("weeks", "周"),
    "day": ("days", "天"),
    "business day": ("business days", "个工作日"),
    "hour": ("hours", "小时"),
    "step": ("steps", "步"),
}


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """What one period is. Whole numbers count the periods, one more for each.

    Attributes:
        unit: Of one period; "step" is any other fixed distance.
        step: That distance, in microseconds or in the unit of a numeric time; 1 for other units.
        origin: A time from which steps and weeks are counted.
        dated: Whether times are dates, not numbers.
    """

    unit: Unit
    step: float = 1.0
    origin: float = 0.0
    dated: bool = True

    @property
    def words(self) -> tuple[str, str]:
        """What several periods are called, in English and Chinese."""
        hourly = self.dated and self.unit == "step" and self.step == DAY // 24
        return WORDS["hour" if hourly else self.unit]

    def numbers(self, times: np.ndarray) -> np.ndarray:
        """Return which period each time is in.

        Args:
            times: Microseconds since 1970, or numbers.

        Returns:
            int64 (N,); where a time falls between two steps, a negative number below -2**62.
        """
        if self.unit == "step":
            exact = (times.astype(np.float64) - self.origin) / self.step
            near = np.rint(exact)
            return np.where(np.abs(exact - near) <= _OFF, near, -(2.0**63)).astype(np.int64)
        days = np.floor_divide(times.astype(np.int64), DAY)
        if self.unit == "day":
            return days
        if self.unit == "week":
            return np.floor_divide(days - int(self.origin), 7)
        dates = days.astype("datetime64[D]")
        if self.unit == "business day":
            return np.busday_count(np.datetime64("1970-01-01"), dates).astype(np.int64)
        months = dates.astype("datetime64[M]").astype(np.int64)
        return np.floor_divide(months, {"month": 1, "quarter": 3, "year": 12}[self.unit])

    def label(self, number: int) -> str:
        """Return how a period is written: 1960-03, 1960Q1, 1960-03-31 05:00, 17.5."""
        if self.unit == "step":
            time = self.origin + number * self.step
            return _moment(round(time)) if self.dated else f"{time:g}"
        if self.unit in ("month", "quarter", "year"):
            months = number * {"month": 1, "quarter": 3, "year": 12}[self.unit]
            year, month = 1970 + months // 12, months % 12
            named = {"month": f"{year}-{month + 1:02d}", "quarter": f"{year}Q{month // 3 + 1}"}
            return named.get(self.unit, str(year))
        if self.unit == "business day":
            return str(np.busday_offset(np.datetime64("1970-01-01"), number))
        return _moment((number if self.unit == "day" else number * 7 + int(self.origin)) * DAY)

    def season(self, periods: int) -> int | None:
        """Return after how many periods the series repeats, 1 for never; None for unknown.

        Args:
            periods: Of the training part, which must show two seasons.
        """
        if self.unit != "step":
            long = _SEASONS[self.unit]
            return long if 2 * long <= periods else 1
        if not self.dated:
            return None
        if self.step >= DAY:
            cycles = [round(365.25 * DAY / self.step)]
        else:
            cycles = [round(cycle / self.step) for cycle in _CYCLES if cycle % self.step == 0]
        return next((long for long in cycles if 2 <= long <= periods / 2), 1)

    def as_json(self) -> dict[str, Any]:
        """Return what `Calendar(**...)` takes."""
        facts = {"unit": self.unit, "step": self.step, "origin": self.origin}
        return {**facts, "dated": self.dated}


def find_calendar(series: Sequence[np.ndarray], *, name: str, where: str) -> Calendar:
    """Return the calendar on which the times of every series lie.

    Args:
        series: The times of each, in order: int64 microseconds since 1970, or float64 numbers.
        name: Of the column, for messages.
        where: The file, for messages.

    Raises:
        DataError: There are fewer than two different times.
    """
    steps = np.concatenate([np.diff(np.unique(times)) for times in series])
    if not len(steps):
        raise DataError(
            f"A time series needs at least two different times. In {where} each series of "
            f"{shown(name)!r} has one; choose the time column with --time."
        )
    every = np.concatenate(list(series))
    values, counts = np.unique(steps, return_counts=True)
    usual = float(values[np.argmax(counts)])
    if every.dtype.kind == "f":
        return Calendar(unit="step", step=usual, origin=float(every.min()), dated=False)
    days = float(np.median(steps)) / DAY
    for unit, (least, most) in _LONG.items():
        if least <= days <= most:
            return Calendar(unit=unit)
    if days == 7:
        return Calendar(unit="week", origin=float(np.floor_divide(every.min(), DAY)))
    if days == 1:
        return Calendar(unit="business day" if _no_weekends(every) else "day")
    return Calendar(unit="step", step=usual, origin=float(every.min()))


def repeating(values: np.ndarray) -> int:
    """Return after how many steps a series repeats by its autocorrelation, 1 for never.

    It is the highest of the peaks that stand above 0.3 and above chance, of lags up to a third of
    the series, once a straight line has been taken out.

    Args:
        values: Of the training part, (N,).
    """
    count = len(values)
    steps = np.arange(count)
    rest = values - np.polynomial.Polynomial.fit(steps, values, 1)(steps)
    spectrum = np.fft.rfft(rest, 2 * count)
    found = np.fft.irfft(np.abs(spectrum) ** 2)[: count // 3 + 2]
    if len(found) < 4 or found[0] <= 0:
        return 1
    found = found / found[0]
    inner = found[1:-1]
    peaks = np.flatnonzero((inner > found[:-2]) & (inner >= found[2:])) + 1
    peaks = peaks[(peaks > 1) & (found[peaks] > max(_CLEAR, 2 / np.sqrt(count)))]
    return int(peaks[np.argmax(found[peaks])]) if len(peaks) else 1


def _no_weekends(times: np.ndarray) -> bool:
    """Return whether dates are of Monday to Friday only, over at least one weekend."""
    days = np.unique(np.floor_divide(times, DAY))
    working = bool(np.is_busday(days.astype("datetime64[D]")).all())
    return working and bool((np.diff(days) == 3).any())


def _moment(time: int) -> str:
    """Return a date, and the time of day where it is not midnight."""
    text = str(np.datetime64(time, "us"))
    day, _, clock = text.partition("T")
    clock = clock.removesuffix(".000000")
    if clock == "00:00:00":
        return day
    return f"{day} {clock.removesuffix(':00')}"
