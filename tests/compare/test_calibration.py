"""A quick form of the calibration benchmarks: what docs/calibration.md promises holds."""

import json
from functools import partial

import numpy as np
import pytest

from benchmarks import calibration, few_errors, racing, same_network
from benchmarks.calibration import (
    SECTIONS,
    UNLIKE,
    WORLDS,
    RightOrWrong,
    count_more,
    kept,
    merged,
    page,
    simulate,
)

STUDIES = 300


@pytest.mark.parametrize(
    ("name", "seeds", "examples"),
    [
        ("accuracy 90 %", 2, 1_000),
        ("accuracy 90 %", 5, 300),
        ("accuracy 98.5 %", 3, 1_000),
        ("squared errors", 3, 300),
        ("squared errors", 10, 300),
        ("unlike seeds", 3, 1_000),
    ],
)
def test_intervals_and_verdicts_keep_what_they_promise(name: str, seeds: int, examples: int):
    cell = simulate(name, WORLDS[name], seeds, examples, STUDIES)
    chance = 2 * (0.05 * 0.95 / STUDIES) ** 0.5
    assert cell.alike <= 0.05 + chance
    assert 0.93 - chance <= cell.one <= 0.97 + chance
    assert 0.93 - chance <= cell.other <= 0.97 + chance


def test_equal_networks_whose_seeds_spread_unlike_are_rarely_called_different():
    cell = simulate(UNLIKE, WORLDS[UNLIKE], 3, 1_000, STUDIES)
    assert 0.0 < cell.found <= 0.05 + 2 * (0.05 * 0.95 / STUDIES) ** 0.5
    wide, narrow = WORLDS[UNLIKE].draw(np.random.default_rng(2), 40, 20_000)[0][2:0:-1]
    assert wide.mean(axis=1).std() > 3 * narrow.mean(axis=1).std()


def test_intervals_of_one_or_two_errors_in_a_hundred_are_wide_whoever_made_them(monkeypatch):
    monkeypatch.setattr(few_errors, "STUDIES", 200)
    facts = few_errors.measure(WORLDS["accuracy 98.5 %"], 0.985)
    assert facts["one"]["exact"][0] > 0.97
    assert facts["one"]["ours"][0] > 0.97
    assert facts["one"]["wilson"][0] < 0.95
    assert facts["pairs"]["ours"][1] < facts["pairs"]["bonett price"][1]
    assert 0.1 < facts["alike"] < 0.4


def test_one_point_is_found_at_ten_thousand_examples_and_five_seeds():
    world = RightOrWrong("", accuracy=0.9, ease=3.0, way=1.2, spread=0.002)
    assert simulate("power", world, 5, 10_000, 60).found >= 0.8


def test_a_recorded_network_is_told_apart_from_itself_in_at_most_5_of_100_studies():
    every = same_network.grids()
    found = same_network.real(every)
    assert found == kept("same network")["real"]  # the page is not out of date
    studies = sum(of["studies"] for of in found.values())
    assert studies >= 60
    for kind in ("real", "real, until"):
        assert sum(of[kind] for of in found.values()) <= 0.05 * studies
    counts = same_network.simulated(every, 40)
    assert all(count <= 5 for count in counts.values())  # 2 expected at most


@pytest.mark.parametrize("name", ["breast_cancer", "digits"])
def test_two_seeds_of_recorded_networks_recommend_one_that_is_hardly_worse(name: str):
    rng, grid = np.random.default_rng(1), racing.recorded(racing.RECORDED / f"{name}.npz")
    found = racing.against_the_grid(partial(racing.redrawn, rng, grid), 6)
    for row in found.values():
        assert row["regret_tenth"][0] <= 0.3
        assert row["trials"] <= 0.5


def test_counts_of_two_runs_are_added_up():
    one, two = ({"studies": n, "found": x, "spread": 0.1} for n, x in ((100, 0.2), (300, 0.6)))
    assert merged(one, two) == {"studies": 400, "found": pytest.approx(0.5), "spread": 0.1}
    assert merged(None, two) == two


def test_a_run_for_some_seeds_counts_their_cells_only(monkeypatch):
    monkeypatch.setattr(calibration, "BLOCK", 1)
    tally = count_more({}, 1, float("inf"), [2])["tally"]
    assert len(tally) == len(WORLDS) * len(calibration.EXAMPLES)
    assert {cell["seeds"] for cell in tally.values()} == {2}


def test_a_run_without_time_leaves_the_counts_as_they_are():
    facts = kept("simulated")
    assert count_more(facts, 10**6, minutes=-1.0)["tally"] == facts["tally"]


def test_the_page_shows_what_was_measured():
    facts = json.loads(calibration.RESULTS.read_text())
    assert calibration.PAGE.read_text() == page(facts)
    assert set(facts) <= set(SECTIONS)
