"""What no network can read is refused in the entry's words. The catalog supplies the cases."""

import copy
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save, save_file
from torch import nn

import assay
from assay.canon.card import SERIES, Architecture, Shape, Variant
from assay.canon.catalog import catalog
from assay.cli import main
from assay.compare.candidates import resolve
from assay.errors import BadArgumentError, DataError
from assay.models import weights
from assay.models.dry import unstarted
from assay.models.foreign import build_any
from assay.models.weight_fit import shapes_of

SIDES = "H, W) with H of at least {} and W of at least {}"
WRONG_RANK = {"image": (13,), "sequence": (13,)}
READS = {"image": "images (C, H, W)", "sequence": "sequences (T, F)"}


def smallest(card: Architecture) -> Variant:
    return min(card.variants, key=lambda variant: variant.parameters)


def every(cards: list[Architecture]) -> pytest.MarkDecorator:
    """Cases of each card's smallest variant."""
    return pytest.mark.parametrize(
        ("card", "variant"), [pytest.param(c, smallest(c), id=c.id) for c in cards]
    )


CARDS = list(catalog().architectures)
IMAGES = [card for card in CARDS if card.input.kind == "image"]
SIZED = [card for card in CARDS if card.input.kind in WRONG_RANK]
every_card, every_image_card, every_sized_card = every(CARDS), every(IMAGES), every(SIZED)


def built(name: str, inputs: Shape | None = None) -> nn.Module:
    """Return a network without starting values, which cost time and matter to no shape."""
    with unstarted():
        return assay.build(name, inputs=inputs, outputs=5).eval()


def answer(network: nn.Module, *shape: int) -> str:
    """Return what a network says to a batch of a shape: its refusal, or nothing."""
    try:
        with torch.inference_mode():
            network(torch.zeros(shape))
    except BadArgumentError as error:
        return str(error)
    return ""


def refusal(name: str, readable: str, batch: Shape) -> str:
    return (
        f"{name}, as it was built, reads batches of shape {readable}. Received {batch}; give such "
        "a batch, or build the network with `inputs` of yours."
    )


def readable(card: Architecture, variant: Variant, inputs: Shape) -> str:
    """Return what a network built at its native size says that it reads."""
    least = least_of(card, variant)
    if card.input.fixed:
        return f"(B, {', '.join(map(str, inputs))})"
    return f"(B, {inputs[0]}, {SIDES.format(*least[1:])}"


def least_of(card: Architecture, variant: Variant) -> Shape:
    return card.small.least if card.small and card.made_small(variant) else card.input.least


@every_image_card
def test_a_built_network_names_itself_what_it_got_and_the_least_it_takes(
    card: Architecture, variant: Variant
):
    inputs = channels, height, width = card.native(variant)
    network, told = built(variant.name), readable(card, variant, inputs)
    small = least_of(card, variant)[1] - 1
    wrong = [
        (2, channels + 1, height, width),
        (2, channels, small, width),
        (2, channels, height, small),
        (channels, height, width),
        (2, channels * height * width),
    ]
    assert [answer(network, *batch) for batch in wrong] == [
        refusal(variant.name, told, batch) for batch in wrong
    ]
    taken = inputs if card.input.fixed else (channels, *card.input.least[1:])
    assert answer(network, 2, *taken) == ""


@pytest.mark.parametrize(
    ("name", "inputs", "told", "bad", "good"),
    [
        ("resnet18", (1, 28, 28), f"1, {SIDES.format(8, 8)}", (3, 28, 28), (1, 8, 9)),
        (
            "resnet18-without-shortcut",
            (3, 32, 32),
            f"3, {SIDES.format(8, 8)}",
            (3, 7, 7),
            (3, 8, 8),
        ),
        ("vgg11_bn", (3, 32, 32), f"3, {SIDES.format(32, 32)}", (3, 31, 32), (3, 32, 33)),
        ("vgg11_bn", (1, 28, 28), f"1, {SIDES.format(16, 16)}", (1, 15, 28), (1, 16, 16)),
        ("lenet5", (1, 8, 8), f"1, {SIDES.format(1, 1)}", (2, 8, 8), (1, 3, 4)),
        ("lstm", (24, 6), "T, 6) with T of at least 1", (24, 7), (9, 6)),
        ("gru", (3, 8, 5), "3, H, 5) with H of at least 1", (1, 8, 5), (3, 2, 5)),
        ("mlp", (2, 3), "2, 3), 6 values each", (7,), (6,)),
        ("softmax_regression", (13,), "13), 13 values each", (12,), (13,)),
        ("vit_tiny", (3, 32, 32), "3, 32, 32)", (3, 48, 48), (3, 32, 32)),
    ],
)
def test_small_forms_sequences_and_rows_say_what_they_read(
    name: str, inputs: Shape, told: str, bad: Shape, good: Shape
):
    network = built(name, inputs)
    assert answer(network, 2, *bad) == refusal(name, f"(B, {told}", (2, *bad))
    assert answer(network, 2, *good) == ""


def wrong_answers(network: nn.Module) -> str:
    with pytest.raises(BadArgumentError) as caught:
        network(torch.zeros(2, 3, 32, 32))
    return str(caught.value)


