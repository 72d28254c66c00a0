"""A module that says when it is imported."""

import os
from pathlib import Path

Path(os.environ["IMPORTED"]).touch()
