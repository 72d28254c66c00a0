"""Arrays in memory and in .npz files: what they are taken for, and what is refused."""

import io
import zipfile

import numpy as np
import pytest

from assay.data.encode import encode_arrays
from assay.data.load import load_arrays
from assay.errors import BadArgumentError, DataError

Y = np.arange(40) % 2


@pytest.fixture
def save(tmp_path):
    def saved(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return tmp_path / "a.npz"

    return saved


@pytest.fixture
def noise():
    numbers = np.random.default_rng(0)
    return lambda *shape: numbers.normal(size=shape)


def refused(opened, path, **options):
    with pytest.raises(DataError) as caught:
        opened(path, **options)
    return str(caught.value)


def member(array):
    kept = io.BytesIO()
    np.lib.format.write_array(kept, array, allow_pickle=False)
    return kept.getvalue()


@pytest.mark.parametrize(
    ("shape", "kind", "task", "inputs"),
    [
        ((40, 5), float, "tabular-classification", (5,)),
        ((40, 6, 5), float, "sequence-classification", (6, 5)),
        ((40, 6, 5), np.uint8, "image-classification", (1, 6, 5)),
        ((40, 6, 5, 3), np.uint8, "image-classification", (3, 6, 5)),
        ((40, 3, 6, 5), float, "image-classification", (3, 6, 5)),
        ((40, 1, 6, 5), np.uint8, "image-classification", (1, 6, 5)),
    ],
)
def test_a_shape_and_type_decide_what_arrays_are(opened, save, noise, shape, kind, task, inputs):
    x = (noise(*shape) * 100).astype(kind)
    data = opened(save(x=x, y=Y))
    assert (data.task, data.inputs, data.classes) == (task, inputs, ("0", "1"))
    assert data.x.dtype == (np.uint8 if task.startswith("image") else np.float32)
    np.testing.assert_array_equal(encode_arrays(x, data.preprocessing), data.x)


def test_the_task_decides_between_images_and_sequences(opened, save, noise):
    path = save(x=noise(40, 6, 5), y=Y)
    assert opened(path, task="image-classification").inputs == (1, 6, 5)
    assert opened(path, task="sequence-classification").inputs == (6, 5)


def test_values_to_predict_make_a_regression(opened, save, noise):
    data = opened(save(x=noise(40, 5), y=noise(40)))
    assert (data.task, data.y.dtype) == ("tabular-regression", np.float32)


def test_values_of_sequences_make_a_regression(opened, save, noise):
    path = save(x=noise(40, 6, 5), y=noise(40))
    assert (opened(path).task, opened(path).outputs) == ("sequence-regression", 1)
    whole = save(x=noise(40, 6, 5), y=np.arange(40) // 10)
    assert opened(whole).task == "sequence-classification"
    assert opened(whole, task="sequence-regression").y.dtype == np.float32


def test_sequences_are_standardised_by_the_train_part(opened, save, noise):
    data = opened(save(x=noise(40, 6, 5) * 7 + 3, y=Y))
    seen = data.x[data.train]
    np.testing.assert_allclose(seen.mean(axis=(0, 1)), np.zeros(5), atol=1e-6)
    np.testing.assert_allclose(seen.std(axis=(0, 1)), np.ones(5), atol=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 1]), (0, 255, [0, 255]), (0, 16, [0, 16]), (-1, 1, [-1, 1])],
)
def test_pixels_of_other_types_are_brought_to_0_to_255(opened, save, low, high, expected):
    x = np.linspace(low, high, 40 * 12).reshape(40, 1, 4, 3)
    data = opened(save(x=x, y=Y))
    assert data.preprocessing["range"] == pytest.approx(expected)
    assert (data.x.min(), data.x.max()) == (0, 255)
    assert data.notes[0]["en"] == (
        f"The images are float64; {low}..{high} became the 256 levels of a pixel."
    )


def test_named_parts_are_kept(opened, save, noise):
    data = opened(save(x_train=noise(30, 4), y_train=Y[:30], x_test=noise(10, 4), y_test=Y[:10]))
    assert data.test.tolist() == list(range(30, 40))
    assert len(data.val) == 4


