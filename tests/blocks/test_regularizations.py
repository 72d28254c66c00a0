"""Layers that drop at random: what one draw covers, how often, and that evaluation is exact."""

import pytest
import torch
from parts import part
from torch import nn
from torchvision.ops import stochastic_depth

from assay.errors import BadArgumentError

P = 0.3
COUNT = 20_000
ERROR = (P * (1 - P) / COUNT) ** 0.5  # standard error of a fraction


def test_dropout_zeroes_single_values_and_scales_the_rest():
    torch.manual_seed(0)
    x = torch.rand(4, COUNT // 4) + 1
    out = part("dropout")(P)(x)
    assert abs((out == 0).double().mean().item() - P) < 4 * ERROR
    torch.testing.assert_close(out, torch.where(out == 0, 0, x / (1 - P)))


def test_spatial_dropout_zeroes_whole_channels_and_scales_the_rest():
    torch.manual_seed(0)
    x = torch.rand(20, COUNT // 20, 2, 3) + 1
    out = part("spatial-dropout")(P)(x)
    gone = (out == 0).all(dim=(2, 3))
    assert abs(gone.double().mean().item() - P) < 4 * ERROR
    assert gone.unique(dim=0).shape[0] == 20  # each example draws for itself
    torch.testing.assert_close(out, torch.where(gone[:, :, None, None], 0, x / (1 - P)))


def test_drop_path_zeroes_whole_examples_and_scales_the_rest():
    torch.manual_seed(0)
    x = torch.rand(COUNT, 2, 3) + 1
    out = part("drop-path")(P)(x)
    gone = (out == 0).all(dim=(1, 2))
    assert abs(gone.double().mean().item() - P) < 4 * ERROR
    torch.testing.assert_close(out, torch.where(gone[:, None, None], 0, x / (1 - P)))


@pytest.mark.parametrize("shape", [(64,), (64, 5), (64, 3, 4, 4)])
def test_drop_path_equals_torchvisions_stochastic_depth(shape: tuple[int, ...]):
    x = torch.randn(shape, requires_grad=True)
    torch.manual_seed(1)
    ours = part("drop-path")(P)(x)
    torch.manual_seed(1)
    theirs = stochastic_depth(x, P, mode="row")
    assert 0 < (ours == 0).sum() < ours.numel()
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", ["dropout", "spatial-dropout", "drop-path"])
def test_nothing_is_dropped_in_evaluation(name: str):
    x = torch.randn(4, 3, 2, 2)
    assert torch.equal(part(name)(P).eval()(x), x)


def test_drop_path_of_probability_zero_is_the_identity():
    x = torch.randn(4, 3)
    assert torch.equal(part("drop-path")(0.0)(x), x)


@pytest.mark.parametrize("p", [1.0, -0.1])
def test_a_probability_that_drops_all_or_less_than_nothing_is_refused(p: float):
    with pytest.raises(BadArgumentError) as caught:
        part("drop-path")(p)
    assert str(caught.value) == (
        f"`p` must be in [0, 1). Received p={p}; a branch that is always dropped is best left out."
    )


def test_a_dropped_branch_leaves_the_shortcut_alone():
    torch.manual_seed(0)
    branch = nn.Linear(3, 3)
    x = torch.randn(200, 3)
    out = x + part("drop-path")(0.5)(branch(x))
    alone = (out == x).all(dim=1)
    assert 0 < alone.sum() < 200
    torch.testing.assert_close(out[~alone], (x + 2 * branch(x))[~alone])
