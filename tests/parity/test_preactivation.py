"""ResNets activated before their convolutions are the published ones: timm's weights prove it."""

import pytest
import torch
from test_networks import Pair, require_agreement
from torch import nn

from assay.blocks.preactivation import PreActivated
from assay.engine.spec import Plan
from assay.engine.ways import apply_plan
from assay.models.vision.resnet import preact_basic, preact_resnet18, preact_resnet50

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


def test_without_its_normalisation_a_block_overwrites_nothing_that_it_adds():
    block = preact_basic(2, 2, 1).eval()
    block.first.norm = nn.Identity()
    x = torch.tensor([-1.0, 3.0]).view(1, 2, 1, 1)
    with torch.inference_mode():
        total = block(x)
        torch.testing.assert_close(total, block.branch(x.relu()) + x)
    assert x.flatten().tolist() == [-1.0, 3.0]


def test_it_trains_where_convolutions_are_matrix_products():
    plan = Plan(memory_format="channels_last", convolution="matmul")
    network = apply_plan(preact_resnet18((1, 28, 28), 3, small=True), plan)
    network(torch.randn(2, 1, 28, 28)).sum().backward()
