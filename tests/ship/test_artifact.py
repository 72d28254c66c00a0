"""An artifact is whole or refused: one sentence says what is wrong with it and what to do."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from ship_models import Trained
from writers import saved

from assay import __version__
from assay.errors import AssayError, BadArgumentError, DataError, MissingPathError, StoreError
from assay.ship.artifact import (
    FACTS,
    LARGEST_FACTS,
    WEIGHTS,
    read_artifact,
    save_artifact,
    write_artifact,
)
from assay.ship.load import load

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.last = nn.Linear(inputs[0], outputs)

    def forward(self, x):
        return self.last(x)
"""


@pytest.fixture
def copy(row_model: Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(row_model.folder, tmp_path / "copy"))


def change(folder: Path, **facts: Any) -> None:
    told = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps({**told, **facts}))


def replace_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Put other tensors in, sealed as if they had been saved so."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    other = folder.parent / "other.safetensors"
    save_file(tensors, other)
    write_artifact(read_artifact(folder), other)


def refusal(folder: Path, kind: type[AssayError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        load(folder)
    return str(caught.value)


def test_it_tells_what_the_model_is_and_what_was_measured(row_model: Trained):
    told = json.loads((row_model.folder / FACTS).read_text())
    assert sorted(p.name for p in row_model.folder.iterdir()) == [FACTS, WEIGHTS]
    assert told["name"] == "softmax_regression"
    assert told["classes"] == ["no", "perhaps", "yes"]
    assert told["card"]["zh"]["name"] == "Softmax 回归"
    assert told["facts"] == {"steps": 40, "cost": None}  # a number that is none is null
    assert told["data"]["split_hash"] == row_model.dataset.split_hash


def test_it_holds_no_example_of_the_training_data(image_model: Trained):
    stored = b"".join(path.read_bytes() for path in image_model.folder.iterdir())
    assert image_model.dataset.x[0].tobytes()[:48] not in stored
    assert image_model.dataset.ids[0].encode() not in stored


def test_saving_again_exchanges_the_whole_artifact(copy: Path, regressor: Trained):
    (copy / "old-file").write_text("of the old one")
    saved = save_artifact(
        copy,
        weights=regressor.trial / "weights.safetensors",
        candidate=regressor.candidate,
        dataset=regressor.dataset,
        facts={},
    )
    assert sorted(p.name for p in saved.iterdir()) == [FACTS, WEIGHTS]
    assert load(saved).artifact.task == "tabular-regression"
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]  # nothing is left behind


def test_a_folder_that_holds_something_else_is_not_touched(row_model: Trained, tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BadArgumentError) as caught:
        load(row_model.folder).save(tmp_path)
    assert str(caught.value) == (
        f"An artifact is saved into a folder of its own. {tmp_path} holds something else; "
        "name a new folder."
    )
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_weights_that_are_not_there_are_named(row_model: Trained, tmp_path: Path):
    with pytest.raises(MissingPathError) as caught:
        save_artifact(
            tmp_path / "a",
            weights=tmp_path / "w.safetensors",
            candidate=row_model.candidate,
            dataset=row_model.dataset,
            facts={},
        )
    assert str(caught.value) == (
        f"An artifact needs its weights. There is no file {tmp_path / 'w.safetensors'}."
    )
    assert not (tmp_path / "a").exists()


def test_a_full_disk_leaves_the_old_artifact_in_place(
    copy: Path, row_model: Trained, monkeypatch: pytest.MonkeyPatch
):
    before = (copy / FACTS).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StoreError) as caught:
        load(row_model.folder).save(copy)
    assert str(caught.value) == (
        f"The artifact has to be written to {copy}. The system says: No space left on device; "
        "free space or name a folder that can be written."
    )
    assert (copy / FACTS).read_bytes() == before
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]


def test_saving_imports_no_torch(tmp_path: Path):
    code = "import assay.ship.artifact, assay.ship.find, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_without_an_artifact_is_named(tmp_path: Path):
    assert refusal(tmp_path, MissingPathError) == (
        f"A run's folder holds artifact.json or winner/artifact.json. {tmp_path} holds neither; "
        "`assay runs` lists the runs and where they are."
    )


def test_missing_weights_are_asked_for(copy: Path):
    (copy / WEIGHTS).unlink()
    assert refusal(copy, MissingPathError) == (
        "An artifact is artifact.json and model.safetensors together. "
        f"{copy / WEIGHTS} is missing; copy both."
    )


def test_weights_cut_short_are_refused(copy: Path):
    size = (copy / WEIGHTS).stat().st_size
    os.truncate(copy / WEIGHTS, size - 7)
    assert refusal(copy) == (
        f"{copy / WEIGHTS} has to have {size:,} bytes. It has {size - 7:,}: cut short or of "
        "another model; copy the artifact again."
    )


