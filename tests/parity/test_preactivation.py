"""ResNets activated before their convolutions are the published ones: timm's weights prove it."""

import pytest
import torch
from test_networks import Pair, require_agreement
from torch import nn

from assay.blocks.preactivation import PreActivated
from assay.models.vision.resnet import preact_resnet18, preact_resnet50

PAIRS = [
    Pair(preact_resnet18, "timm", "resnetv2_18"),
    Pair(preact_resnet50, "timm", "resnetv2_50"),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_it_answers_and_learns_as_the_reference_does(pair: Pair, record_property):
    require_agreement(pair, record_property)


def test_a_shortcut_carries_its_input_untouched_unless_shapes_change():
    block = PreActivated(2, nn.Conv2d(2, 2, 1)).eval()
    nn.init.zeros_(block.branch[0].weight)
    nn.init.zeros_(block.branch[0].bias)
    x = torch.tensor([-1.0, 3.0]).view(1, 2, 1, 1)
    assert torch.equal(block(x), x)
    block.shortcut = nn.Identity()  # stands for a projection, which reads what was activated
    torch.testing.assert_close(block(x), x.relu(), rtol=1e-4, atol=1e-4)
