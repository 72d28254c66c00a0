"""How a study's work is laid out over the machine."""

import pytest

from assay.compare import campaign
from assay.compare.campaign import Campaign
from assay.compare.request import Request


@pytest.mark.parametrize(
    ("trials", "workers", "threads"),
    [(1, None, 8), (3, None, 2), (8, None, 1), (100, None, 1), (100, 2, 4), (100, 0, 1)],
)
def test_a_trial_may_use_the_cores_that_no_other_trial_needs(
    monkeypatch: pytest.MonkeyPatch, trials: int, workers: int | None, threads: int
):
    monkeypatch.setattr(campaign, "cores", lambda: 8)
    work = Campaign(Request(data="digits", workers=workers), None, None, print)  # type: ignore[arg-type]
    assert work._threads(trials) == threads
