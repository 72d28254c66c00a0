"""Trials compute off the processor what they compute on it.

Where no accelerator is, `pretended.py` stands for one. It finds what is left behind on the
processor, not what an accelerator computes otherwise.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.canon.catalog import catalog

HERE = Path(__file__).parent
HAS_CARD = torch.cuda.is_available()
UNSEEN = {  # why torch itself leaves the pretended device
    "big-bird": "places blocks by lists, which torch moves behind Python's back",
    "gru": "torch's kernel turns its answer in place",
    "rnn": "the same",
    "seq2seq-bahdanau": "its GRUs",
}
CARDS = [card.id for card in catalog().architectures]
PARTS = 4


@pytest.fixture(
    params=[
        "pretended",
        pytest.param("cuda", marks=pytest.mark.skipif(not HAS_CARD, reason="no graphics card")),
    ]
)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


def job(device: str, name: str, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, str(HERE / "jobs.py"), device, name, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("part", range(PARTS))
def test_every_network_learns_there_as_here(device: str, part: int):
    ids = [name for name in CARDS if device == "cuda" or name not in UNSEEN]
    found = job(device, "networks", *ids[part::PARTS])
    assert {k: v for k, v in found.items() if not alike(*v, device)} == {}


def alike(here: list[float], there: Any, device: str) -> bool:
    """Whether losses agree; a card has other dropout and rounds convolutions to TF32."""
    if device == "pretended" or not isinstance(there, list):
        return there == pytest.approx(here, rel=1e-4, abs=1e-5)
    return there[0] == pytest.approx(here[0], rel=2e-2) and all(map(math.isfinite, there))


def test_bfloat16_is_the_device_s_own(device: str):
    assert job(device, "narrowed") == {"fp32": "torch.float32", "bf16": "torch.bfloat16"}


def test_trials_alone_resumed_and_stacked_end_as_here(device: str):
    ways = job(device, "trials", "lenet5")
    here, there = ways["here"], ways["there"]
    close = {"rel": 1e-4 if device == "pretended" else 5e-2}
    for one in (there["resumed"], *there["alone"], *there["stack"]):
        assert (one["status"], one["reason"]) == ("finished", "")
    assert "can be resumed" in there["stopped"]
    assert curve(there["resumed"]) == pytest.approx(curve(there["alone"][0]), **close)
    for seed in range(3):
        assert curve(there["alone"][seed]) == pytest.approx(curve(here["alone"][seed]), **close)
        assert curve(there["stack"][seed]) == pytest.approx(curve(here["alone"][seed]), **close)
        assert there["stack"][seed]["together"] == 3
        assert there["alone"][seed]["hash"] != here["alone"][seed]["hash"]


def curve(record: Any) -> list[float]:
    return [point["val_loss"] for point in record["curve"]]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Texts and the same texts backwards."""
    words = ["ab", "ba", "abc", "cab", "bca", "acb"]
    lines = [
        {"source": f"{a} {b}", "target": f"{b} {a}"} for a in words for b in words for _ in range(3)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def check(found: Any, device: str) -> None:
    here, there = found["here"], found["there"]
    assert here["failures"] == there["failures"] == []
    assert all(there["cost"].values())
    assert there["machine"].startswith(here["machine"] + " + ")
    for name, metrics in here["metrics"].items():
        assert there["metrics"][name].keys() == metrics.keys()
        if device == "pretended":
            assert there["metrics"][name] == pytest.approx(metrics, rel=1e-3, abs=1e-5)


def test_a_study_there_ends_as_one_here(device: str):
    check(job(device, "study", "digits", "lenet5,mlp"), device)


def test_a_study_of_texts_there_ends_as_one_here(device: str, pairs: Path):
    found = job(device, "study", str(pairs), "transformer_tiny", "task=text-to-text")
    check(found, device)
