"""A record says how far the weights have moved."""

from pathlib import Path

import pytest
import torch
from torch import nn
from trials import make_dataset, make_spec

from assay.engine.glimpse import glimpse, relative_change
from assay.engine.trial import run_trial


def test_the_change_is_relative_to_the_longer():
    zero, one = torch.zeros(4), torch.ones(4)
    assert relative_change(one, one) == 0.0
    assert relative_change(zero, one) == relative_change(one, zero) == 1.0
    assert relative_change(one, -one) == 2.0
    assert relative_change(zero, zero) == 0.0


def test_a_glimpse_is_a_copy_of_some_of_every_parameter():
    model = nn.Sequential(nn.Linear(100, 100), nn.BatchNorm1d(100))
    before = glimpse(model)
    assert before.numel() == 1000 + 100 + 100 + 100
    with torch.no_grad():
        model[1].bias.add_(1.0)
    assert (glimpse(model) != before).sum() == 100
    assert glimpse(nn.Identity()).numel() == 0


@pytest.mark.parametrize(("lr", "moves"), [(0.01, True), (0.0, False)])
def test_a_trial_records_how_far_its_weights_moved(tmp_path: Path, network, lr: float, moves: bool):
    dataset = make_dataset("table")
    spec = make_spec(network("Dropping"), dataset, lr=lr, weight_decay=0.0)
    record = run_trial(spec, dataset, tmp_path / "trial")
    assert (record.moved > 0.01) == moves
    assert (record.moved == 0.0) == (not moves)
    assert record.looked_at == 20
