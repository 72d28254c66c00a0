"""Transformers, what came after and their rivals are the published ones, weight for weight."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from assay.canon.catalog import catalog
from assay.canon.idea import ablated
from assay.models.build import build
from assay.models.vision.convmixer import convmixer_768_32
from assay.models.vision.convnext import convnext_tiny
from assay.models.vision.darknet_19 import darknet19
from assay.models.vision.darknet_53 import darknet53
from assay.models.vision.deit import deit_tiny_distilled
from assay.models.vision.mixer import TokenLinear, mixer_b16
from assay.models.vision.repvgg import RepVGG, repvgg_a0
from assay.models.vision.swin import swin_t
from assay.models.vision.vit import vit_small

OUTPUTS = 1000
DARKNET_SLOPE = 0.1  # of the leaky activation in darknet's own files; timm's is torch's 0.01


@dataclass(frozen=True)
class Pair:
    ours: Callable[..., nn.Module]
    library: str
    name: str
    side: int = 64  # of the images compared

    def reference(self, side: int = 224) -> nn.Module:
        library = pytest.importorskip(self.library)
        if self.library == "torchvision":
            return library.models.get_model(self.name)
        sized = {"img_size": side} if "patch" in self.name or "mixer_b16" in self.name else {}
        return library.create_model(self.name, **sized)


PAIRS = [
    Pair(vit_small, "timm", "vit_small_patch16_224"),
    Pair(mixer_b16, "timm", "mixer_b16_224"),
    Pair(convnext_tiny, "torchvision", "convnext_tiny"),
    Pair(convmixer_768_32, "timm", "convmixer_768_32", side=28),
    Pair(swin_t, "torchvision", "swin_t", side=72),  # pads and shifts at 72 pixels
    Pair(deit_tiny_distilled, "timm", "deit_tiny_distilled_patch16_224"),
    Pair(repvgg_a0, "timm", "repvgg_a0"),
    Pair(darknet53, "timm", "darknet53"),
]
pairs = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)


def weights_of(theirs: nn.Module) -> dict[str, Tensor]:
    """Return what the reference learned, without torchvision's table of offsets."""
    entries = theirs.state_dict().items()
    return {name: value for name, value in entries if "relative_position_index" not in name}


def renamed(theirs: Mapping[str, Tensor], ours: nn.Module) -> dict[str, Tensor]:
    """Return entries under our names: both sides have them in the same order."""
    return dict(zip(ours.state_dict(), (v.clone() for v in theirs.values()), strict=True))


def difference(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def unsettled(theirs: nn.Module, side: int) -> nn.Module:
    """Return the reference without chance, and with no value at the 0 or 1 it starts from."""
    for value in theirs.parameters():
        if value.min() == value.max():
            nn.init.normal_(value, mean=value.flatten()[0].item(), std=0.1)
    for module in theirs.modules():
        if type(module).__name__ == "StochasticDepth":
            module.p = 0.0
        if isinstance(module, nn.LeakyReLU):
            module.negative_slope = DARKNET_SLOPE
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        theirs.train()(torch.randn(8, 3, side, side))  # fills the statistics of normalisations
    return theirs


@pairs
def test_it_answers_and_learns_as_the_reference_does(pair: Pair, record_property):
    torch.manual_seed(0)
    theirs = unsettled(pair.reference(pair.side), pair.side)
    ours = pair.ours((3, pair.side, pair.side), OUTPUTS)
    ours.load_state_dict(renamed(weights_of(theirs), ours))
    images, labels = torch.randn(2, 3, pair.side, pair.side), torch.tensor([3, 1])
    with torch.inference_mode():
        answers = [model.eval()(images) for model in (ours, theirs)]
    assert answers[1].std(dim=0).max() > 1e-3  # equal answers to all images would prove nothing
    record_property("difference", difference(*answers))
    assert difference(*answers) < 1e-4

    images, labels = torch.randn(4, 3, pair.side, pair.side), torch.tensor([3, 1, 4, 1])
    losses, norms = zip(*(one_step(model, images, labels) for model in (ours, theirs)), strict=True)
    assert difference(*losses) < 1e-4
    assert difference(*norms) < 1e-3
    assert difference(norms[0].sum(), norms[1].sum()) < 1e-4


def one_step(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss in training, and the norm of each parameter's gradient."""
    loss = F.cross_entropy(model.train()(images), labels)
    loss.backward()
    return loss.detach(), torch.stack([p.grad.norm() for p in model.parameters()])


def taught(name: str) -> tuple[RepVGG, Tensor]:
    """Return a RepVGG whose normalisations have seen images, and some more images."""
    torch.manual_seed(0)
    model = unsettled(build(name, inputs=(3, 64, 64), outputs=10), side=64)
    assert isinstance(model, RepVGG)
    return model.eval(), torch.randn(4, 3, 64, 64)


@pytest.mark.parametrize("left_out", ["", *catalog().entry("repvgg")[0].removable])
def test_a_folded_repvgg_answers_as_the_one_that_learned(left_out: str):
    model, images = taught(ablated("repvgg_a0", left_out) if left_out else "repvgg_a0")
    with torch.inference_mode():
        before, after = model(images), model.folded()(images)
    assert before.std(dim=0).max() > 1e-3
    assert difference(after, before) < 1e-4
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.folded().modules())


def test_a_folded_repvgg_is_one_convolution_a_block_and_as_large_as_the_paper_says():
    with torch.device("meta"):
        model = repvgg_a0((3, 224, 224), OUTPUTS)
    plain = model.folded()
    convolutions = [m for m in plain.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == len(model.blocks) == 22
    assert not any(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    assert sum(p.numel() for p in plain.parameters()) == pytest.approx(8.30e6, rel=2e-3)  # table 4


def test_a_token_linear_layer_is_torchs_along_the_tokens():
    layer, x = TokenLinear(5, 7), torch.randn(3, 5, 4, generator=torch.manual_seed(0))
    theirs = F.linear(x.mT, layer.weight, layer.bias).mT
    torch.testing.assert_close(layer(x), theirs)
    assert layer(x).is_contiguous()


def test_darknet_19_has_nineteen_convolutions_and_the_papers_cost():
    with torch.device("meta"):
        model, image = darknet19((3, 224, 224), OUTPUTS), torch.empty(1, 3, 224, 224)
    counter = FlopCounterMode(display=False)
    with counter:
        model(image)
    assert sum(isinstance(m, nn.Conv2d) for m in model.modules()) == 19
    assert counter.get_total_flops() == pytest.approx(5.58e9, rel=2e-3)  # section 3
