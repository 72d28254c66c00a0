"""What every card promises. The catalog supplies the cases; no entry is named here."""

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from assay.canon.card import KINDS, SERIES, AnyCard, Architecture, Part, Shape, Variant
from assay.canon.catalog import PACKAGE, catalog
from assay.canon.search import value_of
from assay.canon.task import TASKS, Task
from assay.data.tokens import END
from assay.engine.spec import Recipe
from assay.learners.objective import objective_for
from assay.models.build import build
from assay.models.example import answer_shape, blank, drawn, drawn_truth

EXAMPLES: dict[str, list[Shape]] = {  # of what is read: what a study may bring
    "image": [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 12, 20)],
    "sequence": [(24, 6)],
    "tokens": [(12, 40)],
    "table": [(13,)],
}
Case = tuple[Variant, Task, Shape]
LARGE = [(3, 96, 72), (1, 65, 8), (3, 224, 160)]

GIANT = 2_000_000_000  # parameters; the costs of smaller ones of the same code are checked

HAN = re.compile(r"[\u4e00-\u9fff]")
WORDS = re.compile(r"\b(and|any|each|for|from|in|is|last|of|over|same|the|where|with)\b")

PARTS = [card for card in catalog().cards if isinstance(card, Part)]

every_card = pytest.mark.parametrize("card", catalog().cards, ids=lambda card: card.id)
every_part = pytest.mark.parametrize("card", PARTS, ids=lambda card: card.id)
every_architecture = pytest.mark.parametrize(
    "card", catalog().architectures, ids=lambda card: card.id
)
every_variant = pytest.mark.parametrize(
    ("card", "variant"),
    [pytest.param(card, v, id=v.name) for card in catalog().architectures for v in card.variants],
)


def cases_of(card: Architecture) -> list[Case]:
    """Return the smallest variant, and the smallest small one, on every shape of every task."""
    forms = [[v for v in card.variants if card.made_small(v) is made] for made in (False, True)]
    return [
        (min(form, key=lambda v: v.parameters), task, shape)
        for form in forms
        if form
        for task in card.tasks
        for shape in EXAMPLES[TASKS[task].reads]
    ]


def smallest_on(choose: Callable[[Architecture], list[Case]]) -> pytest.MarkDecorator:
    """Cases of each card's smallest variant, as they are chosen."""
    return pytest.mark.parametrize(
        ("variant", "task", "shape"),
        [
            pytest.param(*case, id=f"{case[0].name}-{case[1]}-{'x'.join(map(str, case[2]))}")
            for card in catalog().architectures
            for case in choose(card)
        ],
    )


def affordable_cases_of(card: Architecture) -> list[Case]:
    large = min(variant.parameters for variant in card.variants) > 30_000_000
    return cases_of(card)[-1:] if large else cases_of(card)


def one_case_of_each_kind(card: Architecture) -> list[Case]:
    """Return the last case of each kind of examples that an entry reads."""
    return list({TASKS[task].reads: (v, task, shape) for v, task, shape in cases_of(card)}.values())


smallest_on_every_shape = smallest_on(affordable_cases_of)
smallest_on_one_shape = smallest_on(one_case_of_each_kind)
smallest_on_large_shapes = smallest_on(
    lambda card: [
        (v, task, shape)
        for v, task, _ in cases_of(card)[:1]
        for shape in LARGE
        if task == "image-classification"
    ]
)


def test_the_canon_holds_candidates_for_every_task():
    assert [task for task in TASKS if not catalog().candidates(task)] == []


@every_card
def test_a_cards_parents_are_cards_and_older_or_as_old(card: AnyCard):
    years = {parent.id: parent.paper.year for parent in catalog().parents(card.id)}
    assert [name for name, year in years.items() if year > card.paper.year] == []


@every_card
def test_no_card_is_its_own_ancestor(card: AnyCard):
    seen, ahead = set(), list(card.parents)
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead.extend(parent.id for parent in catalog().parents(name))
    assert card.id not in seen


@every_architecture
def test_a_cards_recipe_has_values_that_the_engine_knows(card: Architecture):
    kinds = get_type_hints(Recipe)
    own = [card.recipe_for(variant, task) for variant in card.variants for task in card.tasks]
    for name, value in (fact for recipe in own for fact in asdict(recipe).items()):
        allowed = get_args(kinds[name]) or (kinds[name],)
        number = float in allowed and type(value) is int
        assert value in allowed or type(value) in allowed or number, name


@every_architecture
def test_a_cards_default_setting_lies_in_its_search_range(card: Architecture):
    for name, span in card.search.items():
        assert span.low <= span.default <= span.high, name
        assert span.default == value_of(card.recipe, name), name


