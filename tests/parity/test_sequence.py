"""The sequence networks are torch's own layers; what is written out step by step is equal too."""

import pytest
import torch
from torch import Tensor, nn

from assay.models.sequence.gru import gru
from assay.models.sequence.lstm import lstm
from assay.models.sequence.rnn import rnn
from assay.models.sequence.transformer import transformer_encoder

RECURRENT = [(rnn, nn.RNN), (lstm, nn.LSTM), (gru, nn.GRU)]
recurrent = pytest.mark.parametrize(("build", "reference"), RECURRENT, ids=["rnn", "lstm", "gru"])


def gradients(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    model(x).square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@recurrent
@pytest.mark.parametrize("kernel", ["fused", "steps"])
def test_a_recurrent_network_is_torchs_layer_and_a_linear_head(build, reference, kernel: str):
    torch.manual_seed(0)
    theirs, head = reference(6, 128, batch_first=True).double(), nn.Linear(128, 5).double()
    ours = build((24, 6), 5).double()
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


def test_the_lstm_starts_with_an_open_forget_gate():
    layer = lstm((24, 6), 5).layer
    gates = (layer.bias_ih_l0 + layer.bias_hh_l0).detach().view(4, 128)
    torch.testing.assert_close(gates, torch.tensor([0.0, 1.0, 0.0, 0.0])[:, None].expand(4, 128))


@recurrent
def test_the_state_starts_out_neither_growing_nor_fading(build, reference):
    for block in build((24, 6), 5).layer.weight_hh_l0.detach().split(128):
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
    ours = transformer_encoder((9, 6), 5).double()
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
    model = transformer_encoder((9, 6), 5)
    assert [model(torch.randn(2, steps, 6)).shape for steps in (1, 9, 50)] == [(2, 5)] * 3


def test_the_encoder_knows_the_order_of_the_steps():
    torch.manual_seed(0)
    model = transformer_encoder((9, 6), 5).eval()
    x = torch.randn(1, 9, 6)
    assert (model(x) - model(x.flip(1))).abs().max() > 1e-3
