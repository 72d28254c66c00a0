"""Loops in C, compiled once per machine; Python calls them without holding its lock."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_FLAGS = ("-O3", "-march=native", "-fPIC")
_LINK = ("-shared", "-lm")  # not -ffast-math: with it, loading the library would make its thread
# take every denormal number for 0, and whatever the process computes there later would differ


@cache
def compiled(source: Path, *flags: str) -> ctypes.CDLL | None:
    """Return a file of ours as a library; None where there is no C compiler, or it fails.

    Args:
        source: The file, part of the package.
        flags: Of its compilation, beside the usual ones.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or platform.system() == "Windows":
        return None
    options = _FLAGS + flags
    file = _place(source, compiler, options)
    if not file.exists() and not _compile(source, compiler, options, file):
        return None
    try:
        return ctypes.CDLL(str(file))
    except OSError:
        return None


def _place(source: Path, compiler: str, options: Sequence[str]) -> Path:
    """Return where the library of this source, compiler and processor is kept."""
    parts = (
        source.read_bytes(),
        compiler.encode(),
        " ".join((*options, *_LINK)).encode(),
        _processor(),
    )
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    return _cache() / "compiled" / f"{source.stem}-{digest[:20]}.so"


def _processor() -> bytes:
    """Return what tells processors apart whose instructions differ."""
    facts = Path("/proc/cpuinfo")
    if not facts.exists():
        return platform.processor().encode()
    lines = facts.read_bytes().splitlines()
    return b"".join(line for line in lines if line.startswith((b"flags", b"Features")))


def _cache() -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("ASSAY_CACHE") or home / "assay")


def _compile(source: Path, compiler: str, options: Sequence[str], file: Path) -> bool:
    """Compile to another name first, so that nobody loads half a library."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            made = Path(folder) / "made.so"
            loops = made.with_suffix(".o")
            _run([compiler, *options, "-c", str(source), "-o", str(loops)])
            _run([compiler, str(loops), "-o", str(made), *_LINK])
            made.replace(file)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603
