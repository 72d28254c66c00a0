"""Efficient attention: each equals, or comes near, what its paper says.

BigBird beside transformers' stands in test_language_parity.
"""

import inspect
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from assay.blocks.big_bird import BigBirdKernel, big_bird_layout, dense_mask
from assay.blocks.linformer import LinformerKernel
from assay.blocks.performer import PerformerKernel, orthogonal_directions
from assay.blocks.sequence_encoder import SequenceEncoder
from assay.blocks.synthesizer import DenseScores, RandomScores, Synthesizer
from assay.errors import BadArgumentError
from assay.models.language.big_bird import big_bird
from assay.models.language.linformer import linformer
from assay.models.language.performer import performer
from assay.models.language.synthesizer import synthesizer_dense, synthesizer_random

BUILDERS = [big_bird, linformer, performer, synthesizer_dense, synthesizer_random]
LINEAR = [big_bird, linformer, performer]

every_builder = pytest.mark.parametrize("builder", BUILDERS, ids=lambda b: b.__name__)


def queries_keys_values(length: int = 24, *, batch: int = 2, dim: int = 8) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(batch, 2, length, dim) for _ in range(3)]


def real(batch: int, length: int, kept: int) -> Tensor:
    """Return a mask whose last row is padded from `kept` on."""
    mask = torch.ones(batch, length, dtype=torch.bool)
    mask[-1, kept:] = False
    return mask


def test_linformer_with_an_identity_for_a_projection_is_dense_attention():
    q, k, v = queries_keys_values()
    kernel = LinformerKernel(24, 24)
    with torch.no_grad():
        kernel.mix_keys.copy_(torch.eye(24))
        kernel.mix_values.copy_(torch.eye(24))
    torch.testing.assert_close(kernel(q, k, v), F.scaled_dot_product_attention(q, k, v))


def test_linformer_is_equation_7():
    q, k, v = queries_keys_values(10)
    kernel = LinformerKernel(12, 5)
    e, f = (w.detach().numpy()[:, :10] for w in (kernel.mix_keys, kernel.mix_values))
    scores = q.numpy() @ (e @ k.numpy()).swapaxes(-1, -2) / math.sqrt(8)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(
        kernel(q, k, v).detach(), weights @ (f @ v.numpy()), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("causal", [False, True])
def test_performer_comes_near_softmax_attention_as_its_features_grow(causal: bool):
    q, k, v = queries_keys_values(70)
    q, k = q / 2, k / 2  # long vectors have weights with rare large factors: far more directions
    mask = None if causal else real(2, 70, 50)
    exact = F.scaled_dot_product_attention(
        q, k, v, attn_mask=None if mask is None else mask[:, None, None], is_causal=causal
    )
    errors = []
    for features in (16, 256, 4096):
        torch.manual_seed(1)
        estimate = PerformerKernel(8, features)(q, k, v, mask=mask, causal=causal)
        errors.append((estimate - exact).square().mean().sqrt().item())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]  # 16 times the features: a quarter, about
    assert errors[2] < 0.05 * exact.square().mean().sqrt()


def test_performers_features_are_those_of_lemma_1():
    q, k, _ = queries_keys_values(6)
    kernel = PerformerKernel(8, 20)
    of_queries, of_keys = kernel.of_queries(q), kernel.of_keys(k)
    directions = kernel.directions.numpy()
    for ours, x in ((of_queries, q), (of_keys, k)):
        x = x.numpy() / 8**0.25
        theirs = np.exp(x @ directions.T - (x**2).sum(-1, keepdims=True) / 2)
        factor = ours.numpy() / theirs  # one per query; one for all keys
        assert np.allclose(factor, factor[..., :1], rtol=1e-4)
    assert np.allclose(factor, factor.flat[0], rtol=1e-4)


def test_performer_keeps_its_features_exact_under_bf16():
    q, _, v = queries_keys_values()
    kernel = PerformerKernel(8, 64)
    exact = kernel.of_queries(q), kernel.of_keys(q)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close((kernel.of_queries(q), kernel.of_keys(q)), exact)
        assert kernel(q, q, v).isfinite().all()


def test_performers_directions_are_orthogonal_and_point_everywhere():
    torch.manual_seed(0)
    directions = orthogonal_directions(3 * 16, 16)
    for group in directions.split(16):
        unit = group / group.norm(dim=1, keepdim=True)
        torch.testing.assert_close(unit @ unit.T, torch.eye(16), atol=1e-5, rtol=0)
    many = torch.cat([orthogonal_directions(16, 16) for _ in range(300)])
    assert many.mean(0).abs().max() < 0.06  # five standard errors, 1 / √4800 each
    torch.testing.assert_close(many.square().mean(0), torch.ones(16), atol=0.12, rtol=0)


def test_big_bird_equals_dense_attention_under_the_same_mask():
    q, k, v = queries_keys_values(30)
    layout = big_bird_layout(2, 8, drawn=1)
    assert not layout.all(axis=-1)[:, 1:].any()  # all but the first block of queries are sparse
    kernel = BigBirdKernel(layout, 4)
    mask = real(2, 30, 17)
    seen = torch.tensor(dense_mask(layout, 4))[:, :30, :30] & mask[:, None, None]
    exact = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    torch.testing.assert_close(kernel(q, k, v, mask=mask), exact)


def test_big_bird_sees_near_global_and_drawn_blocks():
    layout = big_bird_layout(4, 16, window=3, first=1, drawn=2, seed=3)
    at = np.arange(16)
    assert layout[:, 0].all()
    assert layout[:, :, 0].all()
    assert layout[:, abs(at[:, None] - at) <= 1].all()
    assert (layout[:, 2:-1].sum(-1) == 3 + 1 + 2).all()
    assert (layout[0] != layout[1]).any()


