"""Blocks and networks for few multiplications against formulas, libraries and their papers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from assay.blocks.channel_shuffle import ChannelShuffle
from assay.blocks.max_feature_map import MaxFeatureMap
from assay.blocks.squeeze_excitation import SqueezeExcitation
from assay.blocks.width import nearest_multiple
from assay.errors import BadArgumentError
from assay.models.vision import light_cnn, mobilenet_v1, shufflenet_v1
from assay.models.vision.mobilenet_v1 import MobileNetV1
from assay.models.vision.shufflenet_v1 import ShuffleNetV1, keep
from assay.models.vision.shufflenet_v2 import ShuffleNetV2


def count(build: Callable[..., nn.Module], side: int = 224) -> tuple[int, float]:
    """Return parameters, and millions of multiply-accumulates for one image."""
    with torch.device("meta"):
        model = build((3, side, side), 1000).eval()
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, side, side, device="meta"))
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() / 2e6


@pytest.mark.parametrize("act", [nn.ReLU, nn.SiLU])
@pytest.mark.parametrize("gate", [nn.Sigmoid, nn.Hardsigmoid])
def test_squeeze_and_excitation_is_torchvisions(act: type[nn.Module], gate: type[nn.Module]):
    ops = pytest.importorskip("torchvision").ops
    torch.manual_seed(0)
    theirs = ops.SqueezeExcitation(12, 3, activation=act, scale_activation=gate)
    ours = SqueezeExcitation(12, 3, act=act, gate=gate)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 12, 5, 4)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_a_shuffle_deals_one_channel_of_each_group_in_turn(groups: int):
    x = torch.randn(2, 12, 3, 4)
    dealt = [group + turn * 12 // groups for group in range(12 // groups) for turn in range(groups)]
    for layout in (torch.contiguous_format, torch.channels_last):
        out = ChannelShuffle(groups)(x.to(memory_format=layout))
        assert torch.equal(out, x[:, dealt])
        assert out.is_contiguous(memory_format=layout)


def test_groups_that_do_not_divide_the_channels_are_named():
    with pytest.raises(BadArgumentError) as caught:
        ChannelShuffle(5)(torch.zeros(1, 12, 2, 2))
    assert str(caught.value) == (
        "`groups` must divide the number of channels. Received groups=5 and 12 channels; "
        "change either."
    )


def test_a_max_feature_map_keeps_the_greater_of_two_channels_and_teaches_only_that():
    x = torch.tensor([[1.0, -2.0, 0.5, -1.0]], requires_grad=True)
    out = MaxFeatureMap()(x)
    assert out.tolist() == [[1.0, -1.0]]
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1.0, 0.0, 0.0, 1.0]]


def test_channels_without_a_rival_are_named():
    with pytest.raises(BadArgumentError) as caught:
        MaxFeatureMap()(torch.zeros(1, 5, 2, 2))
    assert str(caught.value) == (
        "A max-feature-map needs an even number of channels. Received 5; give the layer before it "
        "one more or one fewer."
    )


@pytest.mark.parametrize("of", [4, 8])
def test_multiplied_widths_are_rounded_as_timm_does(of: int):
    layers = pytest.importorskip("timm.layers")
    widths = [w * m / 4 for w in range(1, 130) for m in (0.5, 1.0, 1.3)]
    theirs = [layers.make_divisible(w, of) for w in widths]
    assert [nearest_multiple(w, of) for w in widths] == theirs


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),  # table 1; the counts are those that imgclsmob's networks have
    [
        ("shufflenet_v1_g1", 1_531_936, 143),
        ("shufflenet_v1_g2", 1_733_848, 140),
        ("shufflenet_v1_g3", 1_865_728, 137),
        ("shufflenet_v1_g4", 1_968_344, 133),
        ("shufflenet_v1_g8", 2_434_768, 137),
    ],
)
def test_shufflenet_costs_what_its_table_says(name: str, parameters: int, macs: int):
    counted = count(getattr(shufflenet_v1, name))
    assert counted[0] == parameters
    assert counted[1] == pytest.approx(macs, rel=0.011)


def test_half_a_shufflenet_has_half_of_every_width():
    def half(inputs: tuple[int, ...], outputs: int) -> nn.Module:
        return ShuffleNetV1(3, 0.5, in_channels=3, outputs=outputs, small=False)

    assert count(half)[0] == 718_324  # as imgclsmob's at 0.5


def reached(unit: nn.Module, x: Tensor, channels: slice) -> Tensor:
    """Return which output channels change when some input channels do."""
    changed = x.clone()
    changed[:, channels] += 1
    with torch.no_grad():
        return (unit(changed) != unit(x)).any(dim=(0, 2, 3))


def test_one_group_reaches_all_others_through_the_shuffle_only():
    torch.manual_seed(0)
    unit, x = keep(48, 3).eval(), torch.randn(2, 48, 4, 4)  # four channels a group within
    assert reached(unit, x, slice(16)).view(3, 16).any(dim=1).tolist() == [True] * 3
    unit.branch[1] = nn.Identity()
    assert reached(unit, x, slice(16)).view(3, 16).any(dim=1).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("name", "side", "parameters", "macs"),
    [  # millions, tables 6 and 7
        ("mobilenet_v1", 224, 4.2, 569),
        ("mobilenet_v1_075", 224, 2.6, 325),
        ("mobilenet_v1_050", 224, 1.3, 149),
        ("mobilenet_v1_025", 224, 0.5, 41),
        ("mobilenet_v1", 192, 4.2, 418),
        ("mobilenet_v1", 160, 4.2, 290),
        ("mobilenet_v1", 128, 4.2, 186),
    ],
)
def test_mobilenet_costs_what_its_tables_say(name: str, side: int, parameters: float, macs: int):
    counted = count(getattr(mobilenet_v1, name), side)
    assert round(counted[0] / 1e6, 1) == parameters
    assert abs(counted[1] - macs) < 1


SMALL = {"in_channels": 3, "outputs": 10, "small": True}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: ShuffleNetV1(3, 0.3, **SMALL),
            "`multiplier` must leave stages that 4 * groups divides and a stem that groups "
            "divides. Received multiplier=0.3, groups=3, which leave a stem of 7 and stages of "
            "72, 144, 288; these would do: 0.25, 0.5, 0.75, 1, 1.5, 2.",
        ),
        (
            lambda: ShuffleNetV1(5, **SMALL),
            "`groups` must be one of those in the paper's table 1: 1, 2, 3, 4, 8. Received "
            "groups=5; choose one of them.",
        ),
        (
            lambda: ShuffleNetV2((24, 49, 96, 192, 1024), **SMALL),
            "The stages of `widths` must be even, because half of their channels pass by. "
            "Received widths=(24, 49, 96, 192, 1024); add or take one channel where a stage is "
            "odd.",
        ),
        (
            lambda: MobileNetV1(0.01, **SMALL),
            "`multiplier` must leave one of the first 32 channels: 1/32 or more. Received "
            "multiplier=0.01; the paper has 1, 0.75, 0.5 and 0.25.",
        ),
    ],
    ids=["groups", "table", "halves", "stem"],
)
def test_a_width_that_cannot_be_divided_is_named(build: Callable[[], nn.Module], message: str):
    with pytest.raises(BadArgumentError) as caught:
        build()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "convolutions", "parameters"),
    [("light_cnn_9", 9, 5_480_864), ("light_cnn_29", 29, 12_573_280)],
)
def test_light_cnn_has_the_layers_of_its_name(name: str, convolutions: int, parameters: int):
    with torch.device("meta"):
        model = getattr(light_cnn, name)((1, 128, 128), 79_077)
    assert sum(isinstance(layer, nn.Conv2d) for layer in model.modules()) == convolutions
    counted = sum(p.numel() for p in model.parameters())
    assert counted == parameters + 257 * 79_077  # without and with the last layer


@pytest.mark.parametrize("name", ["light_cnn_9", "light_cnn_29"])
def test_light_cnn_halves_a_face_four_times_and_describes_it_by_256_numbers(name: str):
    with torch.device("meta"):
        model = getattr(light_cnn, name)((1, 128, 128), 10)
    x, maps = torch.empty(2, 1, 128, 128, device="meta"), []
    for layer in model.features:
        x = layer(x)
        if isinstance(layer, nn.MaxPool2d):
            maps.append(tuple(x.shape[1:]))
    assert maps == [(48, 64, 64), (96, 32, 32), (192, 16, 16), (128, 8, 8)]
    assert model.classifier[:3](x).shape == (2, 256)


def test_light_cnns_first_weights_keep_the_mean_square():
    torch.manual_seed(0)
    layer = light_cnn.winners(32, 64, 3)
    out = layer(torch.randn(8, 32, 16, 16))[:, :, 1:-1, 1:-1]
    assert out.square().mean().item() == pytest.approx(1, rel=0.05)
