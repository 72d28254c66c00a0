"""Where a number was measured: the processor, its memory, and the versions at work. No torch."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def machine() -> dict[str, Any]:
    """Return what the report says of this computer; JSON."""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": load(),
    }


@cache
def processor() -> str:
    """Return the processor's name. Chips of one name can differ, so its model number is added."""
    facts = _first_processor(Path("/proc/cpuinfo"))
    name = facts.get("model name") or platform.processor() or platform.machine()
    model = "/".join(facts[key] for key in ("cpu family", "model", "stepping") if key in facts)
    return f"{name} ({model})" if model else name


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Return the physical memory, or 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def load() -> float:
    """Return the one-minute load average, or 0 where the system has none."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return 0.0


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def versions() -> dict[str, str]:
    """Return the versions of what computes: python, torch, numpy, assay.

    A digest of the code that decides a record's numbers is added to Assay's version, so that a
    trial of other code is another trial.
    """
    packages = {name: _version(name) for name in ("torch", "numpy", "assay")}
    packages["assay"] += f"+{_code()[:8]}"
    return {"python": platform.python_version(), **packages}


_DECIDING = (  # what makes the numbers of an outcome, beside the network and its blocks
    "engine/*.py",
    "learners/*.py",
    "decoding/*.py",
    "embeddings/*.py",
    "embeddings/*.c",
    "metrics/spans.py",
    "metrics/text.py",
    "metrics/tokens.py",
    "data/augment.py",
    "data/batches.py",
    "data/target.py",
    "data/tokens.py",
    "data/windows.py",
)


def _code() -> str:
    """Return the sha256 over the files of `_DECIDING`."""
    house = Path(__file__).parents[1]
    code = hashlib.sha256()
    for file in sorted(file for pattern in _DECIDING for file in house.glob(pattern)):
        code.update(file.read_bytes())
    return code.hexdigest()


def keep_memory() -> bool:
    """Have this process keep freed memory instead of returning it; True where glibc obeys.

    By default glibc gives every big block back to the kernel and each step pays for the page
    faults again. For worker processes, which end after their trial.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def reset_peak_memory() -> None:
    """Start the count of `peak_memory_bytes` anew, where the kernel allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_memory_bytes() -> int:
    """Return the most memory this process has held at once since `reset_peak_memory`."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return _peak_of_all_time()


def _peak_of_all_time() -> int:
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _first_processor(path: Path) -> dict[str, str]:
    try:
        first = path.read_text(encoding="utf-8").split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
