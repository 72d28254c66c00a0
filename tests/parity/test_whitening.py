"""The whitened network's first layer does what its name says."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from assay.models.vision.whitened_cnn import ShiftNorm, Whitening, whitened_cnn


def smooth_images(channels: int, side: int) -> torch.Tensor:
    """Return random images whose neighbouring pixels agree, as in photographs."""
    torch.manual_seed(0)
    coarse = torch.randn(400, channels, side // 4, side // 4)
    return F.interpolate(coarse, (side, side), mode="bilinear") + 0.1 * torch.randn(
        400, channels, side, side
    )


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 28), (3, 32)])
def test_responses_are_uncorrelated_and_of_damped_equal_size(channels: int, side: int):
    images = smooth_images(channels, side)
    model = whitened_cnn((channels, side, side), 10)
    before = correlation(model.whitening, images)
    model.initialize(images)
    after = correlation(model.whitening, images)
    away = ~torch.eye(len(after), dtype=torch.bool)
    assert before[away].abs().max() > 0.3
    assert after[away].abs().max() < 1e-3
    layer = model.whitening
    patches = F.unfold(images, layer.kernel_size, stride=layer.stride).transpose(1, 2).flatten(0, 1)
    variances = np.linalg.eigvalsh(patches.T.numpy() @ patches.numpy() / len(patches))[::-1]
    kept = torch.tensor(variances[: len(after)].copy())
    assert kept[0] / kept[-1] > 10
    torch.testing.assert_close(after.diagonal(), kept / (kept + 0.01 * kept[0]), rtol=1e-3, atol=0)


def correlation(layer: Whitening, images: torch.Tensor) -> torch.Tensor:
    half = layer.filters[: len(layer.filters) // 2]
    responses = F.conv2d(images, half, stride=layer.stride).transpose(0, 1).flatten(1)
    return responses @ responses.T / responses.shape[1]


def test_every_direction_is_there_with_both_signs():
    model = whitened_cnn((1, 28, 28), 10)
    model.initialize(smooth_images(1, 28))
    first, second = model.whitening.filters.chunk(2)
    assert first.abs().sum() > 0
    torch.testing.assert_close(first, -second)


def test_the_filters_travel_with_the_state_and_are_never_trained():
    model, other = whitened_cnn((1, 28, 28), 10), whitened_cnn((1, 28, 28), 10)
    model.initialize(smooth_images(1, 28))
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.whitening.filters, model.whitening.filters)
    assert all("whitening" not in name for name, _ in model.named_parameters())


def test_the_same_images_give_the_same_filters():
    images = smooth_images(3, 32)
    models = [whitened_cnn((3, 32, 32), 10) for _ in range(2)]
    for model in models:
        model.initialize(images)
    assert torch.equal(models[0].whitening.filters, models[1].whitening.filters)


def test_large_images_are_thinned_out_before_they_are_unfolded():
    images = torch.randn(40, 1, 512, 512)
    few, all_ = whitened_cnn((1, 512, 512), 2), whitened_cnn((1, 512, 512), 2)
    few.initialize(images[:15])  # 250,000 patches at stride 2
    all_.initialize(images)
    assert torch.equal(few.whitening.filters, all_.whitening.filters)


def test_a_shift_norm_is_batch_normalisation_without_a_scale():
    torch.manual_seed(0)
    x = torch.randn(8, 4, 3, 3)
    norm, theirs = ShiftNorm(4), torch.nn.BatchNorm2d(4)
    torch.nn.init.normal_(norm.bias)
    with torch.no_grad():
        theirs.bias.copy_(norm.bias)
    torch.testing.assert_close(norm(x), theirs(x))
    torch.testing.assert_close(norm.eval()(x), theirs.eval()(x))
    assert [name for name, _ in norm.named_parameters()] == ["bias"]
