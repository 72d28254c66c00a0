"""A TOML table read key by key; what is missing, unknown or of the wrong type is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from assay.errors import DataError, nearest

T = TypeVar("T")


class Table:
    """One table of a card. Every key must be taken before it is closed.

    Args:
        path: The card's file, for the errors.
        facts: The table as tomllib read it.
        place: Keys that lead here, with a dot at the end; empty at the top.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any], place: str = "") -> None:
        self.path = path
        self.place = place
        self._facts = facts
        self._taken: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._facts

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def take(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, or `default`; without one the key must be there."""
        self._taken.add(key)
        value = self._facts.get(key, default)
        if value is None:
            raise DataError(f"Card {self.path} lacks the key {self.place + key!r}; add it.")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a string; a required one is not empty."""
        value = self.take(key, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            self.refuse(key, "text", value)
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return a list of strings."""
        value = self.take(key, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            self.refuse(key, "a list of texts", value)
        return tuple(value)

    def whole(self, key: str) -> int:
        """Return a whole number of at least 0."""
        value = self.take(key)
        if type(value) is not int or value < 0:
            self.refuse(key, "a whole number of at least 0", value)
        return value

    def number(self, key: str) -> float:
        """Return a number."""
        value = self.take(key)
        if type(value) not in (int, float):
            self.refuse(key, "a number", value)
        return float(value)

    def truth(self, key: str) -> bool:
        """Return true or false; false when it is not said."""
        value = self.take(key, default=False)
        if not isinstance(value, bool):
            self.refuse(key, "true or false", value)
        return value

    def shape(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Return one to three whole numbers of at least 1; an empty default is allowed."""
        value = self.take(key, default)
        if default is not None and key not in self:
            return default
        whole = isinstance(value, list) and all(type(v) is int and v > 0 for v in value)
        if not whole or not 1 <= len(value) <= 3:
            self.refuse(key, "one to three whole numbers of at least 1", value)
        return tuple(value)

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        """Return a text that is one of `allowed`."""
        value = self.text(key)
        if value not in allowed:
            self.refuse(key, "one of " + ", ".join(sorted(allowed)), value)
        return value

    def table(self, key: str) -> Table:
        """Return the table called `key`."""
        value = self.take(key)
        if not isinstance(value, dict):
            self.refuse(key, "a table", value)
        return Table(self.path, value, f"{self.place}{key}.")

    def tables(self, key: str) -> list[Table]:
        """Return the tables that are all called `key`; none if there is none."""
        value = self.take(key, default=[])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            self.refuse(key, f"tables, [[{key}]]", value)
        places = (f"{self.place}{key}.{number}." for number in range(1, len(value) + 1))
        return [Table(self.path, *entry) for entry in zip(value, places, strict=True)]

    def closed(self, value: T) -> T:
        """Return `value`, made of this table, once no key is left over."""
        self.close()
        return value

    def close(self, known: Iterable[str] = ()) -> None:
        """Refuse a key that was never taken; `known` are more that could have been."""
        for key in self._facts:
            if key not in self._taken:
                hint = nearest(key, sorted(self._taken | set(known)))
                raise DataError(
                    f"Card {self.path} has the key {self.place + key!r}, which cards do not have."
                    f"{hint or ' Remove it.'}"
                )

    def refuse(self, key: str, rule: str, value: Any) -> NoReturn:
        """Raise the error for a value that is not what `rule` says."""
        name = (self.place + key).removesuffix(".")
        raise DataError(f"Card {self.path}: {name!r} must be {rule}. Received {value!r}.")
