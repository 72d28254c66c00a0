"""A shipped model answers as the trial that trained it did, whatever form the examples come in."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from ship_models import Trained

from assay.data.dataset import Dataset
from assay.engine.outcome import read_outcome
from assay.errors import BadArgumentError, DataError
from assay.ship.load import load
from assay.ship.predictor import Predictor

MODELS = ["image_model", "regressor", "row_model", "sequence_model"]


@pytest.fixture(params=MODELS)
def any_model(request: pytest.FixtureRequest) -> Trained:
    return request.getfixturevalue(request.param)


def test_the_shipped_model_repeats_the_test_predictions_of_its_trial(any_model: Trained):
    measured = read_outcome(any_model.trial / "outcome.parquet", "test")
    dataset = any_model.dataset
    scores = load(any_model.folder).score(dataset.x[dataset.test])
    np.testing.assert_allclose(scores, measured.predicted, rtol=1e-5, atol=1e-6)
    assert len(np.unique(scores, axis=0)) > 1  # all-equal answers would prove nothing


def test_image_files_are_encoded_as_they_were_for_training(image_model: Trained, photos: Path):
    dataset, predictor = image_model.dataset, load(image_model.folder)
    paths = [photos / name for name in dataset.ids]
    np.testing.assert_array_equal(predictor.encode(paths), dataset.x)


def test_table_rows_are_encoded_as_they_were_for_training(regressor: Trained, table: Path):
    dataset, predictor = regressor.dataset, load(regressor.folder)
    np.testing.assert_array_equal(predictor.encode(pd.read_csv(table)), dataset.x)


def test_a_regression_answers_in_the_targets_own_unit(regressor: Trained, table: Path):
    frame = pd.read_csv(table)
    values = load(regressor.folder).predict(frame)
    assert abs(values.mean() - frame["price"].mean()) < 0.5 * frame["price"].std()


def test_an_image_may_be_a_path_a_picture_or_an_array(image_model: Trained, photos: Path):
    predictor = load(image_model.folder)
    path = photos / "light" / "01.png"
    pixels = predictor.encode(path)  # (1, C, H, W)
    alone = pixels[0]
    with Image.open(path) as picture:
        forms = [
            str(path),
            [path],
            picture,
            [picture, picture],
            pixels,
            alone,
            np.moveaxis(alone, 0, 2),
            np.moveaxis(alone, 0, 2)[None],
        ]
        answers = [predictor.predict_proba(form) for form in forms]
    for answer in answers:
        np.testing.assert_allclose(answer[:1], answers[0], rtol=1e-5)
    assert [len(answer) for answer in answers] == [1, 1, 1, 2, 1, 1, 1, 1]


def test_a_picture_stored_on_its_side_is_turned_like_its_file(image_model: Trained, tmp_path: Path):
    path, predictor = tmp_path / "turned.jpg", load(image_model.folder)
    half = np.zeros((12, 12, 3), np.uint8)
    half[:6] = 255
    Image.fromarray(half).save(path, exif=_on_its_side())
    with Image.open(path) as picture:
        np.testing.assert_array_equal(predictor.encode(picture), predictor.encode(path))
        assert predictor.encode(path)[0, 0, :, 0].std() < 10  # white and black lie side by side


def _on_its_side() -> Image.Exif:
    facts = Image.Exif()
    facts[0x0112] = 6
    return facts


def test_a_row_may_be_a_frame_a_dictionary_or_numbers(row_model: Trained):
    predictor = load(row_model.folder)
    row = [0.3, -1.0, 2.0]
    named = dict(zip(["x0", "x1", "x2"], row, strict=True))
    forms = [np.array([row]), np.array(row), row, [row], named, [named], pd.DataFrame([named])]
    answers = [predictor.predict_proba(form) for form in forms]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])


def test_a_sequence_may_be_given_alone(sequence_model: Trained):
    predictor, x = load(sequence_model.folder), np.random.default_rng(1).normal(size=(2, 6, 4))
    both, first = predictor.predict_proba(x), predictor.predict_proba(x[0])
    np.testing.assert_allclose(both[:1], first, rtol=1e-5)


def test_labels_are_the_classes_with_the_largest_probability(image_model: Trained, photos: Path):
    predictor = load(image_model.folder)
    assert predictor.classes == ("dark", "light")
    assert predictor.predict(photos / "dark" / "00.png").tolist() == ["dark"]
    assert predictor.predict(photos / "light" / "00.png").tolist() == ["light"]
    assert predictor.predict_proba([]).shape == (0, 2)


def test_many_examples_are_scored_like_few(row_model: Trained):
    predictor = load(row_model.folder)
    x = np.random.default_rng(2).normal(size=(600, 3))  # more than one batch
    np.testing.assert_allclose(predictor.predict_proba(x)[599:], predictor.predict_proba(x[599:]))


@pytest.fixture(scope="session")
def deep_regressor(
    train: Callable[[str, Dataset], Trained], regressor: Trained
) -> tuple[Predictor, np.ndarray]:
    """Large enough for the matrix product to change its way with the number of rows."""
    predictor = load(train("mlp", regressor.dataset).folder)
    return predictor, np.repeat(regressor.dataset.x, 2, axis=0)


@pytest.mark.parametrize("count", [1, 2, 7, 63, 65, 130])
def test_a_rows_answer_does_not_depend_on_the_rows_beside_it(
    deep_regressor: tuple[Predictor, np.ndarray], count: int
):
    predictor, x = deep_regressor
    np.testing.assert_array_equal(predictor.score(x[:count]), predictor.score(x)[:count])
    np.testing.assert_array_equal(predictor.score(x[::-1]), predictor.score(x)[::-1])


def test_predicting_leaves_the_callers_random_numbers_alone(image_model: Trained, photos: Path):
    before = torch.random.get_rng_state()
    load(image_model.folder).predict(photos / "dark" / "00.png")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_saved_copy_is_the_same_model(row_model: Trained, tmp_path: Path):
    predictor, x = load(row_model.folder), np.eye(3)
    copy = load(predictor.save(tmp_path / "copy"))
    np.testing.assert_array_equal(copy.predict_proba(x), predictor.predict_proba(x))
    assert copy.artifact.card["id"] == "softmax-regression"
    assert copy.artifact.facts == predictor.artifact.facts


def test_a_predictor_survives_a_trip_to_another_process(row_model: Trained):
    predictor = load(row_model.folder)
    copy = pickle.loads(pickle.dumps(predictor))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copy.predict(np.eye(3)), predictor.predict(np.eye(3)))


def test_values_have_no_probabilities(regressor: Trained):
    with pytest.raises(BadArgumentError) as caught:
        load(regressor.folder).predict_proba([[1, 2, "Ulm"]])
    assert str(caught.value) == (
        "`predict_proba` is for models with one label for each example. This model gives values "
        "(softmax_regression, tabular-regression); use `predict`."
    )


@pytest.mark.parametrize(
    ("model", "given", "text"),
    [
        (
            "image_model",
            {"area": 1},
            "This model reads images: paths, PIL images, or arrays (N, H, W), (N, H, W, C) or "
            "(N, C, H, W). Received dict {'area': 1}; convert it.",
        ),
        (
            "image_model",
            7,
            "Images must be (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels. "
            "Received shape (); reorder or convert them.",
        ),
        (
            "row_model",
            "rows.csv",
            "This model reads rows: a DataFrame, dictionaries, or an array (N, columns). "
            "Received str 'rows.csv'; convert it.",
        ),
        (
            "row_model",
            [[1.0], [2.0, 3.0]],
            "This model reads rows: a DataFrame, dictionaries, or an array (N, columns). "
            "Received list [[1.0], [2.0, 3.0]]; convert it.",
        ),
        (
            "row_model",
            np.zeros((2, 4)),
            "Rows must be (N, 3) as in training. Received shape (2, 4); give the same columns in "
            "the same order.",
        ),
        (
            "row_model",
            [{"x0": 1.0}],
            "Rows must have the columns of training. Missing: 'x1', 'x2'; add them, empty where "
            "unknown.",
        ),
        (
            "sequence_model",
            "x.npy",
            "This model reads sequences: arrays (N, T, F). Received str 'x.npy'; convert it.",
        ),
    ],
)
def test_what_a_model_cannot_read_is_refused_in_one_sentence(
    model: str, given: object, text: str, request: pytest.FixtureRequest
):
    predictor = load(request.getfixturevalue(model).folder)
    with pytest.raises((BadArgumentError, DataError)) as caught:
        predictor.predict(given)
    assert str(caught.value) == text
