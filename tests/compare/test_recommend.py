"""The cheapest candidate that nothing has been shown to beat and that is near the best mean."""

import math
from functools import partial

import pytest

from assay.compare.margin import Margin, margin_for
from assay.compare.recommend import PREFERENCES, choose
from assay.compare.recommend import recommend as recommend_within
from assay.compare.requirement import parse_requirement
from assay.errors import BadArgumentError

recommend = partial(recommend_within, margin=Margin(value=0.01, share=True))


@pytest.fixture
def three(make_row, make_measurement):
    """The best is dear, the second cheap and not distinguishable from it, the last cheapest."""
    return [
        make_row("dear", 0.95, rank=1, cost=make_measurement(latency_p50_ms=9.0)),
        make_row("cheap", 0.94, rank=2, cost=make_measurement(latency_p50_ms=2.0)),
        make_row("poor", 0.60, rank=3, cost=make_measurement(latency_p50_ms=0.1)),
    ]


@pytest.fixture
def verdicts(make_pair):
    return [
        make_pair("dear", "cheap"),
        make_pair("dear", "poor", "better"),
        make_pair("cheap", "poor", "better"),
    ]


def test_the_cheapest_unbeaten_candidate_is_recommended(three, verdicts):
    found = recommend(three, verdicts, prefer="latency")
    assert found.candidate == "cheap"
    assert found.why == {
        "en": "cheap is recommended: it has the lowest latency (2 ms) of the 2 candidates that no "
        "other has been shown to beat and that are within 1 point of the best mean, dear's.",
        "zh": "推荐 cheap：在 2 个未被证明不如他者、且与最好均值（dear）相差不超过 1 个百分点"
        "的候选中，它的延迟最低（2 ms）。",
    }
    assert found.margin == 0.01


def test_outside_the_margin_the_best_mean_is_recommended(three, verdicts):
    found = recommend_within(three, verdicts, prefer="latency", margin=margin_for(None, share=True))
    assert found.candidate == "dear"
    assert found.why == {
        "en": "dear is recommended: it has the best mean of the 2 candidates that no other has "
        "been shown to beat, and no other of these is within 0.3 points of it.",
        "zh": "推荐 dear：在 2 个未被证明不如他者的候选中，它的均值最好，"
        "其余都与它相差 0.3 个百分点以上。",
    }


def test_cheaper_candidates_that_the_margin_left_out_are_counted(three, make_pair):
    pairs = [make_pair("dear", "cheap"), make_pair("dear", "poor"), make_pair("cheap", "poor")]
    found = recommend(three, pairs, prefer="latency")
    assert found.candidate == "cheap"
    assert found.why["en"].endswith(
        " within 1 point of the best mean, dear's; 1 cheaper one is further from it."
    )
    assert found.why["zh"].endswith("；另有 1 个成本更低，但均值相差更多。")


def test_the_best_mean_may_also_be_the_cheapest_within_the_margin(three, verdicts):
    found = recommend(three, verdicts, prefer="params")  # all have as many
    assert found.candidate == "dear"
    assert found.why["en"].endswith(" within 1 point of the best mean, its own.")
    assert "最好均值（它自己）" in found.why["zh"]


def test_a_huge_margin_leaves_the_verdicts_alone_to_decide(three, make_pair):
    pairs = [make_pair("dear", "cheap"), make_pair("dear", "poor"), make_pair("cheap", "poor")]
    found = recommend_within(three, pairs, prefer="latency", margin=margin_for("100%", share=True))
    assert found.candidate == "poor"


@pytest.mark.parametrize(
    ("asked", "chosen"), [(None, "gru"), ("300%", "lstm"), ("0.03", "gru"), (0.05, "lstm")]
)
def test_where_less_is_better_the_margin_lies_above_the_least(
    asked, chosen, make_row, make_pair, make_measurement
):
    rows = [
        make_row("gru", 0.0126, rank=1),
        make_row("lstm", 0.048, rank=2, cost=make_measurement(latency_p50_ms=0.5)),
    ]
    found = recommend_within(
        rows,
        [make_pair("gru", "lstm")],
        prefer="latency",
        margin=margin_for(asked, share=False),
        higher_is_better=False,
    )
    assert found.candidate == chosen


def test_a_margin_of_nothing_leaves_equals_only():
    none = margin_for("0", share=True)
    means = {"a": 0.9, "b": 0.9 - 2e-16, "c": 0.8999}
    assert choose(list(means), means, {"a": 3.0, "b": 2.0, "c": 1.0}, none) == "b"


def test_margins_read_as_people_say_them():
    read = {
        (asked, share): margin_for(asked, share=share).words("en")
        for asked in (None, "1%", "0.5 %", "0.02", 0)
        for share in (True, False)
    }
    assert read == {
        (None, True): "0.3 points",
        (None, False): "1%",
        ("1%", True): "1 point",
        ("1%", False): "1%",
        ("0.5 %", True): "0.5 points",
        ("0.5 %", False): "0.5%",
        ("0.02", True): "2 points",
        ("0.02", False): "0.02",
        (0, True): "0 points",
        (0, False): "0",
    }
    assert margin_for("2%", share=False).of(-50.0) == 1.0


