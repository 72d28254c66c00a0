"""What a source becomes, that it is prepared once, and what is refused."""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import assay.data.builtin as builtin
from assay.data.dataset import PARTS, TASKS
from assay.data.load import describe, load, load_arrays, open_prepared
from assay.data.recognise import NAMES
from assay.errors import BadArgumentError, DataError, MissingPathError, StoreError

SORTS, NAMED = ", ".join(TASKS), ", ".join(NAMES)


def parts_of(dataset):
    return [getattr(dataset, part) for part in PARTS]


def test_digits_are_whole_and_divided(opened):
    digits = opened("digits")
    assert (digits.x.shape, digits.x.dtype, digits.y.dtype) == ((1797, 1, 8, 8), np.uint8, np.int64)
    assert [len(part) for part in parts_of(digits)] == [1078, 270, 449]
    assert sorted(np.concatenate(parts_of(digits)).tolist()) == list(range(1797))
    assert (digits.task, digits.inputs, digits.outputs) == ("image-classification", (1, 8, 8), 10)
    assert (digits.kind, digits.source, len(digits.ids)) == ("image", "built in", 1797)


def test_digits_are_those_of_scikit_learn(opened):
    from sklearn.datasets import load_digits

    theirs, ours = load_digits(), opened("digits")
    np.testing.assert_array_equal(ours.y, theirs.target)
    np.testing.assert_array_equal(np.rint(ours.x[:, 0] * (16 / 255.0)), theirs.images)


def test_digits_are_described_in_both_languages(opened):
    digits = opened("digits")
    assert describe(digits) == (
        "recognised: image classification, 10 classes, 1797 images of 1x8x8; "
        "train 1078 / val 270 / test 449"
    )
    assert describe(digits, "zh") == (
        "识别为：图像分类，10 类，1797 张图像（每个 1x8x8）；训练 1078 / 验证 270 / 测试 449"
    )


def test_every_part_has_every_class_in_proportion(opened):
    digits = opened("digits")
    whole = np.bincount(digits.y) / len(digits.y)
    for part in parts_of(digits):
        share = np.bincount(digits.y[part], minlength=10) / len(part)
        np.testing.assert_allclose(share, whole, atol=0.5 / 100)


def test_the_statistics_are_of_the_train_part_alone(opened):
    digits = opened("digits")
    seen = digits.x[digits.train] / 255
    np.testing.assert_allclose(digits.preprocessing["mean"], [seen.mean()])
    np.testing.assert_allclose(digits.preprocessing["std"], [seen.std()])
    assert abs(seen.mean() - (digits.x / 255).mean()) > 1e-6  # else the lines above prove nothing


