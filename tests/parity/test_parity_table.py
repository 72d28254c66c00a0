"""docs/parity.md is what the catalog's references amount to. The catalog supplies the cases."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from assay.blocks.drop_path import DropPath
from assay.canon.card import Architecture, Variant
from assay.errors import BadArgumentError, DataError
from assay.models.build import build
from assay.testing import parity
from assay.testing.language_parity import pairs
from assay.testing.parity import Parity, ParityError, check_shapes, compare_to_reference, referenced
from assay.testing.parity_table import PATH, TOLERANCE, conditions, kept, line, main, parse, render

pytest.importorskip("torchvision")
pytest.importorskip("timm")
REFERENCED = referenced()
SMALLEST = min((variant for _, variant in REFERENCED), key=lambda variant: variant.macs)
ROW = Parity(
    name="resnet18",
    reference="torchvision:resnet18",
    parameters=11_689_512,
    outputs=0.0,
    loss=2.5e-7,
    gradients=1.2e-6,
)


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / PATH).read_text(encoding="utf-8")


def test_the_page_lists_every_referenced_variant_with_its_cards_count_and_no_other(page: str):
    language = pairs()
    listed = {row.name: (row.reference, row.parameters) for row in parse(page).values()}
    images = {name: row for name, row in listed.items() if name not in language}
    assert images == {v.name: (v.reference, v.parameters) for _, v in REFERENCED}
    others = {name: row[0] for name, row in listed.items() if name in language}
    assert others == {name: pair.reference for name, pair in language.items()}


def test_no_entry_of_the_page_is_further_from_its_reference_than_the_tolerance(page: str):
    rows = parse(page).values()
    assert rows
    assert [row.name for row in rows if not row.worst <= TOLERANCE] == []


def test_the_page_is_written_by_its_command(page: str, tmp_path: Path):
    where = next(text for text in page.splitlines() if ", torch " in text)
    assert render(kept(page, where), where) == page


@pytest.mark.parametrize(("card", "variant"), REFERENCED, ids=[v.name for _, v in REFERENCED])
def test_it_has_the_references_parameters_shape_by_shape(card: Architecture, variant: Variant):
    assert check_shapes(variant.name) == variant.parameters


def test_an_entry_computed_now_is_as_the_page_says():
    before = torch.random.get_rng_state()
    found = compare_to_reference(SMALLEST.name)
    assert (found.name, found.parameters) == (SMALLEST.name, SMALLEST.parameters)
    assert found.worst <= TOLERANCE
    assert torch.equal(torch.random.get_rng_state(), before)


def stronger_activation(model: nn.Module) -> None:
    last = [m for m in model.modules() if isinstance(m, nn.ReLU)][-1]
    last.register_forward_hook(lambda _, __, y: 1.1 * y)


def stronger_gradient(model: nn.Module) -> None:
    first = next(model.parameters())
    first.register_hook(lambda grad: 1.01 * grad)


def stronger_in_training(model: nn.Module) -> None:
    def stronger(module: nn.Module, _: object, y: torch.Tensor) -> torch.Tensor:
        return 1.1 * y if module.training else y

    model.register_forward_hook(stronger)


@pytest.mark.parametrize(
    ("spoil", "seen"),
    [
        (stronger_activation, {"outputs", "loss", "gradients"}),
        (stronger_gradient, {"gradients"}),
        (stronger_in_training, {"loss", "gradients"}),
    ],
)
def test_a_network_that_computes_otherwise_is_found(spoil, seen: set[str], monkeypatch):
    def spoilt(name: str) -> nn.Module:
        model = build(name)
        spoil(model)
        return model

    monkeypatch.setattr(parity, "build", spoilt)
    found = compare_to_reference(SMALLEST.name)
    assert {key for key in ("outputs", "loss", "gradients") if getattr(found, key) > 1e-4} == seen


def test_a_network_of_other_shapes_is_refused(monkeypatch):
    monkeypatch.setattr(parity, "build", lambda name: nn.Sequential(nn.Conv2d(3, 7, 5)))
    first, shape = next(
        (key, tuple(v.shape))
        for key, v in parity.build_any(SMALLEST.reference, (3, 224, 224), 1000).state_dict().items()
    )
    for check in (check_shapes, compare_to_reference):
        with pytest.raises(ParityError) as error:
            check(SMALLEST.name)
        assert str(error.value) == (
            f"{SMALLEST.name} must register its weights in the order and the shapes of "
            f"{SMALLEST.reference}. Received 0.weight (7, 3, 5, 5) where it has {first} {shape}; "
            "correct the network or the card's reference."
        )


def test_a_network_of_fewer_weights_is_refused(monkeypatch):
    theirs = parity.build_any(SMALLEST.reference, (3, 224, 224), 1000)
    count = sum(v.is_floating_point() for v in theirs.state_dict().values())
    monkeypatch.setattr(parity, "build", lambda name: nn.Identity())
    with pytest.raises(ParityError) as error:
        check_shapes(SMALLEST.name)
    assert str(error.value) == (
        f"{SMALLEST.name} must have as many weights as {SMALLEST.reference}, which has {count}. "
        "Received 0; correct the network or the card's reference."
    )


def test_a_reference_that_answers_all_images_alike_proves_nothing(monkeypatch):
    monkeypatch.setattr(parity, "_images", lambda count, shape: torch.ones(count, *shape))
    with pytest.raises(ParityError) as error:
        compare_to_reference(SMALLEST.name)
    assert str(error.value) == (
        f"{SMALLEST.reference} must tell two images apart for a comparison to prove anything. "
        "Received scores that differ by 0.0e+00 of the largest; compare with weights that are "
        "further from those it starts from."
    )


def test_an_entry_without_a_reference_is_refused():
    with pytest.raises(BadArgumentError) as error:
        compare_to_reference("lenet5")
    assert str(error.value) == (
        "lenet5 must have a reference in timm or torchvision to be held against. Received "
        "reference=''; `assay.testing.parity.referenced()` returns the entries that have one."
    )


def test_a_page_is_read_as_it_was_written():
    page = render({ROW.name: line(ROW, "2026-11-21")}, "a machine, torch 2")
    assert parse(page) == {ROW.name: ROW}
    assert "| 0 | 2.5e-07 | 1.2e-06 | 2026-11-21 |" in page


def test_a_line_of_another_form_is_refused():
    page = render({"resnet18": "| resnet18 | torchvision:resnet18 |"}, "a machine")
    with pytest.raises(DataError) as error:
        parse(page)
    assert str(error.value) == (
        "A line of docs/parity.md must have 7 cells. Received '| resnet18 | torchvision:resnet18 "
        "|'; write the page anew with `make parity`."
    )


def test_one_entry_is_computed_again_and_the_others_stay(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    other = line(ROW, "2026-11-20")
    PATH.write_text(render({ROW.name: other}, conditions()), encoding="utf-8")
    assert main([SMALLEST.name]) == 0
    assert capsys.readouterr().err.startswith(f"| {SMALLEST.name} | {SMALLEST.reference} |")
    page = PATH.read_text(encoding="utf-8")
    assert set(parse(page)) == {ROW.name, SMALLEST.name}
    assert other in page


def test_the_command_fails_where_an_entry_is_too_far_from_its_reference(tmp_path, monkeypatch):
    far = Parity(**{**vars(ROW), "outputs": 2 * TOLERANCE})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr("assay.testing.parity_table.compare_to_reference", lambda name: far)
    assert main(["resnet18"]) == 1
    assert parse(PATH.read_text(encoding="utf-8")) == {"resnet18": far}


def test_entries_computed_elsewhere_are_not_mixed():
    page = render({ROW.name: line(ROW, "2026-11-21")}, "another machine, torch 1")
    with pytest.raises(BadArgumentError) as error:
        kept(page, "this machine, torch 2")
    assert str(error.value) == (
        "Entries can be added to docs/parity.md only where the others were computed. Received "
        "'this machine, torch 2'; compute all entries anew, without names."
    )


class StochasticDepth(nn.Identity):
    p = 0.2


@pytest.mark.parametrize(
    ("ours", "theirs", "left"),
    [
        (nn.Dropout(0.5), nn.Identity(), (0.0, None)),
        (nn.Dropout(0.5), nn.Dropout(0.5), (0.5, 0.5)),
        (nn.Identity(), StochasticDepth(), (None, 0.0)),
        (DropPath(0.2), StochasticDepth(), (0.2, 0.2)),
    ],
    ids=["our dropout alone", "dropout on both", "their depth alone", "depth on both"],
)
def test_the_chance_that_only_one_side_has_is_off(ours, theirs, left):
    sides = [nn.Sequential(deepcopy(side)) for side in (ours, theirs)]
    parity._match_chance(*sides)
    assert tuple(getattr(side[0], "p", None) for side in sides) == left


def test_timms_dropout_without_a_module_counts():
    ours, theirs = nn.Sequential(nn.Dropout(0.2)), nn.Sequential()
    theirs.drop_rate = 0.2
    parity._match_chance(ours, theirs)
    assert ours[0].p == 0.2
