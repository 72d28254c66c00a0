"""The networks that papers published for small images: their sizes, and a reference's numbers."""

from dataclasses import dataclass
from importlib import import_module

import pytest
import torch
from test_networks import Pair, require_agreement
from torch import nn
from torch.nn import functional as F

from assay.blocks.preactivation import plain
from assay.canon.catalog import catalog
from assay.models.build import build
from assay.models.vision.densenet import DenseNet, densenet40_12, densenet_bc100_12, unsqueezed
from assay.models.vision.resnet import ZeroPad, preact_resnet164, resnet20
from assay.models.vision.resnext import resnext29_8x64d
from assay.models.vision.se_resnet import se_resnet164
from assay.models.vision.wide_resnet import wide_resnet16_8, wide_resnet40_2

PUBLISHED = {  # millions of parameters, from the papers' tables
    **{"resnet20": 0.27, "resnet32": 0.46, "resnet44": 0.66, "resnet56": 0.85, "resnet110": 1.7},
    **{"preact_resnet164": 1.7, "resnext29_8x64d": 34.4, "resnext29_16x64d": 68.1},
    **{"wide_resnet16_8": 11.0, "wide_resnet28_10": 36.5},
    **{"wide_resnet40_2": 2.2, "wide_resnet40_4": 8.9},
    **{"densenet40_12": 1.0, "densenet100_12": 7.0, "densenet_bc100_12": 0.8},
    **{"densenet_bc190_40": 25.6, "densenet_bc250_24": 15.3},
}


class Subsampled(nn.Module):
    """A shortcut without weights."""

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.added))


@dataclass(frozen=True)
class CifarPair(Pair):
    """An entry and pytorchcv's network of the same paper."""

    arguments: tuple[object, ...] = ()
    outputs: int = 10
    side: int = 32
    library: str = "pytorchcv"
    name: str = ""
    weightless: bool = False  # whether shortcuts are to have no weights
    excited: bool = False  # whether branches are to end in squeeze-and-excitation

    def reference(self) -> nn.Module:
        pytest.importorskip(self.library)
        module = import_module(f"pytorchcv.models.{self.name}_cifar")
        network = getattr(module, f"get_{self.name}_cifar")(self.outputs, *self.arguments)
        for unit in [module for module in network.modules() if hasattr(module, "body")]:
            if self.weightless and hasattr(unit, "identity_conv"):
                unit.identity_conv = Subsampled(unit.identity_conv.conv.out_channels // 2)
            if hasattr(unit, "identity_conv") and not hasattr(unit, "activ"):
                unit._modules = {"identity_conv": unit.identity_conv, **unit._modules}  # as in ours
            if self.excited:
                excite(unit)
        return network


def excite(unit: nn.Module) -> None:
    """Let a pre-activated unit of pytorchcv weigh its branch by pytorchcv's excitation.

    Its own `sepreresnet` normalises after the stem instead of before the head.
    """
    channels = unit.body.conv3.conv.out_channels
    unit.se = import_module("pytorchcv.models.common.att").SEBlock(channels)
    unit.body.register_forward_hook(lambda _, __, y: (unit.se(y[0]), y[1]))


def halving(inputs: tuple[int, ...], outputs: int) -> DenseNet:
    """Return DenseNet-40 with the stem and transitions of DenseNet-BC, as the reference has it."""
    return DenseNet(
        (12, 12, 12), 12, 24, layer=unsqueezed, first=plain,
        in_channels=inputs[0], outputs=outputs, small=True,
    )  # fmt: skip


PAIRS = [
    CifarPair(resnet20, name="resnet", arguments=(20, False), weightless=True),
    CifarPair(preact_resnet164, name="preresnet", arguments=(164, True)),
    CifarPair(se_resnet164, name="preresnet", arguments=(164, True), excited=True),
    CifarPair(wide_resnet16_8, name="wrn", arguments=(16, 8)),
    CifarPair(wide_resnet40_2, name="wrn", arguments=(40, 2)),
    CifarPair(resnext29_8x64d, name="resnext", arguments=(29, 8, 64)),
    CifarPair(densenet_bc100_12, name="densenet", arguments=(100, 12, True)),
    CifarPair(halving, name="densenet", arguments=(40, 12, False)),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.ours.__name__)
def test_it_answers_and_learns_as_the_reference_does(pair: CifarPair, record_property):
    require_agreement(pair, record_property)


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_has_the_papers_number_of_parameters(name: str):
    with torch.device("meta"):
        count = sum(p.numel() for p in build(name).parameters()) / 1e6
    last = 10 ** -len(f"{PUBLISHED[name]}".partition(".")[2])
    assert abs(count - PUBLISHED[name]) < last


def test_a_shortcut_without_weights_keeps_every_second_pixel_and_adds_zeros():
    x = torch.randn(2, 3, 7, 8)
    y = ZeroPad(3, 5, 2)(x)
    assert y.shape == (2, 5, 4, 4)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2])
    assert not y[:, 3:].any()


def test_a_plain_densenet_keeps_all_channels_in_its_transitions():
    sides: list[tuple[int, ...]] = []
    model = densenet40_12((3, 32, 32), 10)
    for module in model.modules():
        if isinstance(module, nn.AvgPool2d):
            module.register_forward_hook(
                lambda _, x, y: sides.append((x[0].shape[1], *y.shape[1:]))
            )
    model(torch.zeros(2, 3, 32, 32))
    assert sides == [(160, 160, 16, 16), (304, 304, 8, 8)]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (2, 9, 31), (3, 224, 224)])
def test_they_read_images_as_they_are(shape: tuple[int, int, int]):
    model = build("resnet20", inputs=shape, outputs=7)
    assert type(model).__name__ == "ResNet"
    assert model(torch.randn(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("name", PUBLISHED)
def test_small_images_need_no_other_form(name: str):
    card, variant = catalog().entry(name)
    assert [card.adapt(variant, shape) for shape in [(1, 8, 8), (3, 64, 64), (3, 224, 224)]] == [
        None
    ] * 3
    enlarged = card.adapt(variant, (1, 6, 5))
    assert enlarged is not None
    assert (enlarged.kind, enlarged.inputs) == ("upsample", (1, 8, 8))


def test_images_below_eight_pixels_are_enlarged():
    model = build("resnet20", inputs=(1, 6, 5), outputs=7)
    assert model(torch.randn(2, 1, 6, 5)).shape == (2, 7)