def test_byte_order_and_memory_order_do_not_matter(opened, save, noise):
    x = noise(40, 5)
    plain = opened(save(x=x, y=Y))
    odd = opened(save(x=np.asfortranarray(x.astype(">f8")), y=Y.astype(">i4")))
    np.testing.assert_array_equal(odd.x, plain.x)
    np.testing.assert_array_equal(odd.y, plain.y)


def test_missing_numbers_of_a_table_are_marked(store, noise):
    x = noise(40, 3)
    x[::4, 1] = np.nan
    data = load_arrays(x, Y, folder=store)
    assert data.x.shape == (40, 4)
    np.testing.assert_array_equal(data.x[:, 2], np.isnan(x[:, 1]))


def test_python_objects_are_never_opened(opened, tmp_path, canary):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([canary] * 4, object), y=np.arange(4))
    assert refused(opened, path) == (
        f"{path} holds Python objects in 'x.npy', which could run code and are never opened; store "
        "plain numbers or strings."
    )
    assert not canary.path.exists()


@pytest.fixture
def canary(tmp_path):
    class Canary:
        path = tmp_path / "canary"

        def __reduce__(self):
            return (open, (str(self.path), "w"))

    return Canary()


@pytest.mark.parametrize(
    "names", [["../x.npy", "y.npy"], ["x.npy", "x.npy"], ["x.npy", "y.txt"], ["a\\x.npy", "y.npy"]]
)
def test_odd_members_are_refused(opened, tmp_path, names):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as packed, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_args, **_options: None)  # of the duplicate name
        for name in names:
            packed.writestr(name, member(np.zeros((4, 2))))
    odd = {"../x.npy": "'../x.npy'", "x.npy": "'x.npy', 'x.npy'", "a\\x.npy": "'a\\\\x.npy'"}
    listed = "'y.txt'" if "y.txt" in names else odd[names[0]]
    assert refused(opened, path) == (
        f"A .npz must hold differently named .npy arrays only. {path} holds {listed}; write it "
        "again with numpy.savez."
    )


def test_a_shape_that_lies_is_refused_before_it_is_read(opened, tmp_path):
    path = tmp_path / "a.npz"
    lie = member(np.zeros((4, 2))).replace(b"(4, 2), }  ", b"(4000, 2),}")
    assert b"(4000, 2)" in lie
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("x.npy", lie)
        packed.writestr("y.npy", member(np.arange(4)))
    assert refused(opened, path) == (
        f"'x.npy' in {path} declares 64,000 bytes and has 64; it is damaged: write it again with "
        "numpy.savez."
    )


def test_a_bomb_is_refused_by_what_it_declares(opened, tmp_path, monkeypatch):
    monkeypatch.setattr("assay.data.arrays.A_LOT", 10_000)
    monkeypatch.setattr("assay.data.arrays.RATIO", 100)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros((10_000, 10)), y=np.zeros(10_000))
    packed = {m.filename: m.compress_size for m in zipfile.ZipFile(path).infolist()}
    assert refused(opened, path) == (
        f"{path} claims that {packed['x.npy']:,} bytes of 'x.npy' unpack to 800,128; it is taken "
        "for a bomb and not opened: store it uncompressed with numpy.savez."
    )


def test_more_than_memory_allows_is_refused(opened, save, noise, monkeypatch):
    monkeypatch.setattr("assay.data.arrays.memory_limit", lambda: 100)
    path = save(x=noise(40, 5), y=Y)
    assert refused(opened, path) == (
        f"{path} unpacks to 2,176 bytes. A quarter of this machine's memory, 100 bytes, is the "
        "limit; store fewer examples or smaller numbers."
    )


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_npz_is_refused(opened, tmp_path, data):
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    assert refused(opened, path) == (
        f"{path} cannot be read as .npz (File is not a zip file); write it again with "
        "numpy.savez(path, x=..., y=...)."
    )


def test_no_damaged_npz_raises_anything_but_a_data_error(opened, save, noise):
    path = save(x=noise(40, 5), y=Y)
    good, numbers, refusals = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(200):
        data = bytearray(good)
        for at in numbers.integers(0, len(data), 3):
            data[at] = numbers.integers(0, 256)
        path.write_bytes(data)
        try:
            opened(path)
        except DataError:
            refusals += 1
    assert refusals > 50  # the damage was felt


