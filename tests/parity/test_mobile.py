"""Dense and mobile networks are the published ones: a reference's weights give its numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.models.vision import (
    densenet,
    efficientnet,
    ghostnet,
    googlenet,
    mobilenet_v1,
    mobilenet_v3,
    shufflenet_v2,
)


@dataclass(frozen=True)
class Pair:
    ours: Callable[..., nn.Module]
    library: str
    name: str

    def reference(self) -> nn.Module:
        library = pytest.importorskip(self.library)
        if self.library == "timm":
            return library.create_model(self.name)
        more = {"aux_logits": False, "init_weights": False} if self.name == "googlenet" else {}
        return library.models.get_model(self.name, **more)


PAIRS = [
    Pair(densenet.densenet121, "torchvision", "densenet121"),
    Pair(mobilenet_v1.mobilenet_v1, "timm", "mobilenetv1_100"),
    Pair(shufflenet_v2.shufflenet_v2_x0_5, "torchvision", "shufflenet_v2_x0_5"),
    Pair(shufflenet_v2.shufflenet_v2_x1_0, "torchvision", "shufflenet_v2_x1_0"),
    Pair(mobilenet_v3.mobilenet_v3_small, "torchvision", "mobilenet_v3_small"),
    Pair(mobilenet_v3.mobilenet_v3_large, "torchvision", "mobilenet_v3_large"),
    Pair(googlenet.googlenet_tv, "torchvision", "googlenet"),
    Pair(ghostnet.ghostnet_100, "timm", "ghostnet_100"),
    Pair(efficientnet.efficientnet_b0, "torchvision", "efficientnet_b0"),
]
SIDE = 64  # of the images compared


def over(pairs: list[Pair]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("pair", pairs, ids=lambda pair: pair.ours.__name__)


def varied(model: nn.Module) -> nn.Module:
    """Return `model` in training mode with norms away from 0 and 1, where libraries start them."""
    for value in model.parameters():
        if value.min() == value.max():
            nn.init.normal_(value, mean=value.flatten()[0].item(), std=0.1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(8, 3, SIDE, SIDE))  # fills the statistics of normalisations
    return model


def with_the_weights_of(theirs: nn.Module, ours: nn.Module) -> nn.Module:
    """Return `ours` with every entry of `theirs`, which stand in the same order under other names.

    An order that differs is found by the shapes or, where shapes agree, by the outputs.
    """
    values, names = theirs.state_dict().values(), ours.state_dict()
    ours.load_state_dict(dict(zip(names, (v.clone() for v in values), strict=True)))
    return ours


def difference(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@over(PAIRS)
def test_it_answers_and_learns_as_the_reference_does(pair: Pair, record_property):
    torch.manual_seed(0)
    theirs = varied(pair.reference())
    ours = with_the_weights_of(theirs, pair.ours((3, SIDE, SIDE), 1000))
    images, labels = torch.randn(4, 3, SIDE, SIDE), torch.tensor([3, 1, 4, 1])
    with torch.inference_mode():
        answers = [model.eval()(images) for model in (ours, theirs)]
    assert answers[1].std(dim=0).max() > 1e-3  # equal answers to all images would prove nothing
    record_property("difference", difference(*answers))
    assert difference(*answers) < 1e-4

    losses, norms = zip(*(one_step(model, images, labels) for model in (ours, theirs)), strict=True)
    assert difference(*losses) < 1e-4
    assert difference(*norms) < 1e-3
    assert difference(norms[0].sum(), norms[1].sum()) < 1e-4


def one_step(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss in training, and the norm of each parameter's gradient."""
    torch.manual_seed(1)  # the same dropout on both sides
    loss = F.cross_entropy(model.train()(images), labels)
    loss.backward()
    return loss.detach(), torch.stack([p.grad.norm() for p in model.parameters()])


def test_googlenets_auxiliary_classifiers_score_as_the_references_do():
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(0)
    theirs = varied(models.googlenet(aux_logits=True, init_weights=False))
    as_theirs = {"largest": 3, "last_pool": 2, "dropout": 0.2, "auxiliary": True}
    ours = googlenet.GoogLeNet(in_channels=3, outputs=1000, **as_theirs)
    with_the_weights_of(theirs, ours)
    images = torch.randn(4, 3, SIDE, SIDE)
    for module in [*ours.modules(), *theirs.modules()]:
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # the reference draws in another order
    with torch.no_grad():
        answers, theirs_scores = ours.train().forward_all(images), theirs(images)
    expected = (theirs_scores.aux_logits1, theirs_scores.aux_logits2, theirs_scores.logits)
    assert max(map(difference, answers, expected)) < 1e-4
