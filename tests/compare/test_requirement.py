"""Requirements are read strictly and mean what they say."""

import pytest

from assay.compare.requirement import check_met, check_task, known_early, parse_requirement
from assay.errors import BadArgumentError


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("latency<5ms", 5.0),
        ("latency < 0.5 s", 500.0),
        ("latency-p95<=200us", 0.2),
        ("params<1e6", 1e6),
        ("parameters<1.5M", 1.5e6),
        ("memory<200MB", 200e6),
        ("memory<1GiB", 2.0**30),
        ("size<5MB", 5e6),
        ("accuracy>0.9", 0.9),
        ("accuracy>=95%", 0.95),
        ("top-5>99%", 0.99),
        ("ECE<2%", 0.02),
        ("auroc>0.9", 0.9),
        ("energy<2J", 2000.0),
        ("throughput>100/s", 100.0),
        ("r2>-1", -1.0),
    ],
)
def test_amounts_are_read_with_their_units(text: str, bound: float):
    assert parse_requirement(text).bound == pytest.approx(bound)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("latency<1ms", False),
        ("latency<=1ms", True),
        ("params>999", True),
        ("params>=1001", False),
        ("size<4.1kB", True),
        ("accuracy>0.9", True),
        ("macro-f1>0.1", False),  # was not measured
    ],
)
def test_a_bound_is_kept_or_not(text: str, met: bool, make_row):
    assert parse_requirement(text).met(make_row("a", 0.95)) is met


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("latency<0ms", "latency is at least 0"),
        ("latency<=-1ms", "latency is at least 0"),
        ("params<0", "params is at least 0"),
        ("accuracy>1", "accuracy is at most 1"),
        ("accuracy>=101%", "accuracy is at most 1"),
        ("r2>=1.5", "r2 is at most 1"),
        ("rmse<0", "rmse is at least 0"),
    ],
)
def test_what_no_network_can_meet_is_refused(text: str, end: str):
    with pytest.raises(BadArgumentError) as caught:
        parse_requirement(text)
    assert str(caught.value) == (
        f"`require` must be something that a network can meet, and {end}. Received {text!r}."
    )


@pytest.mark.parametrize(
    "text", ["accuracy>=1", "params<=0", "throughput>1e12", "r2<-5", "latency>0"]
)
def test_the_best_of_all_values_may_be_asked_for(text: str):
    parse_requirement(text)


COSTS = {"a": {"params": 650.0, "macs": 640.0}, "b": {"params": 85_002.0, "macs": 84_736.0}}


def test_what_no_candidate_meets_is_refused_with_the_nearest():
    asked = known_early([parse_requirement(t) for t in ("latency<1ms", "macs>1", "params<500")])
    with pytest.raises(BadArgumentError) as caught:
        check_met(asked, COSTS)
    assert str(caught.value) == (
        "`require` must be met by a candidate. Received 'params<500', and none of 2 does: a comes "
        "nearest with 650; name other candidates with --models or allow more."
    )


@pytest.mark.parametrize("text", ["params<651", "macs>84735", "latency<1us"])
def test_what_one_candidate_meets_or_nobody_knows_yet_is_let_pass(text: str):
    check_met(known_early([parse_requirement(text)]), COSTS)


def test_candidates_that_could_not_be_built_refuse_nothing():
    check_met([parse_requirement("params<500")], {})


def test_what_was_not_measured_is_not_kept(make_row):
    assert not parse_requirement("latency<1e9").met(make_row("a", 0.9, cost=None))


@pytest.mark.parametrize(
    "text", ["", "latency", "latency<", "<5ms", "latency=5ms", "latency<5ms<6ms"]
)
def test_a_text_that_is_no_requirement_is_answered_with_the_form(text: str):
    with pytest.raises(BadArgumentError) as caught:
        parse_requirement(text)
    assert str(caught.value) == (
        "`require` must be a quantity, one of < <= > >=, and a number with a unit, such as "
        f'"latency<5ms" or "params<1e6". Received {text!r}.'
    )


def test_an_unknown_quantity_is_answered_with_the_nearest():
    with pytest.raises(BadArgumentError) as caught:
        parse_requirement("latancy<5ms")
    assert str(caught.value) == (
        "`require` must name one of accuracy, auroc, balanced-accuracy, bleu, calibration-error, "
        "chrf, energy-proxy, exact-match, latency, latency-p95, log-loss, macro-f1, macs, mae, "
        "mase, memory, params, perplexity, precision, r2, recall, rmse, rouge-l, size, smape, "
        "span-f1, span-precision, span-recall, throughput, token-accuracy, token-log-loss, top-5. "
        "Received 'latancy'. Did you mean 'latency'?"
    )


def test_a_unit_of_another_quantity_is_refused():
    with pytest.raises(BadArgumentError) as caught:
        parse_requirement("latency<5MB")
    assert str(caught.value) == (
        "`require` must give latency in a unit it has: ms, s, us, µs. Received 'MB'."
    )


def test_a_number_with_two_points_is_refused():
    with pytest.raises(BadArgumentError) as caught:
        parse_requirement("latency<5.0.1ms")
    assert str(caught.value) == (
        "`require` must hold one number. Received '5.0.1' in 'latency<5.0.1ms'; write 0.5 or 1e6."
    )


def test_a_metric_of_another_task_is_refused():
    with pytest.raises(BadArgumentError) as caught:
        check_task(parse_requirement("accuracy>0.9"), "tabular-regression")
    assert str(caught.value) == (
        "`require` must name a quantity that the task has. Received 'accuracy>0.9' for "
        "tabular-regression, which has mae, r2, rmse, smape."
    )
    check_task(parse_requirement("accuracy>0.9"), "image-classification")
    check_task(parse_requirement("size<1MB"), "tabular-regression")
