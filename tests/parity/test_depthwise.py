"""Our depthwise convolution against torch's: values, gradients, and when the loops are taken."""

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.func import functional_call, grad
from torch.fx import symbolic_trace
from torch.utils._python_dispatch import TorchDispatchMode

from assay.blocks import depthwise
from assay.blocks.convolution import ConvNormAct
from assay.blocks.depthwise import DepthwiseConv2d
from assay.engine.stacked_layers import stacked_layer
from assay.models.ablation import redrawn

KINDS = (DepthwiseConv2d, nn.Conv2d)
SHAPE = (2, 5, 9, 12)


@pytest.fixture
def taken(monkeypatch):
    """Return a list that grows by a word each time that the loops take a gradient."""
    words, loops = [], depthwise._loops()

    def counting(*args):
        words.append("loops")
        return loops(*args)

    monkeypatch.setattr(depthwise, "_loops", lambda: counting)
    return words


def layers(channels: int = 5, side: int = 5, **options) -> list[nn.Conv2d]:
    """Return ours and torch's with the same weights."""
    options = {"padding": side // 2, "groups": channels, **options}
    ours, theirs = (kind(channels, channels, side, **options) for kind in KINDS)
    theirs.load_state_dict(ours.state_dict())
    return [ours, theirs]


def maps(*shape: int) -> torch.Tensor:
    return torch.randn(shape or SHAPE, generator=torch.manual_seed(0))


def learned(layer: nn.Conv2d, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the values, and the gradients of maps, kernels and bias."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    (y.square() * torch.linspace(0, 1, y.shape[-1])).sum().backward()
    found = {name: parameter.grad for name, parameter in layer.named_parameters()}
    return {"values": y.detach(), "maps": x.grad, **found}


def assert_close(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        scale = theirs[name].abs().max()
        assert torch.isfinite(value).all()
        assert (value - theirs[name]).abs().max() <= 2e-6 * scale, name


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("side", [5, 7, 9])
@pytest.mark.parametrize(
    ("stride", "padding", "bias"),
    [(1, None, True), (2, None, False), (2, 0, True), (1, "same", True)],
)
@pytest.mark.parametrize("channels", [5, 16, 33])
def test_values_and_gradients_are_torchs(layout, side, stride, padding, bias, channels, taken):
    padding = side // 2 if padding is None else padding
    x = maps(2, channels, 11, 14).contiguous(memory_format=layout)
    pair = layers(channels, side, stride=stride, padding=padding, bias=bias)
    assert_close(*(learned(layer, x) for layer in pair))
    assert taken == ["loops"]


def test_the_gradient_is_that_of_double_precision(taken):
    x = maps(16, 32, 56, 56)
    ours, theirs = layers(32, 7)
    found = learned(ours, x)
    assert_close(found, {k: v.float() for k, v in learned(theirs.double(), x.double()).items()})
    assert taken


def test_any_strides_of_maps_and_gradients_do(taken):
    x = maps(4, 5, 18, 24)[::2, :, ::2, ::2]
    ours, theirs = layers()
    assert_close(learned(ours, x), learned(theirs, x))
    for layer in (ours, theirs):
        layer.zero_grad()
        layer(x).sum().backward()  # a gradient of one number for all
    assert torch.allclose(ours.weight.grad, theirs.weight.grad, rtol=1e-5)
    assert len(taken) == 2


def test_loops_are_taken_only_where_they_are_known(taken):
    def goes(layer, x=None):
        layer((maps() if x is None else x).requires_grad_()).sum().backward()

    for options in (
        {"side": 3},
        {"side": 11},
        {"dilation": 2},
        {"padding_mode": "circular"},
        {"padding": "valid"},
        {"padding": 1},
        {"padding": (1, 2)},
        {"stride": 3},
        {"stride": (1, 2)},
        {"groups": 1},
    ):
        goes(layers(**options)[0])
    goes(DepthwiseConv2d(5, 10, 5, groups=5))
    goes(DepthwiseConv2d(5, 5, (5, 7), groups=5))
    ours = layers()[0]
    goes(layers()[0].double(), maps().double())
    goes(ours, maps()[0])  # one map without a batch
    torch.set_num_threads(2)
    goes(ours)
    torch.set_num_threads(1)
    with torch.autocast("cpu", torch.bfloat16):
        goes(ours)
    with torch.no_grad():
        ours(maps())
    goes(ours.requires_grad_(requires_grad=False))
    assert taken == []
    goes(layers()[0])
    assert taken == ["loops"]


def test_numbers_that_are_negated_only_when_read_are_read_so():
    def learnt(layer: nn.Conv2d) -> torch.Tensor:
        layer.zero_grad()
        layer(torch.fft.fft2(maps()).conj().imag).sum().backward()
        y = layer(maps())
        (torch.complex(torch.ones_like(y), y).conj() * torch.complex(y, y)).abs().sum().backward()
        return layer.weight.grad

    torch.testing.assert_close(*(learnt(layer) for layer in layers()), rtol=1e-4, atol=1e-3)


def test_tensors_without_values_of_their_own_are_torchs(taken):
    with FakeTensorMode(allow_non_fake_inputs=True):
        layer, x = layers()[0], torch.randn(SHAPE)
    layer(x).sum().backward()
    assert layer.weight.grad.shape == (5, 1, 5, 5)
    layer = layers()[0]
    layer(maps()).backward(torch._efficientzerotensor(SHAPE))
    assert not layer.weight.grad.any()
    assert taken == []


@pytest.mark.parametrize("shape", [(5, 1, 5, 9), (5, 1, 9, 7), (10, 1, 5, 5)])
def test_kernels_of_another_shape_than_the_layer_was_built_with_are_torchs(shape, taken):
    found = []
    for layer in layers():
        layer.weight = nn.Parameter(torch.randn(shape, generator=torch.manual_seed(1)))
        layer.bias = None
        layer(maps(2, 5, 14, 14)).square().sum().backward()
        found.append(layer.weight.grad)
    assert torch.equal(*found)
    assert taken == []


def test_several_gradients_at_once_are_torchs():
    found = []
    for layer in layers():
        y = layer(maps())
        many = torch.randn(3, *y.shape, generator=torch.manual_seed(1))
        found.append(torch.autograd.grad(y, layer.weight, many, is_grads_batched=True)[0])
    torch.testing.assert_close(*found)


def test_kernels_that_are_computed_are_computed_once(taken):
    layer, times = layers()[0], []

    class Counted(nn.Module):
        def forward(self, weight):
            times.append(1)
            return 2 * weight

    nn.utils.parametrize.register_parametrization(layer, "weight", Counted())
    times.clear()
    layer(maps()).sum().backward()
    assert len(times) == 1
    assert taken == []


def test_a_wrong_number_of_channels_is_refused_as_by_torch():
    for layer in layers():
        with pytest.raises(RuntimeError, match="to have 5 channels, but got 4 channels"):
            layer(maps(2, 4, 9, 12))


@pytest.mark.parametrize("without", ["compiler", "memory"])
def test_without_a_compiler_or_memory_it_is_torchs(without: str, monkeypatch):
    loops = None if without == "compiler" else lambda *_: 0
    monkeypatch.setattr(depthwise, "_loops", lambda: loops)
    ours, theirs = (learned(layer, maps()) for layer in layers())
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_gradients_of_gradients_are_torchs():
    found = []
    for layer in layers():
        x = maps().requires_grad_()
        slopes = torch.autograd.grad(
            layer(x).pow(3).sum(), (x, layer.weight, layer.bias), create_graph=True
        )
        sum(slope.square().sum() for slope in slopes).backward()
        found.append({"maps": x.grad, "weight": layer.weight.grad, "bias": layer.bias.grad})
    assert_close(*found)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.func itself
def test_derived_by_torch_func_it_is_torchs(taken):
    ours, theirs = layers()

    def slope(layer: nn.Module) -> torch.Tensor:
        bias = layer.bias.detach()
        return grad(
            lambda weight: (
                functional_call(layer, {"weight": weight, "bias": bias}, maps()).pow(3).sum()
            )
        )(layer.weight.detach())

    assert torch.equal(slope(ours), slope(theirs))
    assert taken == []


def test_whoever_follows_operations_sees_a_convolution(taken):
    seen = []

    class Follow(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    layer = layers()[0]
    with Follow():
        layer(maps()).sum().backward()
    assert "convolution" in seen
    assert "convolution_backward" in seen
    assert taken == []


def test_it_is_traced_as_torchs_would_be():
    layer = layers()[0]
    traced = symbolic_trace(nn.Sequential(layer))
    assert "conv2d" in {getattr(node.target, "__name__", "") for node in traced.graph.nodes}
    torch.testing.assert_close(traced(maps()), layer(maps()))


def test_several_are_computed_at_once():
    both = [layers()[0] for _ in range(2)]
    x = maps(2, *SHAPE)
    apart = torch.stack([layer(maps) for layer, maps in zip(both, x, strict=True)])
    torch.testing.assert_close(stacked_layer(both, [])(x), apart)


def test_blocks_have_it_for_the_kernels_that_it_knows_and_keep_it_when_redrawn():
    kinds = [type(ConvNormAct(8, 8, side, groups=8).conv) for side in (3, 5)]
    assert kinds == [nn.Conv2d, DepthwiseConv2d]
    assert type(ConvNormAct(8, 8, 5).conv) is nn.Conv2d
    wide = ConvNormAct(8, 8, 5, groups=8).conv
    assert type(redrawn(wide, 4, 4, groups=4)) is DepthwiseConv2d
    assert type(redrawn(wide, 8, 8)) is nn.Conv2d