def test_one_changed_bit_is_noticed(copy: Path):
    data = bytearray((copy / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (copy / WEIGHTS).write_bytes(data)
    assert refusal(copy) == (
        f"{copy / WEIGHTS} is not what was saved: its sha256 differs from the one in "
        "artifact.json; copy the artifact again."
    )


def header(facts: object) -> bytes:
    text = json.dumps(facts).encode()
    return len(text).to_bytes(8, "little") + text


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip",
        (2**63).to_bytes(8, "little") + b"{}",
        (0).to_bytes(8, "little"),
        header({"a": {**ONE, "data_offsets": [0, 400]}}) + b"1234",
        header({"a": ONE, "b": ONE}) + b"1234",  # two tensors in one place
        header({"a": {**ONE, "data_offsets": [4, 8]}}) + b"12345678",  # a hole
        header({"a": ONE}) + b"1234 and more",
        header({"a": {**ONE, "shape": [2**62, 4]}}) + b"1234",
        header({"a": {**ONE, "dtype": "PICKLE"}}) + b"1234",
        b"\x80\x04\x95 a pickle",
    ],
)
def test_what_is_no_safetensors_file_is_refused_as_data(content: bytes, copy: Path):
    other = copy.parent / "other"
    other.write_bytes(content or b"\0")
    write_artifact(read_artifact(copy), other)
    text = refusal(copy)
    assert text.startswith(f"{copy / WEIGHTS} has to be a safetensors file. It is damaged (")
    assert text.endswith("); copy the artifact again.")
    assert "\n" not in text


def test_weights_of_another_network_are_listed(copy: Path):
    def other(tensors: dict[str, torch.Tensor]) -> None:
        first, second = sorted(tensors)
        tensors["conv.weight"] = torch.zeros(1)
        tensors[first] = torch.zeros(5)
        del tensors[second]

    names = sorted(load_file(copy / WEIGHTS))
    shape = tuple(load_file(copy / WEIGHTS)[names[0]].shape)
    replace_weights(copy, other)
    assert refusal(copy) == (
        f"{copy / WEIGHTS} has to hold the weights of softmax_regression. They do not fit: "
        f"missing: {names[1]}; not the network's: conv.weight; of another shape: {names[0]} (5,) "
        f"for {shape}. Use the code and the version it was trained with (assay {__version__})."
    )


def test_weights_that_are_no_numbers_are_named(copy: Path):
    name = sorted(load_file(copy / WEIGHTS))[0]
    replace_weights(copy, lambda tensors: tensors[name].view(-1)[:1].fill_(float("nan")))
    assert refusal(copy) == (
        f"{copy / WEIGHTS} has to hold finite numbers. NaN or infinite: {name}; "
        "train this candidate again."
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1, column 1: Expecting value"),
        (b'{"format": 1', "line 1, column 13: Expecting ',' delimiter"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": "\xff"}', "not UTF-8"),
    ],
)
def test_a_damaged_description_is_placed(content: bytes, reason: str, copy: Path):
    (copy / FACTS).write_bytes(content)
    assert refusal(copy) == (
        f"{copy / FACTS} has to be JSON. It is damaged ({reason}); copy the artifact again."
    )


def test_a_description_that_is_no_object_is_refused(copy: Path):
    (copy / FACTS).write_text("[1]")
    assert refusal(copy) == (
        f"{copy / FACTS} has to hold one JSON object. It holds a list; copy the artifact again."
    )


def test_a_description_without_end_is_not_read(copy: Path):
    os.truncate(copy / FACTS, LARGEST_FACTS + 1)
    assert refusal(copy) == (
        f"{copy / FACTS} may have 67,108,864 bytes. It has 67,108,865; this is no artifact of "
        "assay's, save it anew."
    )


def test_another_format_names_the_version_that_wrote_it(copy: Path):
    change(copy, format=2, assay="9.0")
    assert refusal(copy) == (
        f"{copy / FACTS} has to be of format 1. Received format=2: written by assay '9.0', this "
        f"is {__version__}; use that version."
    )


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"inputs": [3, -1]}, "'inputs'"),
        ({"inputs": [True]}, "'inputs'"),
        ({"outputs": 2.5, "task": "mind-reading"}, "'outputs', 'task'"),
        ({"classes": "no"}, "'classes'"),
        ({"target": {"mean": 0, "std": "one"}}, "'target'"),
        ({"__reduce__": "os.system"}, "'__reduce__'"),
    ],
)
def test_facts_of_the_wrong_kind_are_listed(facts: dict[str, Any], named: str, copy: Path):
    change(copy, **facts)
    assert refusal(copy) == (
        f"{copy / FACTS} is damaged: missing, unknown or of the wrong kind: {named}; "
        "copy the artifact again, or save it anew."
    )


