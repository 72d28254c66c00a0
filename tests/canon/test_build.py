"""Networks for the user's shapes: native, small, behind an adapter; refused in clear words."""

import pytest
import torch
from torch import Tensor, nn

import assay
from assay.blocks.adapt import Adapted, Rows, Upsample
from assay.canon.catalog import catalog
from assay.errors import BadArgumentError, UnknownNameError


def test_an_id_builds_its_default_variant_at_the_native_shape():
    with torch.device("meta"):
        by_id, by_name = assay.build("resnet"), assay.build("resnet18")
    assert str(by_id) == str(by_name)
    assert by_id(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 1000)


def test_a_small_image_gets_the_small_form():
    with torch.device("meta"):
        small = assay.build("resnet18", inputs=(3, 32, 32), outputs=10)
        native = assay.build("resnet18", outputs=10)
    assert str(small) != str(native)
    assert not isinstance(small, Adapted)


def test_an_image_below_the_least_size_is_enlarged_by_the_network():
    model = assay.build("lenet5", inputs=(1, 8, 8), outputs=10)
    least = catalog().find("lenet5")[0].input.least
    assert isinstance(model, Adapted)
    assert model[0](torch.zeros(2, 1, 8, 8)).shape == (2, *least)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_an_image_reaches_a_sequence_network_row_by_row():
    model = assay.build("lstm", inputs=(3, 8, 5), outputs=10)
    assert isinstance(model, Adapted)
    images = torch.arange(120.0).reshape(1, 3, 8, 5)
    rows = model[0](images)
    assert rows.shape == (1, 8, 15)
    assert torch.equal(rows[0, 2], images[0, :, 2].flatten())
    assert model(images).shape == (1, 10)


def test_upsampling_keeps_a_flat_image_flat_and_a_ramp_rising():
    enlarge = Upsample((8, 6))
    assert torch.equal(enlarge(torch.full((1, 2, 3, 3), 0.5)), torch.full((1, 2, 8, 6), 0.5))
    ramp = enlarge(torch.tensor([[[[0.0, 1.0, 2.0]]]]))[0, 0, 0]
    assert ramp.tolist() == [0.0, 0.25, 0.75, 1.25, 1.75, 2.0]


class Looks(nn.Module):
    """Remembers the images it was shown."""

    def initialize(self, images: Tensor) -> None:
        self.seen = images


def test_a_network_that_looks_at_images_first_sees_them_adapted():
    looks = Looks()
    Adapted(Upsample((8, 8)), looks).initialize(torch.zeros(5, 1, 4, 4))
    assert looks.seen.shape == (5, 1, 8, 8)


def test_showing_images_to_a_network_that_does_not_look_changes_nothing():
    network = nn.Linear(4, 2)
    before = network.weight.clone()
    Adapted(Rows(), network).initialize(torch.ones(5, 1, 4, 4))
    assert torch.equal(network.weight, before)


@pytest.mark.parametrize("outputs", [0, -1, 2.0, True])
def test_outputs_that_are_no_count_are_named(outputs: object):
    with pytest.raises(BadArgumentError) as caught:
        assay.build("mlp", outputs=outputs)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "`outputs` must be a whole number of at least 1. "
        f"Received outputs={outputs!r}; give the number of classes, or 1 for regression."
    )


def test_a_shape_that_the_entry_cannot_read_is_named_before_torch_is_asked():
    with pytest.raises(BadArgumentError) as caught:
        assay.build("resnet18", inputs=(13,), outputs=3)
    assert str(caught.value) == (
        "resnet18 reads images (C, H, W). Received inputs=(13,); choose another entry: "
        "`assay list` shows all."
    )


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        assay.build("resnet8l")
    assert str(caught.value) == (
        "Unknown name 'resnet8l'. Did you mean 'resnet18'? "
        f"`assay list` shows all {len(catalog().cards)} entries."
    )