@pytest.mark.parametrize("scores", [DenseScores, RandomScores])
def test_synthesizer_is_its_equations(scores: Callable[..., nn.Module]):
    torch.manual_seed(0)
    module = Synthesizer(6, 2, 9, scores)
    x, mask = torch.randn(2, 7, 6), real(2, 7, 4)
    w = {name: value.detach().numpy() for name, value in module.named_parameters()}
    inputs = x.numpy()
    mixed = np.zeros((2, 7, 6))
    for b in range(2):
        n = int(mask[b].sum())
        for head in range(2):
            part = slice(3 * head, 3 * head + 3)
            if scores is RandomScores:
                b_ij = w["scores.table"][head, :7, :n]
            else:
                hidden = inputs[b] @ w["scores.hidden.weight"][part].T
                hidden = np.maximum(hidden + w["scores.hidden.bias"][part], 0)
                b_ij = hidden @ w["scores.weight"][head, :, :n] + w["scores.bias"][head, :, :n]
            weights = np.exp(b_ij) / np.exp(b_ij).sum(-1, keepdims=True)
            values = inputs[b, :n] @ w["value.weight"][part].T + w["value.bias"][part]
            mixed[b, :, part] = weights @ values
    expected = mixed @ w["out.weight"].T + w["out.bias"]
    np.testing.assert_allclose(module(x, mask=mask).detach(), expected, rtol=1e-4, atol=1e-5)


@every_builder
@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_padding_changes_no_answer(builder: Callable[..., SequenceEncoder], task: str):
    torch.manual_seed(0)
    model = builder((100, 50), 3, task=task).eval()
    texts = torch.randint(5, 50, (3, 33))
    padded = F.pad(texts, (0, 60))
    with torch.inference_mode():
        answers, others = model(texts), model(padded)
    if task == "token-classification":
        others = others[:, :33]
    assert len(answers.flatten(1).unique(dim=0)) == 3
    torch.testing.assert_close(others, answers, rtol=1e-4, atol=1e-5)


@every_builder
def test_a_text_of_nothing_but_padding_has_an_answer_and_gradients(
    builder: Callable[..., SequenceEncoder],
):
    torch.manual_seed(0)
    model = builder((40, 50), 3, task="text-classification")
    scores = model(torch.tensor([[0] * 40, [7] * 40]))
    scores.sum().backward()
    assert scores.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("builder", LINEAR, ids=lambda b: b.__name__)
def test_work_grows_with_the_length_and_not_with_its_square(
    builder: Callable[..., SequenceEncoder],
):
    short, long = (macs(builder, length) for length in (512, 2048))
    assert 3.9 < long / short < 4.3


def test_dense_attention_would_cost_more_than_four_times_as_much():
    assert macs(synthesizer_dense, 2048) / macs(synthesizer_dense, 512) > 8


def macs(builder: Callable[..., SequenceEncoder], length: int) -> float:
    with torch.device("meta"):
        model = builder((length, 50), 3, task="text-classification").eval()
        counter = FlopCounterMode(display=False)
        with counter:
            model(torch.ones(1, length, dtype=torch.int64))
    return counter.get_total_flops() / 2


def test_performer_as_a_language_model_does_not_see_the_future():
    torch.manual_seed(0)
    model = performer((150, 40), 40, task="language-modeling").eval()
    texts = torch.randint(5, 40, (2, 150))
    other = texts.clone()
    other[:, 71:] = torch.randint(5, 40, (2, 79))
    with torch.inference_mode():
        answers, others = model(texts), model(other)
    torch.testing.assert_close(others[:, :71], answers[:, :71])
    assert not torch.allclose(others[:, 71:], answers[:, 71:])


def test_performer_writes_on_in_a_state_of_constant_size():
    torch.manual_seed(0)
    model = performer((150, 40), 40, task="language-modeling").eval()
    texts = torch.randint(5, 40, (2, 150))
    with torch.inference_mode():
        whole = model(texts)
        state = model.begin(texts[:, :0], most=150)
        sizes, logits = [size_of(state)], []
        for portion in texts.split([80, *[1] * 70], dim=1):
            scores, state = model.advance(portion, state)
            logits.append(scores)
            sizes.append(size_of(state))
    torch.testing.assert_close(torch.cat(logits, dim=1), whole, rtol=1e-4, atol=1e-5)
    assert len(set(sizes)) == 1


def size_of(state: dict) -> int:
    return sum(part.numel() for sums in state["sums"] for part in sums)


@pytest.mark.parametrize(
    ("builder", "name"),
    [
        (linformer, "Linformer"),
        (big_bird, "BigBird"),
        (synthesizer_dense, "Synthesizer"),
        (synthesizer_random, "Synthesizer"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_mixes_all_positions_refuses_to_be_causal_and_longer_texts(builder, name: str):
    model = builder((32, 50), 3, task="text-classification")
    with pytest.raises(BadArgumentError) as caught:
        model(torch.ones(1, 33, dtype=torch.int64))
    assert str(caught.value) == (
        f"This {name} reads at most 32 positions. Received 33; cut the sequences, or build it "
        "with a larger length."
    )
    model.causal = True
    with pytest.raises(BadArgumentError) as caught:
        model(torch.ones(1, 32, dtype=torch.int64))
    assert str(caught.value) == (
        f"{name} attention cannot hide later positions from earlier ones. Received causal=True; "
        "use the Performer kernel, or plain attention."
    )


@every_builder
def test_a_builder_takes_shape_outputs_and_task(builder: Callable[..., SequenceEncoder]):
    assert list(inspect.signature(builder).parameters) == ["inputs", "outputs", "task"]
