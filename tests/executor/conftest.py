"""A worker without torch that knows the jobs in `handlers.py`."""

from pathlib import Path

import pytest
from processes import OPTIONS

from assay.engine.executor import Pool


@pytest.fixture(autouse=True)
def _handlers_within_reach(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.fixture
def pool():
    with Pool(2, options=OPTIONS) as opened:
        yield opened
