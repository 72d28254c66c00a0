"""Assay picks neural networks by measurement.

`import assay` is instant: torch is imported by the first call that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.compare.study import Study
    from assay.models.build import build
    from assay.ship.estimator import AssayClassifier, AssayRegressor
    from assay.ship.load import load

__version__ = "0.1.0"
__all__ = ["AssayClassifier", "AssayRegressor", "Study", "build", "load"]

_HOMES = {
    "AssayClassifier": "assay.ship.estimator",
    "AssayRegressor": "assay.ship.estimator",
    "Study": "assay.compare.study",
    "build": "assay.models.build",
    "load": "assay.ship.load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
