"""Every finding: told where the fault was planted, not told where it was not."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import datasets as known

from assay.data.check import check
from assay.data.load import load_arrays


def kinds(concerns):
    return sorted({concern.kind for concern in concerns})


def only(concerns):
    [concern] = concerns
    return concern


@pytest.fixture
def table(opened, tmp_path):
    """Return a function that opens a table of columns, 400 rows, with what is given changed."""

    def made(target="y", task=None, **columns):
        numbers = np.random.default_rng(0)
        count = len(next(iter(columns.values()))) if columns else 400
        plain = {name: numbers.normal(size=count) for name in "abc"}
        frame = pd.DataFrame({**plain, "y": np.arange(count) % 2, **columns})
        path = tmp_path / "t.csv"
        frame.to_csv(path, index=False)
        return opened(path, target=target, task=task)

    return made


@pytest.fixture
def named(table):
    """Return a function that opens a table whose classes have these names and counts."""

    def made(**counts):
        labels = np.repeat([name.replace("_SPACE_", " ") for name in counts], [*counts.values()])
        return table(y=labels)

    return made


def scenes(count, side=48, seed=0):
    """Return coloured images with shapes and texture, all different."""
    numbers = np.random.default_rng(seed)
    coarse = numbers.normal(size=(count, 3, 6, 6)).repeat(side // 6, 2).repeat(side // 6, 3)
    fine = numbers.normal(size=(count, 3, side // 2, side // 2)).repeat(2, 2).repeat(2, 3)
    return np.clip(128 + 40 * coarse + 15 * fine, 0, 255).astype(np.uint8)


def parted(tmp_path, opened, x, y, test):
    """Open arrays whose last examples are the given test part."""
    path = tmp_path / "parts.npz"
    train = slice(0, len(x) - test)
    np.savez(path, x_train=x[train], y_train=y[train], x_test=x[-test:], y_test=y[-test:])
    return opened(path)


def test_known_clean_sets_raise_nothing(opened, tmp_path):
    assert check(opened("digits")) == ()
    for name in ("wine", "breast_cancer", "iris", "diabetes"):
        path = tmp_path / f"{name}.csv"
        getattr(known, f"load_{name}")(as_frame=True).frame.to_csv(path, index=False)
        assert check(opened(path, target="target")) == ()


def test_clean_synthetic_sets_raise_nothing(opened, table, tmp_path):
    assert check(table()) == ()
    x, y = scenes(300), np.arange(300) % 3
    assert check(parted(tmp_path, opened, x, y, 80)) == ()
    waves = np.random.default_rng(0).normal(size=(200, 20, 2))
    assert check(load_arrays(waves, np.arange(200) % 2, folder=tmp_path / "waves")) == ()


# names


@pytest.mark.parametrize(
    ("counts", "kind"),
    [
        ({"cat": 200, "Cat": 100}, "class-written-twice"),
        ({"new york": 200, "new_york": 100}, "class-written-twice"),
        ({"New York": 200, "newyork": 100, "Rome": 100}, "class-written-twice"),
        ({"café": 200, "cafe\u0301": 100}, "class-written-twice"),
        ({"zebra": 180, "zebar": 25, "horse": 100}, "class-misspelt"),
        ({"zebra": 180, "zebr": 25, "horse": 100}, "class-misspelt"),
        ({"zebra": 180, "zxbra": 25, "horse": 100}, "class-misspelt"),
        ({"?": 40, "yes": 150, "no": 150}, "class-of-missing-labels"),
        ({"01": 150, "1": 150, "two": 90}, "class-written-twice"),
        ({" ": 40, "yes": 150, "no": 150}, "empty-class-name"),
    ],
)
def test_a_fault_in_the_class_names_is_told(named, counts, kind):
    assert kinds(check(named(**counts))) == [kind]


@pytest.mark.parametrize(
    "counts",
    [
        {"cat": 200, "dog": 100, "cats and dogs": 100},
        {"class1": 240, "class2": 30, "class10": 30, "class3": 100},
        {"-1": 200, "1": 150},
        {"A": 100, "a": 100, "B": 100, "b": 100},
        {"horse": 200, "house": 150},
        {"+": 150, "-": 150},
        {"1-2": 150, "12": 150, "x": 50},
        {"zebra": 180, "cobra": 25, "horse": 100},
    ],
)
def test_names_that_are_meant_are_left_alone(named, counts):
    assert check(named(**counts)) == ()


def test_names_are_told_with_their_counts_in_both_languages(named):
    concern = only(check(named(zebra=180, zebar=25, horse=100)))
    assert concern.en == (
        "The class 'zebar' (25 examples) is one letter from 'zebra' (180); correct it if it is a "
        "misspelling."
    )
    assert concern.zh == (
        "类别 'zebar'（25 个样本）与 'zebra'（180 个）只差一个字母；若为笔误，请更正。"
    )
    assert (concern.severity, concern.where) == ("warning", ("zebar", "zebra"))


def test_measures_read_as_classes_are_told(table):
    kilos = [f"{at % 40},5 kg" for at in range(1200)]
    assert "numbers-read-as-classes" in kinds(check(table(y=kilos)))
    codes = [f"code {at % 40}" for at in range(1200)]
    assert check(table(y=codes)) == ()


def test_thousands_of_class_names_are_compared_at_once(named):
    counts = {
        f"{a}{b}{c} {d}thing": 8 for a in "abcd" for b in "efgh" for c in "ijkl" for d in "mn"
    }
    found = kinds(check(named(**counts, **{"aei othing": 300})))
    assert found == ["class-misspelt", "tiny-classes", "unequal-classes"]


# counts


def test_tiny_and_unequal_classes_are_told(named):
    concerns = {c.kind: c for c in check(named(many=400, few=6, some=100))}
    assert sorted(concerns) == ["tiny-classes", "unequal-classes"]
    assert concerns["unequal-classes"].severity == "note"
    assert "('few': " in concerns["tiny-classes"].en
    assert kinds(check(named(many=300, some=100))) == []


def test_a_majority_that_hides_everything_is_a_warning(named):
    concern = only(check(named(many=400, few=60)))
    assert (concern.kind, concern.severity) == ("unequal-classes", "warning")
    assert "always answering 'many' is right in 87.0% of them" in concern.en


def test_a_class_without_test_examples_is_told(opened, tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 3))
    y = np.where(np.arange(200) < 150, np.arange(200) % 3, np.arange(200) % 2)
    assert "class-absent" in kinds(check(parted(tmp_path, opened, x, y, 50)))


# copies


def recoded(image):
    """Return the image as a JPEG file would give it back."""
    file = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(file, "JPEG", quality=85)
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def scaled(image):
    small = Image.fromarray(image.transpose(1, 2, 0)).resize((80, 80), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((96, 96), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def dimmed(image):
    return (image * 0.8 + 10).astype(np.uint8)


def noisy(image):
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", [recoded, scaled, dimmed, noisy])
def test_the_same_picture_in_training_and_test_is_told(opened, tmp_path, change):
    x, y = scenes(300, side=96), np.arange(300) % 3
    planted = np.arange(240, 250)
    x[planted] = [change(image) for image in x[planted - 240]]
    concern = only(check(parted(tmp_path, opened, x, y, 60)))
    assert concern.kind == "same-picture-across-parts"
    assert concern.where == tuple(f"example {at} = example {at - 240}" for at in planted)
    assert "10 (16.67% of the test part)" in concern.en


def test_a_mirrored_or_inverted_picture_is_another_one(opened, tmp_path):
    x, y = scenes(300), np.arange(300) % 3
    x[240:250], x[250:260] = x[:10, :, :, ::-1], 255 - x[:10]
    assert check(parted(tmp_path, opened, x, y, 60)) == ()


def test_the_same_shapes_with_another_texture_are_other_pictures(opened, tmp_path):
    numbers, y = np.random.default_rng(0), np.arange(300) % 3
    smooth = np.cos(np.pi * (np.arange(48) + 0.5) * np.arange(1, 5)[:, None] / 48)
    coarse = (smooth.T @ numbers.normal(size=(240, 1, 4, 4)) @ smooth)[np.arange(300) % 240]
    waves = np.sin(np.arange(48) * numbers.uniform(0.5, 3, (300, 1, 48, 1)) + numbers.random())
    x = np.clip(128 + 15 * coarse + 3 * waves, 0, 255).astype(np.uint8)
    alike = np.corrcoef(x[[0, 240]].reshape(2, -1))[0, 1]
    assert alike > 0.99  # by their pixels alone they would be taken for copies
    assert check(parted(tmp_path, opened, x, y, 60)) == ()


def test_blank_images_are_told(opened, tmp_path):
    x, y = scenes(300), np.arange(300) % 3
    x[[0, 3, 6]] = np.array([0, 90, 255], np.uint8).reshape(3, 1, 1, 1)
    concern = only(check(parted(tmp_path, opened, x, y, 60)))
    assert (concern.kind, concern.where) == (
        "blank-images",
        ("example 0", "example 3", "example 6"),
    )


def test_copies_with_two_labels_are_told(opened, tmp_path):
    x, y = scenes(300), np.arange(300) % 3
    x[1] = x[0]
    concern = only(check(parted(tmp_path, opened, x, y, 60)))
    assert concern.kind == "copies-with-different-labels"
    assert concern.where == ("example 0", "example 1")


def test_the_best_that_equal_rows_allow_is_told(table):
    kind, copy = np.arange(400) % 20, np.arange(400) // 20
    y = (kind < 10) ^ ((kind < 16) & (copy % 5 == 0))  # 4 of 20 copies disagree, in 16 kinds
    concern = only(check(table(a=kind % 4, b=kind // 4, c=kind % 4, y=y)))
    assert (concern.kind, concern.severity) == ("copies-with-different-labels", "note")
    assert "320 of 400; on these rows no model can exceed an accuracy of 84.0%" in concern.en


def test_copies_that_a_named_column_parts_are_told(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 3))
    x[180:] = x[:20]
    when = np.arange(200)
    data = load_arrays(x, np.arange(200) % 2, folder=tmp_path, time=when)
    assert kinds(check(data)) == ["copies-across-parts"]
    assert kinds(check(load_arrays(x, np.arange(200) % 2, folder=tmp_path))) == []


# columns


def test_a_column_that_gives_the_target_away_is_told(table):
    y = np.random.default_rng(1).integers(0, 2, 400)
    after = np.random.default_rng(2).normal(size=400) + 20 * y
    concern = only(check(table(y=y, paid=after)))
    assert (concern.kind, concern.where) == ("column-gives-target-away", ("paid",))
    flipped = np.where(np.arange(400) % 10 == 0, 1 - y, y)  # right in 90% only
    assert check(table(y=y, hint=flipped)) == ()


def test_a_missing_cell_can_give_the_target_away(table):
    y = np.random.default_rng(1).integers(0, 2, 400)
    refund = np.where(y == 1, np.random.default_rng(2).normal(size=400), np.nan)
    assert kinds(check(table(y=y, refund=refund))) == ["column-gives-target-away"]


def test_a_level_can_give_the_target_away(table):
    y = np.random.default_rng(1).integers(0, 2, 400)
    level = np.where(y, "closed", np.where(np.arange(400) % 2, "open", "new"))
    assert kinds(check(table(y=y, status=level))) == ["column-gives-target-away"]


def test_a_regression_is_given_away_by_its_value_in_other_units(table):
    celsius = np.random.default_rng(1).normal(20, 5, 400)
    assert kinds(check(table(y=celsius, f=celsius * 1.8 + 32))) == ["column-gives-target-away"]
    noise = np.random.default_rng(2).normal(0, 1.5, 400)
    assert check(table(y=celsius, felt=celsius + noise)) == ()


def test_a_running_number_is_told(table):
    number = np.random.default_rng(0).permutation(400) + 1000
    assert kinds(check(table(number=number))) == ["numbered-rows"]
    wide = np.random.default_rng(0).choice(100_000, 400, replace=False)
    assert check(table(income=wide)) == ()


def test_copies_under_other_numbers_are_told(table):
    numbers = np.random.default_rng(0)
    x = {name: numbers.normal(size=300)[np.arange(400) % 300] for name in "abc"}
    data = table(**x, y=np.arange(400) % 300 % 2, number=numbers.permutation(400))
    assert kinds(check(data)) == ["copies-but-for-number", "numbered-rows"]


def test_a_column_that_is_constant_in_training_is_told(opened, tmp_path):
    x, y = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 2
    x[:, 1] = np.arange(200) == 199
    concern = only(check(parted(tmp_path, opened, x, y, 50)))
    assert (concern.kind, concern.where) == ("constant-columns", ("x1",))


def test_rows_copied_with_a_little_noise_are_told(opened, tmp_path):
    numbers = np.random.default_rng(0)
    x, y = numbers.normal(size=(400, 6)), np.arange(400) % 2
    x[320:340] = x[:20] + numbers.uniform(-3e-4, 3e-4, (20, 6))
    concern = only(check(parted(tmp_path, opened, x, y, 100)))
    assert concern.kind == "nearly-same-rows-across-parts"
    assert "20 of 100" in concern.en


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_crowded_rows_are_not_copies(opened, tmp_path, columns):
    x = np.random.default_rng(0).normal(size=(20_000, columns))
    assert check(parted(tmp_path, opened, x, np.arange(20_000) % 2, 5_000)) == ()


# drift


def test_brighter_test_images_are_told(opened, tmp_path):
    x, y = scenes(400), np.arange(400) % 3
    x[300:] = np.clip(x[300:].astype(int) + 20, 0, 255)
    concern = only(check(parted(tmp_path, opened, x, y, 100)))
    assert concern.kind == "test-part-differs"
    assert "brightness" in concern.where


def test_a_shifted_column_is_told(opened, tmp_path):
    x, y = np.random.default_rng(0).normal(size=(1000, 4)), np.arange(1000) % 2
    x[700:, 2] += 0.5
    concern = only(check(parted(tmp_path, opened, x, y, 300)))
    assert (concern.kind, concern.where) == ("test-part-differs", ("x2",))


def test_rougher_sequences_are_told(opened, tmp_path):
    x = np.random.default_rng(0).normal(size=(400, 12, 2)).cumsum(axis=1)
    x[300:, :, 1] += np.random.default_rng(1).normal(0, 3, (100, 12))
    concern = only(check(parted(tmp_path, opened, x, np.arange(400) % 2, 100)))
    assert concern.kind == "test-part-differs"
    assert "roughness of channel 1" in concern.where


def test_patients_that_differ_are_not_taken_for_drift(tmp_path):
    """Sixty visits of each of twenty patients, who differ: which are tested is chance."""
    numbers = np.random.default_rng(0)
    patient = np.arange(1200) % 20
    x = numbers.normal(size=(20, 3))[patient] + 0.1 * numbers.normal(size=(1200, 3))
    y = numbers.integers(0, 2, 1200)
    for seed in range(5):
        assert check(load_arrays(x, y, folder=tmp_path, group=patient, seed=seed)) == ()


def test_other_class_shares_in_the_test_part_are_told(opened, tmp_path):
    x = np.random.default_rng(0).normal(size=(1000, 4))
    y = np.where(np.arange(1000) < 700, np.arange(1000) % 2, np.arange(1000) % 5 == 0)
    assert kinds(check(parted(tmp_path, opened, x, y, 300))) == ["class-shares-differ"]


# all


def test_the_gravest_comes_first(opened, tmp_path):
    x, y = scenes(300), np.arange(300) % 3
    x[1] = x[0]
    x[240:250] = [noisy(image) for image in x[10:20]]
    found = [c.severity for c in check(parted(tmp_path, opened, x, y, 60))]
    assert found == ["warning", "note"]


@pytest.mark.parametrize("shape", [(60, 1, 1), (60, 1, 5), (60, 2, 2, 3), (60, 3, 40, 3)])
def test_odd_images_are_checked_without_a_fault(tmp_path, shape):
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    check(load_arrays(x, np.arange(60) % 2, folder=tmp_path, task="image-classification"))
