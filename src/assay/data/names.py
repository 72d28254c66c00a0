"""Names that come from users, made safe to print, and notes in two languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Note = Mapping[str, str]  # {"en": ..., "zh": ...}


def shown(name: object, *, most: int = 200) -> str:
    """Return the name on one line: what cannot be printed is escaped, what is long is cut."""
    text = str(name)
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def listed(names: Sequence[object], *, most: int = 10) -> str:
    """Return the first names, quoted, and how many more there are."""
    text = ", ".join(repr(shown(name)) for name in names[:most])
    return f"{text} and {len(names) - most:,} more" if len(names) > most else text
