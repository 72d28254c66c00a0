"""Small forms: the published stems, and shapes that shrink as stated."""

import pytest
import torch
from torch import nn

from assay.models.vision.mixer import mixer_s16
from assay.models.vision.mobilenet_v2 import mobilenet_v2
from assay.models.vision.resnet import resnet18
from assay.models.vision.vgg import vgg11_bn
from assay.models.vision.vit import vit_tiny


def last_map(build, side: int) -> torch.Size:
    """Return height and width of what the averaging at the end gets."""
    model, seen = build((1, side, side), 10, small=True), []
    head = model.classifier if hasattr(model, "classifier") else model.head
    head.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[2:]))
    with torch.no_grad():
        model.eval()(torch.randn(1, 1, side, side))
    return seen[0]


@pytest.mark.parametrize(("side", "left"), [(8, 1), (28, 4), (32, 4), (64, 8)])
@pytest.mark.parametrize("build", [resnet18, mobilenet_v2])
def test_a_small_stem_leaves_an_eighth_of_the_side(build, side: int, left: int):
    assert last_map(build, side) == (left, left)


@pytest.mark.parametrize(("side", "left"), [(8, 1), (28, 1), (32, 1), (64, 2)])
def test_the_small_vgg_pools_until_one_pixel_is_left(side: int, left: int):
    assert last_map(vgg11_bn, side) == (left, left)


def test_the_small_resnet_is_the_large_one_but_for_its_first_convolution():
    small, large = (resnet18((3, 64, 64), 10, small=small).state_dict() for small in (True, False))
    differing = [name for name in small if small[name].shape != large[name].shape]
    assert list(small) == list(large)
    assert differing == ["stem.0.conv.weight"]


@pytest.mark.parametrize(("build", "tokens", "blocks"), [(vit_tiny, 1 + 16, 6), (mixer_s16, 16, 4)])
def test_an_8_pixel_image_is_16_tokens(build, tokens: int, blocks: int):
    model, seen = build((1, 8, 8), 10, small=True), []
    model.blocks.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[1]))
    with torch.no_grad():
        model(torch.randn(1, 1, 8, 8))
    assert seen == [tokens]
    assert len(model.blocks) == blocks


@pytest.mark.parametrize("build", [resnet18, vgg11_bn, mobilenet_v2, vit_tiny, mixer_s16])
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 31)])
def test_small_forms_read_odd_and_oblong_images(build, shape: tuple[int, int, int]):
    model: nn.Module = build(shape, 7, small=True)
    assert model(torch.randn(2, *shape)).shape == (2, 7)
