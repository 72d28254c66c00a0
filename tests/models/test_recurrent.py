"""Recurrent networks and their relatives on tokens: padding, generation, what may be seen."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from assay.blocks import recurrence, sequence_head
from assay.blocks.generation import Generative, no_source, reorder
from assay.blocks.sequence_head import EveryStep, LastStep, MeanStep, TokenEmbedding
from assay.canon.task import TASKS
from assay.data.tokens import PAD
from assay.models.sequence.bidirectional_rnn import bigru, bilstm, bilstm_2, birnn
from assay.models.sequence.gru import gru, gru_2
from assay.models.sequence.lstm import lstm, lstm_2, lstm_peephole
from assay.models.sequence.rnn import rnn, rnn_2
from assay.models.sequence.seq2seq import seq2seq
from assay.models.sequence.seq2seq_bahdanau import seq2seq_bahdanau
from assay.models.sequence.seq2seq_luong import seq2seq_luong, seq2seq_luong_dot
from assay.models.sequence.tcn import tcn, tcn_char

Build = Callable[..., nn.Module]
FORWARDS = [rnn, rnn_2, lstm, lstm_2, lstm_peephole, gru, gru_2, tcn, tcn_char]
BOTH_WAYS = [birnn, bilstm, bilstm_2, bigru]
TRANSLATORS = [seq2seq, seq2seq_luong, seq2seq_luong_dot, seq2seq_bahdanau]
V = 23


def named(builders: list[Build]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("build", builders, ids=lambda build: build.__name__)


def built(build: Build, task: str, outputs: int = V) -> nn.Module:
    """The network in double precision, with weights large enough to tell tokens apart."""
    torch.manual_seed(0)
    model = build((9, V), outputs, task=task).double().eval()
    for name, value in model.named_parameters():
        if name.endswith("embed.weight") or name.endswith("peep_l0"):
            nn.init.normal_(value)
    return model


def texts() -> Tensor:
    """Three rows of 9, 5 and 1 tokens."""
    torch.manual_seed(1)
    ids = torch.randint(5, V, (3, 9))
    ids[1, 5:] = PAD
    ids[2, 1:] = PAD
    return ids


def padded(ids: Tensor, more: int = 4) -> Tensor:
    return torch.cat([ids, ids.new_zeros(len(ids), more)], dim=1)


@pytest.mark.parametrize("kernel", ["fused", "steps"])
@named(FORWARDS + BOTH_WAYS)
def test_padding_changes_no_answer(build: Build, kernel: str):
    model = built(build, "text-classification", 4)
    model.kernel = kernel
    ids = texts()
    answer = model(ids)
    assert answer.std(dim=0).min() > 1e-3
    torch.testing.assert_close(model(padded(ids)), answer)
    for row, length in enumerate((9, 5, 1)):
        torch.testing.assert_close(model(ids[row : row + 1, :length]), answer[row : row + 1])


@named(FORWARDS + BOTH_WAYS)
def test_padding_changes_no_tag(build: Build):
    model = built(build, "token-classification", 4)
    ids = texts()
    tags = model(ids)
    torch.testing.assert_close(model(padded(ids))[:, :9], tags)
    torch.testing.assert_close(model(ids[1:2, :5]), tags[1:2, :5])


@named(BOTH_WAYS)
def test_a_tag_depends_on_what_follows(build: Build):
    model = built(build, "token-classification", 4)
    ids = texts()[:1]
    other = ids.clone()
    other[0, 8] = (ids[0, 8] - 5 + 1) % (V - 5) + 5
    assert (model(ids) - model(other))[0, 0].abs().max() > 1e-9


@named(FORWARDS)
def test_a_language_model_sees_no_token_before_its_time(build: Build):
    model = built(build, "language-modeling")
    ids = texts()[:1]
    other = ids.clone()
    other[0, 6] = (ids[0, 6] - 5 + 1) % (V - 5) + 5
    apart = (model(ids) - model(other)).abs().amax(dim=(0, 2))
    assert apart[:6].max() == 0
    assert apart[6] > 1e-6


@pytest.mark.parametrize("kernel", ["fused", "steps"])
@named(FORWARDS)
def test_writing_in_portions_gives_the_logits_of_the_whole(build: Build, kernel: str):
    model = built(build, "language-modeling")
    model.kernel = kernel
    assert isinstance(model, Generative)
    ids = texts()[:1].repeat(2, 1)
    ids[1] = ids[1].flip(0)
    state, parts = model.begin(no_source(ids), most=9), []
    for portion in ids.split([3, 1, 1, 4], dim=1):
        logits, state = model.advance(portion, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), model(ids))


@named([lstm, gru, tcn])
def test_a_state_can_be_sorted_by_row(build: Build):
    model = built(build, "language-modeling")
    ids = torch.randint(5, V, (3, 6))
    rows = torch.tensor([2, 0, 0])
    _, state = model.advance(ids[:, :5], model.begin(no_source(ids), most=6))
    logits, _ = model.advance(ids[rows, 5:], reorder(state, rows))
    torch.testing.assert_close(logits, model(ids[rows])[:, 5:])


@named(TRANSLATORS)
def test_a_translator_ignores_padding_and_writes_in_portions(build: Build):
    model = built(build, "text-to-text")
    source, target = texts(), torch.randint(2, V, (3, 6))
    whole = model(source, target)
    assert whole.std(dim=0).max() > 1e-2
    torch.testing.assert_close(model(padded(source), target), whole)
    torch.testing.assert_close(model(source[2:, :1], target[2:]), whole[2:])
    state, parts = model.begin(source, most=6), []
    for portion in target.split([2, 1, 3], dim=1):
        logits, state = model.advance(portion, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)


@named(TRANSLATORS)
def test_every_token_of_the_source_counts(build: Build):
    model = built(build, "text-to-text")
    source, target = texts()[:1], torch.randint(2, V, (1, 4))
    answer = model(source, target)
    for place in range(9):
        other = source.clone()
        other[0, place] = (source[0, place] - 5 + 1) % (V - 5) + 5
        assert (model(other, target) - answer).abs().max() > 1e-7, place


def test_a_tcn_reaches_as_far_back_as_its_docstring_says():
    torch.manual_seed(0)
    model = tcn_char((40, V), V, task="language-modeling").double().eval()
    nn.init.normal_(model.embed.weight)
    ids = torch.randint(5, V, (1, 40)).repeat(41, 1)
    places = torch.arange(40)
    ids[places, places] = (ids[40] - 5 + 1) % (V - 5) + 5  # row p differs from the last at place p
    answers = model(ids)[:, 39]
    seen = (answers[:40] - answers[40]).abs().amax(dim=1) > 1e-15
    assert seen.tolist() == [False] * 11 + [True] * 29


def test_a_language_model_of_characters_shares_its_embedding_with_its_head():
    model = tcn_char((9, V), V, task="language-modeling")
    assert model.head.weight is model.embed.weight
    assert tcn_char((9, V), 4, task="text-classification").head.weight.shape == (4, 100)


def test_the_tasks_that_read_tokens_and_answer_each_are_those_of_the_table():
    reading = {name for name, facts in TASKS.items() if facts.reads == "tokens"}
    assert reading == sequence_head.READS_TOKENS
    each = {name for name in reading if TASKS[name].sums} - {"text-to-text"}
    assert each == sequence_head.ANSWERS_EVERY_STEP


def test_the_exits_look_at_real_steps_alone():
    states = torch.tensor([[[1.0], [2.0], [9.0]], [[3.0], [4.0], [5.0]], [[6.0], [7.0], [8.0]]])
    real = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    assert LastStep()(states, real).tolist() == [[2.0], [5.0], [6.0]]
    assert MeanStep()(states, real).tolist() == [[1.5], [4.0], [0.0]]
    assert EveryStep()(states, real) is states
    assert LastStep()(states).tolist() == [[9.0], [5.0], [8.0]]
    assert MeanStep()(states).tolist() == [[4.0], [4.0], [7.0]]


def test_the_vector_of_padding_is_zero_and_stays_so():
    torch.manual_seed(0)
    embed = TokenEmbedding(5, 3)
    embed(torch.tensor([[0, 1], [2, 0]])).sum().backward()
    assert not embed.weight[0].any()
    assert not embed.weight.grad[0].any()
    assert embed.weight[1:].all()


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_what_accelerators_compute_over_packed_steps_is_the_same(kind: type[nn.RNNBase]):
    torch.manual_seed(0)
    layer = recurrence.stack(kind, 3, 4, num_layers=2, bidirectional=True).double()
    x, real = torch.randn(3, 9, 3, dtype=torch.float64), texts() != PAD
    shown, _ = recurrence._packed(layer, x, real)
    expected, _ = recurrence.run(layer, x, real=real)
    assert expected[0].std() > 1e-2
    torch.testing.assert_close(shown, expected)


@named([bilstm_2, bigru, lstm_2, tcn, *TRANSLATORS])
def test_a_step_in_bf16_gives_gradients_near_those_in_fp32(build: Build):
    task = "text-to-text" if build in TRANSLATORS else "token-classification"
    model = built(build, task).float()
    given = (texts(), torch.randint(2, V, (3, 6))) if build in TRANSLATORS else (texts(),)
    norms = []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            scores = model(*given)
        scores.float().square().mean().backward()
        norms.append(torch.stack([p.grad.norm() for p in model.parameters()]).norm())
    torch.testing.assert_close(norms[1], norms[0], rtol=0.05, atol=0)
