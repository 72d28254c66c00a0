"""The layer table: it adds up to the card, and its receptive fields are those of gradients."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.canon.card import Architecture, Variant
from assay.canon.catalog import catalog
from assay.errors import BadArgumentError
from assay.models.anatomy import anatomy, layers_of
from assay.models.dry import unstarted
from assay.models.example import answer_shape
from assay.models.foreign import build_any
from assay.models.layer import Layer
from assay.models.macs import count_macs

smallest = pytest.mark.parametrize(
    ("card", "variant"),
    [
        pytest.param(card, v, id=v.name)
        for card in catalog().architectures
        for v in [min(card.variants, key=lambda v: v.macs)]
    ],
)


def row(layers: list[Layer], path: str) -> Layer:
    return next(layer for layer in layers if layer.path == path)


@smallest
def test_the_layers_of_a_card_add_up_and_convolutions_of_images_have_fields(
    card: Architecture, variant: Variant
):
    layers = anatomy(variant.name, card.native(variant), variant.outputs)
    native, task = card.native(variant), card.native_task(variant)
    assert layers[0].output == answer_shape(1, native, variant.outputs, task)[1:]
    assert sum(layer.own_parameters for layer in layers) == variant.parameters
    assert sum(layer.own_macs for layer in layers) == layers[0].macs
    assert layers[0].macs == pytest.approx(variant.macs, rel=0.01)  # as the card is checked
    if card.family.startswith("cnn") and len(native) == 3:
        assert [layer.path for layer in layers if -1 in layer.field] == []


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("lenet5", (1, 32, 32)),
        ("gru", (24, 6)),
        ("mobilenet_v3_small", (3, 32, 32)),
        ("vit_tiny", (3, 16, 16)),
    ],
)
def test_what_is_not_computed_is_counted_as_if_it_were(name: str, inputs: tuple[int, ...]):
    assert anatomy(name, inputs, 10)[0].macs == count_macs(build_any(name, inputs, 10), inputs)


def test_attention_is_counted_by_hand():
    tokens, width = 5, 8
    encoder = nn.TransformerEncoderLayer(width, 2, 16, batch_first=True)
    linear = tokens * (width * 3 * width + width * width + 2 * width * 16)
    products = 2 * tokens * tokens * width
    assert count_macs(encoder, (tokens, width)) == linear + products
    layers = layers_of(encoder, (tokens, width))
    assert layers[0].macs == linear + products
    in_attention = tokens * (width * 3 * width + width * width) + products
    assert row(layers, "self_attn").macs == in_attention


@pytest.mark.parametrize(
    ("module", "inputs", "output"),
    [
        (nn.Conv2d(3, 8, 3, 2, 1, dilation=2), (3, 20, 17), (8, 9, 8)),
        (nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (4, 7, 5), (6, 14, 10)),
        (nn.Conv1d(4, 6, 5), (4, 20), (6, 16)),
        (nn.Linear(5, 7), (11, 5), (11, 7)),
    ],
    ids=["convolution", "transposed", "one axis", "linear"],
)
def test_shapes_are_those_of_the_real_operations(
    module: nn.Module, inputs: tuple[int, ...], output: tuple[int, ...]
):
    assert tuple(module(torch.zeros(1, *inputs)).shape[1:]) == output
    assert layers_of(module, inputs)[0].output == output


class Twice(nn.Module):
    """Runs one layer two times, and another never."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Linear(4, 4)
        self.idle = nn.Linear(4, 3)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.same(self.same(x)) @ torch.ones(4, 2) * 2 + self.scale[:2]


def test_a_layer_that_runs_twice_has_its_parameters_once_and_its_work_twice():
    top, same, idle = layers_of(Twice(), (4,))
    assert (same.path, same.parameters, same.macs, same.calls) == ("same", 20, 32, 2)
    assert (idle.path, idle.parameters, idle.macs, idle.calls) == ("idle", 15, 0, 0)
    assert (top.own_parameters, top.own_macs) == (4, 8)
    assert (top.parameters, top.macs) == (39, 40)
    assert top.field == ()


