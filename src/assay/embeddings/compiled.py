"""`learn.c` as a library that Python calls without holding its lock; compiled once per machine."""

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
from typing import Literal

SOURCE = Path(__file__).with_name("learn.c")
_FLAGS = ("-O3", "-march=native", "-ffast-math", "-fPIC")
_LINK = ("-shared", "-lm")  # not -ffast-math: with it, loading the library would make its thread
# take every denormal number for 0, and whatever the process computes there later would differ


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled loops; None where there is no C compiler, or it fails."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or platform.system() == "Windows":
        return None
    file = _place(compiler)
    if not file.exists() and not _compile(compiler, file):
        return None
    try:
        loaded = ctypes.CDLL(str(file))
    except OSError:
        return None
    loaded.learn_counts.restype = ctypes.c_double
    loaded.learn_examples.restype = None
    return loaded


def loops() -> Literal["compiled", "torch"]:
    """Return which loops vectors learn in here: they round differently."""
    return "torch" if library() is None else "compiled"


def _place(compiler: str) -> Path:
    """Return where the library of this source, compiler and processor is kept."""
    parts = (
        SOURCE.read_bytes(),
        compiler.encode(),
        " ".join(_FLAGS + _LINK).encode(),
        _processor(),
    )
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    return _cache() / "compiled" / f"learn-{digest[:20]}.so"


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


def _compile(compiler: str, file: Path) -> bool:
    """Compile to another name first, so that nobody loads half a library."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            made = Path(folder) / "learn.so"
            loops = made.with_suffix(".o")
            _run([compiler, *_FLAGS, "-c", str(SOURCE), "-o", str(loops)])
            _run([compiler, str(loops), "-o", str(made), *_LINK])
            made.replace(file)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603
