"""The sequence networks are torch's own layers; what is written out step by step is equal too."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from assay.blocks.peephole import PeepholeLSTM, scan_cells
from assay.errors import BadArgumentError
from assay.models.sequence.bidirectional_rnn import bigru, bilstm, bilstm_2, birnn
from assay.models.sequence.gru import gru, gru_2
from assay.models.sequence.lstm import lstm, lstm_2, lstm_peephole
from assay.models.sequence.rnn import rnn, rnn_2
from assay.models.sequence.transformer import transformer_encoder

RECURRENT = [(rnn, nn.RNN), (lstm, nn.LSTM), (gru, nn.GRU)]
recurrent = pytest.mark.parametrize(("build", "reference"), RECURRENT, ids=["rnn", "lstm", "gru"])


STACKED = [
    (rnn_2, nn.RNN, 128, 2, False), (lstm_2, nn.LSTM, 200, 2, False),
    (gru_2, nn.GRU, 128, 2, False),
    (birnn, nn.RNN, 128, 1, True), (bilstm, nn.LSTM, 128, 1, True), (bigru, nn.GRU, 128, 1, True),
    (bilstm_2, nn.LSTM, 128, 2, True),
]  # fmt: skip
FLOATS = "sequence-classification"


def gradients(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    model(x).square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@recurrent
@pytest.mark.parametrize("kernel", ["fused", "steps"])
def test_a_recurrent_network_is_torchs_layer_and_a_linear_head(build, reference, kernel: str):
    torch.manual_seed(0)
    theirs, head = reference(6, 128, batch_first=True).double(), nn.Linear(128, 5).double()
    ours = build((24, 6), 5, task=FLOATS).double()
    ours.layer.load_state_dict(theirs.state_dict())
    ours.head.load_state_dict(head.state_dict())
    ours.kernel = kernel
    x = torch.randn(3, 24, 6, dtype=torch.float64)
    expected = head(theirs(x)[0][:, -1])
    assert expected.std() > 1e-2
    torch.testing.assert_close(ours(x), expected)
    expected.square().sum().backward()
    found = gradients(ours, x)
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(found[f"layer.{name}"], parameter.grad)


@pytest.mark.parametrize("kernel", ["fused", "steps"])
@pytest.mark.parametrize(
    ("build", "kind", "hidden", "layers", "both"), STACKED, ids=lambda v: getattr(v, "__name__", "")
)
def test_stacked_and_bidirectional_networks_take_torchs_weights(
    build, kind, hidden: int, layers: int, both: bool, kernel: str
):
    torch.manual_seed(0)
    theirs = kind(6, hidden, layers, batch_first=True, bidirectional=both).double()
    ours = build((9, 6), 5, task=FLOATS).double()
    ours.layer.load_state_dict(theirs.state_dict())
    ours.kernel = kernel
    x = torch.randn(3, 9, 6, dtype=torch.float64)
    states, last = theirs(x)
    ends = last[0] if isinstance(last, tuple) else last
    final = torch.cat([ends[-2], ends[-1]], dim=1) if both else states[:, -1]
    torch.testing.assert_close(ours(x), ours.head(final))


def peephole_by_hand(x: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """The equations of Gers and Schmidhuber, one sequence (T, F), one step, one gate at a time."""

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    into, back = (np.split(weights[f"weight_{w}_l0"], 4) for w in ("ih", "hh"))
    bias = np.split(weights["bias_ih_l0"] + weights["bias_hh_l0"], 4)
    see_write, see_keep, see_show = weights["weight_peep_l0"]
    h = c = np.zeros(into[0].shape[0])
    for step in x:
        drive = [into[gate] @ step + back[gate] @ h + bias[gate] for gate in range(4)]
        write = sigmoid(drive[0] + see_write * c)
        keep = sigmoid(drive[1] + see_keep * c)
        c = keep * c + write * np.tanh(drive[2])
        h = sigmoid(drive[3] + see_show * c) * np.tanh(c)
    return h


def with_open_peepholes() -> nn.Module:
    torch.manual_seed(0)
    model = lstm_peephole((9, 6), 5, task=FLOATS).double()
    nn.init.normal_(model.layer.weight_peep_l0)
    return model


@pytest.mark.parametrize("kernel", ["fused", "steps"])
def test_a_peephole_lstm_computes_the_papers_equations(kernel: str):
    model = with_open_peepholes()
    model.kernel = kernel
    x = torch.randn(2, 9, 6, dtype=torch.float64)
    weights = {name: value.numpy() for name, value in model.layer.state_dict().items()}
    expected = torch.from_numpy(np.stack([peephole_by_hand(one.numpy(), weights) for one in x]))
    torch.testing.assert_close(model(x), model.head(expected), rtol=1e-12, atol=1e-12)


def test_the_peephole_lstms_own_backward_pass_gives_the_gradients_of_its_steps():
    model = with_open_peepholes()
    x = torch.randn(2, 9, 6, dtype=torch.float64)
    own = gradients(model, x)
    model.kernel = "steps"
    for name, expected in gradients(model, x).items():
        assert expected.abs().max() > 1e-6
        torch.testing.assert_close(own[name], expected, rtol=1e-10, atol=1e-14)


def test_states_and_cells_of_all_steps_have_gradients_of_their_own():
    torch.manual_seed(0)
    layer = PeepholeLSTM(3, 4, batch_first=True).double()
    nn.init.normal_(layer.weight_peep_l0)
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    h, c = (torch.randn(2, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weights = [w.detach().requires_grad_() for w in layer.all_weights[0]]
    assert torch.autograd.gradcheck(
        lambda x, h, c, *weights: scan_cells(x, (h, c), weights), (x, h, c, *weights)
    )


def test_a_peephole_lstm_starts_as_the_plain_one():
    torch.manual_seed(0)
    plain = lstm((9, 6), 5, task=FLOATS)
    model = lstm_peephole((9, 6), 5, task=FLOATS)
    model.load_state_dict(plain.state_dict(), strict=False)
    x = torch.randn(2, 9, 6)
    torch.testing.assert_close(model(x), plain(x))


def test_a_peephole_lstm_has_one_layer_and_one_direction():
    with pytest.raises(BadArgumentError) as caught:
        PeepholeLSTM(3, 4, 2, batch_first=True, bidirectional=True)
    assert str(caught.value) == (
        "A peephole LSTM must have one layer that reads forwards. Received num_layers=2, "
        "bidirectional=True; put several behind each other."
    )


def test_a_peephole_lstm_computes_in_bf16_too():
    model = with_open_peepholes().float()
    x = torch.randn(2, 9, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = model(x)
        scores.float().square().sum().backward()
    assert model.layer.weight_peep_l0.grad.abs().max() > 0
    torch.testing.assert_close(scores.float(), model(x), rtol=0.1, atol=0.02)


def test_the_lstm_starts_with_an_open_forget_gate():
    layer = lstm((24, 6), 5, task=FLOATS).layer
    gates = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().view(4, 128)
    torch.testing.assert_close(gates, torch.tensor([0.0, 1.0, 0.0, 0.0])[:, None].expand(4, 128))


@recurrent
def test_the_state_starts_out_neither_growing_nor_fading(build, reference):
    for block in build((24, 6), 5, task=FLOATS).layer.weight_hh_l0.detach().split(128):
        torch.testing.assert_close(block @ block.T, torch.eye(128), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kernel", ["fused", "matmul"])
def test_the_encoder_is_torchs_with_normalisation_first(kernel: str):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(
        128, 4, 256, dropout=0.0, batch_first=True, norm_first=True, dtype=torch.float64
    )
    theirs = nn.TransformerEncoder(
        layer, 2, norm=nn.LayerNorm(128).double(), enable_nested_tensor=False
    )
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.1)  # so that no bias is zero and no two layers agree
    ours = transformer_encoder((9, 6), 5, task="sequence-classification").double()
    rename = {
        "layers.": "blocks.", "norm1": "norm_1", "norm2": "norm_2", "linear1": "feedforward.wide",
        "linear2": "feedforward.narrow", "self_attn.in_proj_": "attention.qkv.",
        "self_attn.out_proj": "attention.out",
    }  # fmt: skip
    weights = {}
    for name, value in theirs.state_dict().items():
        for old, new in rename.items():
            name = name.replace(old, new)  # noqa: PLW2901
        weights[name] = value
    own = {k: v for k, v in ours.state_dict().items() if k.startswith(("embed", "head"))}
    ours.load_state_dict(weights | own)
    for block in ours.blocks:
        block.attention.kernel = kernel
    x = torch.randn(3, 9, 6, dtype=torch.float64)
    place = torch.arange(9, dtype=torch.float64)[:, None]
    rate = 10_000 ** (-torch.arange(0, 128, 2, dtype=torch.float64) / 128)
    where = torch.zeros(9, 128, dtype=torch.float64)
    where[:, 0::2], where[:, 1::2] = torch.sin(place * rate), torch.cos(place * rate)
    expected = ours.head(theirs(ours.embed(x) + where).mean(1))
    assert expected.std() > 1e-2
    torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-6)


def test_the_encoder_reads_sequences_of_any_length():
    model = transformer_encoder((9, 6), 5, task="sequence-classification")
    assert [model(torch.randn(2, steps, 6)).shape for steps in (1, 9, 50)] == [(2, 5)] * 3


def test_the_encoder_knows_the_order_of_the_steps():
    torch.manual_seed(0)
    model = transformer_encoder((9, 6), 5, task="sequence-classification").eval()
    x = torch.randn(1, 9, 6)
    assert (model(x) - model(x.flip(1))).abs().max() > 1e-3