def test_shared_parameters_count_once():
    pair = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    pair[2].weight = pair[0].weight
    layers = layers_of(pair, (4,))
    assert [layer.parameters for layer in layers] == [24, 20, 0, 4]
    assert layers[0].macs == 32


def test_layers_come_in_the_order_in_which_they_run():
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(3, 2)
            self.first = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x))

    assert [layer.path for layer in layers_of(Backwards(), (4,))] == ["", "first", "last"]


def test_a_network_stays_as_it_was():
    model = build_any("lenet5", (1, 32, 32), 10)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    layers_of(model, (1, 32, 32))
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_file_of_the_user_is_taken_apart(tmp_path: Path):
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, inputs, outputs):\n"
        "        super().__init__(nn.Conv2d(inputs[0], 4, 3), nn.Flatten(),\n"
        "                         nn.Linear(4 * (inputs[1] - 2) * (inputs[2] - 2), outputs))\n"
    )
    layers = anatomy(f"{file}:Net", (1, 6, 8), 2)
    assert [layer.kind for layer in layers[1:]] == ["Conv2d 3×3 1→4", "Flatten", "Linear 96→2"]
    assert [layer.field for layer in layers[1:]] == [(3, 3), (3, 3), (None, None)]


def test_an_input_that_does_not_fit_is_told():
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError(f"{x.shape[2]} is not {x.shape[3]}.\nMore.")

    with pytest.raises(BadArgumentError) as caught:
        layers_of(Square(), (1, 5, 6))
    assert str(caught.value) == (
        "A network must read a batch of examples of its input's shape. Received "
        "inputs=(1, 5, 6); it says ValueError: 5 is not 6."
    )


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.Conv2d(64, 128, 3, 2, groups=32), "Conv2d 3×3/2 64→128 g32"),
        (nn.Conv2d(8, 8, (1, 7), (1, 2), dilation=2), "Conv2d 1×7/1×2 8→8 d2"),
        (nn.Conv1d(8, 4, 5), "Conv1d 5 8→4"),
        (nn.MaxPool2d(3, 2), "MaxPool2d 3×3/2"),
        (nn.AvgPool2d(2), "AvgPool2d 2×2/2"),
        (nn.AdaptiveAvgPool2d(4), "AdaptiveAvgPool2d →4"),
        (nn.Linear(2048, 1000), "Linear 2048→1000"),
        (nn.BatchNorm2d(64), "BatchNorm2d 64"),
        (nn.GroupNorm(4, 64), "GroupNorm 64 in 4"),
        (nn.LSTM(6, 128, 2), "LSTM 6→128 ×2"),
        (nn.Dropout(0.5), "Dropout 0.5"),
        (nn.ReLU(), "ReLU"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), "Sequential 3×3 1→2"),
        (nn.TransformerEncoderLayer(8, 2, 16), "TransformerEncoderLayer 8→8, 8→16, 16→8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_layer_is_told_in_a_few_words(module: nn.Module, kind: str):
    assert layers_of_kind(module) == kind


def layers_of_kind(module: nn.Module) -> str:
    from assay.models.kind import kind_of_layer

    return kind_of_layer(module)


# receptive fields


@pytest.mark.parametrize(
    ("name", "size"),
    [("alexnet", 195), ("vgg16", 212), ("mobilenet_v1", 315), ("inception_v2", 699)],
)
def test_the_last_fields_are_those_of_the_article(name: str, size: int):
    card, variant = catalog().entry(name)
    layers = anatomy(name, card.native(variant), 1000)
    assert max(layer.field for layer in layers if None not in layer.field) == (size, size)


def seen_by_gradient(model: nn.Module, inputs: tuple[int, ...]) -> tuple[int, ...]:
    """How many positions along each axis a central output depends on, all weights positive.

    Max pools pass a gradient to one position only, so averages stand in for them.
    """
    model = averaging(model).double().eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.01, 0.02)
    x = torch.ones(1, *inputs, dtype=torch.double, requires_grad=True)
    y = model(x)
    middle = tuple(side // 2 for side in y.shape[2:])
    y[(0, slice(None), *middle)].sum().backward()
    moved = x.grad[0].abs().amax(dim=0) > 0
    spans = (
        [moved.any(dim=1).nonzero(), moved.any(dim=0).nonzero()]
        if moved.dim() > 1
        else [moved.nonzero()]
    )
    return tuple(int(span.max() - span.min() + 1) for span in spans)


def averaging(model: nn.Module) -> nn.Module:
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.MaxPool2d):
            pool = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
            model.set_submodule(name, pool) if name else None
    return model


