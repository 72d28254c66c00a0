"""A quick form of benchmarks/calibration.py: the promises hold in a few cells of each world."""

import json

import pytest

from benchmarks import calibration
from benchmarks.calibration import SECTIONS, WORLDS, RightOrWrong, page, simulate

STUDIES = 300


@pytest.mark.parametrize(
    ("name", "seeds", "examples"),
    [
        ("accuracy 90 %", 2, 1_000),
        ("accuracy 90 %", 5, 300),
        ("accuracy 98.5 %", 3, 1_000),
        ("squared errors", 3, 300),
        ("squared errors", 10, 300),
    ],
)
def test_intervals_and_verdicts_keep_what_they_promise(name: str, seeds: int, examples: int):
    cell = simulate(name, WORLDS[name], seeds, examples, STUDIES)
    chance = 2 * (0.05 * 0.95 / STUDIES) ** 0.5
    assert cell.alike <= 0.05 + chance
    assert 0.93 - chance <= cell.one <= 0.97 + chance
    assert 0.93 - chance <= cell.other <= 0.97 + chance


def test_one_point_is_found_at_ten_thousand_examples_and_five_seeds():
    world = RightOrWrong("", accuracy=0.9, ease=3.0, way=1.2, spread=0.002)
    assert simulate("power", world, 5, 10_000, 60).found >= 0.8


def test_the_page_shows_what_was_measured():
    facts = json.loads(calibration.RESULTS.read_text())
    assert calibration.PAGE.read_text() == page(facts)
    assert set(facts) <= set(SECTIONS)
