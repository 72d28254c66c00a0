"""The file of a trial's answers: what goes in comes out, and damage is noticed."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from assay.engine.outcome import Answers, read_outcome, read_predicted, write_outcome
from assay.errors import StoreError

RANDOM = np.random.default_rng(0)


def answers(count: int, classes: int = 3) -> Answers:
    return Answers(
        example=np.sort(RANDOM.permutation(10 * count)[:count]),
        truth=RANDOM.integers(classes, size=count),
        predicted=RANDOM.dirichlet(np.ones(classes), size=count).astype(np.float32),
    )


def values(count: int) -> Answers:
    return Answers(
        example=np.arange(count),
        truth=RANDOM.normal(size=count).astype(np.float32),
        predicted=RANDOM.normal(size=count).astype(np.float32),
    )


def test_every_part_is_read_as_it_was_written(tmp_path: Path):
    path = tmp_path / "outcome.parquet"
    for parts in (
        {"val": answers(7), "test": answers(2000)},
        {"val": values(5), "test": values(3)},
        {"val": answers(4)},
    ):
        write_outcome(path, parts, {"hash": "h"})
        for part, given in parts.items():
            found = read_outcome(path, part)
            for name in ("example", "truth", "predicted"):
                np.testing.assert_array_equal(getattr(found, name), getattr(given, name))
            assert found.predicted.dtype == np.float32
            labels = given.predicted.argmax(1) if given.predicted.ndim > 1 else given.predicted
            np.testing.assert_array_equal(read_predicted(path, part), labels)


def test_forecasts_and_sums_are_read_as_they_were_written(tmp_path: Path):
    path = tmp_path / "outcome.parquet"
    draw = RANDOM.normal(size=(6, 5)).astype(np.float32)
    forecast = Answers(example=np.arange(6), truth=draw, predicted=draw[:, :4] + 1)
    write_outcome(path, {"val": forecast}, {"hash": "h"}, "values")
    found = read_outcome(path, "val")
    np.testing.assert_array_equal(found.truth, forecast.truth)
    np.testing.assert_array_equal(found.predicted, forecast.predicted)
    np.testing.assert_array_equal(read_predicted(path, "val"), forecast.predicted)
    for form in ("labels", "tokens"):
        write_outcome(path, {"val": forecast}, {"hash": "h"}, form)
        found = read_outcome(path, "val")
        np.testing.assert_array_equal(found.predicted, forecast.predicted)
        assert found.truth.tolist() == [0] * 6
        np.testing.assert_array_equal(read_predicted(path, "val"), forecast.predicted)


def test_any_program_can_read_it(tmp_path: Path):
    given = answers(3)
    write_outcome(tmp_path / "outcome.parquet", {"val": given, "test": given}, {"hash": "h"})
    table = pq.read_table(tmp_path / "outcome.parquet")
    assert table.schema.names == ["part", "example", "truth", "label", "probabilities"]
    assert str(table.schema.field("probabilities").type).startswith("fixed_size_list<")
    assert table["part"].to_pylist() == ["val"] * 3 + ["test"] * 3
    assert table["probabilities"].to_pylist()[1] == given.predicted[1].tolist()


def test_the_same_answers_are_the_same_bytes(tmp_path: Path):
    given = answers(50)
    for name in ("a", "b"):
        write_outcome(tmp_path / name, {"test": given}, {"hash": "h"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_part_that_is_not_there_is_a_value_error(tmp_path: Path):
    write_outcome(tmp_path / "o", {"val": answers(3)}, {})
    with pytest.raises(ValueError, match="'test' is not in list"):
        read_outcome(tmp_path / "o", "test")


def test_no_cut_and_no_changed_byte_of_the_answers_goes_unnoticed(tmp_path: Path):
    given = answers(300)
    path = tmp_path / "o"
    write_outcome(path, {"test": given}, {"hash": "h"})
    whole = path.read_bytes()
    for size in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="not the outcome of a trial"):
            read_outcome(path, "test")
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = read_outcome(path, "test")
        except ValueError:
            continue
        np.testing.assert_array_equal(found.predicted, given.predicted)
        np.testing.assert_array_equal(found.truth, given.truth)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(StoreError, match="Cannot write .*gone/o"):
        write_outcome(tmp_path / "gone" / "o", {"test": answers(2)}, {})
