"""Networks without one idea: every card's removable ideas, and what single removals leave."""

from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from assay.blocks.big_bird import BigBirdKernel, big_bird_layout
from assay.blocks.drop_path import DropPath
from assay.blocks.encoder import EncoderBlock
from assay.blocks.post_norm import PostNormEncoderBlock
from assay.canon.card import Architecture, Shape, Variant
from assay.canon.catalog import catalog
from assay.canon.idea import EACH, IDEAS, WITHOUT, ablated, parted
from assay.canon.task import TASKS, Task
from assay.errors import BadArgumentError
from assay.models.ablation import (
    SURGERY,
    present,
    redrawn,
    remove,
    unshifted,
    without,
)
from assay.models.build import build
from assay.models.dry import unstarted
from assay.models.example import answer_shape, blank, drawn
from assay.models.vision.convnext import ConvNeXtBlock
from assay.models.vision.mixer import MixerBlock
from assay.models.vision.swin import SwinBlock, WindowAttention

LITTLE = {
    "image": (1, 8, 8),
    "sequence": (24, 6),
    "either": (24, 6),
    "tokens": (12, 40),
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


def computed(network: nn.Module, shape: Shape, task: Task) -> tuple[list[str], Tensor]:
    """Return the parameters with their shapes, then the operations of training; and the scores."""
    parameters = [f"{n} {tuple(p.shape)}" for n, p in network.named_parameters()]
    with unstarted(), Trace() as trace:
        scores = network(*blank(2, shape, task))
    return parameters + trace.seen, scores


def silent(network: nn.Module, scores: Tensor) -> set[str]:
    """Return the parameters that no gradient of the scores would reach."""
    learning = reached(scores)
    return {n for n, p in network.named_parameters() if id(p) not in learning}


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
def computed_whole(name: str, shape: Shape, task: Task) -> tuple[list[str], set[str]]:
    with unstarted():
        network = build(name, inputs=shape, task=task)
    seen, scores = computed(network, shape, task)
    return seen, silent(network, scores)


def removed(card: Architecture, idea: str) -> tuple[Variant, nn.Module, Shape]:
    """Return the smallest variant, little before native, that has the idea, without it."""
    variants = sorted(card.variants, key=lambda v: v.parameters)
    places = [(v, LITTLE[card.input.kind]) for v in variants]
    for variant, shape in places + [(v, card.native(v)) for v in variants]:
        with unstarted():
            left = remove(idea, build(variant.name, inputs=shape))
        if left is not None:
            return variant, left, shape
    raise AssertionError(f"no variant of {card.id} has {idea}")


@every_removal
def test_without_any_removable_idea_a_network_runs_differs_and_learns(
    card: Architecture, idea: str
):
    variant, left, shape = removed(card, idea)
    task = card.task_for(variant, shape)
    outputs = shape[1] if TASKS[task].answers == "tokens" else variant.outputs
    seen, scores = computed(left, shape, task)
    assert scores.shape == answer_shape(2, shape, outputs, task)
    whole, asleep = computed_whole(variant.name, shape, task)
    assert seen != whole
    assert silent(left, scores) <= asleep


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
        p.numel() for stage in whole.stages[1:] for p in stage[0].shortcut.parameters()
    )


