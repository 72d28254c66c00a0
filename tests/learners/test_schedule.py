"""The learning rate of the 2017 Transformer."""

import pytest

from assay.compare.candidates import candidate
from assay.engine.spec import Recipe
from assay.learners.schedule import SCHEDULES, inverse_square_root

WARM = 4000


def paper(step: int, width: int) -> float:
    """Equation 3, as it stands; steps from 1."""
    return width**-0.5 * min(step**-0.5, step * WARM**-1.5)


@pytest.mark.parametrize(
    ("name", "width", "steps"), [("base", 512, 100_000), ("big", 1024, 300_000)]
)
def test_the_published_sizes_learn_at_the_papers_rate(name: str, width: int, steps: int):
    recipe = candidate(f"transformer_{name}", (64, 100), "text-to-text").recipe
    share = SCHEDULES[recipe.schedule]
    for step in (1, 10, 3000, 4000, 4001, 20_000, steps):
        rate = recipe.lr * share(step - 1, steps=steps, warmup=recipe.warmup)
        assert rate == pytest.approx(paper(step, width), rel=1e-3), step


def test_the_published_sizes_learn_by_the_papers_adam_and_the_tiny_one_by_the_usual():
    usual = Recipe()
    recipes = [
        candidate(f"transformer_{name}", (64, 100), "text-to-text").recipe
        for name in ("base", "big", "tiny")
    ]
    paper, tiny = (0.98, 1e-9, 0.0), (usual.beta2, usual.epsilon, usual.weight_decay)
    assert [(r.beta2, r.epsilon, r.weight_decay) for r in recipes] == [paper, paper, tiny]
    assert {r.label_smoothing for r in recipes} == {0.1}


def test_without_a_warm_up_it_falls_from_the_first_step():
    shares = [inverse_square_root(step, steps=4, warmup=0.0) for step in range(4)]
    assert shares == pytest.approx([1, 2**-0.5, 3**-0.5, 0.5])