@every_card
def test_a_card_speaks_both_languages(card: AnyCard):
    english = asdict(card.en)
    for key, text in asdict(card.zh).items():
        assert key == "name" or HAN.search(text) or text == english[key] == "", (key, text)
    assert not HAN.search("".join(asdict(card.en).values()))


@every_card
def test_departures_are_told_in_both_languages(card: AnyCard):
    for departure in card.departures:
        assert HAN.search(departure.zh), departure
        assert not HAN.search(departure.en), departure


@every_part
def test_what_a_formula_says_in_words_it_says_in_both_languages(card: Part):
    for text in (card.formula, card.shape):
        assert HAN.search(text.zh) if text.zh != text.en else not WORDS.search(text.en), text
        assert not HAN.search(text.en), text


@every_architecture
def test_a_card_lies_beside_the_code_of_all_its_variants(card: Architecture):
    modules = {variant.code.partition(":")[0] for variant in card.variants}
    beside = card.path.with_suffix(".py").relative_to(PACKAGE.parent)
    assert modules == {".".join(beside.with_suffix("").parts)}


@every_part
def test_a_part_lies_beside_its_code_or_in_the_folder_for_torchs(card: Part):
    module = card.code.partition(":")[0]
    if module == "torch.nn":
        assert card.path == PACKAGE / "blocks/torch_nn" / f"{card.id.replace('-', '_')}.toml"
    else:
        beside = card.path.with_suffix("").relative_to(PACKAGE.parent)
        assert module == ".".join(beside.parts)


@every_part
def test_a_parts_code_can_be_called(card: Part):
    module, _, name = card.code.partition(":")
    assert callable(getattr(import_module(module), name))


@every_part
def test_a_part_has_a_numeric_test(card: Part, block_tests: dict[str, str]):
    named = f"test_{card.id.replace('-', '_')}_"
    bodies = [body for name, body in block_tests.items() if name.startswith(named)]
    assert any(f"part('{card.id}')" in body for body in bodies)


@pytest.fixture(scope="session")
def block_tests() -> dict[str, str]:
    """The tests in tests/blocks: each one's name and text."""
    files = (Path(__file__).parents[1] / "blocks").glob("test_*.py")
    functions = [node for path in files for node in ast.parse(path.read_text("utf-8")).body]
    return {f.name: ast.unparse(f) for f in functions if isinstance(f, ast.FunctionDef)}


def test_there_are_parts_of_every_kind_but_one():
    assert {card.kind for card in PARTS} == set(KINDS) - {"architecture"}


def test_no_architecture_is_without_a_card():
    files = [path for path in (PACKAGE / "models").glob("*/*.py") if path.stem != "__init__"]
    assert files
    assert [str(path) for path in files if not path.with_suffix(".toml").exists()] == []


@every_variant
def test_a_variants_builder_takes_shape_outputs_and_what_its_kind_needs(
    card: Architecture, variant: Variant
):
    module, _, name = variant.code.partition(":")
    taken = inspect.signature(getattr(import_module(module), name)).parameters
    last = "task" if card.input.kind in SERIES else "small"
    assert list(taken) == ["inputs", "outputs", last]
    assert taken[last].kind is inspect.Parameter.KEYWORD_ONLY
    if last == "small":
        assert taken[last].default is False


def on_meta(
    variant: Variant,
    task: Task | None = None,
    shape: Shape | None = None,
    outputs: int | None = None,
) -> nn.Module:
    with torch.device("meta"):  # shapes without memory or compute: nothing is too big to check
        return build(variant.name, inputs=shape, outputs=outputs, task=task)


@every_variant
def test_a_variant_has_the_parameters_that_its_card_states(card: Architecture, variant: Variant):
    model = on_meta(variant)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == variant.parameters


@pytest.mark.parametrize(
    ("card", "variant"),
    [
        pytest.param(card, v, id=v.name)
        for card in catalog().architectures
        for v in card.variants
        if v.parameters < GIANT
    ],
)
def test_a_variant_scores_its_native_shape_at_the_cost_its_card_states(
    card: Architecture, variant: Variant
):
    task = card.native_task(variant)
    model = on_meta(variant).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.device("meta"):
        scores = model(*blank(1, card.native(variant), task))
    assert scores.shape == answer_shape(1, card.native(variant), variant.outputs, task)
    assert counter.get_total_flops() / 2 == pytest.approx(variant.macs, rel=0.01)


