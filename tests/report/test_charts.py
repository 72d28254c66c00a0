import math
from dataclasses import replace

import numpy as np
import pytest
from fake_study import OPPONENTS, ROWS, by_log_loss, evident, opposed, regression, study

from assay.compare.result import Estimate, PairVerdict
from assay.engine.spec import Point
from assay.report import charts, evidence, figures, page
from assay.report.figures import Scores, scores_of
from assay.report.text import Words


def pair(a: str, b: str, verdict) -> PairVerdict:
    return PairVerdict(a=a, b=b, difference=0.1, low=0.05, high=0.15, p=0.01, p_holm=0.01,
                       verdict=verdict, better=0.9, loss=0.02)  # fmt: skip


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


def test_a_turned_verdict_loses_the_difference_and_what_the_other_lost():
    found = pair("a", "b", "better")
    assert (charts.better_of(found, "a"), charts.loss_of(found, "a")) == (0.9, 0.02)
    assert charts.better_of(found, "b") == pytest.approx(0.1)
    assert charts.loss_of(found, "b") == pytest.approx(0.12)


def test_what_the_other_lost_is_the_mean_of_what_the_first_gains():
    rng = np.random.default_rng(0)
    truth = 0.1 + 0.2 * rng.standard_t(9, 1_000_000)
    found = replace(
        pair("a", "b", "better"), difference=truth.mean(), loss=np.maximum(-truth, 0).mean()
    )
    assert charts.loss_of(found, "b") == pytest.approx(np.maximum(truth, 0).mean(), rel=1e-6)


def test_baselines_are_beaten_by_the_networks_shown_better():
    made = opposed(study())
    wins = [v.b for v in made.against_baselines if v.verdict == "better"]
    assert charts.beaten_by(made) == {row[0]: wins.count(row[0]) for row in OPPONENTS}
    assert charts.beaten_by(made)["baseline:majority"] == len(ROWS)


def test_every_baseline_must_be_beaten_by_one_network():
    assert not charts.unbeaten(study())
    assert not charts.unbeaten(opposed(study()))
    assert charts.unbeaten(opposed(study(), shift=0.012))
    only = [v for v in opposed(study()).against_baselines if v.b != "baseline:majority"]
    assert charts.unbeaten(replace(opposed(study()), against_baselines=tuple(only)))


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


@pytest.mark.parametrize(
    ("mean", "half", "shown"),
    [
        (0.51234, 0.2, "0.512"),
        (12.3456, 3, "12.3"),
        (1234.5, 400, "1234"),
        (0.51234, 0.001, "0.5123"),
    ],
)
def test_a_score_that_is_no_share_has_three_digits(mean: float, half: float, shown: str):
    made = regression()
    one = replace(made.candidates[0], score=Estimate(mean, mean - half, mean + half))
    assert scores_of(replace(made, candidates=(one,)))(mean) == shown


@pytest.mark.parametrize(
    ("metric", "en", "zh", "share"),
    [
        ("accuracy", "accuracy", "准确率", True),
        ("macro-f1", "macro F1", "宏平均 F1", True),
        ("macro_f1", "macro F1", "宏平均 F1", True),
        ("top-3", "top-3 accuracy", "前 3 准确率", True),
        ("log-loss", "log loss", "对数损失", False),
        ("my/own.py:net_gain", "net gain", "net gain", False),
        ("torchmetrics:CohenKappa", "CohenKappa", "CohenKappa", False),
    ],
)
def test_every_metric_has_a_name_and_a_unit(metric: str, en: str, zh: str, share: bool):
    made = replace(study(ROWS[:1]), metric=metric)
    assert (figures.metric_label(made, "en"), figures.metric_label(made, "zh")) == (en, zh)
    assert scores_of(made).share == share


def test_a_headline_that_is_no_share_leaves_the_validation_accuracy_in_percent():
    assert figures.validation_of(by_log_loss()) == Scores(share=True, decimals=1)
    assert figures.validation_of(regression()) == Scores(share=False, decimals=3)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "50%"), (0.97, "97%"), (0.9931, "99.3%"), (0.99999, "> 99.9%"), (1e-9, "< 0.1%"),
     (0.004, "0.4%"), (math.nan, "–")],
)  # fmt: skip
def test_a_probability_is_never_rounded_to_certainty(value: float, shown: str):
    assert figures.chance(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0021, "0.21 points"), (0.00001, "< 0.01 points"), (0.0, "0.00 points")]
)
def test_a_loss_is_never_rounded_to_nothing(value: float, shown: str):
    assert Scores(share=True, decimals=1).loss(value, Words("en")) == shown


def test_a_setting_is_told_with_the_part_of_the_steps_it_ran():
    made = evident()
    told = evidence.tuning(made, Words("en"))
    assert [row["chosen"] for row in told["rows"][:3]] == ["default", "no. 1", "no. 2"]
    assert told["rows"][0]["before"] == told["rows"][0]["after"]
    assert told["rows"][1]["before"][1] == "after 33% of the steps"
    assert told["count"] == 9 * len(ROWS)
    lost = [row for row in told["every"] if row["reason"]]
    assert {row["score"] for row in lost} == {("–", "after 11% of the steps")}


def test_classes_count_each_test_example_once():
    made = study(ROWS[:1], classes=("cat", "dog"))
    only = replace(made.candidates[0], confusion=((6, 3), (0, 6)), recommended=True)
    told = evidence.classwise(replace(made, candidates=(only,)), Words("en"))
    cat, dog = told["rows"]
    assert [text for _, text in cat["cells"]] == ["100.0%", "66.7%", "80.0%"]
    assert [text for _, text in dog["cells"]] == ["66.7%", "100.0%", "80.0%"]
    assert (cat["support"], dog["support"]) == (3, 2)


def test_a_score_that_is_no_share_has_no_percent_sign():
    assert Scores(share=False, decimals=2)(13.456) == "13.46"
    assert Scores(share=True, decimals=1)(math.nan) == "–"
