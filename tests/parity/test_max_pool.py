"""Our max pooling against torch's: the same values, gradients, errors and operations."""

import itertools

import pytest
import torch
from torch import nn
from torch.func import grad, hessian, vmap
from torch.fx import symbolic_trace
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from assay.blocks import max_pool
from assay.blocks.max_pool import MaxPool2d, max_pool2d
from assay.models.vision.resnet import resnet18

KERNELS = (1, 2, 3, (2, 3), (3, 5))
POOLS = (MaxPool2d, nn.MaxPool2d)
STRIDES = (0, 1, 2, 3, (1, 2))


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("sides", [(7, 9), (8, 8), (12, 5), (1, 1), (2, 3)])
def test_values_gradients_and_refusals_are_torchs(sides, dtype, ceil_mode: bool):
    maps = torch.randint(-2, 3, (2, 3, *sides), generator=torch.manual_seed(0)).to(dtype)  # ties
    for kernel, stride, padding in itertools.product(KERNELS, STRIDES, (-1, 0, 1)):
        how = {"kernel_size": kernel, "stride": stride, "padding": padding}
        found = []
        for pool in POOLS:
            layer, x = pool(**how, ceil_mode=ceil_mode), maps.clone().requires_grad_()
            try:
                with torch.no_grad():
                    values = layer(x.detach())
                trained = layer(x)
                trained.square().sum().backward()
                found.append([values, trained, x.grad])
            except RuntimeError as error:
                found.append(str(error))
        ours, theirs = found
        same = ours == theirs if isinstance(theirs, str) else all(map(torch.equal, ours, theirs))
        assert same, how


def test_the_fast_ways_are_taken_and_only_where_torch_is_slow(monkeypatch):
    taken = []
    monkeypatch.setattr(max_pool, "_largest", lambda x, *_, **__: taken.append("rows") or x)
    monkeypatch.setattr(
        max_pool._Pooled,
        "apply",
        lambda x, _, by_two: taken.append("by two" if by_two else "turned") or (x, x),
    )
    x = torch.zeros(1, 2, 8, 8)
    max_pool2d(x, 3, 2)
    assert taken == ["rows", "rows"]
    max_pool2d(x.requires_grad_(), 3, 2)
    assert taken == ["rows", "rows", "turned"]
    max_pool2d(x, 2, 2)
    assert taken == ["rows", "rows", "turned", "by two"]
    max_pool2d(x, 2, 2, ceil_mode=True)
    max_pool2d(x, 2, 1)
    max_pool2d(x.double(), 2, 2)
    max_pool2d(x.detach().contiguous(memory_format=torch.channels_last), 3, 2)
    max_pool2d(x.detach()[0], 3, 2)
    monkeypatch.setattr(max_pool, "_loops", lambda: None)  # no compiler
    max_pool2d(x, 2, 2)
    assert taken == ["rows", "rows", "turned", "by two"]


def test_what_is_pooled_is_never_the_input_itself():
    x = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]]).view(1, 1, 2, 2)
    nn.Sequential(MaxPool2d(1, 2), nn.ReLU(inplace=True))(x)
    assert x.flatten().tolist() == [-1.0, -2.0, -3.0, -4.0]


def test_not_a_number_and_infinities_pass_as_torch_lets_them():
    x = torch.full((1, 1, 6, 6), -torch.inf)
    x[0, 0, 1, 1], x[0, 0, 4, 4] = torch.nan, torch.inf
    for padding in (0, 1):
        ours, theirs = MaxPool2d(3, 2, padding)(x), F.max_pool2d(x, 3, 2, padding)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_by_two_takes_the_place_that_torch_takes_of_equals_and_of_what_is_no_number():
    random = torch.manual_seed(0)
    x = torch.randint(-1, 2, (3, 5, 17, 70), generator=random).float()
    x[torch.rand(x.shape, generator=random) < 0.2] = torch.nan
    x[torch.rand(x.shape, generator=random) < 0.1] = -torch.inf
    values, places = max_pool._pooled_by_two(x)
    theirs = F.max_pool2d(x, 2, 2, return_indices=True)
    torch.testing.assert_close(values, theirs[0], rtol=0, atol=0, equal_nan=True)
    assert torch.equal(places, theirs[1])


def test_gradients_of_gradients():
    x = torch.randn(1, 2, 7, 7, dtype=torch.float64, generator=torch.manual_seed(0))
    assert torch.autograd.gradgradcheck(MaxPool2d(3, 2, 1), x.requires_grad_())


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.func itself
def test_second_derivatives_forwards_and_backwards():
    x = torch.randn(1, 1, 5, 5, generator=torch.manual_seed(0))
    ours, theirs = (hessian(lambda x, p=p: p(3, 2, 1)(x).pow(3).sum())(x) for p in POOLS)
    assert torch.equal(ours, theirs)


def test_several_networks_pool_at_once():
    x = torch.randn(4, 2, 3, 9, 9, generator=torch.manual_seed(0))

    def slopes(pool: nn.Module) -> torch.Tensor:
        return vmap(grad(lambda maps: pool(maps).square().sum()))(x)

    assert torch.equal(slopes(MaxPool2d(3, 2, 1)), slopes(nn.MaxPool2d(3, 2, 1)))


def test_whoever_follows_operations_sees_a_pool():
    seen = []

    class Follow(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    x = torch.zeros(1, 2, 8, 8)
    with Follow():
        MaxPool2d(3, 2, 1)(x)
    assert seen == ["max_pool2d_with_indices"]


def test_a_network_with_pools_and_sums_is_traced_as_torchs_would_be():
    network = resnet18((3, 32, 32), 5).eval()
    traced = symbolic_trace(network)
    assert "max_pool2d" in {getattr(node.target, "__name__", "") for node in traced.graph.nodes}
    x = torch.randn(2, 3, 32, 32, generator=torch.manual_seed(0))
    torch.testing.assert_close(traced(x), network(x))
