"""The image networks are the published ones: a reference's weights give the reference's numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.models.vision.mixer import mixer_s16
from assay.models.vision.mobilenet_v2 import mobilenet_v2
from assay.models.vision.resnet import resnet18, resnet34
from assay.models.vision.vgg import vgg11_bn
from assay.models.vision.vit import vit_tiny


@dataclass(frozen=True)
class Pair:
    ours: Callable[..., nn.Module]
    library: str
    name: str
    side: int = 64  # of the images compared; a network of fixed size takes 224
    outputs: int = 1000

    def reference(self) -> nn.Module:
        library = pytest.importorskip(self.library)
        if self.library == "timm":
            return library.create_model(self.name, num_classes=self.outputs)
        return library.models.get_model(self.name, num_classes=self.outputs)


PAIRS = [
    Pair(resnet18, "torchvision", "resnet18"),
    Pair(resnet34, "torchvision", "resnet34"),
    Pair(mobilenet_v2, "torchvision", "mobilenet_v2"),
    Pair(vgg11_bn, "torchvision", "vgg11_bn"),
    Pair(vit_tiny, "timm", "vit_tiny_patch16_224", side=224),
    Pair(mixer_s16, "timm", "mixer_s16_224", side=224),
]
pairs = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)


def with_the_weights_of(theirs: nn.Module, ours: nn.Module) -> nn.Module:
    """Return `ours` with every entry of `theirs`, which stand in the same order under other names.

    An order that differs is found by the shapes or, where shapes agree, by the outputs.
    """
    values, names = theirs.state_dict().values(), ours.state_dict()
    renamed = dict(zip(names, (v.clone() for v in values), strict=True))
    ours.load_state_dict(renamed, assign=True)
    for parameter in ours.parameters():
        parameter.requires_grad_(True)
    return ours


def both(pair: Pair) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    theirs = pair.reference().train()
    for value in theirs.parameters():  # libraries start heads, norms and tokens at 0 or 1
        start = value.flatten()[0].item()
        if value.min() == value.max():
            nn.init.normal_(value, mean=start, std=0.1)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        theirs(torch.randn(8, 3, pair.side, pair.side))  # fills the statistics of normalisations
    with torch.device("meta"):
        ours = pair.ours((3, pair.side, pair.side), pair.outputs)
    return with_the_weights_of(theirs, ours), theirs


def difference(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pairs
def test_it_answers_and_learns_as_the_reference_does(pair: Pair, record_property):
    require_agreement(pair, record_property)


def require_agreement(pair: Pair, record_property: Callable[[str, object], None]) -> None:
    """Require the reference's answers, and its loss and gradients in one step of training."""
    ours, theirs = both(pair)
    images, labels = torch.randn(4, 3, pair.side, pair.side), torch.tensor([3, 1, 4, 1])
    with torch.inference_mode():
        answers = [model.eval()(images) for model in (ours, theirs)]
    spread = answers[1].std(dim=0).max() / answers[1].abs().max()
    assert spread > 1e-2  # equal answers to all images would prove nothing
    record_property("difference", difference(*answers))
    assert difference(*answers) < 1e-4

    losses, norms = zip(*(one_step(model, images, labels) for model in (ours, theirs)), strict=True)
    record_property("gradients", difference(*norms))
    assert difference(*losses) < 1e-4
    assert difference(*norms) < 1e-3
    assert difference(norms[0].sum(), norms[1].sum()) < 1e-4


def one_step(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss in training, and the norm of each parameter's gradient."""
    torch.manual_seed(1)  # the same dropout on both sides
    loss = F.cross_entropy(model.train()(images), labels)
    loss.backward()
    norms = torch.stack([p.grad.norm() for p in model.parameters()])
    model.zero_grad()
    return loss.detach(), norms
