"""Our batch normalisation against torch's: values, gradients, running statistics, operations."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.fx import symbolic_trace
from torch.utils._python_dispatch import TorchDispatchMode

from assay.blocks import batch_norm
from assay.blocks.batch_norm import BatchNorm2d
from assay.engine.stacked_layers import stacked_layer
from assay.models.vision.resnet import resnet18

NORMS = (BatchNorm2d, nn.BatchNorm2d)
SHAPE = (4, 6, 96, 80)  # enough values for the fast way


@pytest.fixture
def taken(monkeypatch):
    """Return a list that grows by a word each time that a fast way is taken."""
    words, apply, overwritten = [], batch_norm._Normalised.apply, batch_norm._overwritten

    def normalising(*args):
        words.append("loops")
        return apply(*args)

    def overwriting(*args):
        words.append("overwritten")
        return overwritten(*args)

    monkeypatch.setattr(batch_norm._Normalised, "apply", normalising)
    monkeypatch.setattr(batch_norm, "_overwritten", overwriting)
    return words


def trained(layer: nn.Module, maps: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what two steps of training leave: values, gradients and statistics."""
    x = maps.clone().requires_grad_()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=torch.manual_seed(1))
    layer(maps + 1.0)
    y = layer(x)
    (y.square() * torch.linspace(0, 1, y.shape[-1])).sum().backward()
    layer(maps[:, :, :1, :1].expand_as(maps).contiguous() + x).mean(dim=(2, 3)).sum().backward()
    found = {name: parameter.grad for name, parameter in layer.named_parameters()}
    return {"values": y.detach(), "maps": x.grad, **found, **dict(layer.named_buffers())}


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("mean", [0.0, -3.0, 3000.0])  # in standard deviations
@pytest.mark.parametrize("shape", [SHAPE, (1, 2, 300, 300), (500, 7, 9, 5)])
def test_values_gradients_and_statistics_are_torchs_to_the_bit(shape, mean: float, taken):
    maps = torch.randn(shape, generator=torch.manual_seed(0)) + mean
    assert_equal(*(trained(norm(shape[1], 1e-3, 0.3), maps) for norm in NORMS))
    assert taken == 3 * ["loops"]


def test_channels_of_one_value_of_great_values_and_of_none_are_torchs(taken):
    maps = torch.randn(SHAPE, generator=torch.manual_seed(0))
    maps[:, 0], maps[:, 1] = 0.0, 7.0
    maps[:, 2] *= 1e18
    maps[:, 3] *= 1e-20
    maps[0, 4, 0, 0], maps[0, 5, 0, 0] = torch.nan, torch.inf
    assert_equal(*(trained(norm(6), maps) for norm in NORMS))
    assert taken


def test_the_fast_ways_are_taken_and_only_where_torch_is_slow(taken):
    maps = torch.randn(SHAPE, generator=torch.manual_seed(0))
    layer = BatchNorm2d(6, inplace=True)
    layer(maps)
    assert taken == ["loops"]
    layer(maps.contiguous(memory_format=torch.channels_last))
    layer(maps[:1, :, :8])
    layer(maps[..., ::2])
    torch.set_num_threads(2)
    layer(maps)
    torch.set_num_threads(1)
    layer(maps.bfloat16())
    layer.eval()(maps)  # a gradient may be asked for
    with torch.no_grad():
        layer(maps[1:])
        layer(maps.bfloat16())
        BatchNorm2d(6).eval()(maps)
    assert taken == ["loops"]
    with torch.inference_mode():
        layer(maps.clone())
        layer(maps.contiguous(memory_format=torch.channels_last))
    with torch.no_grad():
        layer(maps.clone())
    assert taken == ["loops", *3 * ["overwritten"]]


@pytest.mark.parametrize("shape", [SHAPE, (1, 6, 2, 3), (3, 6, 1, 1)])
def test_inference_overwrites_with_torchs_values(shape):
    maps = torch.randn(shape, generator=torch.manual_seed(0))
    layer, theirs = BatchNorm2d(6, 1e-3, inplace=True), nn.BatchNorm2d(6, 1e-3)
    for norm in (layer, theirs):
        norm(torch.linspace(-3.0, 5.0, 6).view(1, 6, 1, 1) + torch.randn(SHAPE))
        nn.init.uniform_(norm.weight, generator=torch.manual_seed(1))
    theirs.load_state_dict(layer.state_dict())
    layer.eval(), theirs.eval()
    with torch.inference_mode():
        for x in (maps, maps.contiguous(memory_format=torch.channels_last)):
            expected, given = theirs(x), x.clone()
            found = layer(given)
            assert found is given
            assert torch.equal(found, expected)


def test_a_map_of_inference_mode_may_be_read_outside_of_it(taken):
    with torch.inference_mode():
        maps = torch.randn(SHAPE)
    with torch.no_grad():
        BatchNorm2d(6, inplace=True).eval()(maps)
    assert taken == []


def test_a_first_pass_in_inference_mode_leaves_later_ones_whole():
    batch_norm._nothing.cache_clear()
    layer = BatchNorm2d(6, inplace=True).eval()
    with torch.inference_mode():
        layer(torch.randn(SHAPE))
    with torch.no_grad():
        layer(torch.randn(SHAPE))


