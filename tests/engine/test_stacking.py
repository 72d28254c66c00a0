"""A stack computes what its networks compute, or there is none."""

import random
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from assay.blocks.convolution import ConvNormAct
from assay.blocks.preactivation import PreActivated
from assay.blocks.residual import Residual
from assay.engine.stacking import keep, stack, weights_of
from assay.models.foreign import build_any
from assay.models.vision.lenet import ScaledTanh, Subsample


class Many(nn.Module):
    """One of nearly everything that has a stacked form."""

    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.LeakyReLU(0.2),
            nn.Conv2d(4, 4, 3, groups=2, stride=2), nn.GroupNorm(2, 4), ScaledTanh(),
            Subsample(4), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.wide = nn.Linear(4, 6)
        self.scale = nn.Parameter(torch.rand(6))
        self.norm = nn.LayerNorm(6)
        self.line = nn.Conv1d(1, 3, 3)
        self.head = nn.Linear(3, 5)

    def forward(self, x):
        x = self.image(x)  # (B, 4)
        x = self.norm(F.gelu(self.wide(x) * self.scale - 0.5))
        x = self.line(x.unsqueeze(1)).transpose(1, 2)  # (B, 4, 3)
        return self.head(x).mean(dim=1)


def sums() -> nn.Module:
    """Return what adds to its input, in place where it can."""
    residual = Residual(ConvNormAct(2, 2, 3), ConvNormAct(2, 2, 3, act=None), act=nn.ReLU())
    return nn.Sequential(
        residual, PreActivated(2, nn.Conv2d(2, 2, 1)), nn.Flatten(), nn.Linear(32, 5)
    )


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (Many, (2, 12, 12)),
        (sums, (2, 4, 4)),
        (lambda: build_any("lenet5", (1, 28, 28), 5), (1, 28, 28)),
        (lambda: build_any("lenet5", (3, 9, 9), 5), (3, 9, 9)),
        (lambda: build_any("whitened_cnn", (1, 16, 16), 5), (1, 16, 16)),
        (lambda: build_any("mlp", (6, 4), 5), (6, 4)),
    ],
    ids=["many", "sums", "lenet5", "enlarged", "whitened_cnn", "mlp"],
)
def test_scores_gradients_and_statistics_are_those_of_each_network(
    make: Callable[[], nn.Module], inputs: tuple[int, ...]
):
    torch.manual_seed(0)
    networks = [make().double() for _ in range(3)]
    stacked = stack(networks, inputs=inputs)
    assert stacked is not None
    x = torch.randn(3, 4, *inputs, dtype=torch.float64)
    stacked(x).square().sum().backward()
    slopes = dict(stacked.named_parameters())
    for seed, network in enumerate(networks):
        network(x[seed]).square().sum().backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(slopes[name].grad[seed], parameter.grad)
        torch.testing.assert_close(weights_of(stacked, seed), dict(network.state_dict()))
        torch.testing.assert_close(stacked.eval()(x)[seed], network.eval()(x[seed]))
        stacked.train()


def test_each_seed_drops_what_it_would_drop_alone():
    networks = [nn.Sequential(nn.Linear(9, 50), nn.Dropout(0.4), nn.Linear(50, 2)) for _ in "ab"]
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    stacked = stack(networks, inputs=(9,), generators=generators)
    x = torch.randn(2, 8, 9)
    together = stacked(x)
    for seed, network in enumerate(networks):
        torch.manual_seed(3 + seed)
        torch.testing.assert_close(together[seed], network(x[seed]))


def test_seeds_leave_a_stack():
    networks = [nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)) for _ in "abc"]
    generators = [torch.Generator() for _ in networks]
    stacked = stack(networks, inputs=(4,), generators=generators)
    x = torch.randn(3, 8, 4)
    stacked(x).sum().backward()
    stacked.zero_grad()
    last = generators[2]
    keep(stacked, generators, [0, 2])
    two = stacked(x[[0, 2]])
    two.sum().backward()
    assert generators[1] is last
    torch.testing.assert_close(two[1], networks[2](x[2]))


class Changing(nn.Module):
    """One linear layer and, in its subclasses, something that a trace does not hold."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(x)


class OtherInTraining(Changing):
    def forward(self, x):
        return self.linear(x) * 2 if self.training else self.linear(x)


class Noisy(Changing):
    def forward(self, x):
        return self.linear(x) * (1 + random.random())


class Counting(Changing):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return self.linear(x)


class Tied(Changing):
    def __init__(self):
        super().__init__()
        self.other = nn.Linear(4, 3)
        self.other.weight = self.linear.weight

    def forward(self, x):
        return self.linear(x) + self.other(x)


class MixingTheBatch(Changing):
    def forward(self, x):
        return self.linear(x) - x.mean(dim=-2, keepdim=True).sum(dim=-1, keepdim=True)


class AllAtOnce(Changing):
    def forward(self, x):
        return self.linear(x) - self.linear(x).flatten(0, 1).mean(dim=0)


class Unused(Changing):
    def __init__(self):
        super().__init__()
        self.other = nn.Linear(4, 3)


class NormOfOnes(nn.BatchNorm1d):
    def forward(self, x):
        return super().forward(x) * 0 + 1


@pytest.mark.parametrize(
    "make",
    [
        OtherInTraining, Noisy, Counting, Tied, Unused,
        lambda: nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1)),
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=None)),
        lambda: nn.Sequential(nn.Linear(4, 3), NormOfOnes(3)),
        lambda: nn.LSTM(4, 3),
    ],
)  # fmt: skip
def test_what_is_not_known_to_be_equal_is_not_stacked(make: Callable[[], nn.Module]):
    assert stack([make(), make()], inputs=(4,)) is None
    assert stack([Changing(), Changing()], inputs=(4,)) is not None


@pytest.mark.parametrize("make", [MixingTheBatch, AllAtOnce])
def test_what_mixes_the_examples_of_a_batch_stays_within_its_seed(make: Callable[[], nn.Module]):
    networks = [make(), make()]
    stacked = stack(networks, inputs=(4,))
    if stacked is not None:
        x = torch.randn(2, 5, 4)
        torch.testing.assert_close(stacked(x)[1], networks[1](x[1]))


def test_the_networks_and_the_generator_are_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(1)
    generators = [torch.Generator()]
    state = generators[0].get_state()
    assert stack([network], inputs=(4,), generators=generators) is not None
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(generators[0].get_state(), state)
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)
    assert not network.training
