"""A card that is not there, or another one than before, ends the study and fails no candidate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.compare.campaign import Campaign
from assay.compare.request import Request
from assay.compare.study import Study
from assay.data.batches import kept_on
from assay.data.load import load
from assay.engine.machine import processor
from assay.engine.spec import Candidate, Plan, TrialSpec
from assay.engine.trial import run_trial
from assay.engine.worker import attempt
from assay.errors import DeviceError
from assay.store.store import Store

without_a_card = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")


@pytest.fixture
def digits(tmp_path: Path):
    return load("digits", folder=tmp_path / "data")


@pytest.fixture
def spec(digits) -> TrialSpec:
    return TrialSpec(
        candidate=Candidate(name="mlp", digest="0"),
        task=digits.task,
        inputs=digits.inputs,
        outputs=digits.outputs,
        split_hash=digits.split_hash,
        seed=0,
        steps=2,
        plan=Plan(accelerator="cuda"),
        machine=f"{processor()} + Old Card",
    )


@without_a_card
def test_a_card_that_is_not_there_is_told_before_any_training(tmp_path: Path):
    study = Study("digits", accelerator="cuda", store=str(tmp_path))
    with pytest.raises(DeviceError, match="Received cuda, which torch .* does not find"):
        study.run()


@without_a_card
def test_a_card_that_was_lost_leaves_no_record_of_failure(digits, spec: TrialSpec, tmp_path: Path):
    with pytest.raises(DeviceError, match="The graphics card cannot be used: .*run the same comm"):
        run_trial(spec, digits, tmp_path / "trial")
    assert not (tmp_path / "trial" / "record.json").exists()


def test_a_job_without_its_device_fails_the_study():
    def handle(payload, emit, stop):
        raise DeviceError("gone")

    job = {"kind": "test", "payload": {}}
    assert attempt({"test": handle}, job, print, lambda: False) == {"deviceless": "gone"}


def test_a_study_does_not_go_on_with_another_card(digits, spec: TrialSpec, tmp_path: Path):
    request = Request(data="digits", accelerator="cuda")
    with Store.open(str(tmp_path / "store")) as store:
        campaign = Campaign(request, digits, store, print)
        campaign._accelerator = "New Card"
        with pytest.raises(DeviceError, match=r"Received .* \+ New Card, begun on .* \+ Old Card"):
            campaign.train([spec])
        campaign._check_accelerator([replace(spec, machine=f"{processor()} + New Card")])


@pytest.mark.parametrize(("room", "moves"), [(80, True), (79, False)])
def test_a_part_moves_to_a_card_that_has_room_for_eight_of_it(
    room: int, moves: bool, monkeypatch: pytest.MonkeyPatch
):
    x, y = torch.zeros(10, dtype=torch.uint8), torch.from_numpy(np.zeros(10))
    asked: list[str] = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, room))
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: asked.append(str(device)))
    kept_on(torch.device("cuda"), x, y)
    assert asked == (["cuda", "cuda"] if moves else [])
