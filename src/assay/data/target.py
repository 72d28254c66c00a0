"""The scale on which a network learns a regression target."""

from __future__ import annotations

import numpy as np


def spread(values: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation; a constant counts as deviating by 1."""
    wide = values.astype(np.float64)
    return float(wide.mean()), float(wide.std()) or 1.0