def test_the_same_seed_divides_the_same_way_and_another_does_not(opened, tmp_path):
    first, again = opened("digits"), load("digits", folder=tmp_path / "elsewhere")
    other = opened("digits", seed=1)
    assert first.split_hash == again.split_hash
    for ours, theirs in zip(parts_of(first), parts_of(again), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert first.content_hash == other.content_hash
    assert first.split_hash != other.split_hash
    assert first.train.tolist() != other.train.tolist()


def test_arrays_cannot_be_written_to(opened):
    digits = opened("digits")
    for array in (digits.x, digits.y, *parts_of(digits)):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_second_call_decodes_nothing_and_is_quick(store):
    code = f"""
import sys, time
from pathlib import Path
from assay.data.load import load
began = time.perf_counter()
load("digits", folder=Path({str(store)!r}))
heavy = {{"torch", "sklearn", "pandas", "PIL", "scipy"}} & set(sys.modules)
print(time.perf_counter() - began, sorted(heavy))
"""
    load("digits", folder=store)
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    seconds, heavy = answer.stdout.split(maxsplit=1)
    assert (heavy.strip(), float(seconds) < 0.3) == ("[]", True)


def test_a_changed_file_is_prepared_again(opened, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    first = opened(table, target="b")
    table.write_text("a,b\n" + "".join(f"{i + 1},{i % 2}\n" for i in range(40)))
    os.utime(table, ns=(time.time_ns(), time.time_ns() + 10**9))
    second = opened(table, target="b")
    assert first.content_hash != second.content_hash
    assert first.folder != second.folder


def test_a_copy_elsewhere_shares_the_prepared_folder_and_keeps_its_own_name(opened, tmp_path):
    text = "a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(40))
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text(text)
    one, two = (opened(tmp_path / name, target="b") for name in ("one.csv", "two.csv"))
    assert one.folder == two.folder
    assert (one.name, two.name, two.source) == ("one", "two", str(tmp_path / "two.csv"))


@pytest.mark.parametrize("part", ["x.npy", "y.npy", "split.npz", "meta.json", "ids.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_prepared_folder_is_refused_and_then_repaired(opened, part, damage):
    digits = opened("digits")
    path = digits.folder / part
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    if damage == "gone":
        path.unlink()
    with pytest.raises(DataError) as caught:
        open_prepared(digits.folder)
    assert str(caught.value).startswith(f"The prepared data in {digits.folder} cannot be opened: ")
    assert str(caught.value).endswith("; delete that folder and run again.")
    assert opened("digits").split_hash == digits.split_hash
    assert path.read_bytes() == whole


def test_whoever_prepares_the_same_at_the_same_moment_is_not_undone(
    opened, store, monkeypatch: pytest.MonkeyPatch
):
    naming, others = Path.replace, []

    def after_somebody_else(ours: Path, home: Path) -> Path:
        if ours.is_dir() and not others:
            others.append(None)
            others[:] = [load("digits", folder=store)]
        return naming(ours, home)

    monkeypatch.setattr(Path, "replace", after_somebody_else)
    digits, (other,) = opened("digits"), others
    assert digits.folder == other.folder
    assert sorted(p.name for p in store.iterdir()) == sorted([digits.folder.name, "seen"])


def test_nothing_is_left_behind_when_data_is_refused(opened, store, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError):
        opened(tmp_path / "t.csv", target="b")
    assert list(store.iterdir()) == []


def test_a_store_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as caught:
        load("digits", folder=tmp_path / "file" / "store")
    assert str(caught.value) == (
        f"Prepared data is kept in {tmp_path / 'file' / 'store'}, which cannot be written "
        "(Not a directory); free space there, or name another folder with --store."
    )


def test_a_full_disk_is_one_sentence_and_leaves_nothing(store, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(StoreError) as caught:
        load("digits", folder=store)
    assert str(caught.value) == (
        f"Prepared data is kept in {store}, which cannot be written (No space left on device); "
        "free space there, or name another folder with --store."
    )
    assert list(store.iterdir()) == []


def test_a_missing_path_names_the_nearest_set(opened):
    with pytest.raises(MissingPathError) as caught:
        opened("digit")
    assert str(caught.value) == (
        "There is no data at 'digit' (No such file or directory). Did you mean 'digits'? "
        f"Give a path, or one of {NAMED}."
    )


@pytest.mark.parametrize(
    ("path", "printed", "reason"),
    [
        ("a\nb", "a\\nb", "No such file or directory"),
        ("a\0b", "a\\x00b", "Not a valid path"),
        ("~nobody-of-this-name", "~nobody-of-this-name", "Not a valid path"),
        ("\u202egnp", "\\u202egnp", "No such file or directory"),
        ("\udcff", "\\udcff", "No such file or directory"),
        ("x" * 4096, "x" * 199 + "…", "File name too long"),
    ],
)
def test_an_odd_missing_path_is_printed_on_one_line(opened, path, printed, reason):
    with pytest.raises(MissingPathError) as caught:
        opened(path)
    shown = repr(printed)
    assert str(caught.value) == (
        f"There is no data at {shown} ({reason}). Give a path, or one of {NAMED}."
    )


def test_a_pipe_is_never_opened(opened, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError) as caught:  # opening it would wait for ever
        opened(tmp_path / "pipe.csv", target="a")
    assert str(caught.value) == (
        f"The data must be a folder or a regular file. '{tmp_path}/pipe.csv' is neither; "
        "a pipe or device is not opened."
    )


def test_an_unknown_kind_of_file_is_refused(opened, tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(BadArgumentError) as caught:
        opened(tmp_path / "model.pkl")
    assert str(caught.value) == (
        "The data must be a folder of images or texts, a file that ends in .csv, .tsv, .parquet, "
        f".jsonl, .txt, .conll or .npz, one of {NAMED}, or a probe such as adding:T=200. Received "
        "'model.pkl'; convert it to one of these."
    )


def test_an_unknown_task_is_refused_with_the_nearest(opened):
    with pytest.raises(BadArgumentError) as caught:
        opened("digits", task="image-clasification")
    assert str(caught.value) == (
        f"`task` must be one of {SORTS}. Received 'image-clasification'. "
        "Did you mean 'image-classification'?"
    )


def test_a_task_that_images_do_not_have_is_refused(opened):
    with pytest.raises(BadArgumentError) as caught:
        opened("digits", task="tabular-regression")
    assert str(caught.value) == (
        "'digits' is images with classes of its own. Received task='tabular-regression', "
        "target=None; leave both out."
    )


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(opened, seed):
    with pytest.raises(BadArgumentError) as caught:
        opened("digits", seed=seed)
    assert str(caught.value) == f"`seed` must be in [0, 2**32). Received {seed}; choose another."


# fashion-mnist, made small: the same format and checks on files of a few images


@pytest.fixture
def small_fashion(tmp_path, monkeypatch):
    """Write four small files in fashion-mnist's form; return their folder."""
    import hashlib

    numbers = np.random.default_rng(0)
    home = tmp_path / "published"
    home.mkdir()
    sums = {}
    for name, count in (("train", 200), ("t10k", 50)):
        images = numbers.integers(0, 256, (count, 28, 28), np.uint8).tobytes()
        labels = (np.arange(count) % 10).astype(np.uint8).tobytes()
        for kind, data in (("images-idx3", bytes(16) + images), ("labels-idx1", bytes(8) + labels)):
            file = f"{name}-{kind}-ubyte"
            sums[file] = hashlib.sha256(data).hexdigest()
            (home / f"{file}.gz").write_bytes(gzip.compress(data, mtime=0))
    monkeypatch.setattr(builtin, "FASHION", sums)
    monkeypatch.setattr(builtin, "DEBIAN", tmp_path / "no-package")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return home


def test_fashion_mnist_keeps_its_published_test_part(opened, small_fashion):
    fashion = opened("fashion-mnist", data_dir=small_fashion)
    assert [len(part) for part in parts_of(fashion)] == [170, 30, 50]
    assert fashion.test.tolist() == list(range(200, 250))
    assert (fashion.ids[0], fashion.ids[200]) == ("train 0", "test 0")
    assert fashion.notes[0]["en"] == (
        "The published test part is kept; validation is carved from the published train part."
    )


@pytest.mark.parametrize("inside", ["", "FashionMNIST/raw", "fashion-mnist"])
def test_fashion_mnist_is_found_in_each_layout(opened, small_fashion, tmp_path, inside):
    home = tmp_path / "dir" / inside
    home.parent.mkdir(parents=True, exist_ok=True)
    small_fashion.rename(home)
    assert len(opened("fashion-mnist", data_dir=tmp_path / "dir").x) == 250


def test_fashion_mnist_is_found_where_torchvision_unpacked_it(opened, small_fashion, tmp_path):
    home = tmp_path / "data/FashionMNIST/raw"
    home.mkdir(parents=True)
    for file in small_fashion.iterdir():
        (home / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    assert opened("fashion-mnist").source == "data/FashionMNIST/raw"


def test_a_changed_fashion_mnist_file_is_refused(opened, small_fashion):
    path = small_fashion / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(58), mtime=0))
    expected = builtin.FASHION["t10k-labels-idx1-ubyte"][:16]
    with pytest.raises(DataError) as caught:
        opened("fashion-mnist", data_dir=small_fashion)
    assert str(caught.value) == (
        f"{path} must be the published file. Its contents have sha256 66b4a8b2a17f0463… where "
        f"{expected}… was expected; delete it and fetch it again."
    )


def test_no_more_of_fashion_mnist_is_unpacked_than_it_can_have(opened, small_fashion, monkeypatch):
    monkeypatch.setattr(builtin, "LARGEST", 1000)  # the true files have more
    with pytest.raises(DataError, match="must be the published file"):
        opened("fashion-mnist", data_dir=small_fashion)


def test_a_folder_without_fashion_mnist_is_refused(opened, small_fashion, tmp_path):
    with pytest.raises(MissingPathError) as caught:
        opened("fashion-mnist", data_dir=tmp_path / "empty")
    assert str(caught.value) == (
        "`data_dir` must hold the four fashion-mnist files, such as train-images-idx3-ubyte.gz. "
        f"Received '{tmp_path}/empty'; name the folder they are in, or leave it out."
    )


def test_fashion_mnist_is_downloaded_and_checked(opened, small_fashion, tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(builtin, "FASHION_URL", f"{small_fashion.as_uri()}/")
    fashion = opened("fashion-mnist")
    assert len(fashion.x) == 250
    assert fashion.source == str(tmp_path / "cache/fashion-mnist")


def test_fashion_mnist_without_a_network_says_how_to_get_it(
    opened, small_fashion, tmp_path, monkeypatch
):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(builtin, "FASHION_URL", "file:///not/there/")
    with pytest.raises(MissingPathError) as caught:
        opened("fashion-mnist")
    file = "/not/there/train-images-idx3-ubyte.gz"
    reason = f"<urlopen error [Errno 2] No such file or directory: '{file}'>"
    assert str(caught.value) == (
        f"fashion-mnist is not on this machine and could not be downloaded ({reason}); install the "
        "Debian package dataset-fashion-mnist, or name the folder that has its files with "
        "--data-dir."
    )


def test_what_is_prepared_holds_no_pickle_and_is_json(opened):
    digits = opened("digits")
    assert sorted(p.name for p in digits.folder.iterdir()) == [
        "ids.json",
        "meta.json",
        "split.npz",
        "x.npy",
        "y.npy",
    ]
    assert json.loads((digits.folder / "meta.json").read_text())["task"] == digits.task


def test_arrays_in_memory_are_prepared_once(store):
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(60, 4)), np.repeat(["no", "yes"], 30)
    first, again = load_arrays(x, y, folder=store), load_arrays(x, y, folder=store)
    assert (first.task, first.classes, first.folder) == (
        "tabular-classification",
        ("no", "yes"),
        again.folder,
    )
    assert first.source == "arrays in memory"


def test_a_mark_cannot_point_out_of_the_store(store, tmp_path: Path):
    outside = load("digits", folder=tmp_path / "outside").folder
    load("digits", folder=store)
    for mark in (store / "seen").iterdir():
        mark.write_text(json.dumps({"folder": f"../outside/{outside.name}"}))
    assert load("digits", folder=store).folder.parent == store
