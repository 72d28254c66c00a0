"""Races keep their error at every look, spend few trials, and end where the whole grid would."""

from functools import partial

import numpy as np
import pytest

from assay.compare.looks import Looks, looks
from assay.compare.margin import Margin
from assay.compare.racing import Race, Until, parse_until
from assay.compare.statistics import paired_test
from assay.errors import BadArgumentError
from benchmarks.racing import (
    Grid,
    World,
    against_the_grid,
    evenly,
    false_differences,
    recorded,
    render,
    run_race,
    simulate,
)

WORLD = World(examples=400, seed_points=1.0, uneven=0.0)
NAMES = ["cheap", "middle", "dear"]
COSTS = {"cheap": 1.0, "middle": 2.0, "dear": 3.0}
HUGE = Margin(value=9.0)  # the verdicts alone decide


def scores(*means: float, seeds: int = 24, examples: int = 300, by_seed: float = 0.05):
    """Tables of normal scores: shared examples, luck of the seed, chance."""
    rng = np.random.default_rng(3)
    shared = rng.standard_normal(examples)
    return {
        name: mean
        + shared
        + by_seed * rng.standard_normal((seeds, 1))
        + 0.3 * rng.standard_normal((seeds, examples))
        for name, mean in zip(NAMES, means, strict=False)
    }


def rows(tables, **used: int):
    return {name: tables[name][:n] for name, n in used.items()}


def run(race: Race, tables, **options):
    """Return every round that a race asks for."""
    used, rounds = dict.fromkeys(tables, 0), []
    while asked := race.next(rows(tables, **used), costs=COSTS, **options):
        rounds.append(asked)
        for name in asked:
            used[name] += 1
    return rounds


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("decided", Until(decided=True)),
        ("90s", Until(decided=False, seconds=90.0)),
        (" 1.5 H ", Until(decided=False, seconds=5400.0)),
        ("Decided or 30m", Until(decided=True, seconds=1800.0)),
        ("2h or decided", Until(decided=True, seconds=7200.0)),
    ],
)
def test_until_is_a_decision_a_time_or_both(text: str, until: Until):
    assert parse_until(text) == until


@pytest.mark.parametrize(
    "text", ["", "30", "0s", "-1m", "soon", "decided or", "decided or decided", "1m or 2m", "1d"]
)
def test_an_impossible_until_is_refused(text: str):
    with pytest.raises(BadArgumentError) as caught:
        parse_until(text)
    assert str(caught.value) == (
        "`until` must be decided, a time above zero such as 90s, 30m or 2h, or both as in "
        f"'decided or 30m'. Received until={text!r}."
    )


def test_a_race_needs_two_seeds_and_room_for_them():
    with pytest.raises(BadArgumentError) as caught:
        Race(NAMES, first=1)
    assert str(caught.value) == (
        "`seeds` must be at least 2 where `until` is given, since the spread of seeds decides "
        "when to end. Received seeds=1."
    )
    with pytest.raises(BadArgumentError) as caught:
        Race(NAMES, first=5, most=4)
    assert str(caught.value) == (
        "`most` must be from the first round's 5 seeds to 1,000. Received most=4."
    )


def test_looks_double_and_end_with_the_most():
    assert looks(3, 20) == (3, 6, 12, 20)
    assert looks(3, 24) == (3, 6, 12, 24)
    assert looks(2, 20) == (2, 4, 8, 20)  # 16 would be too near the end
    assert looks(4, 4) == (4,)


def test_the_shares_of_the_error_add_up_to_one():
    found = Looks(NAMES, (3, 6, 12, 20))
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.shares[20] > 0.7


def test_a_p_value_is_the_least_over_the_looks_by_their_shares():
    tables = scores(0.0, 0.02, seeds=20)
    found = Looks(NAMES[:2], (8, 20))
    by_hand = [
        paired_test(tables["cheap"][:n], tables["middle"][:n]).p / found.shares[n] for n in (8, 20)
    ]
    assert found.shown(rows(tables, cheap=8, middle=19))["cheap", "middle"].p == pytest.approx(
        min(by_hand[0], 1.0)
    )
    assert found.shown(tables)["cheap", "middle"].p == pytest.approx(min(*by_hand, 1.0))


def test_equal_candidates_are_told_apart_in_at_most_5_of_100_races():
    rng = np.random.default_rng(4)
    seeds_matter = World(examples=200, seed_points=4.0, uneven=0.0)
    draw = partial(simulate, rng, seeds_matter, equal=True, candidates=2, seeds=24)
    assert false_differences(draw, 120) <= 0.05


def test_what_was_shown_stays_shown():
    tables = scores(0.0, 0.3, 0.0)
    found = Looks(NAMES, (3, 6, 12, 24))
    early = found.shown(rows(tables, cheap=6, middle=6, dear=6))
    turned = {**tables, "cheap": tables["cheap"].copy()}
    turned["cheap"][6:] += 5.0  # the later seeds say the contrary
    late = found.shown(turned)
    assert early["cheap", "middle"].p < 0.001
    assert late["cheap", "middle"].p <= early["cheap", "middle"].p


