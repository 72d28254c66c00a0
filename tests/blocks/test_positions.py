"""What tells places, and what a Transformer does to one token, against numpy and transformers."""

import numpy as np
import pytest
import torch
from parts import part
from torch import Tensor, nn

from assay.blocks.rotary import turn_halves, turn_neighbours


def test_positional_encoding_is_the_papers_formula():
    found = part("positional-encoding")(9, 6).numpy()
    expected = np.empty((9, 6))
    for t in range(9):
        for i in range(3):
            angle = t / 10_000 ** (2 * i / 6)
            expected[t, 2 * i], expected[t, 2 * i + 1] = np.sin(angle), np.cos(angle)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_learned_position_gives_each_place_its_row():
    positions = part("learned-position")(5, 3)
    places = torch.tensor([[0, 4], [2, 2]])
    table = dict(positions.named_parameters())["table.weight"].detach().numpy()
    np.testing.assert_array_equal(positions(places).detach().numpy(), table[places.numpy()])


def rotated(x: np.ndarray, places: np.ndarray, base: float) -> np.ndarray:
    """Turn neighbouring pairs as complex numbers. (B, heads, T, d) -> the same."""
    rates = base ** (-np.arange(0, x.shape[-1], 2) / x.shape[-1])
    points = x[..., 0::2] + 1j * x[..., 1::2]
    points = points * np.exp(1j * places[..., None] * rates)
    return np.stack([points.real, points.imag], -1).reshape(x.shape)


@pytest.mark.parametrize("dim", [8, 4])
def test_rotary_position_turns_pairs_of_numbers(dim: int):
    x = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    places = torch.tensor([[0, 1, 2, 3, 4], [7, 7, 8, 9, 30]])
    turn = part("rotary-position")(dim, base=100.0)(places).double()
    found = turn_neighbours(x, turn).numpy()
    expected = rotated(x.numpy()[..., :dim], places.numpy()[:, None], 100.0)
    np.testing.assert_allclose(found[..., :dim], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found[..., dim:], x.numpy()[..., dim:])


def test_rotary_products_depend_on_the_distance_alone():
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 8)
    rotary = part("rotary-position")(8)
    for turned in (turn_halves, turn_neighbours):
        near, far, other = (
            turned(q, rotary(torch.tensor([a]))) @ turned(k, rotary(torch.tensor([b]))).mT
            for a, b in ((5, 2), (105, 102), (5, 3))
        )
        torch.testing.assert_close(near, far, rtol=1e-4, atol=1e-4)
        assert (near - other).abs().item() > 1e-2


def test_rotary_position_equals_that_of_transformers():
    from transformers.models.glm.modeling_glm import apply_rotary_pos_emb as neighbours
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb as halves

    q, k = torch.randn(2, 2, 3, 5, 8)
    cos, sin = turn = part("rotary-position")(8)(torch.arange(5))
    doubled = (torch.cat([t, t], -1)[None] for t in (cos, sin))
    expected = halves(q, k, *doubled)
    torch.testing.assert_close((turn_halves(q, turn), turn_halves(k, turn)), expected)
    cos, sin = turn = part("rotary-position")(4)(torch.arange(5))
    doubled = (torch.cat([t, t], -1)[None] for t in (cos, sin))
    expected = neighbours(q, k, *doubled)
    torch.testing.assert_close((turn_neighbours(q, turn), turn_neighbours(k, turn)), expected)


def weights_of(module: nn.Module, name: str) -> np.ndarray:
    return dict(module.named_parameters())[name].detach().numpy()


@pytest.fixture
def some_tokens() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 5, 6, dtype=torch.float64)


def test_swiglu_is_the_papers_formula(some_tokens: Tensor):
    network = part("swiglu")(6, 10).double()
    x, both = some_tokens.numpy(), weights_of(network, "wide.weight")
    gate = x @ both[:10].T
    expected = (
        gate / (1 + np.exp(-gate)) * (x @ both[10:].T) @ weights_of(network, "narrow.weight").T
    )
    np.testing.assert_allclose(network(some_tokens).detach().numpy(), expected)


def test_transformer_feedforward_is_the_papers_formula(some_tokens: Tensor):
    network = part("transformer-feedforward")(6, 10, act=nn.ReLU).double()
    w = {name: value.detach().numpy() for name, value in network.named_parameters()}
    inner = np.maximum(some_tokens.numpy() @ w["wide.weight"].T + w["wide.bias"], 0)
    expected = inner @ w["narrow.weight"].T + w["narrow.bias"]
    np.testing.assert_allclose(network(some_tokens).detach().numpy(), expected)
