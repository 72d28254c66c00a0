"""Networks without one idea: every card's removable ideas, and what single removals leave."""

from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from assay.blocks.drop_path import DropPath
from assay.blocks.encoder import EncoderBlock
from assay.canon.card import Architecture, Shape
from assay.canon.catalog import catalog
from assay.canon.idea import EACH, IDEAS, WITHOUT, ablated, parted
from assay.errors import BadArgumentError
from assay.models.ablation import (
    SURGERY,
    everywhere,
    present,
    redrawn,
    remove,
    straight,
    unshifted,
    without,
)
from assay.models.build import build
from assay.models.dry import unstarted
from assay.models.vision.convnext import ConvNeXtBlock
from assay.models.vision.mixer import MixerBlock
from assay.models.vision.swin import SwinBlock, WindowAttention

LITTLE = {
    "image": (1, 8, 8),
    "sequence": (24, 6),
    "either": (24, 6),
    "table": (13,),
    "any": (13,),
}
every_removal = pytest.mark.parametrize(
    ("card", "idea"),
    [
        pytest.param(card, idea, id=f"{card.id}-{idea}")
        for card in catalog().architectures
        for idea in card.removable
    ],
)


class Trace(TorchDispatchMode):
    """Remembers every operation and the shapes that it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # spares the import of seven hundred modules

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        shape = tuple(out.shape) if isinstance(out, Tensor) else ()
        told = [tuple(a.shape) if isinstance(a, Tensor) else str(a) for a in args]
        self.seen.append(f"{func} {told} {shape}")
        return out


def computed(network: nn.Module, shape: Shape) -> tuple[list[str], Tensor]:
    """Return the parameters with their shapes, then the operations of training; and the scores."""
    parameters = [f"{n} {tuple(p.shape)}" for n, p in network.named_parameters()]
    with unstarted(), Trace() as trace:
        scores = network(torch.zeros(2, *shape))
    return parameters + trace.seen, scores


def reached(scores: Tensor) -> set[int]:
    """Return the identities of the tensors that a gradient of the scores would reach."""
    seen, found, ahead = set(), set(), [scores.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            found.add(id(getattr(node, "variable", None)))
            ahead += [following for following, _ in node.next_functions]
    return found


@cache
def computed_whole(name: str, shape: Shape) -> list[str]:
    with unstarted():
        network = build(name, inputs=shape, outputs=5)
    return computed(network, shape)[0]


def removed(card: Architecture, idea: str) -> tuple[str, nn.Module, Shape]:
    """Return the smallest variant, little before native, that has the idea, without it."""
    variants = sorted(card.variants, key=lambda v: v.parameters)
    places = [(v, LITTLE[card.input.kind]) for v in variants]
    for variant, shape in places + [(v, card.native(v)) for v in variants]:
        with unstarted():
            left = remove(idea, build(variant.name, inputs=shape, outputs=5))
        if left is not None:
            return variant.name, left, shape
    raise AssertionError(f"no variant of {card.id} has {idea}")


@every_removal
def test_without_any_removable_idea_a_network_runs_differs_and_learns(
    card: Architecture, idea: str
):
    name, left, shape = removed(card, idea)
    seen, scores = computed(left, shape)
    assert scores.shape == (2, 5)
    assert seen != computed_whole(name, shape)
    learning = reached(scores)
    assert [n for n, p in left.named_parameters() if id(p) not in learning] == []


def test_every_idea_has_words_and_a_way_to_remove_it_and_stands_on_some_card():
    listed = {idea for card in catalog().architectures for idea in card.removable}
    assert set(IDEAS) == set(SURGERY) == listed


def test_no_entry_is_called_like_a_network_without_something():
    assert [name for name in catalog().names if WITHOUT in name] == []
    assert EACH not in IDEAS


def test_a_name_says_what_is_removed():
    assert ablated("resnet18", "shortcut") == "resnet18-without-shortcut"
    assert parted("resnet18-without-shortcut") == ("resnet18", "shortcut")
    assert parted("resnet18") == ("resnet18", None)
    assert parted("resnet18-without-") == ("resnet18", "")


def pair(name: str, idea: str, shape: Shape = (1, 8, 8)) -> tuple[nn.Module, nn.Module]:
    """Return a network and the same network, weight for weight, without an idea."""
    torch.manual_seed(0)
    whole = build(name, inputs=shape, outputs=5)
    torch.manual_seed(0)
    return whole, build(ablated(name, idea), inputs=shape, outputs=5)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_a_residual_block_without_shortcut_is_its_branch():
    whole, left = pair("resnet18", "shortcut")
    x = torch.randn(2, 64, 8, 8)
    block, plain = whole.stages[1][0], left.stages[1][0]
    torch.testing.assert_close(plain(x), block.act(block.branch(x)))
    assert count(whole) - count(left) == sum(
        p.numel() for stage in whole.stages for p in stage[0].shortcut.parameters()
    )


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (EncoderBlock(8, 2, 16), (3, 5, 8)),
        (SwinBlock(8, 2, 3), (3, 14, 14, 8)),
        (MixerBlock(5, 8, 16, 16), (3, 5, 8)),
        (ConvNeXtBlock(8), (3, 8, 9, 9)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_block_without_shortcut_passes_on_what_it_would_have_added(
    block: nn.Module, shape: tuple[int, ...]
):
    left, x = everywhere(deepcopy(block), straight), torch.randn(shape)
    assert count(left) == count(block)
    assert left(x).shape == block(x).shape
    with torch.no_grad():
        for network in (block, left):
            for name, p in network.named_parameters():
                if name.endswith(("out.weight", "narrow.weight", "layer_scale")):
                    p.zero_()
    assert not torch.equal(block(x)[0], block(x)[1])  # only the shortcuts tell the examples apart
    assert torch.equal(left(x)[0], left(x)[1])


def test_branches_are_not_skipped_where_nothing_leads_around_them():
    left = build("efficientnet_b0-without-shortcut", inputs=(3, 96, 96), outputs=5)
    assert [m for m in left.modules() if isinstance(m, DropPath)] == []


def test_without_batch_norm_every_convolution_has_a_bias():
    _, left = pair("densenet121", "batch_norm")
    convolutions = [m for m in left.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.bias is not None and not m.bias.any() for m in convolutions)
    assert not [m for m in left.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize(
    ("name", "heads"), [("googlenet_auxiliary", 2), ("inception_v3_auxiliary", 1)]
)
def test_without_auxiliary_heads_a_network_answers_as_before_and_has_one_classifier(
    name: str, heads: int
):
    whole, left = pair(name, "auxiliary_heads")
    x = torch.randn(2, 1, 8, 8)
    with torch.inference_mode():
        scores, kept = whole.eval().forward_all(x), left.eval().forward_all(x)
    assert (len(scores), len(kept)) == (heads + 1, 1)
    assert torch.equal(scores[-1], kept[0])
    sides = sum(p.numel() for n, p in whole.named_parameters() if "auxiliary." in n)
    assert count(whole) - count(left) == sides > 0


def test_a_full_convolution_in_place_of_a_depthwise_one_starts_as_strong():
    torch.manual_seed(0)
    old = nn.Conv2d(64, 64, 3, 2, 1, groups=64)
    new = redrawn(old, 64, 64)
    x = torch.randn(8, 64, 16, 16)
    assert new(x).shape == old(x).shape
    torch.testing.assert_close(new(x).std(), old(x).std(), rtol=0.1, atol=0)
    assert torch.equal(new.bias, old.bias)


def test_an_inverted_residual_without_expansion_works_at_its_own_width():
    _, left = pair("efficientnet_b0", "inverted_residual")
    block = left.features[3]  # 24 channels in and out
    assert [layer.conv.in_channels for layer in (block.branch[0], block.branch[2])] == [24, 24]
    assert block.branch[1].reduce.in_channels == block.branch[1].expand.out_channels == 24


def test_without_its_linear_bottleneck_a_block_returns_nothing_negative():
    _, left = pair("mobilenet_v2", "linear_bottleneck")
    assert left.features[1](torch.randn(2, 32, 8, 8)).min() == 0


def test_windows_that_do_not_shift_lie_at_the_corner():
    shifted, corner = WindowAttention(8, 2, 3), WindowAttention(8, 2, 0)
    corner.load_state_dict(shifted.state_dict())
    x = torch.randn(2, 14, 14, 8)
    assert not torch.allclose(shifted(x), corner(x))
    assert torch.equal(unshifted(shifted)(x), corner(x))
    assert unshifted(corner) is None


@pytest.mark.parametrize(
    ("name", "shape"),
    [("vit_tiny", (1, 8, 8)), ("deit_tiny_distilled", (1, 8, 8)), ("transformer_encoder", (24, 6))],
)
def test_without_positions_the_order_of_the_tokens_does_not_count(name: str, shape: Shape):
    whole, left = pair(name, "position", shape)
    x = torch.randn(2, *shape)
    turned = x.flip(1) if len(shape) == 2 else x.unflatten(2, (4, 2)).flip(2).flatten(2, 3)
    whole, left = whole.eval(), left.eval()
    torch.testing.assert_close(left(turned), left(x), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(whole(turned), whole(x), rtol=1e-4, atol=1e-5)


def test_what_is_fixed_is_no_part_of_the_saved_weights():
    _, left = pair("vit_tiny", "position")
    assert "positions" not in left.state_dict()
    assert "positions" not in dict(left.named_parameters())


def test_a_whitening_that_learns_does_not_look_at_the_images():
    _, left = pair("whitened_cnn", "whitening", (1, 28, 28))
    before = left.whitening.weight.clone()
    left.initialize(torch.randn(8, 1, 28, 28))
    assert torch.equal(left.whitening.weight, before)
    assert left.whitening.weight.requires_grad


def test_a_dense_layer_computes_what_it_would_have_copied():
    whole, left = pair("densenet121", "dense_connections")
    x = torch.randn(2, 64, 8, 8)
    assert torch.equal(whole.blocks[0](x)[:, :64], x)
    new = left.blocks[0](x)
    assert new.shape == whole.blocks[0](x).shape
    assert not torch.equal(new[:, :64], x)


@pytest.mark.parametrize(
    ("name", "shape", "says"),
    [
        (
            "vgg11-without-batch_norm",
            (1, 8, 8),
            "Only what a network has can be removed. vgg11 built for inputs=(1, 8, 8) has no "
            "batch_norm; choose another idea, another variant or larger examples.",
        ),
        (
            "googlenet-without-auxiliary_heads",
            None,
            "Only what a network has can be removed. googlenet built for inputs=(3, 224, 224) has "
            "no auxiliary_heads; choose another idea, another variant or larger examples.",
        ),
        (
            "resnet-without-shortcuts",
            None,
            "An idea to remove must be one that the card of resnet18 lists: batch_norm, shortcut. "
            "Received 'shortcuts'. Did you mean 'shortcut'?",
        ),
        (
            "gru-without-shortcut",
            None,
            "The card of gru lists no idea that can be removed. Received 'shortcut'; "
            "`assay show NAME` says which ideas a network's card lists.",
        ),
        (
            "resnet18-without-each",
            None,
            "An idea to remove must be one that the card of resnet18 lists: batch_norm, shortcut. "
            "Received 'each'.",
        ),
    ],
)
def test_what_cannot_be_removed_is_told(name: str, shape: Shape | None, says: str):
    with pytest.raises(BadArgumentError) as caught:
        build(name, inputs=shape, outputs=5)
    assert str(caught.value) == says


def test_only_what_a_variant_has_at_a_shape_is_offered():
    card, variant = catalog().entry("mobilenet_v2")
    assert "dropout" in present(card, variant, (3, 224, 224))
    assert "dropout" not in present(card, variant, (1, 8, 8))
    card, variant = catalog().entry("vgg11")
    with pytest.raises(BadArgumentError) as caught:
        present(card, variant, (1, 8, 8))
    assert str(caught.value) == (
        "Only what a network has can be removed. vgg11 built for inputs=(1, 8, 8) has no "
        "batch_norm and no dropout; choose another idea, another variant or larger examples."
    )


def test_a_network_without_the_idea_is_refused_by_its_name():
    with pytest.raises(BadArgumentError):
        without("shortcut", nn.Sequential(nn.Linear(2, 2)), "plain", (2,))