@pytest.mark.parametrize(
    ("block", "shape"),
    [
        (EncoderBlock(8, 2, 16), (3, 5, 8)),
        (SwinBlock(8, 2, 3), (3, 14, 14, 8)),
        (MixerBlock(5, 8, 16, 16), (3, 5, 8)),
        (ConvNeXtBlock(8), (3, 8, 9, 9)),
        (PostNormEncoderBlock(8, 2, 16, dropout=0.0), (3, 5, 8)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_block_without_shortcut_passes_on_what_it_would_have_added(
    block: nn.Module, shape: tuple[int, ...]
):
    left, x = remove("shortcut", deepcopy(block)), torch.randn(shape)
    assert left is not None
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


SERIES = (7, 30)


def series_pair(name: str, idea: str, task: Task) -> tuple[nn.Module, nn.Module]:
    """Return a network of tokens, and the same without an idea, neither dropping anything."""
    torch.manual_seed(0)
    whole = build(name, inputs=SERIES, task=task)
    torch.manual_seed(0)
    return whole.eval(), build(ablated(name, idea), inputs=SERIES, task=task).eval()


@pytest.mark.parametrize("name", ["transformer_tiny", "t5_efficient_tiny_nl2"])
def test_without_positions_the_order_of_a_source_does_not_count(name: str):
    whole, left = series_pair(name, "position", "text-to-text")
    source, target = drawn(2, SERIES, "text-to-text")
    with torch.inference_mode():
        torch.testing.assert_close(left(source.flip(1), target), left(source, target))
        assert not torch.allclose(whole(source.flip(1), target), whole(source, target))


def test_without_positions_a_label_does_not_depend_on_the_order_behind_the_first_token():
    whole, left = series_pair("bert_tiny", "position", "text-classification")
    (tokens,) = drawn(2, SERIES, "text-classification")
    turned = torch.cat([tokens[:, :1], tokens[:, 1:].flip(1)], dim=1)
    with torch.inference_mode():
        torch.testing.assert_close(left(turned), left(tokens))
        assert not torch.allclose(whole(turned), whole(tokens))


@pytest.mark.parametrize(
    ("name", "idea", "gate", "gates"),
    [
        ("lstm", "forget_gate", 1, 4),
        ("lstm", "output_gate", 3, 4),
        ("lstm_2", "forget_gate", 1, 4),
        ("gru", "reset_gate", 0, 3),
    ],
)
def test_without_a_gate_a_network_is_the_whole_one_with_that_gate_held_open(
    name: str, idea: str, gate: int, gates: int
):
    whole, left = series_pair(name, idea, "text-classification")
    (tokens,) = drawn(2, SERIES, "text-classification")
    with torch.inference_mode():
        assert not torch.allclose(whole(tokens), left(tokens))
        for parameter, weight in whole.layer.named_parameters():
            weight.chunk(gates)[gate].fill_(50.0 if "bias" in parameter else 0.0)
        torch.testing.assert_close(left(tokens), whole(tokens))
    assert count(whole.layer) * (gates - 1) == count(left.layer) * gates


def test_without_its_backward_direction_a_network_reads_nothing_later():
    whole, left = series_pair("bilstm_2", "backward_direction", "token-classification")
    (tokens,) = drawn(2, SERIES, "token-classification")
    with torch.inference_mode():
        torch.testing.assert_close(left(tokens)[:, :3], left(tokens[:, :3]))
        assert not torch.allclose(whole(tokens)[:, :3], whole(tokens[:, :3]))


@pytest.mark.parametrize("task", ["token-classification", "text-classification"])
def test_without_its_backward_direction_a_network_is_the_whole_one_with_that_direction_at_rest(
    task: Task,
):
    whole, left = series_pair("bilstm_2", "backward_direction", task)
    (tokens,) = drawn(2, SERIES, task)
    with torch.inference_mode():
        assert not torch.allclose(whole(tokens), left(tokens))
        for name, weight in whole.layer.named_parameters():
            if name.endswith("_reverse"):
                weight.zero_()  # so it shows zeros, and what reads them adds nothing
        torch.testing.assert_close(left(tokens), whole(tokens))


def test_a_source_that_is_not_reversed_is_read_as_the_whole_network_reads_it_turned_around():
    whole, left = series_pair("seq2seq", "reversed_source", "text-to-text")
    source, target = drawn(2, SERIES, "text-to-text")
    with torch.inference_mode():
        torch.testing.assert_close(left(source.flip(1), target), whole(source, target))
        assert not torch.allclose(left(source, target), whole(source, target))


@pytest.mark.parametrize("name", ["seq2seq_bahdanau", "seq2seq_luong", "seq2seq_luong_dot"])
def test_without_attention_every_step_sees_the_mean_of_the_real_states(name: str):
    _, left = series_pair(name, "attention", "text-to-text")
    memory, real = torch.randn(2, 3, 4), torch.tensor([[True, True, False], [True, True, True]])
    seen, _ = left.decoder.attention(torch.randn(2, 5, 4), memory, real)
    means = torch.stack([memory[0, :2].mean(0), memory[1].mean(0)])
    torch.testing.assert_close(seen, means[:, None].expand(2, 5, 4))


def test_layers_that_are_not_shared_are_as_many_as_the_passes():
    whole, left = series_pair("albert_tiny", "shared_layers", "text-classification")
    assert count(left) - count(whole) == 3 * count(whole.encoder.block)
    weights = [block.feedforward.wide.weight for block in left.encoder.blocks]
    assert len({float(weight.detach().sum()) for weight in weights}) == 4


@pytest.mark.parametrize(
    ("name", "idea"),
    [
        ("gpt2_baby", "position"),
        ("gpt2_baby", "shortcut"),
        ("transformer_tiny", "shortcut"),
    ],
)
def test_what_is_dropped_while_training_does_not_go_with_an_idea(name: str, idea: str):
    with unstarted():
        whole = build(name, inputs=SERIES)
        dropped = [m.p for m in whole.modules() if isinstance(m, nn.Dropout)]
        left = remove(idea, whole)
    assert left is not None
    assert [m.p for m in left.modules() if isinstance(m, nn.Dropout)] == dropped != []


def test_words_that_are_not_narrow_are_as_wide_as_the_layers():
    _, left = series_pair("albert_tiny", "narrow_embedding", "masked-language-modeling")
    assert left.encoder.words.weight.shape == (SERIES[1], 312)
    assert left.dense.weight.shape == (312, 312)


def test_gates_and_what_takes_their_place_have_as_many_weights():
    whole, left = series_pair("stories260k", "swiglu", "language-modeling")
    assert count(left) == count(whole)
    assert not any("norm" not in n and p.dim() == 1 for n, p in left.named_parameters())


def test_keys_that_are_not_shared_are_as_many_as_the_queries():
    whole, left = series_pair("stories260k", "grouped_queries", "language-modeling")
    assert count(left) - count(whole) == 5 * 64 * 2 * (64 - 32)


def test_drawn_and_global_blocks_are_all_that_lies_beyond_the_neighbours():
    layout = big_bird_layout(2, 9)
    kernel = BigBirdKernel(layout, 4)
    undrawn_, unglobal_ = (SURGERY[idea](kernel) for idea in ("random_blocks", "global_blocks"))
    near = abs(np.arange(9)[:, None] - np.arange(9)) <= 1
    assert (undrawn_.layout == big_bird_layout(2, 9, drawn=0)).all()
    assert (unglobal_.layout == (layout & ~undrawn_.layout | near)).all()
    assert SURGERY["random_blocks"](undrawn_) is None


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("gpt2_nano-without-position", "language-modeling"),
        ("gpt2_nano-without-shortcut", "text-to-text"),
        ("stories260k-without-grouped_queries", "language-modeling"),
        ("glm_tiny-without-block_position", "text-to-text"),
        ("glm_tiny-without-position", "language-modeling"),
        ("performer-without-position", "language-modeling"),
        ("lstm-without-forget_gate", "language-modeling"),
        ("tcn-without-dilation", "language-modeling"),
        ("tcn-without-shortcut", "language-modeling"),
        ("transformer_tiny-without-position", "text-to-text"),
        ("transformer_tiny-without-shortcut", "text-to-text"),
        ("t5_efficient_tiny_nl2-without-position", "text-to-text"),
        ("seq2seq-without-reversed_source", "text-to-text"),
        ("seq2seq_bahdanau-without-attention", "text-to-text"),
        ("seq2seq_luong-without-attention", "text-to-text"),
    ],
)
def test_without_an_idea_tokens_are_written_one_by_one_as_all_at_once(name: str, task: Task):
    torch.manual_seed(0)
    network = build(name, inputs=SERIES, task=task).eval()
    *source, target = drawn(2, SERIES, task)
    with torch.inference_mode():
        state = network.begin(source[0] if source else target[:, :0], most=SERIES[0])
        told = []
        for token in target.split(1, dim=1):
            logits, state = network.advance(token, state)
            told.append(logits)
        torch.testing.assert_close(
            torch.cat(told, 1), network(*source, target), atol=1e-5, rtol=1e-4
        )


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
            "rnn-without-shortcut",
            None,
            "The card of rnn lists no idea that can be removed. Received 'shortcut'; "
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
