"""Poolings against windows that are cut out one by one, and the chances of the stochastic one."""

from math import ceil

import numpy as np
import pytest
import torch
from parts import part, windows


@pytest.fixture
def maps() -> torch.Tensor:
    """Feature maps of 2 images, 3 channels, 7×9 pixels."""
    torch.manual_seed(0)
    return torch.randn(2, 3, 7, 9, dtype=torch.float64)


def close(ours: torch.Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(ours, torch.as_tensor(expected))


sizes = pytest.mark.parametrize(("side", "stride"), [(2, 2), (3, 2), (3, 1)])


@sizes
def test_max_pooling_keeps_the_largest_of_each_window(maps: torch.Tensor, side: int, stride: int):
    close(part("max-pooling")(side, stride)(maps), windows(maps.numpy(), side, stride).max(-1))


@sizes
def test_average_pooling_is_the_mean_of_each_window(maps: torch.Tensor, side: int, stride: int):
    close(part("average-pooling")(side, stride)(maps), windows(maps.numpy(), side, stride).mean(-1))


def test_global_pooling_is_the_largest_of_a_channel(maps: torch.Tensor):
    out = part("global-pooling")(1)(maps)
    assert out.shape == (2, 3, 1, 1)
    close(out.flatten(1), maps.numpy().reshape(2, 3, -1).max(-1))


def test_global_average_pooling_is_the_mean_of_a_channel(maps: torch.Tensor):
    out = part("global-average-pooling")(1)(maps)
    assert out.shape == (2, 3, 1, 1)
    close(out.flatten(1), maps.numpy().reshape(2, 3, -1).sum(-1) / (7 * 9))


@sizes
def test_l2_pooling_is_the_root_of_the_sum_of_squares(maps: torch.Tensor, side: int, stride: int):
    squares = windows(maps.numpy(), side, stride) ** 2
    close(part("l2-pooling")(2, side, stride)(maps), np.sqrt(squares.sum(-1)))


def test_lp_pooling_runs_from_the_sum_to_the_maximum(maps: torch.Tensor):
    cut = windows(maps.abs().numpy(), 2, 2)
    close(part("l2-pooling")(1, 2)(maps.abs()), cut.sum(-1))
    torch.testing.assert_close(
        part("l2-pooling")(200, 2)(maps.abs()), torch.as_tensor(cut.max(-1)), rtol=0.01, atol=0
    )


def test_l2_pooling_of_a_window_of_zeros_has_no_gradient():
    zeros = torch.zeros(1, 1, 2, 2, requires_grad=True)
    part("l2-pooling")(2, 2)(zeros).sum().backward()
    assert zeros.grad.tolist() == torch.zeros(1, 1, 2, 2).tolist()


@pytest.mark.parametrize("size", [(3, 4), (7, 9), (10, 2)])
def test_adaptive_pooling_averages_windows_that_follow_the_image(
    maps: torch.Tensor, size: tuple[int, int]
):
    def bins(length: int, count: int) -> list[slice]:
        return [slice(i * length // count, ceil((i + 1) * length / count)) for i in range(count)]

    rows, columns = (bins(*pair) for pair in zip((7, 9), size, strict=True))
    expected = [[maps.numpy()[..., r, c].mean((-2, -1)) for c in columns] for r in rows]
    close(part("adaptive-pooling")(size)(maps), np.moveaxis(np.array(expected), (0, 1), (2, 3)))


@sizes
def test_stochastic_pooling_evaluates_to_the_expected_value(
    maps: torch.Tensor, side: int, stride: int
):
    cut = windows(maps.relu().numpy(), side, stride)
    total = cut.sum(-1, keepdims=True)
    chances = np.divide(cut, total, out=np.zeros_like(cut), where=total > 0)
    pool = part("stochastic-pooling")(side, stride).eval()
    close(pool(maps), (chances * cut).sum(-1))


def test_stochastic_pooling_draws_in_proportion_to_the_values():
    torch.manual_seed(0)
    count = 40_000
    window = torch.tensor([[1.0, 2.0], [0.0, -5.0]])
    drawn = part("stochastic-pooling")(2)(window.expand(count, 1, 2, 2)).flatten()
    assert set(drawn.tolist()) == {1.0, 2.0}
    wanted = 2 / 3
    error = (wanted * (1 - wanted) / count) ** 0.5
    assert abs((drawn == 2).double().mean().item() - wanted) < 4 * error


def test_stochastic_pooling_draws_anew_while_training_and_never_in_evaluation(maps: torch.Tensor):
    torch.manual_seed(0)
    pool = part("stochastic-pooling")(3, 2)
    assert not torch.equal(pool(maps), pool(maps))
    pool.eval()
    assert torch.equal(pool(maps), pool(maps))


def test_stochastic_pooling_teaches_only_what_it_drew(maps: torch.Tensor):
    torch.manual_seed(0)
    maps.requires_grad_()
    drawn = part("stochastic-pooling")(2)(maps)
    drawn.sum().backward()
    lit = windows(maps.grad.numpy(), 2, 2)
    assert set(np.unique(lit)) == {0.0, 1.0}
    np.testing.assert_array_equal(lit.sum(-1), (drawn > 0).numpy())
    np.testing.assert_array_equal(
        (lit * windows(maps.detach().numpy(), 2, 2)).sum(-1), drawn.detach().numpy()
    )


@pytest.mark.parametrize("training", [True, False])
def test_stochastic_pooling_of_a_window_without_positive_values_is_zero(training: bool):
    x = torch.tensor([[[[0.0, -1.0], [-2.0, 0.0]]]], requires_grad=True)
    out = part("stochastic-pooling")(2).train(training)(x)
    out.sum().backward()
    assert out.item() == 0
    assert x.grad.isfinite().all()