@pytest.mark.parametrize("asked", ["", "%", "-1%", "1.2.3", "nan", "inf", "1e999", math.nan, True])
def test_what_is_no_margin_is_refused(asked):
    with pytest.raises(BadArgumentError) as caught:
        margin_for(asked, share=True)
    assert str(caught.value) == (
        "`margin` must be a percentage such as 0.3%, or a number of at least 0 in the metric's "
        f"unit such as 0.003. Received margin={asked!r}; leave it out for 0.3 points of a share "
        "such as accuracy and 1% of any other score."
    )


def test_a_share_has_no_margin_above_one():
    assert margin_for("3", share=False).value == 3.0
    with pytest.raises(BadArgumentError) as caught:
        margin_for("3", share=True)
    assert str(caught.value) == (
        "`margin` must be at most 1, or 100%, where the metric is a share such as accuracy. "
        "Received margin='3'; a percent sign makes it points, as in 0.3%."
    )


def test_by_score_the_best_mean_of_the_unbeaten_is_recommended(three, verdicts):
    found = recommend(three, verdicts, prefer="score")
    assert found.candidate == "dear"
    assert found.why == {
        "en": "dear is recommended: it has the best mean of the 2 candidates that no other has "
        "been shown to beat.",
        "zh": "推荐 dear：在 2 个未被证明不如他者的候选中，它的均值最好。",
    }


def test_a_candidate_shown_worse_is_never_recommended_however_cheap(three, make_pair):
    worse = [
        make_pair("poor", "dear", "worse"),
        make_pair("poor", "cheap"),
        make_pair("dear", "cheap"),
    ]
    assert recommend(three, worse, prefer="latency").candidate == "cheap"


def test_the_only_unbeaten_candidate_is_named_as_such(three, make_pair):
    clear = [
        make_pair("dear", "cheap", "better"),
        make_pair("dear", "poor", "better"),
        make_pair("cheap", "poor", "better"),
    ]
    found = recommend(three, clear, prefer="latency")
    assert found.candidate == "dear"
    assert found.why["en"] == (
        "dear is recommended: every other candidate has been shown to be beaten."
    )


def test_requirements_leave_candidates_out_and_say_which(three, verdicts):
    found = recommend(three, verdicts, prefer="latency", require=[parse_requirement("latency<1ms")])
    assert found.candidate == "poor"
    assert found.excluded == {"dear": "latency<1ms", "cheap": "latency<1ms"}
    assert found.why["en"] == (
        "poor is recommended: no other candidate finished within the requirements."
    )


def test_the_only_candidate_beats_nobody(three):
    found = recommend(three[:1], [], prefer="latency")
    assert found.why["en"].endswith(" is recommended: it is the only candidate.")


def test_when_nothing_meets_the_requirements_they_are_named(three, verdicts):
    asked = [parse_requirement("latency<1ms"), parse_requirement("accuracy>0.9")]
    found = recommend(three, verdicts, prefer="latency", require=asked)
    assert found.candidate is None
    assert found.excluded["poor"] == "accuracy>0.9"
    assert found.why["en"] == (
        "Nothing is recommended: no candidate meets all requirements; "
        "missed were accuracy>0.9, latency<1ms."
    )


def test_one_seed_says_what_cannot_be_said(make_row, make_pair):
    rows = [make_row("a", 0.9, rank=1, seeds=1), make_row("b", 0.8, rank=2, seeds=1)]
    found = recommend(rows, [make_pair("a", "b")], prefer="params")
    assert found.why["en"] == (
        "a is recommended: it has the best mean of the 2 candidates that no other has been shown "
        "to beat, and no other of these is within 1 point of it; with one seed nothing can be said "
        "of how much another seed would change this."
    )
    assert "只有一个随机种子" in found.why["zh"]


def test_failed_candidates_take_no_part(make_row, make_pair):
    rows = [make_row("a", 0.9, rank=1), make_row("b", None, rank=2, cost=None)]
    assert recommend(rows, [], prefer="latency").candidate == "a"


def test_nothing_is_recommended_when_all_failed(make_row):
    found = recommend([make_row("a", None, cost=None)], [], prefer="latency")
    assert found.candidate is None
    assert found.why["en"] == (
        "Nothing is recommended: no candidate finished; the table tells each reason."
    )


def test_what_could_not_be_measured_counts_as_dearest(make_row, make_pair):
    rows = [make_row("a", 0.9, rank=1, cost=None), make_row("b", 0.89, rank=2)]
    assert recommend(rows, [make_pair("a", "b")], prefer="latency").candidate == "b"


@pytest.mark.parametrize("prefer", sorted(PREFERENCES))
def test_each_preference_looks_at_its_own_cost(prefer, make_row, make_pair, make_measurement):
    fields = {
        "latency": "latency_p50_ms",
        "params": "parameters",
        "memory": "peak_memory_bytes",
        "energy-proxy": "energy_proxy_mj",
    }
    rows = [
        make_row("a", 0.9, rank=1),
        make_row("b", 0.9, rank=2, cost=make_measurement(**{fields[prefer]: 0.01})),
    ]
    assert recommend(rows, [make_pair("a", "b")], prefer=prefer).candidate == "b"