def test_a_npz_without_x_and_y_lists_what_it_holds(opened, save, noise):
    path = save(data=noise(40, 5), labels=Y)
    assert refused(opened, path) == (
        "A .npz must hold x and y, or x_train, y_train and more parts. "
        f"{path} holds 'data', 'labels'; rename the arrays."
    )


def test_parts_that_disagree_are_refused(opened, save, noise):
    path = save(x_train=noise(30, 4), y_train=Y[:30], x_test=noise(10, 5), y_test=Y[:10])
    assert refused(opened, path) == (
        f"The parts of {path} must have examples of one shape and a y for each. Received x of "
        "shapes (30, 4), (10, 5) and y of shapes (30,), (10,); make them agree."
    )


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            np.zeros((4, 2)),
            np.arange(3),
            "`x` and `y` must have the same length. In {} x has 4 examples and y has 3; pair them.",
        ),
        (
            np.array(3.0),
            np.arange(3),
            "`x` must be numbers of 2 to 4 dimensions. In {} it is float64 of shape (); give a "
            "table (N, F), sequences (N, T, F) or images.",
        ),
        (
            np.array([["a"]]),
            np.arange(1),
            "`x` must be numbers of 2 to 4 dimensions. In {} it is <U1 of shape (1, 1); give a "
            "table (N, F), sequences (N, T, F) or images.",
        ),
        (
            np.zeros((0, 2)),
            np.zeros(0),
            "`x` must not be empty. In {} its shape is (0, 2); add examples.",
        ),
        (
            np.zeros((4, 2)),
            np.zeros((4, 2)),
            "`y` must be one number or name for each example. In {} it is float64 of shape (4, 2); "
            "give labels or values of shape (N,).",
        ),
        (
            np.array([[1.0, 2], [3, np.inf]]),
            np.arange(2),
            "`x` must hold no infinities. x[1, 1] is inf; correct it or make it NaN, which counts "
            "as missing.",
        ),
        (
            np.full((2, 3, 2), np.nan),
            np.arange(2),
            "`x` must hold finite numbers. x[0, 0, 0] is nan; correct it or remove the example.",
        ),
        (
            np.zeros((4, 5, 5, 4)),
            np.arange(4),
            "Images must be (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels. Received "
            "shape (4, 5, 5, 4); reorder or convert them.",
        ),
        (
            np.zeros((4, 5, 5), np.uint8),
            np.array([0, 1.5, 0, 1]),
            "`y` of image examples must be classes: whole numbers or names. In {} row 2 has a "
            "fraction; give labels.",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(opened, save, x, y, message):
    path = save(x=x, y=y)
    assert refused(opened, path) == message.format(path)


def test_a_target_is_refused(opened, save, noise):
    path = save(x=noise(40, 5), y=Y)
    with pytest.raises(BadArgumentError) as caught:
        opened(path, target="y")
    assert str(caught.value) == (
        f"`target` names a column of a table. Received target='y' for {path}; leave it out, y is "
        "the target."
    )


def test_predicting_refuses_other_shapes_and_types(opened, save, noise):
    images = (noise(40, 1, 4, 3) * 50).astype(np.uint8)
    facts = opened(save(x=images, y=Y)).preprocessing
    with pytest.raises(DataError) as caught:
        encode_arrays(images[:, :, :3], facts)
    assert str(caught.value) == (
        "Images must be 1x4x3 as in training. Received 1x3x3; resize them, or give files or PIL "
        "images."
    )
    with pytest.raises(DataError) as caught:
        encode_arrays(images.astype(float), facts)
    assert str(caught.value) == (
        "Images must be uint8, pixels on 0..255, as in training. Received float64; convert them."
    )
    facts = opened(save(x=noise(40, 6, 5), y=Y)).preprocessing
    with pytest.raises(DataError) as caught:
        encode_arrays(noise(2, 5, 5), facts)
    assert str(caught.value) == (
        "Sequences must be (N, 6, 5) as in training. Received shape (2, 5, 5); cut or pad them."
    )
    facts = opened(save(x=noise(40, 5), y=Y)).preprocessing
    with pytest.raises(DataError) as caught:
        encode_arrays(noise(2, 4), facts)
    assert str(caught.value) == (
        "Rows must be (N, 5) as in training. Received shape (2, 4); give the same columns in the "
        "same order."
    )
