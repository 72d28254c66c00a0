"""Other people's .pth files become safetensors: once, in a process of its own, under limits.

Run as `python -m assay.models.convert SOURCE TARGET`. A .pth file is a pickle: torch opens it with
`weights_only=True`, so that nothing in it is executed, and what it claims to need is bounded.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

INSIDE = ("state_dict", "model_state_dict", "model")  # where training scripts put the weights
SPACE = 2**30  # bytes above those of the file and its copies
COPIES = 4  # of the file: as read, as tensors, as written, and one to spare
SECONDS = 60  # of the processor, above those that the size explains
PACE = 10 * 2**20  # bytes a second, of a slow machine


def main(source: str, target: str) -> None:
    """Write the tensors of `source` to `target`; print {"refused": why} where that cannot be."""
    size = Path(source).stat().st_size
    space = COPIES * size + SPACE
    _limit(space, SECONDS + size // PACE)
    try:
        tensors = tensors_of(torch.load(source, map_location="cpu", weights_only=True))
        save_file(tensors, target)
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything
        print(json.dumps({"refused": _reason(error, space)}))  # noqa: T201 - to the parent


def tensors_of(loaded: Any) -> dict[str, Tensor]:
    """Return the weights in what a file held, as tensors that share no memory.

    Raises:
        ValueError: It holds none.
    """
    for inner in (loaded, *(loaded.get(key) for key in INSIDE if isinstance(loaded, Mapping))):
        if isinstance(inner, Mapping):
            found = {str(k): v for k, v in inner.items() if isinstance(v, Tensor)}
            if found:
                return {name: value.detach().clone().contiguous() for name, value in found.items()}
    raise ValueError(f"it holds a {type(loaded).__name__} without tensors")


def _limit(space: int, seconds: int) -> None:
    """Bound this process: memory above what it has now, processor time, size of files."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + space
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, space),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _reason(error: Exception, space: int) -> str:
    """Return why a file is refused, in words that follow "it"."""
    text = str(error)
    code = re.search(r"GLOBAL ([\w.]+)", text) or re.search(r"execute (\S+)", text)
    if "eights only load failed" in text or "eights_only" in text:
        what = code[1] if code else "more than tensors"
        return f"it asks to run {what} when opened, which is never done"
    if isinstance(error, MemoryError) or "allocate memory" in text:
        return f"it needs more than the {space / 2**30:.1f} GiB that a file of its size may take"
    if isinstance(error, ValueError) and text.startswith("it "):
        return text
    first = text.strip().partition("\n")[0].partition(". ")[0][:200].rstrip(".")
    return f"it is cut short or damaged ({type(error).__name__}: {first})"


if __name__ == "__main__":
    main(*sys.argv[1:])
