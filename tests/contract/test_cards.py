"""What every card promises. The catalog supplies the cases; no entry is named here."""

import inspect
import re
from dataclasses import asdict
from importlib import import_module
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from assay.canon.card import Card, Shape, Variant
from assay.canon.catalog import PACKAGE, catalog
from assay.data.dataset import TASKS
from assay.engine.spec import Recipe
from assay.models.build import build

IMAGES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 12, 20)]
EXAMPLES: dict[str, list[Shape]] = {  # of each task: what a study may bring
    "image-classification": IMAGES,
    "sequence-classification": [(24, 6)],
    "tabular-classification": [(13,)],
    "tabular-regression": [(13,)],
}
LARGE = [(3, 96, 72), (1, 65, 8), (3, 224, 160)]

every_card = pytest.mark.parametrize("card", catalog().cards, ids=lambda card: card.id)
every_variant = pytest.mark.parametrize(
    ("card", "variant"),
    [pytest.param(card, v, id=v.name) for card in catalog().cards for v in card.variants],
)


def shapes_of(card: Card) -> list[Shape]:
    return list(dict.fromkeys(shape for task in card.tasks for shape in EXAMPLES[task]))


smallest_on_every_shape = pytest.mark.parametrize(
    ("variant", "shape"),
    [
        pytest.param(v, shape, id=f"{v.name}-{'x'.join(map(str, shape))}")
        for card in catalog().cards
        for v in [min(card.variants, key=lambda v: v.parameters)]
        for shape in shapes_of(card)
    ],
)


def test_the_canon_holds_candidates_for_every_task():
    assert [task for task in TASKS if not catalog().candidates(task)] == []


@every_card
def test_a_cards_parents_are_cards_and_older_or_as_old(card: Card):
    years = {parent.id: parent.paper.year for parent in catalog().parents(card.id)}
    assert [name for name, year in years.items() if year > card.paper.year] == []


@every_card
def test_no_card_is_its_own_ancestor(card: Card):
    seen, ahead = set(), list(card.parents)
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead.extend(parent.id for parent in catalog().parents(name))
    assert card.id not in seen


@every_card
def test_a_card_fits_tasks_that_exist(card: Card):
    assert card.tasks
    assert set(card.tasks) <= set(TASKS)


@every_card
def test_a_cards_recipe_has_values_that_the_engine_knows(card: Card):
    kinds = get_type_hints(Recipe)
    for name, value in asdict(card.recipe).items():
        allowed = get_args(kinds[name]) or (kinds[name],)
        number = float in allowed and type(value) is int
        assert value in allowed or type(value) in allowed or number, name


@every_card
def test_a_cards_default_setting_lies_in_its_search_range(card: Card):
    recipe = asdict(card.recipe)
    for name, span in card.search.items():
        assert span.low <= span.default <= span.high, name
        assert span.default == recipe[name], name


@every_card
def test_a_card_speaks_both_languages(card: Card):
    for text in asdict(card.zh).items():
        assert text[0] == "name" or re.search(r"[\u4e00-\u9fff]", text[1]), text
    assert not re.search(r"[\u4e00-\u9fff]", "".join(asdict(card.en).values()))


@every_card
def test_a_card_lies_beside_the_code_of_all_its_variants(card: Card):
    modules = {variant.code.partition(":")[0] for variant in card.variants}
    beside = card.path.with_suffix(".py").relative_to(PACKAGE.parent)
    assert modules == {".".join(beside.with_suffix("").parts)}


def test_no_architecture_is_without_a_card():
    files = [path for path in (PACKAGE / "models").glob("*/*.py") if path.stem != "__init__"]
    assert files
    assert [str(path) for path in files if not path.with_suffix(".toml").exists()] == []


@every_variant
def test_a_variants_builder_takes_shape_outputs_and_small(card: Card, variant: Variant):
    module, _, name = variant.code.partition(":")
    taken = inspect.signature(getattr(import_module(module), name)).parameters
    assert list(taken) == ["inputs", "outputs", "small"]
    assert taken["small"].kind is inspect.Parameter.KEYWORD_ONLY
    assert taken["small"].default is False


def on_meta(variant: Variant, shape: Shape | None = None, outputs: int | None = None) -> nn.Module:
    with torch.device("meta"):  # shapes without memory or compute: nothing is too big to check
        return build(variant.name, inputs=shape, outputs=outputs)


@every_variant
def test_a_variant_has_the_parameters_that_its_card_states(card: Card, variant: Variant):
    model = on_meta(variant)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == variant.parameters


@every_variant
def test_a_variant_scores_its_native_shape_at_the_cost_its_card_states(
    card: Card, variant: Variant
):
    model = on_meta(variant).eval()
    counter = FlopCounterMode(display=False)
    with counter:
        scores = model(torch.empty(1, *card.native(variant), device="meta"))
    assert scores.shape == (1, variant.outputs)
    assert counter.get_total_flops() / 2 == pytest.approx(variant.macs, rel=0.01)


@every_variant
def test_a_variant_reads_large_and_long_images_too(card: Card, variant: Variant):
    if "image-classification" in card.tasks:
        for shape in LARGE:
            model = on_meta(variant, shape, outputs=7)
            assert model(torch.empty(2, *shape, device="meta")).shape == (2, 7), shape


@smallest_on_every_shape
def test_every_parameter_learns(variant: Variant, shape: Shape):
    torch.manual_seed(0)
    model = build(variant.name, inputs=shape, outputs=5)
    scores = model(torch.randn(4, *shape))
    assert scores.shape == (4, 5)
    nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 3])).backward()
    learning = [(name, p.grad) for name, p in model.named_parameters() if p.requires_grad]
    assert [name for name, grad in learning if grad is None or not grad.any()] == []


@smallest_on_every_shape
def test_an_example_is_scored_alone(variant: Variant, shape: Shape):
    torch.manual_seed(0)
    model = build(variant.name, inputs=shape, outputs=5).eval()
    examples = torch.randn(3, *shape)
    with torch.inference_mode():
        together, alone = model(examples), model(examples[:1])
    assert len(together.unique(dim=0)) == 3  # all-equal scores would prove nothing below
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)


@smallest_on_every_shape
def test_the_same_seed_builds_the_same_network(variant: Variant, shape: Shape):
    first, second = (seeded(variant, shape, 0) for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = seeded(variant, shape, 1)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def seeded(variant: Variant, shape: Shape, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return build(variant.name, inputs=shape, outputs=5).state_dict()
