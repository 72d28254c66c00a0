"""Budgets: what people write, and the steps it buys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.engine.budget import Budget, auto_budget, parse_budget
from assay.errors import BadArgumentError, TrialError

FACTS = {"train_size": 1000, "batch_size": 64, "step_seconds": 0.004, "macs": 1_000_000}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("30s", 7500),
        ("2000steps", 2000),
        ("20epochs", 20 * 15),  # 1000 // 64 batches an epoch
        ("0.1epochs", 2),
        ("1e13flops", int(1e13 / (6 * 64 * 1e6))),
        (" 30 S ", 7500),
        ("auto", 620),  # 2.5 seconds
        ("0.001s", 1),
    ],
)
def test_a_budget_buys_so_many_steps(text: str, steps: int):
    assert parse_budget(text).steps(**FACTS) == steps


@pytest.mark.parametrize("text", ["30s", "2000steps", "20epochs", "1e+13flops", "auto", "0.5s"])
def test_a_budget_prints_as_it_is_read(text: str):
    assert str(parse_budget(text)) == text


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-3s", "0s", "nans", "infs", "1e999s", "3.3.3s", "30 minutes", "१s"]
)
def test_what_is_no_budget_is_refused(text: str):
    with pytest.raises(BadArgumentError) as caught:
        parse_budget(text)
    assert str(caught.value) == (
        "`budget` must be a positive number with a unit: 30s, 2000steps, 20epochs, 1e13flops, "
        f"or auto. Received budget={text!r}."
    )


def test_half_a_step_is_refused():
    with pytest.raises(BadArgumentError) as caught:
        parse_budget("1.5steps")
    assert str(caught.value) == "`budget` in steps must be whole. Received budget='1.5steps'."


@given(st.text(max_size=12))
def test_any_text_is_a_budget_or_refused(text: str):
    try:
        budget = parse_budget(text)
    except BadArgumentError:
        return
    assert budget.steps(**FACTS) >= 1


def test_seconds_need_the_time_of_a_step():
    with pytest.raises(TrialError) as caught:
        Budget(30, "seconds").steps(**{**FACTS, "step_seconds": None})
    assert str(caught.value) == (
        "A budget of 30s needs the time of one step, which the plan does not hold "
        "(step_seconds=None). Give the budget in steps or epochs."
    )


def test_operations_need_those_of_an_example():
    with pytest.raises(TrialError) as caught:
        Budget(1e9, "flops").steps(**{**FACTS, "macs": 0})
    assert str(caught.value) == (
        "A budget of 1e+09flops needs the operations of one example, which are unknown (macs=0). "
        "Give the budget in steps or epochs."
    )


def test_noise_in_the_time_of_a_step_seldom_changes_the_steps():
    budget = Budget(30, "seconds")
    steps = [budget.steps(**{**FACTS, "step_seconds": s}) for s in (3.95e-3, 3.96e-3, 4e-3)]
    assert steps == [7500, 7500, 7500]


@pytest.mark.parametrize(("size", "seconds"), [(10, 2.5), (1078, 2.5), (10_000, 20), (10**6, 60)])
def test_the_automatic_budget_grows_with_the_data_within_bounds(size: int, seconds: int):
    assert auto_budget(size) == Budget(seconds, "seconds")
