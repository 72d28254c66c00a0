"""Trials compute off the processor what they compute on it.

No machine of these tests has an accelerator; `pretended.py` stands for one. It finds
what is left behind on the processor, not what an accelerator computes otherwise.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.canon.catalog import catalog
from assay.compare.study import Study
from assay.errors import BadArgumentError

HERE = Path(__file__).parent
UNSEEN = {  # why torch itself leaves the pretended device
    "big-bird": "places blocks by lists, which torch moves behind Python's back",
    "gru": "torch's kernel turns its answer in place",
    "rnn": "the same",
    "seq2seq-bahdanau": "its GRUs",
}
CARDS = [card.id for card in catalog().architectures if card.id not in UNSEEN]
PARTS = 4


def job(name: str, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, str(HERE / "jobs.py"), name, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("part", range(PARTS))
def test_every_network_learns_there_as_here(part: int):
    wrong = {}
    for name, (here, there) in job("networks", *CARDS[part::PARTS]).items():
        if not isinstance(there, list) or there != pytest.approx(here, rel=1e-4, abs=1e-5):
            wrong[name] = here, there
    assert wrong == {}


def test_bfloat16_is_the_device_s_own():
    found = job("narrowed")
    assert [found[precision][0] for precision in ("fp32", "bf16")] == [
        "torch.float32",
        "torch.bfloat16",
    ]


def test_trials_alone_resumed_and_stacked_end_as_here():
    ways = job("trials", "lenet5")
    here, there = ways["cpu"], ways["pretended"]
    for one in (there["resumed"], *there["alone"], *there["stack"]):
        assert (one["status"], one["reason"]) == ("finished", "")
    assert "can be resumed" in there["stopped"]
    assert curve(there["resumed"]) == curve(there["alone"][0])
    for seed in range(3):
        assert curve(there["alone"][seed]) == pytest.approx(curve(here["alone"][seed]), rel=1e-4)
        assert there["stack"][seed]["together"] == 3
        assert curve(there["stack"][seed]) == pytest.approx(curve(here["alone"][seed]), rel=1e-3)
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


def check(found: Any) -> None:
    here, there = found["cpu"], found["pretended"]
    assert here["failures"] == there["failures"] == []
    assert all(there["cost"].values())
    assert there["machine"] == here["machine"] + " + Pretended 1"
    for name, metrics in here["metrics"].items():
        assert there["metrics"][name] == pytest.approx(metrics, rel=1e-3, abs=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
@pytest.mark.parametrize("workers", [None, 0])
def test_a_card_that_is_not_there_is_told_before_any_training(workers: int | None, tmp_path: Path):
    study = Study("digits", accelerator="cuda", workers=workers, store=str(tmp_path))
    with pytest.raises(BadArgumentError, match="Received cuda, which torch .* does not find"):
        study.run()


def test_a_study_there_ends_as_one_here():
    check(job("study", "digits", "lenet5,mlp"))


def test_a_study_of_texts_there_ends_as_one_here(pairs: Path):
    check(job("study", str(pairs), "transformer_tiny", "task=text-to-text"))
