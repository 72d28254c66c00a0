"""Errors a user can act on. Each is also the builtin that fits, so `except ValueError` works.

Every text has three parts: the rule, what was received, what to do next. `exit_code` is what the
command line returns: 2 when the call itself is wrong, 1 when the work failed.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class AssayError(Exception):
    """Something the user can fix; the command line prints it without a traceback."""

    exit_code = 1


class BadArgumentError(AssayError, ValueError):
    """An argument or option outside what is allowed."""

    exit_code = 2


class UnknownNameError(AssayError, LookupError):
    """A name that is not in the catalog."""

    exit_code = 2


class MissingPathError(AssayError, FileNotFoundError):
    """A path that is not there."""

    exit_code = 2


class DataError(AssayError, ValueError):
    """Data that cannot be used as it is; names the file and the place."""


class MissingExtraError(AssayError, ImportError):
    """An optional dependency that is not installed; names the extra that brings it."""

    exit_code = 2


class StoreError(AssayError, OSError):
    """The record of runs cannot be read or written."""


class DeviceError(AssayError, RuntimeError):
    """An accelerator is not there, or not any more; no candidate can be trained on it."""


class TrialError(AssayError, RuntimeError):
    """One trial failed (diverged, out of memory, crashed); the study goes on without it."""


class Interrupted(AssayError):  # noqa: N818 - what happened, not a fault
    """The user or the system asked to stop; everything measured is kept."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or an empty string."""
    close = get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
