"""Networks of tokens and sequences beside their references. The families' lists give the cases."""

import pytest
import torch
from torch import Tensor, nn

from assay.canon.catalog import catalog
from assay.testing.language_parity import LanguagePair, compare, count, pairs
from assay.testing.parity import ParityError
from assay.testing.parity_table import TOLERANCE

pytest.importorskip("transformers")
PAIRS = pairs()
every_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


@every_pair
def test_an_entry_gives_the_numbers_of_its_reference(pair: LanguagePair):
    before = torch.random.get_rng_state()
    assert compare(pair).worst <= TOLERANCE
    assert torch.equal(torch.random.get_rng_state(), before)


@every_pair
def test_a_pair_is_of_an_entry_whose_card_names_the_reference(pair: LanguagePair):
    _, variant = catalog().entry(pair.entry)
    assert (variant.name, variant.reference) == (pair.entry, pair.reference)


@pytest.mark.parametrize("name", [name for name, pair in PAIRS.items() if pair.full])
def test_the_full_size_has_the_parameters_that_its_card_states(name: str):
    _, variant = catalog().entry(name)
    assert count(PAIRS[name], nn.Identity(), nn.Identity()) == variant.parameters


class Toy(nn.Module):
    """A vector for each token, and scores of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(61, 8)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 61)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.drop(self.embed(ids)))


class Undropped(Toy):
    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.embed(ids))


def toy(**other) -> LanguagePair:
    return LanguagePair(
        **{
            "entry": "toy",
            "reference": "tests:Undropped",
            "ours": Toy,
            "theirs": Undropped,
            "translate": dict,
            "ask": lambda theirs, ids: theirs(ids),
            **other,
        }
    )


def stronger(ours: nn.Module) -> nn.Module:
    ours.register_forward_hook(lambda _, __, y: 1.1 * y)
    return ours


def stronger_gradient(ours: nn.Module) -> nn.Module:
    ours.embed.weight.register_hook(lambda grad: 1.1 * grad)
    return ours


def stronger_in_training(ours: nn.Module) -> nn.Module:
    ours.register_forward_hook(lambda m, __, y: 1.1 * y if m.training else y)
    return ours


def stronger_padding(ours: nn.Module) -> nn.Module:
    ours.register_forward_hook(lambda _, ids, y: torch.where((ids[0] == 0)[..., None], 9.0, y))
    return ours


@pytest.mark.parametrize(
    ("spoil", "seen"),
    [
        (lambda ours: ours, set()),
        (stronger_padding, set()),
        (stronger, {"outputs", "loss", "gradients"}),
        (stronger_gradient, {"gradients"}),
        (stronger_in_training, {"loss", "gradients"}),
    ],
)
def test_a_network_that_computes_otherwise_is_found(spoil, seen: set[str]):
    found = compare(toy(ours=lambda: spoil(Toy())))
    assert {key for key in ("outputs", "loss", "gradients") if getattr(found, key) > 1e-4} == seen
    assert found.parameters == 61 * 8 + 8 * 61 + 61


def test_a_weight_without_a_place_is_refused():
    with pytest.raises(ParityError) as error:
        compare(toy(translate=lambda state: {**state, "more": torch.zeros(1)}))
    assert str(error.value) == (
        "toy must have a place for each weight of tests:Undropped. Received Error(s) in loading "
        'state_dict for Toy: Unexpected key(s) in state_dict: "more". Correct the network or what '
        "translates the names."
    )


def test_a_network_of_other_size_is_refused():
    with pytest.raises(ParityError) as error:
        compare(toy(full=lambda: (nn.Linear(2, 2), nn.Linear(2, 3))))
    assert str(error.value) == (
        "toy must have as many parameters as tests:Undropped, which has 9. Received 6; correct the "
        "network or the configuration of the reference."
    )


def test_an_answer_of_another_shape_is_refused():
    with pytest.raises(ParityError) as error:
        compare(toy(ask=lambda theirs, ids: theirs(ids)[:, 1:]))
    assert str(error.value) == (
        "toy must answer in the shape of tests:Undropped, (3, 10, 61). Received (3, 11, 61); "
        "correct the network or what asks the reference."
    )


def test_a_reference_that_answers_all_examples_alike_proves_nothing():
    with pytest.raises(ParityError) as error:
        compare(toy(inputs=lambda: (torch.full((3, 4), 7),)))
    assert str(error.value) == (
        "tests:Undropped must tell two examples apart for a comparison to prove anything. Received "
        "scores that differ by 0.0e+00 of the largest; compare with other inputs."
    )