def test_what_compiles_meets_one_operation(monkeypatch, taken):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    layer = BatchNorm2d(6, inplace=True)
    layer(torch.randn(SHAPE))
    with torch.no_grad():
        layer.eval()(torch.randn(SHAPE))
    assert taken == []


@pytest.mark.parametrize("name", ["weight", "bias", "running_var"])
@pytest.mark.parametrize("shape", [SHAPE, (2, 6, 3, 3)])
def test_values_of_another_number_are_refused_as_by_torch(name: str, shape, taken):
    layer = BatchNorm2d(6, inplace=True)
    kept = nn.Parameter(torch.ones(2)) if name in ("weight", "bias") else torch.ones(2)
    setattr(layer, name, kept)
    for mode in (True, False):
        with torch.no_grad(), pytest.raises(RuntimeError, match="should contain 6 elements not 2"):
            layer.train(mode)(torch.randn(shape))
    assert taken == []


def test_gradients_of_gradients_are_torchs(taken):
    maps = torch.randn(SHAPE, generator=torch.manual_seed(0))
    found = []
    for norm in NORMS:
        layer, x = norm(6), maps.clone().requires_grad_()
        (slope,) = torch.autograd.grad(layer(x).pow(3).sum(), x, create_graph=True)
        slope.square().sum().backward()
        found.append({"maps": x.grad, "weight": layer.weight.grad})
    assert_equal(*found)
    assert taken == ["loops"]


def test_another_number_of_channels_is_refused_as_by_torch(taken):
    maps = torch.randn(SHAPE)
    for norm in NORMS:
        with pytest.raises(RuntimeError, match="running_mean should contain 6 elements not 4"):
            norm(4)(maps)
        with pytest.raises(RuntimeError, match="running_mean should contain 6 elements not 4"):
            norm(4).eval()(maps)
    with torch.no_grad(), pytest.raises(RuntimeError, match="should contain 6 elements not 4"):
        BatchNorm2d(4, inplace=True).eval()(maps)
    assert "loops" not in taken


def test_without_a_compiler_all_is_torchs(monkeypatch, taken):
    monkeypatch.setattr(batch_norm, "_statistics", lambda: None)
    maps = torch.randn(SHAPE, generator=torch.manual_seed(0))
    assert_equal(*(trained(norm(6), maps) for norm in NORMS))
    assert taken == []


def test_a_norm_without_weight_and_one_that_is_frozen(taken):
    maps = torch.randn(SHAPE, generator=torch.manual_seed(0))
    for change in (
        lambda layer: layer.register_parameter("weight", None),
        lambda layer: layer.requires_grad_(requires_grad=False),
    ):
        found = []
        for norm in NORMS:
            layer, x = norm(6), maps.clone().requires_grad_()
            change(layer)
            layer(x).pow(3).sum().backward()
            found.append({"maps": x.grad})
        assert_equal(*found)
    assert taken == 2 * ["loops"]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.func itself
def test_derived_and_batched_by_torch_func_it_is_torchs(taken):
    maps = torch.randn(2, *SHAPE, generator=torch.manual_seed(0))

    def slopes(layer: nn.Module) -> torch.Tensor:
        def loss(weight, x, buffers):
            return functional_call(layer, {"weight": weight, **buffers}, x).pow(3).sum()

        return grad(loss)(torch.ones(6), maps[0], dict(layer.named_buffers()))

    assert torch.equal(*(slopes(norm(6)) for norm in NORMS))
    layers = [norm(6).eval() for norm in NORMS]
    assert torch.equal(*(vmap(layer)(maps) for layer in layers))
    assert taken == []


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.autograd.forward_ad itself
def test_forward_derivatives_are_torchs(taken):
    maps = torch.randn(SHAPE, generator=torch.manual_seed(0))
    found = []
    for norm in NORMS:
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(maps, torch.ones_like(maps).cumsum(-1))
            found.append(torch.autograd.forward_ad.unpack_dual(norm(6)(dual)).tangent)
    assert torch.equal(*found)
    assert taken == []


def test_whoever_follows_operations_sees_a_normalisation():
    seen = []

    class Follow(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    layer = BatchNorm2d(6, inplace=True)
    with Follow(), torch.no_grad():
        layer(torch.zeros(SHAPE))
        layer.eval()(torch.zeros(SHAPE))
    normalised = [name for name in seen if "norm" in name]
    assert len(normalised) == 2
    assert all("batch_norm" in name for name in normalised)


def test_a_network_is_traced_as_torchs_would_be():
    network = resnet18((3, 32, 32), 5).eval()
    traced = symbolic_trace(network)
    called = {getattr(node.target, "__name__", "") for node in traced.graph.nodes}
    assert "batch_norm" in called
    x = torch.randn(2, 3, 32, 32, generator=torch.manual_seed(0))
    torch.testing.assert_close(traced(x), network(x))


def test_several_networks_are_normalised_at_once():
    maps = torch.randn(2, *SHAPE, generator=torch.manual_seed(0))
    layers = [BatchNorm2d(6) for _ in range(2)]
    for layer in layers:
        nn.init.uniform_(layer.weight)
    stacked = stacked_layer(layers, [])
    together = stacked(maps)
    apart = torch.stack([layer(x) for layer, x in zip(layers, maps, strict=True)])
    torch.testing.assert_close(together, apart)
    torch.testing.assert_close(
        stacked.running_var.view(2, 6), torch.stack([layer.running_var for layer in layers])
    )
