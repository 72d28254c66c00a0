"""Deformable convolution against torchvision's kernel, and where it starts from."""

import pytest
import torch
from parts import part
from torch import nn
from torchvision.ops import deform_conv2d

from assay.errors import BadArgumentError

GEOMETRIES = [
    {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 1},
    {"kernel_size": 3, "stride": 1, "padding": 2, "dilation": 2},
    {"kernel_size": 2, "stride": 3, "padding": 0, "dilation": 1},
    {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1},
]


def made(**options: int | bool) -> nn.Module:
    torch.manual_seed(0)
    block = part("deformable-convolution")(3, 4, **options).double()
    nn.init.normal_(block.look.weight, std=0.5)  # offsets of some pixels, many outside
    nn.init.normal_(block.look.bias)
    return block


def theirs(block: nn.Module, x: torch.Tensor, **geometry: int) -> torch.Tensor:
    looked, taps = block.look(x), 2 * geometry.pop("kernel_size") ** 2
    mask = looked[:, taps:].sigmoid() if block.modulated else None
    weight, bias = block.conv.weight, block.conv.bias
    return deform_conv2d(x, looked[:, :taps], weight, bias, mask=mask, **geometry)


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_deformable_convolution_equals_torchvisions(geometry: dict[str, int], modulated: bool):
    block = made(modulated=modulated, **geometry)
    x = torch.randn(2, 3, 8, 7, dtype=torch.float64, requires_grad=True)
    mine, other = block(x), theirs(block, x, **geometry)
    torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-10)
    up = torch.randn_like(mine)
    leaves = [x, *block.parameters()]
    for gradients in zip(
        torch.autograd.grad(mine, leaves, up), torch.autograd.grad(other, leaves, up), strict=True
    ):
        torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


def test_deformable_convolution_starts_as_a_standard_one():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 5)
    for modulated, strength in ((False, 1), (True, 0.5)):
        block = part("deformable-convolution")(3, 4, modulated=modulated, bias=False)
        standard = nn.functional.conv2d(x, block.conv.weight, padding=1)
        torch.testing.assert_close(block(x), strength * standard, rtol=1e-5, atol=1e-6)


def test_an_offset_of_one_pixel_moves_the_image():
    block = part("deformable-convolution")(1, 1, 1, padding=0, modulated=False, bias=False)
    nn.init.ones_(block.conv.weight)
    with torch.no_grad():
        block.look.bias.copy_(torch.tensor([1.0, -1.0]))  # down and left
    x = torch.arange(9.0).view(1, 1, 3, 3)
    expected = torch.tensor([[0, 3, 4], [0, 6, 7], [0, 0, 0.0]])
    torch.testing.assert_close(block(x)[0, 0], expected)


def test_an_image_smaller_than_the_kernel_is_refused():
    block = part("deformable-convolution")(1, 1, 3, padding=0, dilation=2)
    with pytest.raises(BadArgumentError) as caught:
        block(torch.zeros(1, 1, 4, 9))
    assert str(caught.value) == (
        "This deformable convolution reads images of at least 5×5. "
        "Received 4×9; give larger ones or more padding."
    )