def test_texts_longer_than_the_network_reads_are_no_preprocessing_of_it(tmp_path: Path):
    folder = saved(tmp_path, "language-modeling", "gpt2_nano")
    told = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    told["preprocessing"]["length"] = 2**39
    (folder / FACTS).write_text(json.dumps(told), encoding="utf-8")
    assert "contradicts itself: language-modeling with inputs of shape" in refusal(folder)


@pytest.mark.parametrize(("key", "value"), [("answer_length", "7"), ("column", ["a"])])
def test_text_is_not_read_by_facts_of_the_wrong_kind(tmp_path: Path, key: str, value: Any):
    folder = saved(tmp_path, "text-to-text", "transformer_tiny")
    told = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    told["preprocessing"][key] = value
    (folder / FACTS).write_text(json.dumps(told), encoding="utf-8")
    assert "contradicts itself: text-to-text with inputs of shape" in refusal(folder)


def test_classes_that_do_not_fit_the_outputs_are_refused(copy: Path):
    change(copy, classes=["no", "yes"])
    assert refusal(copy) == (
        f"{copy / FACTS} contradicts itself: tabular-classification with 3 outputs, 2 classes and "
        "no target scale; save the artifact anew."
    )


@pytest.mark.parametrize(
    "preprocessing",
    [
        {},
        {"kind": "image", "mode": "L", "size": [1, 3], "mean": [0], "std": [1]},
        {"kind": "table", "columns": "all"},
        {"kind": "table", "columns": [{"name": "x0", "kind": "numeric", "mean": 0, "std": 0}] * 3},
        {"kind": "table", "columns": [{"name": "x0", "kind": "numeric", "mean": 0, "std": 1}] * 2},
        {"kind": "table", "columns": [{"name": "x0", "kind": "categorical", "values": [1, 2, 3]}]},
    ],
)
def test_preprocessing_that_does_not_fit_the_inputs_is_refused(
    preprocessing: dict[str, Any], copy: Path
):
    change(copy, preprocessing=preprocessing)
    assert refusal(copy) == (
        f"{copy / FACTS} contradicts itself: tabular-classification with inputs of shape (3,) and "
        "another preprocessing; save the artifact anew."
    )


@pytest.mark.parametrize(
    "name", ["evil.py:Net", "/tmp/evil.py:Net", "timm:hf-hub:evil/net", "timm:../x", "os:system"]
)
def test_a_file_never_names_code_to_run(name: str, copy: Path, tmp_path: Path):
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    change(copy, name=name, family="linear")
    assert refusal(copy, BadArgumentError) == (
        f"{name!r} is code of yours, and an artifact never names code to run. Received no code; "
        "name the file and class again: --code FILE.py:Class, or code='FILE.py:Class' in Python."
    )


def test_code_is_only_taken_where_it_is_needed(row_model: Trained):
    with pytest.raises(BadArgumentError) as caught:
        load(row_model.folder, code="net.py:Net")
    assert str(caught.value) == (
        "Code is named only for a network from a file of yours. Received code='net.py:Net' for "
        "softmax_regression; leave it out."
    )


@pytest.fixture
def own(train: Callable[..., Trained], row_model: Trained, tmp_path: Path) -> tuple[Trained, Path]:
    file = tmp_path / "net.py"
    file.write_text(NET)
    return train(f"{file}:Net", row_model.dataset), file


def test_a_network_of_the_users_own_loads_with_its_code(own: tuple[Trained, Path], tmp_path: Path):
    trained, file = own
    moved = file.rename(tmp_path / "moved.py")
    predictor = load(trained.folder, code=f"{moved}:Net")
    assert predictor.predict(np.eye(3)).shape == (3,)


def test_changed_code_that_still_fits_is_told(own: tuple[Trained, Path]):
    trained, file = own
    file.write_text(NET.replace("self.last(x)", "-self.last(x)"))
    with pytest.warns(UserWarning, match="is not the code that") as told:
        load(trained.folder, code=f"{file}:Net")
    assert [str(each.message) for each in told] == [
        f"The code of {file}:Net is not the code that {trained.folder} was trained with "
        f"(assay {__version__}): the weights fit, but check a few answers."
    ]


def test_code_has_a_file_and_a_class(own: tuple[Trained, Path]):
    with pytest.raises(BadArgumentError) as caught:
        load(own[0].folder, code="os.system")
    assert str(caught.value) == (
        "Code is named as FILE.py:Class. Received code='os.system'; write for example "
        "my_net.py:Net."
    )