@smallest_on_large_shapes
def test_a_variant_reads_large_and_long_images_too(variant: Variant, task: Task, shape: Shape):
    model = on_meta(variant, task, shape, outputs=7)
    assert model(torch.empty(2, *shape, device="meta")).shape == (2, 7)


def outputs_of(task: Task, shape: Shape) -> int:
    return {"tokens": shape[-1], "value": 1}.get(TASKS[task].answers, 5)


@pytest.mark.parametrize(
    "card",
    [c for c in catalog().architectures if c.variants[0].code.startswith("assay.models.vision.")],
    ids=lambda card: card.id,
)
def test_a_network_of_images_says_what_it_changed_against_its_parents(card: Architecture):
    assert card.parents
    assert re.match("Against .+: .+", card.en.changed)
    assert re.match("与.+相比：.+", card.zh.changed)


@smallest_on_every_shape
def test_every_parameter_learns(variant: Variant, task: Task, shape: Shape):
    idle = without_gradient(variant, task, shape, seed=0)
    if idle:  # a few rectifiers in a row may all be silent at one start, not at two
        idle &= without_gradient(variant, task, shape, seed=1)
    assert idle == set()


def without_gradient(variant: Variant, task: Task, shape: Shape, seed: int) -> set[str]:
    """Return the parameters of a new network that a batch of four does not change."""
    torch.manual_seed(seed)
    outputs = outputs_of(task, shape)
    model = build(variant.name, inputs=shape, outputs=outputs, task=task)
    objective = objective_for(task, classes=("O", "B-A", "I-A", "B-C", "I-C"), outputs=outputs)
    examples = drawn(4, shape, task)[0]
    if task == "masked-language-modeling":
        examples[:, [5, -1]] = END  # two sentences
    given, truth = objective.ask(examples, drawn_truth(4, shape, outputs, task), training=True)
    scores = getattr(model, objective.training_method, model)(*given)
    shown = scores if isinstance(scores, torch.Tensor) else scores[0]
    assert shown.shape == answer_shape(4, shape, outputs, task)
    objective.loss(scores, truth, smoothing=0.0).backward()
    learning = [(name, p.grad) for name, p in model.named_parameters() if p.requires_grad]
    return {name for name, grad in learning if grad is None or not grad.any()}


@smallest_on_one_shape
def test_an_example_is_scored_alone(variant: Variant, task: Task, shape: Shape):
    torch.manual_seed(0)
    outputs = outputs_of(task, shape)
    model = build(variant.name, inputs=shape, outputs=outputs, task=task).eval()
    examples = drawn(3, shape, task)
    with torch.inference_mode():
        together, alone = model(*examples), model(*(part[:1] for part in examples))
    assert len(together.unique(dim=0)) == 3  # all-equal scores would prove nothing below
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)


@smallest_on_one_shape
def test_the_same_seed_builds_the_same_network(variant: Variant, task: Task, shape: Shape):
    first, second = (seeded(variant, task, shape, 0) for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = seeded(variant, task, shape, 1)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def seeded(variant: Variant, task: Task, shape: Shape, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    outputs = outputs_of(task, shape)
    return build(variant.name, inputs=shape, outputs=outputs, task=task).state_dict()


def reads_tokens(card: Architecture) -> list[Case]:
    return [case for case in cases_of(card) if TASKS[case[1]].reads == "tokens"]


@smallest_on(reads_tokens)
def test_padding_changes_no_answer(variant: Variant, task: Task, shape: Shape):
    torch.manual_seed(0)
    length, vocabulary = shape
    outputs = outputs_of(task, shape)
    model = build(variant.name, inputs=shape, outputs=outputs, task=task).eval()
    full = drawn(3, (length - 4, vocabulary), task)
    padded = tuple(nn.functional.pad(part, (0, 4)) for part in full)
    with torch.inference_mode():
        short, long = model(*full), model(*padded)
    if TASKS[task].sums:
        long = long[:, : length - 4]
    torch.testing.assert_close(long, short, rtol=1e-4, atol=1e-5)


@smallest_on(lambda card: [c for c in reads_tokens(card) if c[1] == "language-modeling"])
def test_a_language_model_does_not_see_the_future(variant: Variant, task: Task, shape: Shape):
    torch.manual_seed(0)
    model = build(variant.name, inputs=shape, outputs=shape[1], task=task).eval()
    (tokens,) = drawn(2, shape, task)
    other = tokens.clone()
    other[:, 7:] = drawn(2, (shape[0] - 7, shape[1]), task)[0]
    with torch.inference_mode():
        first, second = model(tokens), model(other)
    torch.testing.assert_close(first[:, :7], second[:, :7], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(first[:, 7:], second[:, 7:])
