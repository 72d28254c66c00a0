"""Convolution as matrix products equals torch's own."""

import pytest
import torch
from torch import nn

from assay.engine.convolution import (
    MOST_PIXELS,
    _Multiplied,
    can_multiply,
    multiply_few_pixels,
    pixels_out,
)

SHAPES = pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "bias"),
    [
        ((4, 4), 3, 1, 1, False),
        ((1, 1), 3, 1, 1, True),
        ((2, 2), 3, 2, 1, False),
        ((7, 5), 3, 2, 1, True),
        ((5, 6), (5, 2), (2, 3), (2, 0), True),
        ((4, 4), 4, 4, 0, True),
    ],
)


def pair(**options: object) -> tuple[nn.Conv2d, nn.Conv2d]:
    torch.manual_seed(0)
    theirs = nn.Conv2d(64, 8, **options)  # type: ignore[arg-type]
    ours = nn.Conv2d(64, 8, **options)  # type: ignore[arg-type]
    ours.load_state_dict(theirs.state_dict())
    multiply_few_pixels(ours)
    return theirs, ours


@SHAPES
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_outputs_and_gradients_equal_torchs(size, kernel, stride, padding, bias, memory_format):
    theirs, ours = pair(kernel_size=kernel, stride=stride, padding=padding, bias=bias)
    x = torch.randn(3, 64, *size, requires_grad=True)
    assert pixels_out(ours, x) <= MOST_PIXELS
    results = []
    for module in (theirs.double(), ours.double()):
        module.to(memory_format=memory_format)
        module.zero_grad()
        x.grad = None
        y = module(x.double().to(memory_format=memory_format))
        (y * torch.linspace(0, 1, y.numel()).view(y.shape)).sum().backward()
        results.append([y, x.grad, *(p.grad for p in module.parameters())])
    for ours_, theirs_ in zip(*reversed(results), strict=True):
        torch.testing.assert_close(ours_, theirs_, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_the_weights_keeps_their_memory_format():
    _, ours = pair(kernel_size=3, padding=1)
    ours.to(memory_format=torch.channels_last)
    ours(torch.randn(2, 64, 2, 2)).sum().backward()
    assert ours.weight.grad.is_contiguous(memory_format=torch.channels_last)


def test_it_computes_in_the_precision_of_autocast():
    theirs, ours = pair(kernel_size=3, padding=1)
    x = torch.randn(2, 64, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        expected, y = theirs(x), ours(x)
    assert y.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(y, expected, rtol=0.02, atol=0.02)


def test_more_pixels_are_left_to_torch(monkeypatch: pytest.MonkeyPatch):
    theirs, ours = pair(kernel_size=3, padding=1)
    monkeypatch.setattr(_Multiplied, "apply", None)
    x = torch.randn(2, 64, 5, 5)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize(
    ("module", "fits"),
    [
        (nn.Conv2d(64, 8, 3), True),
        (nn.Conv2d(64, 8, 1), False),
        (nn.Conv2d(16, 8, 3), False),
        (nn.Conv2d(64, 64, 3, groups=2), False),
        (nn.Conv2d(64, 8, 3, dilation=2), False),
        (nn.Conv2d(64, 8, 3, padding="same"), False),
        (nn.Conv2d(64, 8, 3, padding=1, padding_mode="reflect"), False),
        (nn.Linear(64, 8), False),
    ],
)
def test_only_plain_wide_convolutions_are_multiplied(module: nn.Module, fits: bool):
    assert can_multiply(module) == fits
