"""What fair tuning may vary: ranges of a card that are kept, and those that are refused."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from assay.canon.card import Range
from assay.canon.catalog import catalog
from assay.canon.read import read_card
from assay.canon.search import KNOBS, batch_sizes, fault, generic_space, value_of
from assay.engine.spec import Recipe
from assay.errors import DataError

Write = Callable[..., Path]
LR = "lr = { default = 0.1, low = 0.01, high = 1, log = true }"


@pytest.mark.parametrize(
    ("ranges", "says"),
    [
        (
            "momentun = { default = 0.9, low = 0.5, high = 0.99 }",
            "Card {} has the key 'search.momentun', which cards do not have."
            " Did you mean 'momentum'?",
        ),
        (
            "optimizer = { default = 0, low = 0, high = 1 }",
            "Card {} has the key 'search.optimizer', which cards do not have. Remove it.",
        ),
        ("lr = 0.1", "Card {}: 'search.lr' must be a table. Received 0.1."),
        (
            "lr = { default = 0.1, low = 0.01 }",
            "Card {} lacks the key 'search.lr.high'; add it.",
        ),
        (
            "lr = { default = 0.1, low = 0.01, high = 1, step = 0.1 }",
            "Card {} has the key 'search.lr.step', which cards do not have. Remove it.",
        ),
        (
            "lr = { default = 0.1, low = 0, high = 1 }",
            "Card {}: 'search.lr.low' must be a number of at least 1e-07. Received 0.0.",
        ),
        (
            "lr = { default = 0.1, low = 0.01, high = 11 }",
            "Card {}: 'search.lr.high' must be a number of at most 10. Received 11.0.",
        ),
        (
            "lr = { default = 0.1, low = 0.1, high = 0.1 }",
            "Card {}: 'search.lr.high' must be a number above low, 0.1. Received 0.1.",
        ),
        (
            "lr = { default = 0.1, low = nan, high = 1 }",
            "Card {}: 'search.lr.low' must be a number of at least 1e-07. Received nan.",
        ),
        (
            "lr = { default = 0.2, low = 0.01, high = 1 }",
            "Card {}: 'search.lr.default' must be the recipe's own value, 0.1. Received 0.2.",
        ),
        (
            "lr = { default = 0.1, low = 0.2, high = 1 }",
            "Card {}: 'search.lr.default' must be between low and high, 0.2 and 1. Received 0.1.",
        ),
        (
            "clip = { default = 1, low = 0.5, high = 2 }",
            "Card {}: 'search.clip.default' must be the recipe's own value, none. Received 1.0.",
        ),
        (
            "weight_decay = { default = 0.01, low = 0, high = 0.1, log = true }",
            "Card {}: 'search.weight_decay.low' must be a number above 0 where log is true."
            " Received 0.0.",
        ),
        (
            "batch_size = { default = 64, low = 16, high = 100 }",
            "Card {}: 'search.batch_size' must be sizes that double from low to high, the default"
            " among them. Received [16.0, 64.0, 100.0].",
        ),
        (
            "reach = { default = 0.125, low = 0, high = 0.25 }",  # the recipe does not shift
            "Card {}: 'search.reach.default' must be the recipe's own value, 0.0. Received 0.125.",
        ),
    ],
)
def test_a_faulty_range_names_its_file_and_the_key(write_card: Write, ranges: str, says: str):
    path = write_card("faulty.toml", (LR, ranges))
    with pytest.raises(DataError) as caught:
        read_card(path)
    assert str(caught.value) == says.format(path)


def test_a_card_may_declare_every_knob(write_card: Write):
    ranges = """
    lr = { default = 0.1, low = 0.01, high = 1, log = true }
    batch_size = { default = 64, low = 16, high = 128, log = true }
    weight_decay = { default = 0.01, low = 0, high = 0.1 }
    label_smoothing = { default = 0.1, low = 0, high = 0.3 }
    reach = { default = 0.25, low = 0, high = 0.5 }
    warmup = { default = 0.2, low = 0, high = 0.5 }
    clip = { default = 2, low = 0.5, high = 8, log = true }
    momentum = { default = 0.9, low = 0.5, high = 0.99 }
    """.replace("    ", "")
    recipe = '[recipe]\nclip = 2.0\naugment = "shift"\nreach = 0.25\n'
    card = read_card(write_card("s.toml", (LR, ranges), ("[recipe]\n", recipe)))
    assert list(card.search) == list(KNOBS)
    assert card.search["batch_size"] == Range(default=64, low=16, high=128, log=True)
    assert batch_sizes(card.search["batch_size"]) == [16, 32, 64, 128]
    assert batch_sizes(card.search["batch_size"], 100) == [16, 32, 64]


def test_every_knob_is_a_field_of_the_recipe():
    assert set(KNOBS) <= set(asdict(Recipe()))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(weight_decay=0.0, label_smoothing=0.0, batch_size=1),
        Recipe(label_smoothing=0.5, augment="shift", reach=0.5, batch_size=33, optimizer="sgd"),
        *{card.recipe: None for card in catalog().architectures},
    ],
)
def test_the_generic_space_would_do_as_a_cards_own(recipe: Recipe):
    for name, span in generic_space(recipe).items():
        assert fault(name, span, recipe) is None, name
        assert span.default == value_of(recipe, name)
