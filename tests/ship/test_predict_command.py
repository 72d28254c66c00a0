"""`assay predict RUN FILE...` in the form a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ship_models import Trained

from assay.cli import main
from assay.ship.load import load
from assay.store.store import Store


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]):
    """Return what `assay predict` does: exit code, lines on stdout, stderr."""

    def called(model: Trained, *words: str | Path) -> tuple[int, list[str], str]:
        code = main(["predict", str(model.folder), *map(str, words)])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return called


def test_an_image_is_labelled_with_probabilities(predict, image_model: Trained, photos: Path):
    path = photos / "light" / "00.png"
    dark, light = load(image_model.folder).predict_proba(path)[0]
    assert predict(image_model, path) == (0, [f"{path}  light {light:.1%}  dark {dark:.1%}"], "")


def test_a_folder_is_searched_to_the_bottom_in_order(predict, image_model: Trained, photos: Path):
    (photos / ".DS_Store").write_text("not for us")
    code, lines, _ = predict(image_model, photos, "--json", "--top", "1")
    (photos / ".DS_Store").unlink()
    answers = [json.loads(line) for line in lines]
    assert code == 0
    assert [a["input"] for a in answers] == sorted(map(str, photos.glob("*/*.png")))
    assert [a["label"] for a in answers] == ["dark"] * 12 + ["light"] * 12
    assert all(list(a["probabilities"]) == [a["label"]] for a in answers)


def test_rows_of_a_table_get_values(predict, regressor: Trained, table: Path):
    values = load(regressor.folder).predict(pd.read_csv(table))
    code, lines, _ = predict(regressor, table)
    assert code == 0
    assert lines[0] == f"{table} row 1  {values[0]:.6g}"
    assert len(lines) == 80


def test_a_table_needs_no_target_and_may_be_parquet(
    predict, regressor: Trained, table: Path, tmp_path: Path
):
    bare = pd.read_csv(table).drop(columns="price").iloc[:3]
    bare.to_parquet(tmp_path / "bare.parquet")
    _, lines, _ = predict(regressor, tmp_path / "bare.parquet", "--json")
    values = load(regressor.folder).predict(bare)
    assert [json.loads(line)["value"] for line in lines] == pytest.approx(values.tolist())


def test_arrays_come_from_an_npz(predict, sequence_model: Trained, tmp_path: Path):
    x = np.random.default_rng(0).normal(size=(2, 6, 4))
    np.savez(tmp_path / "new.npz", x=x)
    _, lines, _ = predict(sequence_model, tmp_path / "new.npz", "--json")
    labels = load(sequence_model.folder).predict(x)
    assert [json.loads(line)["label"] for line in lines] == labels.tolist()
    assert json.loads(lines[1])["input"] == f"{tmp_path / 'new.npz'} example 1"


def test_a_hostile_name_stays_on_its_line(predict, image_model: Trained, photos, tmp_path: Path):
    path = tmp_path / "a\n\x1b[31m.png"
    path.write_bytes((photos / "dark" / "00.png").read_bytes())
    _, text, _ = predict(image_model, path)
    _, lines, _ = predict(image_model, path, "--json")
    assert len(text) == len(lines) == 1
    assert text[0].startswith(f"{tmp_path}/a\\n\\x1b[31m.png  dark")
    assert json.loads(lines[0])["input"] == str(path)


def failure(code: int, printed: list[str], told: str) -> tuple[int, list[str], str]:
    return code, printed, f"assay: {told}\n"


def test_a_missing_file_is_named_before_any_answer(predict, image_model: Trained, photos: Path):
    path = photos / "dark" / "00.png"
    assert predict(image_model, path, "gone.png") == failure(
        2, [], "There is no file 'gone.png' to predict (No such file or directory); check the name."
    )


def test_an_unreadable_image_is_named(predict, image_model: Trained, tmp_path: Path):
    (tmp_path / "text.jpg").write_text("hello")
    code, lines, told = predict(image_model, tmp_path)
    assert (code, lines) == (1, [])
    assert told == (
        f"assay: '{tmp_path / 'text.jpg'}' cannot be read as an image (not an image of PNG, JPEG, "
        "BMP, GIF, WEBP, TIFF); repair or replace it.\n"
    )


def test_an_empty_folder_is_named(predict, image_model: Trained, tmp_path: Path):
    assert predict(image_model, tmp_path) == failure(
        1, [], f"The folder {str(tmp_path)!r} holds no files; put images into it."
    )


def test_a_pipe_is_not_opened(predict, image_model: Trained, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    assert predict(image_model, tmp_path / "pipe.png") == failure(
        1,
        [],
        f"What is to be predicted must be a file or a folder. {str(tmp_path / 'pipe.png')!r} is "
        "neither; a pipe or device is not opened.",
    )


def test_a_table_is_nothing_for_an_image_model(predict, image_model: Trained, table: Path):
    assert predict(image_model, table) == failure(
        2,
        [],
        f"This model reads images. Received the table {str(table)!r}; give images or a .npz with "
        "x.",
    )


def test_an_image_is_nothing_for_a_table_model(predict, regressor: Trained, photos: Path):
    path = photos / "dark" / "00.png"
    assert predict(regressor, path) == failure(
        2,
        [],
        "This model reads .csv, .tsv, .parquet, .npz files, not images. Received "
        f"{str(path)!r}; give the rows in such a file.",
    )


def test_a_folder_is_nothing_for_a_sequence_model(predict, sequence_model: Trained, tmp_path: Path):
    assert predict(sequence_model, tmp_path) == failure(
        2,
        [],
        f"This model reads .npz files, not images. Received {str(tmp_path)!r}; give the sequences "
        "in such a file.",
    )


def test_no_name_is_not_the_folder_one_stands_in(capsys, monkeypatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    Store.open("assay-runs").close()
    for words in (["predict", "", "x.csv"], ["report", ""]):
        assert main(words) == 2
        said = f"assay: No run '' in {tmp_path / 'assay-runs' / 'assay.db'}. "
        assert capsys.readouterr().err == said + "`assay runs` lists them.\n"


def test_an_npz_of_other_arrays_is_refused(predict, row_model: Trained, tmp_path: Path):
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    assert predict(row_model, tmp_path / "two.npz") == failure(
        1,
        [],
        f"A .npz to predict must hold x. {tmp_path / 'two.npz'} holds 'a', 'b'; rename the array.",
    )


def test_top_is_at_least_one(predict, image_model: Trained, photos: Path):
    assert predict(image_model, photos, "--top", "0") == failure(
        2, [], "`top` must be at least 1. Received top=0."
    )


def test_what_load_warns_of_goes_to_stderr(
    predict, row_model: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    np.savez(tmp_path / "x.npz", x=np.eye(3))
    monkeypatch.setattr("assay.ship.load.foreign_digest", lambda name: "other")
    code, lines, told = predict(row_model, tmp_path / "x.npz")
    assert (code, len(lines)) == (0, 3)
    assert told.startswith("assay: The code of softmax_regression is not the code that ")
    assert told.count("\n") == 1


def test_help_does_not_wait_for_torch():
    code = (
        "import argparse, sys, assay.cli.predict as p; p.add_arguments(argparse.ArgumentParser());"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
