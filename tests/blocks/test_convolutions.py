"""Convolutions against the sums that define them, in loops."""

import numpy as np
import pytest
import torch
from parts import part
from torch import nn

from assay.errors import BadArgumentError


def correlate(x: np.ndarray, weight: np.ndarray, *, stride: int = 1, padding: int = 0):
    """Return the convolution of one image: x (C, H, W), weight (O, C, k, l) -> (O, H', W')."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    height, width = weight.shape[2:]
    rows = range(0, x.shape[1] - height + 1, stride)
    columns = range(0, x.shape[2] - width + 1, stride)
    sums = [
        [[(kernel * x[:, i : i + height, j : j + width]).sum() for j in columns] for i in rows]
        for kernel in weight
    ]
    return np.array(sums)


def close(ours: torch.Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(ours, torch.as_tensor(expected))


@pytest.fixture
def image() -> torch.Tensor:
    """One image of 6 channels, 9×8 pixels."""
    torch.manual_seed(0)
    return torch.randn(1, 6, 9, 8, dtype=torch.float64)


def numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


@pytest.mark.parametrize(("stride", "padding", "shape"), [(1, 0, (7, 6)), (2, 1, (5, 4))])
def test_convolution_layer_is_the_sum_over_its_window(
    image: torch.Tensor, stride: int, padding: int, shape: tuple[int, int]
):
    conv = part("convolution-layer")(6, 4, 3, stride, padding).double()
    expected = correlate(image[0].numpy(), numbers(conv.weight), stride=stride, padding=padding)
    out = conv(image)
    assert out.shape == (1, 4, *shape)
    close(out[0], expected + numbers(conv.bias)[:, None, None])


def test_group_convolution_convolves_each_group_on_its_own(image: torch.Tensor):
    conv = part("group-convolution")(6, 4, 3, groups=2, bias=False).double()
    assert conv.weight.numel() == 3 * 3 * 6 * 4 / 2
    first, second = numbers(conv.weight[:2]), numbers(conv.weight[2:])
    expected = [correlate(image[0, :3].numpy(), first), correlate(image[0, 3:].numpy(), second)]
    close(conv(image)[0], np.concatenate(expected))


def test_depthwise_convolution_filters_each_channel_by_its_own_kernel(image: torch.Tensor):
    conv = part("depthwise-convolution")(6, 6, 3, groups=6, bias=False).double()
    assert conv.weight.numel() == 3 * 3 * 6
    for channel in range(6):
        alone = correlate(image[0, [channel]].numpy(), numbers(conv.weight[[channel]]))
        close(conv(image)[0, [channel]], alone)


def test_pointwise_convolution_is_one_linear_layer_at_every_pixel(image: torch.Tensor):
    conv = part("pointwise-convolution")(6, 4, kernel_size=1).double()
    pixels = np.moveaxis(image[0].numpy(), 0, 2)  # (H, W, C)
    mixed = pixels @ numbers(conv.weight)[:, :, 0, 0].T + numbers(conv.bias)
    close(conv(image)[0], np.moveaxis(mixed, 2, 0))


@pytest.mark.parametrize("rate", [2, 3])
def test_dilated_convolution_is_one_by_a_kernel_full_of_zeros(image: torch.Tensor, rate: int):
    conv = part("dilated-convolution")(6, 2, 3, padding=rate, dilation=rate, bias=False).double()
    side = rate * (3 - 1) + 1
    spread = np.zeros((2, 6, side, side))
    spread[:, :, ::rate, ::rate] = numbers(conv.weight)
    close(conv(image)[0], correlate(image[0].numpy(), spread, padding=rate))


@pytest.mark.parametrize("size", [3, 5, 7])
def test_asymmetric_convolution_is_one_by_the_product_of_its_column_and_row(
    image: torch.Tensor, size: int
):
    conv = part("asymmetric-convolution")(6, 4, size).double()
    nn.init.zeros_(conv.column.bias)  # at the border the row reads zeros, not this bias
    column, row = numbers(conv.column.weight)[..., 0], numbers(conv.row.weight)[:, :, 0]
    whole = np.einsum("mcu,omv->ocuv", column, row)
    expected = correlate(image[0].numpy(), whole, padding=size // 2)
    close(conv(image)[0], expected + numbers(conv.row.bias)[:, None, None])
    assert column.size + row.size == size * (6 * 4 + 4 * 4)


def test_what_stands_between_an_asymmetric_convolutions_steps_is_applied(image: torch.Tensor):
    conv = part("asymmetric-convolution")(6, 4, 3, between=nn.ReLU).double()
    torch.testing.assert_close(conv(image), conv.row(conv.column(image).relu()))
    assert not torch.equal(conv(image), conv.row(conv.column(image)))


def test_an_even_kernel_of_an_asymmetric_convolution_is_refused():
    with pytest.raises(BadArgumentError) as caught:
        part("asymmetric-convolution")(6, 4, 4)
    assert str(caught.value) == (
        "`kernel_size` must be odd, so that the output keeps the size of the input. "
        "Received kernel_size=4; take 5."
    )


@pytest.mark.parametrize(("stride", "padding", "extra"), [(1, 0, 0), (2, 1, 1), (3, 1, 0)])
def test_transposed_convolution_paints_a_kernel_for_every_pixel(
    stride: int, padding: int, extra: int
):
    torch.manual_seed(0)
    x = torch.randn(1, 2, 4, 3, dtype=torch.float64)
    conv = part("transposed-convolution")(2, 3, 3, stride, padding, extra, bias=False).double()
    canvas = np.zeros((3, (4 - 1) * stride + 3 + extra, (3 - 1) * stride + 3 + extra))
    for c, i, j in np.ndindex(2, 4, 3):
        corner = np.s_[:, i * stride : i * stride + 3, j * stride : j * stride + 3]
        canvas[corner] += numbers(conv.weight)[c] * x[0, c, i, j].item()
    height, width = canvas.shape[1:]
    close(conv(x)[0], canvas[:, padding : height - padding, padding : width - padding])


def test_a_transposed_convolution_is_the_gradient_of_the_convolution(image: torch.Tensor):
    image.requires_grad_()
    forward = nn.Conv2d(6, 4, 3, stride=2, bias=False).double()
    answer = forward(image)
    up = torch.randn_like(answer)
    back = part("transposed-convolution")(4, 6, 3, stride=2, output_padding=(0, 1), bias=False)
    back.weight = forward.weight
    (gradient,) = torch.autograd.grad(answer, image, up)
    torch.testing.assert_close(back.double()(up), gradient)


def test_squeeze_and_excitation_weighs_channels_by_all_their_averages(image: torch.Tensor):
    block = part("squeeze-and-excitation")(6, 2).double()
    first, second = (numbers(layer.weight)[:, :, 0, 0] for layer in (block.reduce, block.expand))
    averages = image[0].numpy().mean(axis=(1, 2))
    hidden = np.maximum(first @ averages + numbers(block.reduce.bias), 0)
    weights = 1 / (1 + np.exp(-(second @ hidden + numbers(block.expand.bias))))
    close(block(image)[0], weights[:, None, None] * image[0].numpy())


def test_channel_shuffle_deals_the_channels_of_each_group_in_turn(image: torch.Tensor):
    shuffle = part("channel-shuffle")
    torch.testing.assert_close(shuffle(2)(image), image[:, [0, 3, 1, 4, 2, 5]])
    torch.testing.assert_close(shuffle(3)(image), image[:, [0, 2, 4, 1, 3, 5]])
    assert torch.equal(shuffle(3)(shuffle(2)(image)), image)
