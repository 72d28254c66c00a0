"""ResNets activated before their convolutions are the published ones: timm's weights prove it."""

import pytest
import torch
from test_networks import Pair, both, difference, one_step
from torch import nn

from assay.blocks.preactivation import PreActivated
from assay.models.vision.resnet import preact_resnet18, preact_resnet50

PAIRS = [
    Pair(preact_resnet18, "timm", "resnetv2_18", 11_687_720),
    Pair(preact_resnet50, "timm", "resnetv2_50", 25_549_352),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_it_has_the_references_parameters_shape_by_shape(pair: Pair):
    with torch.device("meta"):
        ours, theirs = pair.ours((3, 224, 224), 1000), pair.reference()
    shapes = [[value.shape for value in model.state_dict().values()] for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert sum(p.numel() for p in ours.parameters()) == pair.parameters


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_it_answers_and_learns_as_the_reference_does(pair: Pair, record_property):
    ours, theirs = both(pair)
    images, labels = torch.randn(4, 3, pair.side, pair.side), torch.tensor([3, 1, 4, 1])
    with torch.inference_mode():
        answers = [model.eval()(images) for model in (ours, theirs)]
    spread = answers[1].std(dim=0).max() / answers[1].abs().max()
    assert spread > 1e-2  # equal answers to all images would prove nothing
    record_property("difference", difference(*answers))
    assert difference(*answers) < 1e-4

    losses, norms = zip(*(one_step(model, images, labels) for model in (ours, theirs)), strict=True)
    assert difference(*losses) < 1e-4
    assert difference(*norms) < 1e-3
    assert difference(norms[0].sum(), norms[1].sum()) < 1e-4


def test_a_shortcut_carries_its_input_untouched_unless_shapes_change():
    block = PreActivated(2, nn.Conv2d(2, 2, 1)).eval()
    nn.init.zeros_(block.branch[0].weight)
    nn.init.zeros_(block.branch[0].bias)
    x = torch.tensor([-1.0, 3.0]).view(1, 2, 1, 1)
    assert torch.equal(block(x), x)
    block.shortcut = nn.Identity()  # stands for a projection, which reads what was activated
    torch.testing.assert_close(block(x), x.relu(), rtol=1e-4, atol=1e-4)
