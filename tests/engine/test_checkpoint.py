"""Checkpoints survive damage, full disks and kills while they are written."""

import os
from pathlib import Path

import pytest
import torch

from assay.engine import checkpoint, files
from assay.errors import StoreError

TENSORS = {
    "weight": torch.randn(5, 4).t(),
    "half": torch.randn(3).bfloat16(),
    "count": torch.tensor(7),
    "mask": torch.tensor([True, False]),
    "nothing": torch.empty(0, 3),
    "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
}


def test_what_is_saved_comes_back_to_the_bit(tmp_path: Path):
    checkpoint.save(tmp_path, 12, TENSORS, {"name": "naïve", "curve": [1.5]})
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert (found.step, found.facts, found.damaged) == (12, {"name": "naïve", "curve": [1.5]}, ())
    assert found.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found.tensors[name].dtype == tensor.dtype
        torch.testing.assert_close(found.tensors[name], tensor, rtol=0, atol=0)


def test_the_two_newest_are_kept(tmp_path: Path):
    for step in (3, 10, 200, 1000):
        checkpoint.save(tmp_path, step, TENSORS, {})
    assert sorted(p.name[:20] for p in tmp_path.iterdir()) == [
        "checkpoint-000000200",
        "checkpoint-000001000",
    ]


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path):
    assert checkpoint.newest(tmp_path) is None


def _saved_twice(folder: Path) -> Path:
    checkpoint.save(folder, 1, TENSORS, {"which": "old"})
    checkpoint.save(folder, 2, TENSORS, {"which": "new"})
    return max(folder.iterdir())


def test_damage_anywhere_falls_back_to_the_one_before(tmp_path: Path):
    newest = _saved_twice(tmp_path)
    whole = newest.read_bytes()
    for place in range(0, len(whole), 64):
        for bad in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            newest.write_bytes(bad)
            found = checkpoint.newest(tmp_path)
            assert found is not None
            assert (found.facts, found.damaged) == ({"which": "old"}, (newest.name,))
    newest.write_bytes(whole)
    restored = checkpoint.newest(tmp_path)
    assert restored is not None
    assert restored.facts == {"which": "new"}


def test_when_both_are_damaged_there_is_none(tmp_path: Path):
    _saved_twice(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    assert checkpoint.newest(tmp_path) is None


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_refusal_by_the_system_leaves_the_last_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
):
    checkpoint.save(tmp_path, 1, TENSORS, {})
    before = sorted(tmp_path.iterdir())

    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", refuse)
        elif call == "replace":
            patch.setattr(Path, "replace", refuse)
        else:
            patch.setattr(files, "_write_synced", refuse)
        with pytest.raises(StoreError) as caught:
            checkpoint.save(tmp_path, 2, TENSORS, {})
    path, rest = str(caught.value).split(" (", 1)
    assert path.startswith(f"Cannot write {tmp_path}/checkpoint-000000002-")
    assert rest.endswith(
        "bytes): No space left on device. Free space there or choose another folder with --store, "
        "then resume."
    )
    assert sorted(tmp_path.iterdir()) == before


def test_the_file_is_a_plain_safetensors_file(tmp_path: Path):
    safetensors = pytest.importorskip("safetensors")
    checkpoint.save(tmp_path, 1, TENSORS, {"a": 1})
    (path,) = tmp_path.iterdir()
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == {"assay": '{"a": 1}'}
        assert sorted(file.keys()) == sorted(TENSORS)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 8, b"\xff" * 64, b"{}", b"\x02" + b"\0" * 7 + b"{}"],
    ids=["empty", "zeros", "ones", "text", "no facts"],
)
def test_what_is_no_file_of_tensors_is_refused(content: bytes):
    with pytest.raises(ValueError, match="not a file of tensors with facts"):
        files.unpack(content)
