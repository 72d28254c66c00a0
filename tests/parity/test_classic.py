"""The classic image networks are the published ones: a reference's weights give its numbers."""

import pytest
import torch
from test_networks import Pair, require_agreement
from torch import nn
from torch.nn import functional as F

from assay.models.vision.alexnet import alexnet, alexnet_2012, response_norm
from assay.models.vision.network_in_network import nin
from assay.models.vision.resnet import resnet50
from assay.models.vision.resnext import resnext50_32x4d
from assay.models.vision.se_resnet import se_resnet50
from assay.models.vision.squeezenet import squeezenet1_0, squeezenet1_1
from assay.models.vision.vgg import vgg11
from assay.models.vision.zfnet import zfnet

RUN = [
    Pair(alexnet, "torchvision", "alexnet"),
    Pair(vgg11, "torchvision", "vgg11", side=32),
    Pair(resnet50, "torchvision", "resnet50"),
    Pair(resnext50_32x4d, "torchvision", "resnext50_32x4d"),
    Pair(se_resnet50, "timm", "seresnet50"),
    Pair(squeezenet1_0, "torchvision", "squeezenet1_0", side=72),
    Pair(squeezenet1_1, "torchvision", "squeezenet1_1", side=72),
]


@pytest.mark.parametrize("pair", RUN, ids=lambda pair: pair.name)
def test_it_answers_and_learns_as_the_reference_does(pair: Pair, record_property):
    require_agreement(pair, record_property)


@pytest.mark.parametrize(("build", "name"), [(alexnet, "alexnet")])
def test_a_references_weights_load_under_their_own_names(build, name: str):
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        ours, theirs = build((3, 224, 224), 1000), torchvision.models.get_model(name)
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_alexnet_of_2012_has_the_papers_sixty_million_parameters():
    with torch.device("meta"):
        model = alexnet_2012((3, 224, 224), 1000)
    assert sum(p.numel() for p in model.parameters()) == 60_965_224


def test_response_normalisation_is_the_papers_formula():
    torch.manual_seed(0)
    x = 30 * torch.randn(2, 12, 3, 3, dtype=torch.float64)
    padded = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
    sums = torch.stack([padded[:, i : i + 5].sum(dim=1) for i in range(12)], dim=1)
    torch.testing.assert_close(response_norm()(x), x / (2 + 1e-4 * sums) ** 0.75)


def test_a_half_of_alexnet_of_2012_looks_at_its_own_channels_only():
    torch.manual_seed(0)
    second = alexnet_2012((3, 64, 64), 10).features[4]
    assert isinstance(second, nn.Conv2d)
    x = torch.randn(1, 96, 7, 7)
    changed = x.clone()
    changed[:, :48] += 1
    before, after = second(x), second(changed)
    assert torch.equal(before[:, 128:], after[:, 128:])
    assert not torch.equal(before[:, :128], after[:, :128])


def sides(model: nn.Module, inputs: tuple[int, int, int], kind: type[nn.Module]) -> list[int]:
    """Return the side of the map that each layer of a kind returns."""
    seen: list[int] = []
    for module in model.modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda _, __, y: seen.append(y.shape[-1]))
    model(torch.empty(1, *inputs, device="meta"))
    return seen


@pytest.mark.parametrize(
    ("build", "maps"),
    [(alexnet_2012, [55, 27, 13, 13, 13]), (zfnet, [110, 26, 13, 13, 13])],  # the papers' figures
)
def test_the_maps_have_the_sizes_of_the_papers_figure(build, maps: list[int]):
    with torch.device("meta"):
        model = build((3, 224, 224), 1000)
    assert sides(model, (3, 224, 224), nn.Conv2d) == maps


def test_network_in_network_halves_a_cifar_image_twice():
    with torch.device("meta"):
        model = nin((3, 32, 32), 10)
    assert sides(model, (3, 32, 32), nn.Conv2d) == [32] * 3 + [16] * 3 + [8] * 3
    assert sum(p.numel() for p in model.parameters()) == 966_986
