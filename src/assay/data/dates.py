"""Dates as people write them, and their ISO 8601 form."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NUMERALS = "〇一二三四五六七八九"


def draw_dates(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Return dates written in one of nine ways, and the same dates as YYYY-MM-DD.

    Args:
        count: Different pairs.
        seed: Of the draw.
    """
    generator = np.random.default_rng(seed)
    span = (LAST - FIRST).days + 1
    ways = 9
    drawn = generator.choice(span * ways, count, replace=False)
    days = [FIRST + timedelta(days=int(at) // ways) for at in drawn]
    written = [_write(day, int(at) % ways) for day, at in zip(days, drawn, strict=True)]
    return written, [day.isoformat() for day in days]


def _write(day: date, way: int) -> str:
    month, name = MONTHS[day.month - 1], DAYS[day.weekday()]
    ways = (
        f"{month} {day.day}, {day.year}",
        f"{day.day} {month[:3]} {day.year}",
        f"{name}, {month} {day.day}, {day.year}",
        f"the {day.day}{_ordinal(day.day)} of {month} {day.year}",
        f"{day.day:02}.{day.month:02}.{day.year}",
        f"{month[:3].upper()} {day.day:02} {day.year}",
        f"{day.year}年{day.month}月{day.day}日",
        f"{day.year}年{day.month}月{day.day}日星期{'一二三四五六日'[day.weekday()]}",
        f"{_digits(day.year)}年{_chinese(day.month)}月{_chinese(day.day)}日",
    )
    return ways[way]


def _ordinal(number: int) -> str:
    if 10 < number % 100 < 14:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _digits(year: int) -> str:
    return "".join(NUMERALS[int(digit)] for digit in str(year))


def _chinese(number: int) -> str:
    """Return a number below 100 in Chinese numerals."""
    tens, ones = divmod(number, 10)
    before = "" if not tens else ("" if tens == 1 else NUMERALS[tens]) + "十"
    return before + (NUMERALS[ones] if ones else "")