def plain(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


class Transposed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


class Last(nn.Module):
    """Puts the channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class Branches(nn.Module):
    """A short, a dilated and a pooled way, beside each other and added up."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(2, 2, 1, stride=2)
        self.far = nn.Conv2d(2, 2, 3, stride=2, padding=4, dilation=4)
        self.pool = nn.AvgPool2d((3, 5), 2, (1, 2))
        self.after = nn.Conv2d(4, 2, (3, 1), padding=(1, 0))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(torch.cat([self.near(x) + self.far(x), self.pool(x)], dim=1))


def part_of(name: str, *modules: str) -> nn.Module:
    """A network's first modules, which may keep whatever is in the memory of their parameters."""
    with unstarted():
        whole = build_any(name, (3, 224, 224), 5)
    return plain(*(whole.get_submodule(module) for module in modules))


NETWORKS = {
    "lenet5": (lambda: build_any("lenet5", (1, 32, 32), 10).features, (1, 32, 32)),
    "resnet18, stem and two stages": (
        lambda: part_of("resnet18", "stem", "stages.0", "stages.1"), (3, 128, 128)
    ),
    "dilated stack": (
        lambda: plain(*(nn.Conv2d(1, 1, 3, dilation=d, padding=d) for d in (1, 2, 5))),
        (1, 40, 40),
    ),
    "googlenet, stem and one stage": (
        lambda: part_of("googlenet", "stem", "stage_3.0", "stage_3.1"), (3, 128, 128)
    ),
    "branches": (Branches, (2, 40, 48)),
    "transposed": (
        lambda: plain(nn.Conv2d(1, 1, 4, 2, 1), nn.Conv2d(1, 1, 3, padding=1),
                      nn.ConvTranspose2d(1, 1, 4, 2, 1)),
        (1, 32, 32),
    ),
    "transposed with gaps": (
        lambda: plain(nn.ConvTranspose2d(1, 1, 3, 2, 1, 1), nn.Conv2d(1, 1, 3)),
        (1, 16, 16),
    ),
    "enlarged": (
        lambda: plain(nn.Conv2d(1, 1, 3, 2, 1), nn.UpsamplingNearest2d(scale_factor=2),
                      nn.Conv2d(1, 1, 3, padding=1)),
        (1, 32, 32),
    ),
    "time": (
        lambda: plain(nn.Conv1d(2, 3, 5, 2), nn.ReLU(), nn.AvgPool1d(3, 2), nn.Conv1d(3, 1, 3)),
        (2, 64),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_receptive_field_is_what_a_gradient_reaches(name: str):
    make, inputs = NETWORKS[name]
    torch.manual_seed(0)
    model = make()
    if len(inputs) == 2:  # (features, time), which is (time, features) to a network
        layers = layers_of(plain(Transposed(), model), inputs[::-1])
    else:
        layers = layers_of(model, inputs)
    assert layers[0].field == seen_by_gradient(model, inputs)


@pytest.mark.parametrize(
    ("name", "jump"),
    [
        ("lenet5", 4),
        ("resnet18, stem and two stages", 8),
        ("dilated stack", 1),
        ("transposed", 1),
        ("enlarged", 1),
    ],
)
def test_neighbours_lie_as_far_apart_as_all_strides_together(name: str, jump: float):
    make, inputs = NETWORKS[name]
    assert layers_of(make(), inputs)[0].jump == (jump, jump)


class Calls(nn.Module):
    """Applies a function to the result of a convolution of 3×3."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(1, 4, 3, padding=1), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.conv(x))


def half_written(y: Tensor) -> Tensor:
    filled = y.new_zeros(1, 8, *y.shape[2:])
    filled[:, :4] = y
    return filled


@pytest.mark.parametrize(
    ("function", "field"),
    [
        (lambda y: y * y.mean((2, 3), keepdim=True).sigmoid(), (None, None)),
        (lambda y: y - y.mean(1, keepdim=True), (3, 3)),
        (lambda y: y.mean(2, keepdim=True), (-1, -1)),
        (lambda y: functional.adaptive_avg_pool2d(y, (1, 3)), (None, 5)),
        (lambda y: functional.avg_pool2d(functional.adaptive_avg_pool2d(y, (2, 4)), 2), (10, 6)),
        (
            lambda y: functional.avg_pool2d(functional.interpolate(y, 18, mode="bilinear"), 2),
            (5, 5),
        ),
        (lambda y: y.mean((0, 2)), (-1, -1)),
        (lambda y: functional.max_pool2d(y, (2, 1), dilation=(3, 1)), (6, 3)),
        (lambda y: functional.local_response_norm(y, 3), (3, 3)),
        (lambda y: functional.layer_norm(y, y.shape[1:]), (3, 3)),
        (half_written, (3, 3)),
        (torch.zeros_like, ()),
        (lambda y: y[:, 1:3, :, 2:], (3, 3)),
        (lambda y: y[:, :, ::2], (-1, -1)),
        (lambda y: y.roll(1, 2), (-1, -1)),
        (lambda y: y.view(1, 4, 4, 2, 4, 2), (-1, -1)),
        (lambda y: y.view(1, 2, 2, 8, 8).transpose(1, 2).flatten(1, 2), (3, 3)),
        (lambda y: y.flatten(1) @ torch.ones(256, 2), (None, None)),
        (lambda y: y.flatten(2)[0] @ torch.ones(64, 2), (-1, -1)),
        (lambda y: y.flatten(2) @ y.flatten(2).mT, (-1, -1)),
    ],
    ids=[
        *("squeeze and excitation", "mean of channels", "mean of columns", "pool to a size"),
        *("pool after a pool to a size", "enlarged", "mean of columns and examples"),
        *("dilated pool", "response norm", "layer norm", "written in part", "only its shape"),
        *("a cut-out", "every second", "shifted", "patches", "shuffled channels", "one row"),
        *("many rows", "attention"),
    ],
)
def test_a_field_after(function: Callable[[Tensor], Tensor], field: tuple[int | None, ...]):
    assert layers_of(Calls(function), (1, 8, 8))[0].field == field


def test_what_follows_an_unknown_field_is_unknown():
    layers = anatomy("vit_tiny", (3, 32, 32), 10)
    assert row(layers, "patches").field == (4, 4)
    assert {layer.field for layer in layers if layer.path.startswith("head")} == {(-1, -1)}


def test_a_linear_layer_on_every_position_keeps_the_field():
    pointwise = plain(nn.Conv2d(3, 4, 3), Last(), nn.Linear(4, 5))
    assert layers_of(pointwise, (3, 8, 8))[0].field == (3, 3)
    flat = plain(nn.Conv2d(3, 4, 3), nn.Flatten(2), nn.Linear(36, 5))
    assert layers_of(flat, (3, 8, 8))[0].field == (-1, -1)


def test_the_reach_of_causal_convolutions_is_told_by_their_formula():
    layers = anatomy("tcn", (784, 1), 10)
    reach = 1 + 2 * (7 - 1) * (2**8 - 1)  # two convolutions over 7 steps in each of 8 blocks
    assert row(layers, "exit").field == (reach,)
    assert row(layers, "blocks.0.shortcut").field == (1,)
    assert row(layers, "head").field == (None,)
