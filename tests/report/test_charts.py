import math
from dataclasses import replace

import pytest
from fake_study import ROWS, regression, study

from assay.compare.result import Estimate, PairVerdict
from assay.engine.spec import Point
from assay.report import charts, page
from assay.report.figures import Scores, scores_of


def pair(a: str, b: str, verdict) -> PairVerdict:
    return PairVerdict(a=a, b=b, difference=0.1, low=0.05, high=0.15, p=0.01, p_holm=0.01,
                       verdict=verdict)  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "seen_from_a", "seen_from_b"),
    [
        ("better", "better", "worse"),
        ("worse", "worse", "better"),
        ("not distinguishable", "not distinguishable", "not distinguishable"),
    ],
)
def test_a_verdict_turns_round_with_the_side_it_is_seen_from(verdict, seen_from_a, seen_from_b):
    found = pair("a", "b", verdict)
    assert charts.verdict_of(found, "a") == seen_from_a
    assert charts.verdict_of(found, "b") == seen_from_b


def test_the_matrix_says_the_opposite_across_its_diagonal():
    names, cells = charts.verdict_matrix(study())
    opposite = {"better": "worse", "worse": "better", "": ""}
    assert any("better" in row for row in cells)
    for i, row in enumerate(cells):
        assert row[i] == ""
        assert [opposite.get(v, v) for v in row] == [cells[k][i] for k in range(len(names))]


def test_the_sentence_of_a_cell_counts_from_its_row():
    made = replace(study(), verdicts=(pair("resnet18", "mlp", "better"),))
    text = page.render(made)
    assert (
        "resnet18 is better than mlp by +10.0 points (95% interval +5.0 points to +15.0 points, "
        "p = 0.01 after Holm)."
    ) in text
    assert (
        "mlp is worse than resnet18 by −10.0 points (95% interval −15.0 points to −5.0 points, "
        "p = 0.01 after Holm)."
    ) in text


def test_the_front_holds_what_no_other_beats_on_both_axes():
    points = [(1.0, 0.7), (2.0, 0.6), (3.0, 0.9), (3.0, 0.8), (4.0, 0.9), (9.0, 0.95)]
    assert charts.front(points, higher_is_better=True) == [0, 2, 5]
    assert charts.front(points, higher_is_better=False) == [0, 1]


def test_cost_points_leave_out_what_was_not_measured():
    found = charts.cost_points(regression(), "parameters")
    assert "softmax_regression" not in [p["name"] for p in found["points"]]
    assert len(found["points"]) == 5


def test_a_curve_is_the_mean_of_the_seeds_that_reached_a_step():
    made = study(ROWS[:1], seeds=2)
    first, second = made.candidates[0].seeds
    curve = tuple(Point(step=10 * k, seconds=k, train_loss=1, val_loss=1, val_score=0.5)
                  for k in (1, 2))  # fmt: skip
    lost = replace(curve[1], val_score=math.nan)
    higher = replace(curve[0], seconds=3, val_score=0.7)
    seeds = (replace(first, curve=curve), replace(second, curve=(higher, lost)))
    found = charts.curves(replace(made, candidates=(replace(made.candidates[0], seeds=seeds),)))[0]
    assert found["steps"] == (10, 20)
    assert found["seconds"] == (2.0, 2.0)
    assert found["mean"] == (0.6, 0.5)
    assert (found["low"], found["high"]) == ((0.5, 0.5), (0.7, 0.5))


def test_the_recommended_curve_is_shown_even_when_it_ranks_low():
    made = study()
    low = replace(made.recommendation, candidate="softmax_regression")
    shown = [c["name"] for c in charts.curves(replace(made, recommendation=low)) if c["on"]]
    assert shown == [*[c.name for c in made.candidates[: charts.SHOWN_CURVES]], low.candidate]


def test_many_classes_are_cut_to_those_with_most_mistakes():
    classes = tuple(f"c{k:02}" for k in range(60))
    made = study(ROWS[:1], classes=classes)
    matrix = [[9 * (t == p) for p in range(60)] for t in range(60)]
    matrix[50][7] = 5
    matrix[3][59] = 2
    only = replace(made.candidates[0], confusion=tuple(map(tuple, matrix)))
    found = charts.confusion(replace(made, candidates=(only,)))
    part = found["matrices"][0]
    assert len(part["classes"]) == charts.SHOWN_CLASSES
    assert {"c03", "c07", "c50", "c59"} <= set(part["classes"])
    assert part["top"] == [["c50", "c07", 5], ["c03", "c59", 2]]
    assert found["total"] == 60


@pytest.mark.parametrize(
    ("half", "shown"), [(0.02, "98.4%"), (0.002, "98.40%"), (0.0002, "98.400%")]
)
def test_scores_have_as_many_decimals_as_their_intervals_deserve(half: float, shown: str):
    made = study(ROWS[:1])
    narrow = replace(made.candidates[0], score=Estimate(0.984, 0.984 - half, 0.984 + half))
    assert scores_of(replace(made, candidates=(narrow,)))(0.984) == shown


def test_a_score_that_is_no_share_has_no_percent_sign():
    assert Scores(share=False, decimals=2)(13.456) == "13.46"
    assert Scores(share=True, decimals=1)(math.nan) == "–"
