"""Where measurements of this machine are kept."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return where measurements of this machine are kept: ASSAY_CACHE, or the XDG cache."""
    chosen = os.environ.get("ASSAY_CACHE")
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "assay"
