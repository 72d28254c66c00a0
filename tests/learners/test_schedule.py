"""The learning rate of the 2017 Transformer."""

import pytest

from assay.learners.schedule import inverse_square_root

WIDTH, WARM = 512, 4000


def paper(step: int) -> float:
    """Equation 3, as it stands; steps from 1."""
    return WIDTH**-0.5 * min(step**-0.5, step * WARM**-1.5)


@pytest.mark.parametrize("step", [1, 10, 3999, 4000, 4001, 100_000])
def test_the_schedule_is_the_papers_divided_by_its_peak(step: int):
    share = inverse_square_root(step - 1, steps=100_000, warmup=WARM / 100_000)
    assert share == pytest.approx(paper(step) / paper(WARM))


def test_without_a_warm_up_it_falls_from_the_first_step():
    shares = [inverse_square_root(step, steps=4, warmup=0.0) for step in range(4)]
    assert shares == pytest.approx([1, 2**-0.5, 3**-0.5, 0.5])