def test_a_race_loses_about_as_little_as_the_whole_grid_for_at_most_half_of_its_trials():
    rng = np.random.default_rng(5)
    found = against_the_grid(partial(simulate, rng, WORLD, candidates=8), 8)
    for row in found.values():
        assert row["trials"] <= 0.5
        assert row["regret_race"][0] <= row["regret_grid"][0] + 0.3
    assert found["latency"]["no_worse"] >= 0.7


def test_with_equal_costs_the_best_mean_of_the_unbeaten_is_recommended():
    tables = scores(0.15, 0.0, 0.0, by_seed=0.5)
    race = Race(NAMES)
    used = dict.fromkeys(NAMES, 0)
    while asked := race.next(rows(tables, **used), costs=dict.fromkeys(NAMES, 1.0)):
        for name in asked:
            used[name] += 1
    seen = rows(tables, **used)
    assert race.standing.recommended == max(seen, key=lambda name: seen[name].mean())
    evened = evenly(Grid(tables, COSTS, dict.fromkeys(NAMES, 0.0)))
    assert run_race(evened).recommended == race.standing.recommended != "cheap"
    by_cost = Race(NAMES, margin=HUGE)
    run(by_cost, tables)
    assert by_cost.standing.recommended == "cheap"


@pytest.mark.parametrize(("margin", "chosen"), [(0.04, "dear"), (0.06, "middle"), (0.16, "cheap")])
def test_the_recommended_candidate_is_within_the_margin_of_the_best_mean(margin, chosen):
    rng = np.random.default_rng(11)
    tables = {}
    for name, mean in zip(NAMES, (0.0, 0.1, 0.15), strict=True):  # few examples show none of it
        own = rng.standard_normal(40)
        tables[name] = own - own.mean() + mean + 1e-3 * rng.standard_normal((24, 40))
    race = Race(NAMES, margin=Margin(value=margin))
    assert len(run(race, tables)) == 3
    assert race.standing.recommended == chosen
    assert race.standing.leader == "dear"
    assert len(race.standing.unbeaten) == 3


def test_a_cheaper_candidate_gets_seeds_while_it_may_come_within_the_margin():
    for mean, may in ((-0.35, True), (-0.7, False)):
        tables = scores(0.0, 0.0, 0.0, by_seed=0.3)
        for name, now in zip(NAMES, (mean, -0.02, 0.0), strict=True):
            tables[name] += now - tables[name][:3].mean()
        race = Race(NAMES, margin=Margin(value=0.3))
        asked = race.next(rows(tables, cheap=3, middle=3, dear=3), costs=COSTS)
        assert ("cheap" in asked) == may
        assert {"middle", "dear"} <= set(asked)  # who is recommended, and who sets what is near
        assert race.standing.recommended == "middle"
        assert "cheap" in race.standing.unbeaten


def test_the_cheapest_is_recommended_where_none_is_better():
    race = Race(NAMES)
    rounds = run(race, scores(0.5, 0.0, 0.0, by_seed=0.01))
    assert rounds == [tuple(NAMES)] * 3
    assert race.standing.recommended == "cheap"
    assert race.over
    assert race.why() == "The race is over: every candidate but cheap has been shown to be beaten."


def test_a_beaten_candidate_gets_no_more_seeds():
    race = Race(NAMES)
    rounds = run(race, scores(-0.5, 0.1, 0.0, by_seed=0.02))
    assert all("cheap" not in asked for asked in rounds[3:])
    assert race.dropped["cheap"]["en"].startswith("after 3 seeds ")
    assert race.dropped["cheap"]["en"].endswith(" has been shown to beat it")
    assert race.dropped["cheap"]["zh"].startswith("经 3 个种子")
    assert race.standing.recommended == "middle"


def test_a_race_ends_when_only_the_noise_of_the_test_examples_is_left():
    rng = np.random.default_rng(7)
    own = {n: rng.standard_normal(40) for n in ("cheap", "middle")}  # few examples, own tastes
    own["middle"] += own["cheap"].mean() - own["middle"].mean() + 0.3
    tables = {n: own[n] + 0.01 * rng.standard_normal((24, 40)) for n in own}
    race = Race(["cheap", "middle"], margin=HUGE)
    assert len(run(race, tables)) == 3
    assert race.end == "noise"
    assert race.why() == (
        "The race is over: the better mean of middle is within chance, and up to 24 seeds each "
        "would most likely leave cheap recommended; what remains is the noise of the test "
        "sample, which only more test examples reduce."
    )
    assert "测试样本本身的噪声" in race.why("zh")


def test_seeds_are_added_while_they_may_show_more_and_at_most_the_most():
    tables = scores(0.0, 0.45, by_seed=0.6, seeds=12)
    race = Race(NAMES[:2], most=12, margin=HUGE)
    rounds = run(race, tables)
    assert 3 < len(rounds) <= 12


