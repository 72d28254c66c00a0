"""Normalisations against mean and variance in numpy, over the axes that tell them apart."""

import numpy as np
import pytest
import torch
from parts import part
from torch import Tensor, nn

EPS = 1e-5


@pytest.fixture
def maps() -> Tensor:
    """Feature maps of 3 images, 6 channels, 4×5 pixels, off centre."""
    torch.manual_seed(0)
    return 2 * torch.randn(3, 6, 4, 5, dtype=torch.float64) + 1


def standardised(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + EPS)


def scaled(norm: nn.Module) -> nn.Module:
    """Give the layer a scale and a shift that show."""
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm.double()


def by_channel(norm: nn.Module, x: np.ndarray) -> np.ndarray:
    weight, bias = (p.detach().numpy()[:, None, None] for p in (norm.weight, norm.bias))
    return weight * x + bias


def close(ours: Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(ours, torch.as_tensor(expected))


def test_batch_normalization_standardises_each_channel_over_the_batch(maps: Tensor):
    norm = scaled(part("batch-normalization")(6))
    close(norm(maps), by_channel(norm, standardised(maps.numpy(), (0, 2, 3))))


def test_batch_normalization_evaluates_by_the_averages_of_training(maps: Tensor):
    norm = scaled(part("batch-normalization")(6, momentum=0.25))
    norm(maps)
    norm.eval()
    x = maps.numpy()
    mean = 0.25 * x.mean((0, 2, 3))  # from 0
    variance = 0.75 + 0.25 * x.var((0, 2, 3), ddof=1)  # from 1
    expected = (x - mean[:, None, None]) / np.sqrt(variance + EPS)[:, None, None]
    close(norm(maps), by_channel(norm, expected))
    close(norm(maps[:1]), by_channel(norm, expected)[:1])  # the batch plays no part any more


def test_layer_normalization_standardises_each_token_over_its_features():
    torch.manual_seed(0)
    tokens = 3 * torch.randn(2, 7, 8, dtype=torch.float64) - 1
    norm = scaled(part("layer-normalization")(8))
    weight, bias = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    close(norm(tokens), weight * standardised(tokens.numpy(), (2,)) + bias)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_normalization_standardises_groups_of_channels(maps: Tensor, groups: int):
    norm = scaled(part("group-normalization")(groups, 6))
    split = maps.numpy().reshape(3, groups, 6 // groups, 4, 5)
    close(norm(maps), by_channel(norm, standardised(split, (2, 3, 4)).reshape(3, 6, 4, 5)))


def test_instance_normalization_standardises_each_channel_of_each_image(maps: Tensor):
    close(part("instance-normalization")(6)(maps), standardised(maps.numpy(), (2, 3)))


def test_instance_normalization_takes_brightness_and_contrast_out(maps: Tensor):
    norm = part("instance-normalization")(6, eps=0)
    torch.testing.assert_close(norm(5 * maps - 3), norm(maps))


@pytest.mark.parametrize("size", [3, 5])
def test_local_response_normalization_damps_by_the_neighbouring_channels(maps: Tensor, size: int):
    norm = part("local-response-normalization")(size, alpha=size * 0.1, beta=0.75, k=2.0)
    x = maps.numpy()
    expected = np.empty_like(x)
    for c in range(6):
        around = x[:, max(0, c - size // 2) : c + size // 2 + 1]
        expected[:, c] = x[:, c] / (2 + 0.1 * (around**2).sum(1)) ** 0.75
    close(norm(maps), expected)


def test_rms_normalization_divides_each_token_by_its_root_mean_square():
    torch.manual_seed(0)
    tokens = 3 * torch.randn(2, 7, 8, dtype=torch.float64) - 1
    norm = part("rms-normalization")(8, eps=EPS).double()
    nn.init.normal_(norm.weight)
    x = tokens.numpy()
    root = np.sqrt((x**2).mean(-1, keepdims=True) + EPS)
    close(norm(tokens), norm.weight.detach().numpy() * x / root)
