"""The parts of recurrent networks against numbers computed by hand."""

import math

import numpy as np
import torch
from parts import part
from torch import Tensor, nn

from assay.blocks.attention_mechanism import MultiplicativeAttention, attend
from assay.blocks.causal_convolution import CausalConvolution
from assay.blocks.recurrence import turned


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def test_recurrent_connection_adds_input_and_echo_and_takes_tanh():
    state = part("recurrent-connection")(
        torch.tensor([[0.5, -1.0]]),
        torch.tensor([[2.0, 3.0]]),
        torch.tensor([[0.1, 0.2], [0.3, -0.4]]),
        torch.tensor([0.0, 1.0]),
    )
    expected = [[math.tanh(0.5 + 0.2 + 0.6), math.tanh(-1.0 + 0.6 - 1.2 + 1.0)]]
    torch.testing.assert_close(state, torch.tensor(expected))


def test_memory_cell_keeps_a_share_and_adds_a_share():
    given = [torch.tensor([[value]]) for value in (5.0, 0.25, 0.5, -2.0)]
    assert part("memory-cell")(*given).item() == 0.5 * 5.0 + 0.25 * -2.0


def test_lstm_gates_come_in_torchs_order():
    driven = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    weight = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    found = part("lstm-gates")(driven, torch.tensor([[0.5]]), weight, torch.zeros(4))
    expected = sigmoid(0.6), sigmoid(1.2), math.tanh(1.8), sigmoid(2.4)
    assert [round(one.item(), 6) for one in found] == [round(one, 6) for one in expected]


def test_lstm_gates_and_memory_cell_are_torchs_cell():
    torch.manual_seed(0)
    cell = nn.LSTMCell(3, 4)
    x, h, c = torch.randn(2, 3), torch.randn(2, 4), torch.randn(2, 4)
    driven = x @ cell.weight_ih.T + cell.bias_ih
    write, keep, content, show = part("lstm-gates")(driven, h, cell.weight_hh, cell.bias_hh)
    kept = part("memory-cell")(c, write, keep, content)
    torch.testing.assert_close((show * torch.tanh(kept), kept), cell(x, (h, c)))


def test_gru_gates_are_reset_then_update():
    reset, update = part("gru-gates")(torch.tensor([[0.5, -1.0]]), torch.tensor([[1.0, 3.0]]))
    torch.testing.assert_close(reset, torch.tensor([[sigmoid(1.5)]]))
    torch.testing.assert_close(update, torch.tensor([[sigmoid(2.0)]]))


def test_context_vector_is_the_state_at_the_last_real_token():
    states = torch.arange(12.0).view(2, 3, 2)
    real = torch.tensor([[True, False, False], [True, True, True]])
    assert part("context-vector")(states, real).tolist() == [[0.0, 1.0], [10.0, 11.0]]


class Counter(nn.Module):
    """Writes the length of the source plus the sum of all tokens so far."""

    def forward(self, tokens: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
        sums = total[:, None] + tokens.cumsum(1)
        return sums[:, :, None], sums[:, -1]


class Length(nn.Module):
    def forward(self, source: Tensor) -> Tensor:
        return (source != 0).sum(1)


def test_encoder_decoder_hands_the_encoders_state_to_the_decoder():
    model = part("encoder-decoder")(Length(), Counter())
    source, target = torch.tensor([[7, 7, 0], [7, 0, 0]]), torch.tensor([[1, 2], [3, 4]])
    assert model(source, target)[:, :, 0].tolist() == [[3, 5], [4, 8]]
    logits, state = model.advance(target[:, :1], model.begin(source, most=2))
    again, _ = model.advance(target[:, 1:], state)
    assert (logits[:, 0, 0].tolist(), again[:, 0, 0].tolist()) == ([3, 4], [5, 8])


def test_attention_mechanism_weighs_real_states_by_a_small_network():
    torch.manual_seed(0)
    attention = part("attention-mechanism")(3, 4, 5).double()
    query, memory = (torch.randn(2, *rest, dtype=torch.float64) for rest in ((2, 3), (6, 4)))
    real = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    seen, weights = attention(query, memory, real)
    w, u, v = (layer.weight.detach().numpy() for layer in attention.children())
    for b, length in enumerate((6, 4)):
        states = memory[b, :length].numpy()
        for t in range(2):
            scores = [(v @ np.tanh(w @ query[b, t].numpy() + u @ one))[0] for one in states]
            share = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(weights[b, t, :length].detach(), share, rtol=1e-10)
            np.testing.assert_allclose(seen[b, t].detach(), share @ states, rtol=1e-10)
    assert not weights[1, :, 4:].any()


def test_multiplicative_attention_scores_by_products():
    query, memory = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])
    dot = MultiplicativeAttention(2, 2, dot=True)
    share = math.e / (1 + math.e)  # scores 3 and 2
    torch.testing.assert_close(dot(query, memory)[0], torch.tensor([[[3 * share, 1 - share]]]))
    general = MultiplicativeAttention(2, 2)
    general.weight.weight.data = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # scores 6 and 1
    share = 1 / (1 + math.exp(-5))
    torch.testing.assert_close(general(query, memory)[1], torch.tensor([[[share, 1 - share]]]))


def test_where_nothing_is_real_all_weigh_alike():
    _, weights = attend(torch.randn(1, 1, 4), torch.randn(1, 4, 2), torch.zeros(1, 4).bool())
    torch.testing.assert_close(weights, torch.full((1, 1, 4), 0.25))


def test_turning_reverses_real_steps_and_leaves_padding_behind():
    x = torch.arange(1.0, 9.0).view(2, 4, 1)
    real = torch.tensor([[True, True, True, False], [True, False, False, False]])
    once = turned(x, real)
    assert once[0, :3, 0].tolist() == [3.0, 2.0, 1.0]
    assert once[1, 0, 0] == 5.0
    assert torch.equal(turned(once, real), x)
    assert turned(x, None)[0, :, 0].tolist() == [4.0, 3.0, 2.0, 1.0]


def test_a_causal_convolution_sees_the_present_and_the_dilated_past():
    layer = CausalConvolution(1, 1, 3, dilation=2)
    layer.weight_v.data = torch.tensor([[[2.0, 4.0, 4.0]]])  # the oldest first, length 6
    layer.weight_g.data = torch.tensor([[[12.0]]])
    layer.bias.data = torch.tensor([0.5])
    x = torch.tensor([[[1.0], [0.0], [0.0], [10.0], [0.0], [0.0]]])
    y, past = layer(x)
    assert y[0, :, 0].tolist() == [8.5, 0.5, 8.5, 80.5, 4.5, 80.5]
    assert past[0, :, 0].tolist() == [0.0, 10.0, 0.0, 0.0]
    later, _ = layer(torch.zeros(1, 2, 1), past)
    whole, _ = layer(torch.cat([x, torch.zeros(1, 2, 1)], dim=1))
    assert torch.equal(later, whole[:, 6:])