def test_a_race_ends_when_its_time_is_used_up_but_each_candidate_is_tried():
    tables = scores(0.0, 0.45, 0.3, by_seed=0.6)
    race = Race(NAMES, until=parse_until("decided or 30m"), margin=HUGE)
    assert run(race, tables, elapsed=1800.0) == [tuple(NAMES)]
    assert race.why() == (
        "The race is over because its time (1800 s) is used up; more seeds could still change that "
        "cheap is recommended."
    )
    assert {v.verdict for v in race.verdicts(rows(tables, cheap=1, middle=1, dear=1))} == {
        "not distinguishable"
    }


def test_until_a_time_goes_on_after_the_decision():
    race = Race(NAMES, until=parse_until("30m"), most=6)
    rounds = run(race, scores(0.0, 0.0, 0.0, by_seed=0.0, seeds=6))
    assert rounds == [tuple(NAMES)] * 6
    assert race.end == "most"


def test_failed_seeds_are_made_up_for_until_the_most():
    tables = scores(0.0, 0.0, 0.5)
    race = Race(NAMES, most=6)
    start = rows(tables, cheap=3, middle=3, dear=2)
    assert race.next(start, costs=COSTS, failed={"dear": 1}) == ("dear",)
    race.next(start, costs=COSTS, failed={"dear": 4})  # it gets no more, and is tested with two
    found = {(v.a, v.b): v for v in race.verdicts(start, failed={"dear": 4})}
    assert found["cheap", "dear"].p < 1.0
    assert "dear" not in race.next(start, costs=COSTS, failed={"dear": 4})


def test_who_misses_a_requirement_neither_races_nor_beats():
    tables = scores(0.1, 0.0, 0.9, by_seed=0.01)
    race = Race(NAMES)
    run(race, tables, excluded={"dear"})
    assert race.standing.recommended == "cheap"
    assert "dear" not in race.standing.unbeaten


def test_the_rounds_follow_from_the_tables_alone():
    tables = scores(0.0, 0.25, 0.2, by_seed=0.4)
    whole = run(Race(NAMES), tables)
    race, used = Race(NAMES), dict.fromkeys(NAMES, 0)
    for asked in whole:
        assert Race(NAMES).next(rows(tables, **used), costs=COSTS) == asked  # another process
        assert race.next(rows(tables, **used), costs=COSTS) == asked  # the same one, again
        for name in asked:
            used[name] += 1
    other = rows(scores(0.5, 0.0, 0.0, by_seed=0.01), cheap=3, middle=3, dear=3)
    fresh = Race(NAMES)
    assert race.next(other, costs=COSTS) == fresh.next(other, costs=COSTS)
    assert race.standing == fresh.standing  # nothing is left of the tables before


def test_a_recorded_grid_is_read_packed_or_plain(tmp_path):
    right = np.random.default_rng(8).random((4, 13)) < 0.8
    np.savez(tmp_path / "grid.npz", a=np.packbits(right, axis=1), b=right)
    (tmp_path / "grid.json").write_text(
        '{"examples": 13, "costs": {"a": {"latency": 2.0}, "b": {"latency": null}}}'
    )
    grid = recorded(tmp_path / "grid.npz")
    np.testing.assert_array_equal(grid.tables["a"], right)
    np.testing.assert_array_equal(grid.tables["b"], right)
    assert grid.costs == {"a": 2.0, "b": float("inf")}


def test_the_section_of_the_calibration_page_shows_every_figure():
    row: dict = dict.fromkeys(["trials", "same", "no_worse"], 0.25)
    row |= {f"regret_{key}": [0.5, 1.5] for key in ("grid", "race", "tenth")}
    both = {"latency": row, "score": {**row, "regret_tenth": [0.0, 0.1]}}
    shared = {"studies": 80, "grids": 20, "false": 0.0125, "examples": 1_000}
    shown = render(
        {
            "small": {**shared, **both, "seed_points": 0.5},
            "r": {**shared, "candidates": 12, "all": both, "half": both},
        }
    )
    figures = "| 20 | 1.2 % of 80 | 25.0 % | 25.0 % | 25.0 % | 0.50 (1.50) | 0.50 (1.50) |"
    assert f"small: 1,000 examples, seeds spread by 0.5 points {figures} 0.50 (1.50) |" in shown
    assert f"| recorded, r, 12 networks, all 1,000 examples {figures} 0.00 (0.10) |" in shown
    assert (
        "it loses 0.00 to 0.00 points to the best candidate in the median of studies, and up to "
        "0.10 in nine"
    ) in shown


def test_a_simulated_grid_has_the_accuracy_it_states():
    rng = np.random.default_rng(9)
    grid: Grid = simulate(rng, World(examples=4_000, seed_points=2.0), candidates=4, seeds=30)
    for name, table in grid.tables.items():
        assert table.mean() == pytest.approx(grid.truth[name], abs=0.025)
    assert run_race(grid).trials <= 120
