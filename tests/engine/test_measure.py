"""What a trained candidate costs."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn
from trials import make_dataset, make_spec

from assay.engine import measure as measuring
from assay.engine.measure import count_learned, count_macs, energy_proxy, measure
from assay.engine.spec import Measurement
from assay.engine.trial import run_trial
from assay.errors import TrialError
from assay.models.build import build


def measured(name: str, kind: str, folder: Path) -> Measurement:
    dataset = make_dataset(kind)
    spec = make_spec(name, dataset, steps=2, evaluations=1)
    record = run_trial(spec, dataset, folder)
    return measure(
        spec.candidate,
        task=spec.task,
        inputs=spec.inputs,
        outputs=spec.outputs,
        weights=folder / "weights.safetensors",
        record=record,
        plan=spec.plan,
    )


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measuring, "_LATENCY_SECONDS", 0.02)
    monkeypatch.setattr(measuring, "_THROUGHPUT_SECONDS", 0.02)


@pytest.mark.parametrize(
    ("kind", "name"), [("image", "lenet5"), ("sequence", "gru"), ("table", "softmax_regression")]
)
def test_a_trained_candidate_is_measured(tmp_path: Path, kind: str, name: str):
    facts = measured(name, kind, tmp_path)
    assert json.loads(json.dumps(asdict(facts))) == asdict(facts)
    assert 0 < facts.latency_p50_ms <= facts.latency_p95_ms < 1000
    assert facts.throughput > 1e3 / facts.latency_p95_ms / 10
    assert facts.artifact_bytes == (tmp_path / "weights.safetensors").stat().st_size
    assert facts.artifact_bytes > 4 * facts.parameters
    assert facts.peak_memory_bytes > 2**20


def test_word_vectors_count_among_what_a_network_learned():
    network = build("mean_of_cbow", inputs=(8, 50), outputs=3, task="text-classification")
    assert count_learned(network) == 101 * 3 + 50 * 100 + 100 + 1  # head, vectors, their mean, std
    network = build("resnet18", inputs=(3, 32, 32), outputs=3)
    assert count_learned(network) == sum(p.numel() for p in network.parameters())


def test_no_batch_is_timed_whose_scores_would_fill_the_memory(monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []

    class Writer(nn.Module):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            sizes.append(len(tokens))
            return torch.zeros(len(tokens), 4, 9)

    monkeypatch.setattr(measuring, "_MOST_SCORES", 256 * 4 * 9 - 1)
    assert measuring._throughput(Writer(), (4, 9), 9, "language-modeling") > 0
    assert set(sizes) == {32}


def test_a_linear_candidate_has_the_costs_of_its_matrix(tmp_path: Path):
    facts = measured("softmax_regression", "table", tmp_path)
    assert (facts.parameters, facts.macs) == (7 * 3 + 3, 7 * 3)
    words = 7 * 3 + 3 + 2 * 3
    assert facts.energy_proxy_mj == pytest.approx((21 * 4.6 + words * 640) * 1e-9, rel=0.5)


@pytest.mark.parametrize(
    ("model", "inputs", "macs"),
    [
        (nn.Conv2d(3, 8, 3), (3, 10, 10), 8 * 8 * 8 * 27),
        (nn.Conv2d(4, 4, 3, groups=4), (4, 10, 10), 8 * 8 * 4 * 9),
        (nn.LSTM(5, 6, batch_first=True), (7, 5), 7 * 4 * 6 * (5 + 6)),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 4), 24),
    ],
    ids=["convolution", "depthwise", "lstm", "linear"],
)
def test_operations_are_counted(model: nn.Module, inputs: tuple[int, ...], macs: int):
    assert count_macs(model, inputs) == macs
    assert model.training


def test_a_network_that_cannot_run_without_values_is_counted_as_it_runs():
    class Peeking(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * (1 if x.sum().item() == 0 else 2)

    assert count_macs(Peeking(4, 2), (4,)) == 8


def test_the_energy_of_a_word_is_that_of_139_operations():
    assert energy_proxy(macs=10**9, words=0) == pytest.approx(4.6)
    assert energy_proxy(macs=0, words=10**6) == pytest.approx(0.64)


def test_weights_that_cannot_be_read_are_named(tmp_path: Path):
    dataset = make_dataset()
    spec = make_spec("mlp", dataset, steps=1)
    record = run_trial(spec, dataset, tmp_path)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"")
    with pytest.raises(TrialError) as caught:
        measure(
            spec.candidate,
            task=spec.task,
            inputs=spec.inputs,
            outputs=spec.outputs,
            weights=weights,
            record=record,
            plan=spec.plan,
        )
    assert str(caught.value) == (
        f"The weights {weights} of mlp cannot be read: not a file of tensors with facts: "
        "Expecting value: line 1 column 1 (char 0). "
        "Remove its trial folder and run the study again."
    )