def test_the_check_goes_where_the_network_goes():
    network = assay.build("lenet5").eval()
    expected = wrong_answers(network)
    kept = save(network.state_dict())
    moved = [copy.copy(network), copy.deepcopy(network), pickle.loads(pickle.dumps(network))]  # noqa: S301
    assert [wrong_answers(other) for other in moved] == [expected] * 3
    assert moved[1].load_state_dict(load(kept)).missing_keys == []
    assert load(kept).keys() == build_any("lenet5", (1, 32, 32), 10).state_dict().keys()


def test_a_checked_network_is_compiled_whole():
    network, image = assay.build("softmax_regression").eval(), torch.randn(2, 1, 28, 28)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    assert torch.equal(compiled(image), network(image))


def test_networks_that_the_engine_trains_are_not_looked_at():
    assert not build_any("lenet5", (1, 32, 32), 10)._forward_pre_hooks


@every_card
def test_no_network_scores_nothing(card: Architecture, variant: Variant):
    with pytest.raises(BadArgumentError) as caught:
        assay.build(variant.name, outputs=0)
    assert str(caught.value) == (
        "`outputs` must be a whole number of at least 1. Received outputs=0; give the number of "
        "classes, or 1 for regression."
    )


def refused(shape: Shape, card: Architecture, variant: Variant) -> str:
    return (
        f"{variant.name} reads {READS[card.input.kind]}. Received inputs={shape}; choose another "
        "entry: `assay list` shows all."
    )


@every_sized_card
def test_a_shape_of_another_rank_is_refused_by_build_and_show_and_compare(
    card: Architecture, variant: Variant, capsys: pytest.CaptureFixture[str]
):
    shape = WRONG_RANK[card.input.kind]
    expected = refused(shape, card, variant)
    with pytest.raises(BadArgumentError) as caught:
        assay.build(variant.name, inputs=shape)
    assert str(caught.value) == expected
    assert main(["show", variant.name, "--input", "x".join(map(str, shape))]) == 2
    assert expected in capsys.readouterr().err
    with pytest.raises(BadArgumentError) as caught:
        resolve([variant.name], None, task=card.tasks[0], inputs=shape)
    assert str(caught.value) == expected


@every_image_card
def test_an_image_too_small_for_the_strides_is_enlarged_or_refused_everywhere(
    card: Architecture, variant: Variant, capsys: pytest.CaptureFixture[str]
):
    channels = card.native(variant)[0]
    tiny = (channels, 3, 3)
    expected = (
        f"{variant.name} reads shapes of at least {card.input.least}. Received inputs={tiny}; give "
        "larger examples or choose another entry."
    )
    if card.small is not None:
        assert resolve([variant.name], None, task=card.tasks[0], inputs=tiny)[0].adaptation
        return
    with pytest.raises(BadArgumentError) as caught:
        assay.build(variant.name, inputs=tiny)
    assert str(caught.value) == expected
    assert main(["show", variant.name, "--input", f"{channels}x3x3"]) == 2
    assert expected in capsys.readouterr().err
    with pytest.raises(BadArgumentError) as caught:
        resolve([variant.name], None, task=card.tasks[0], inputs=tiny)
    assert str(caught.value) == expected


@every_card
def test_a_file_that_is_cut_short_is_refused_in_the_networks_name(
    card: Architecture, variant: Variant, tmp_path: Path
):
    file = tmp_path / "cut.safetensors"
    file.write_bytes(save({"a": torch.ones(50)})[:-100])
    with pytest.raises(DataError) as caught:
        assay.build(variant.name, weights=file)
    assert str(caught.value) == (
        f"{variant.name} (inputs={card.native(variant)}, outputs={variant.outputs}): Weights are a "
        f"whole safetensors file. {str(file)!r} is cut short or damaged (Error while deserializing "
        "header: incomplete metadata, file not fully covered); download it again."
    )


FAMILIES = [
    pytest.param(card, *sorted(card.variants, key=lambda v: v.parameters)[:2], id=card.id)
    for card in CARDS
    if len(card.variants) > 1 and card.input.kind not in SERIES
]


@pytest.mark.parametrize(("card", "variant", "other"), FAMILIES)
def test_weights_of_another_variant_are_refused_by_name_and_shape(
    card: Architecture, variant: Variant, other: Variant, tmp_path: Path, monkeypatch
):
    file = tmp_path / "other.safetensors"
    save_file({"a": torch.ones(1)}, file)
    inputs = card.native(variant)
    held = {name: torch.empty(shape, device="meta") for name, shape in own(other, inputs).items()}
    monkeypatch.setattr(weights, "read", lambda _: held)  # of no size, however large the network
    with pytest.raises(DataError) as caught:
        assay.build(variant.name, inputs=inputs, outputs=5, weights=file)
    text, wanted = str(caught.value), own(variant, inputs)
    assert text.startswith(f"{variant.name} (inputs={inputs}, outputs=5) reads weights of its own ")
    assert f" {str(file)!r} does not fit: " in text
    assert text.endswith("build that.")
    missing = [name for name in wanted if name not in held]
    misshapen = [
        f"{name} {tuple(held[name].shape)} for {shape}"
        for name, shape in wanted.items()
        if name in held and held[name].shape != shape
    ]
    for what, names in (("missing", missing), ("of another shape", misshapen)):
        assert not names or f"{what} {len(names)}: {names[0]}" in text


def own(variant: Variant, inputs: Shape) -> dict[str, Shape]:
    """Return the names and shapes of what a variant learns."""
    return shapes_of(variant, inputs, 5, None)
