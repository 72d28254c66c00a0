"""A folder with the networks of `trials.py`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from trials import NETWORK


@pytest.fixture
def network(tmp_path: Path) -> Callable[[str], str]:
    path = tmp_path / "net.py"
    path.write_text(NETWORK, encoding="utf-8")
    return lambda name: f"{path}:{name}"
