"""The cheapest candidate that nothing has been shown to beat."""

import pytest

from assay.compare.recommend import PREFERENCES, recommend
from assay.compare.requirement import parse_requirement


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
        "other has been shown to beat, and dear's better mean is within chance.",
        "zh": "推荐 cheap：在 2 个未被证明不如他者的候选中，它的延迟最低（2 ms）；"
        "dear 的均值虽更好，但差异在偶然范围之内。",
    }


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
        "a is recommended: it has the fewest parameters (1 k) of the 2 candidates that no other "
        "has been shown to beat; with one seed nothing can be said of how much another seed would "
        "change this."
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
