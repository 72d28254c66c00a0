"""Activations against their formulas in numpy, and the invariants that define them."""

from math import erf, pi

import numpy as np
import pytest
import torch
from parts import part
from torch import Tensor, nn

from assay.errors import BadArgumentError

X = np.linspace(-6, 6, 241)  # with 0 among them


def applied(act: nn.Module, x: np.ndarray = X) -> np.ndarray:
    return act.double()(torch.as_tensor(x)).detach().numpy()


def slopes(act: nn.Module) -> np.ndarray:
    x = torch.tensor(X, requires_grad=True)
    act.double()(x).sum().backward()
    return x.grad.numpy()


def close(ours: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-14)


def test_sigmoid_is_the_logistic_function_and_its_slope_at_most_a_quarter():
    y = 1 / (1 + np.exp(-X))
    close(applied(part("sigmoid")()), y)
    close(slopes(part("sigmoid")()), y * (1 - y))
    assert slopes(part("sigmoid")()).max() == 0.25


def test_tanh_is_a_stretched_sigmoid():
    y = (np.exp(X) - np.exp(-X)) / (np.exp(X) + np.exp(-X))
    close(applied(part("tanh")()), y)
    close(applied(part("tanh")()), 2 / (1 + np.exp(-2 * X)) - 1)
    close(slopes(part("tanh")()), 1 - y**2)


def test_relu_passes_what_is_positive_at_slope_one():
    close(applied(part("relu")()), np.maximum(X, 0))
    close(slopes(part("relu")()), (X > 0).astype(float))


@pytest.mark.parametrize("slope", [0.01, 0.2])
def test_leaky_relu_lets_a_part_of_the_negative_side_through(slope: float):
    close(applied(part("leaky-relu")(slope)), np.where(X >= 0, X, slope * X))


def test_leaky_relu_leaks_a_hundredth_unless_told():
    close(applied(part("leaky-relu")(), np.array([-3.0])), np.array([-0.03]))


def test_prelu_learns_the_slope_of_each_channels_negative_side():
    act = part("prelu")(3).double()
    assert act.weight.tolist() == [0.25] * 3
    x = torch.randn(5, 3, 2, dtype=torch.float64)
    negative = x.clamp(max=0)
    torch.testing.assert_close(act(x), x.clamp(min=0) + 0.25 * negative)
    act(x).sum().backward()
    torch.testing.assert_close(act.weight.grad, negative.sum(dim=(0, 2)))


@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_elu_bends_the_negative_side_towards_minus_alpha(alpha: float):
    close(applied(part("elu")(alpha)), np.where(X > 0, X, alpha * np.expm1(X)))
    close(applied(part("elu")(alpha), np.array([-50.0])), np.array([-alpha]))


def test_selu_keeps_mean_zero_and_variance_one():
    x = np.linspace(-12, 12, 2_400_001)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * pi)
    y = applied(part("selu")(), x)
    assert abs(np.trapezoid(y * density, x)) < 1e-7
    assert abs(np.trapezoid(y**2 * density, x) - 1) < 1e-7


def test_selu_is_a_scaled_elu():
    scale, alpha = 1.0507009873554805, 1.6732632423543772  # of the paper, to double precision
    close(applied(part("selu")()), scale * np.where(X > 0, X, alpha * np.expm1(X)))


def test_gelu_weighs_a_value_by_the_normal_distribution():
    close(applied(part("gelu")()), X * np.array([(1 + erf(x / 2**0.5)) / 2 for x in X]))


def test_swish_gates_a_value_by_its_sigmoid():
    close(applied(part("swish")()), X / (1 + np.exp(-X)))


def test_softmax_is_the_normalised_exponential():
    scores = np.random.default_rng(0).normal(size=(4, 5, 3))
    powers = np.exp(scores)
    close(applied(part("softmax")(dim=1), scores), powers / powers.sum(1, keepdims=True))


def test_softmax_sums_to_one_and_ignores_a_common_shift_even_of_a_thousand():
    scores = np.random.default_rng(0).normal(size=(4, 5))
    chances = applied(part("softmax")(dim=1), scores)
    close(chances.sum(1), np.ones(4))
    np.testing.assert_allclose(applied(part("softmax")(dim=1), scores + 1000), chances, rtol=1e-11)


def test_maxout_keeps_the_largest_of_neighbouring_channels():
    torch.manual_seed(0)
    x = torch.randn(2, 6, 4, 3)
    out = part("maxout")(3)(x)
    assert out.shape == (2, 2, 4, 3)
    for b, c, i, j in np.ndindex(*out.shape):
        assert out[b, c, i, j] == max(x[b, 3 * c + k, i, j] for k in range(3))


def test_maxout_teaches_the_winner_only():
    x = torch.tensor([[1.0, 3.0, 2.0, -1.0, -4.0, -2.0]], requires_grad=True)
    part("maxout")(3)(x).sum().backward()
    assert x.grad.tolist() == [[0, 1, 0, 1, 0, 0]]


def test_maxout_of_two_lines_is_the_absolute_value():
    lines = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        lines.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    x = torch.randn(7, 1)
    torch.testing.assert_close(part("maxout")(2)(lines(x)), x.abs())


def test_channels_that_maxout_cannot_share_out_are_refused():
    with pytest.raises(BadArgumentError) as caught:
        part("maxout")(4)(torch.zeros(1, 6))
    assert str(caught.value) == (
        "`pieces` must divide the number of channels. Received pieces=4 and 6 channels; "
        "change either."
    )


def test_max_feature_map_lets_the_halves_of_the_channels_compete():
    torch.manual_seed(0)
    x: Tensor = torch.randn(2, 6, 4, 3)
    out = part("max-feature-map")()(x)
    np.testing.assert_array_equal(out, np.maximum(x[:, :3].numpy(), x[:, 3:].numpy()))
