"""Records and predictions become rows, confusion counts and hard examples."""

import base64
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.compare.findings import Trained, hardest, rank, score_tables
from assay.data.dataset import Dataset
from assay.data.tokenizer import train_tokenizer
from assay.engine.spec import Candidate, TrialRecord
from assay.metrics import METRICS


def dataset(y, *, classes=("cat", "dog"), inputs=(1, 2, 2), ids=()) -> Dataset:
    y = np.asarray(y)
    x = np.arange(len(y) * math.prod(inputs), dtype=np.uint8).reshape(len(y), *inputs)
    return Dataset(
        folder=Path(),
        name="pets",
        source="pets",
        task="image-classification" if classes else "tabular-regression",
        inputs=inputs,
        classes=classes,
        preprocessing={},
        content_hash="c",
        split_hash="s",
        split_seed=0,
        x=x,
        y=y,
        train=np.array([0]),
        val=np.array([1]),
        test=np.arange(2, len(y)),
        ids=ids,
    )


def trained(name, predicted, truth=(0, 0, 1, 1), *, failed=0, failure="") -> Trained:
    predicted = np.asarray(predicted)
    right = (predicted == np.asarray(truth)).astype(float) if len(predicted) else predicted
    records = [
        TrialRecord(
            hash=f"{name}{seed}",
            candidate=name,
            seed=seed,
            status="finished",
            metrics={"test_accuracy": 0.5 + seed, "val_accuracy": 0.25},
            train_seconds=2.0 + seed,
            samples_per_second=10.0,
        )
        for seed in range(len(predicted))
    ]
    records += [
        TrialRecord(hash="f", candidate=name, seed=9, status="failed", reason="diverged at step 3")
        for _ in range(failed)
    ]
    return Trained(
        candidate=Candidate(name=name, digest="d", family="cnn"),
        specs=(),
        records=tuple(records),
        predicted=predicted,
        scores=right,
        cost=None,
        failure=failure,
    )


def in_error(name, predicted) -> Trained:
    """Of values whose truth is 1 and 2, scored by the root mean square error."""
    rows = [METRICS["rmse"].per_example(np.array(r), np.array([1.0, 2.0])) for r in predicted]
    return replace(trained(name, predicted, truth=(1.0, 2.0)), scores=-np.array(rows))


ACCURACY, RMSE = METRICS["accuracy"], METRICS["rmse"]
DATA = dataset([0, 1, 0, 0, 1, 1])  # the test part is 0 0 1 1
GOOD = trained("good", [[0, 0, 1, 1], [0, 0, 1, 0]])
POOR = trained("poor", [[1, 1, 1, 0]])
BROKEN = trained("broken", np.empty((0, 0)), failed=2)
UNPLANNED = trained("alien", np.empty((0, 0)), failure="does not accept the shape")


def test_rows_are_ranked_by_mean_score_and_the_failed_come_last():
    rows = rank([BROKEN, POOR, UNPLANNED, GOOD], DATA, ACCURACY)
    assert [(r.rank, r.name) for r in rows] == [
        (1, "good"),
        (2, "poor"),
        (3, "alien"),
        (4, "broken"),
    ]
    assert [r.score.mean if r.score else None for r in rows] == [0.875, 0.25, None, None]


def test_smaller_errors_rank_first():
    data = dataset(np.array([0, 0, 1.0, 2.0]), classes=(), inputs=(3,))
    rows = rank([in_error("far", [[3.0, 4.0]]), in_error("near", [[1.0, 2.5]])], data, RMSE)
    assert [r.name for r in rows] == ["near", "far"]
    assert rows[0].score.mean == pytest.approx(math.sqrt(0.125))
    assert rows[1].score.mean == pytest.approx(2.0)
    assert rows[1].score.low <= 2.0 <= rows[1].score.high
    assert rows[0].confusion == ()


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("bleu", 0, 100), ("chrf", 0, 100), ("r2", -math.inf, 1), ("auroc", 0, 1), ("macro-f1", 0, 1)],
)
def test_no_interval_goes_beyond_what_the_metric_can_be(name: str, least: float, most: float):
    for high in (most, least):  # two seeds far apart, one at the limit
        if math.isfinite(high):
            table = np.array([[high] * 4, [(least if least > -9 else 0) / 2 + most / 2] * 4])
            (row,) = rank([replace(GOOD, scores=table)], DATA, METRICS[name])
            assert row.score is not None
            assert least <= row.score.low < row.score.mean < row.score.high <= most
            assert row.score.high == most or row.score.low == least


def test_no_error_is_below_zero():
    data = dataset(np.array([0, 0, 1.0, 2.0]), classes=(), inputs=(3,))
    (row,) = rank([in_error("near", [[1.0, 2.0], [1.5, 2.5]])], data, RMSE)
    assert row.score.low == 0 < row.score.mean < row.score.high


def test_a_row_holds_means_over_the_seeds_that_finished():
    (row,) = rank([trained("some", [[0, 0, 1, 1], [0, 0, 1, 1]], failed=1)], DATA, ACCURACY)
    assert row.metrics == {"test_accuracy": 1.0, "val_accuracy": 0.25}
    assert (row.train_seconds, row.samples_per_second) == (2.5, 10.0)
    assert [s.status for s in row.seeds] == ["finished", "finished", "failed"]
    assert row.seeds[2].reason == "diverged at step 3"
    assert math.isnan(row.seeds[2].score)


def test_confusion_counts_truth_by_prediction_over_all_seeds():
    (row,) = rank([GOOD], DATA, ACCURACY)
    assert row.confusion == ((4, 0), (1, 3))


def test_a_candidate_that_could_not_be_planned_says_why():
    (row,) = rank([UNPLANNED], DATA, ACCURACY)
    assert row.score is None
    assert [s.reason for s in row.seeds] == ["does not accept the shape"]


def test_the_score_of_a_seed_is_the_metric_in_its_own_direction():
    (row,) = rank([in_error("far", [[3.0, 4.0], [1.0, 3.0]])], dataset([0.0] * 4, classes=()), RMSE)
    assert [s.score for s in row.seeds] == pytest.approx([2.0, math.sqrt(0.5)])


def test_tables_are_of_those_that_finished():
    assert list(score_tables([GOOD, BROKEN])) == ["good"]


def test_the_hardest_examples_are_those_most_trials_got_wrong():
    data = dataset([0, 1, 0, 0, 1, 1], ids=tuple(f"{i}.png" for i in range(6)))
    found = hardest([GOOD, POOR, BROKEN], data)
    assert [(h.id, h.truth, h.predicted) for h in found] == [
        ("5.png", "dog", "cat"),
        ("2.png", "cat", "dog"),
        ("3.png", "cat", "dog"),
    ]
    assert [h.wrong for h in found] == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    image = Image.open(io.BytesIO(base64.b64decode(found[0].png)))
    assert np.array_equal(np.asarray(image), data.x[5, 0])


def test_a_hard_value_is_shown_with_its_mean_error():
    data = dataset(np.array([0, 0, 1.0, 2.0]), classes=(), inputs=(3,))
    (worst,) = hardest([in_error("near", [[1.0, 2.5], [1.0, 3.5]])], data)
    assert worst.id == "example 3"
    assert (worst.truth, worst.predicted, worst.wrong, worst.png) == ("2", "3", 1.0, "")


def test_nothing_is_hard_when_nothing_finished():
    assert hardest([BROKEN], DATA) == ()


def test_a_hard_text_shows_how_it_begins():
    tokenizer = train_tokenizer("char", ["abc \n"], vocabulary=20)
    x = np.stack([tokenizer.encode([text]).ids for text in ("abcabc", "bb\n cc", "abc\nba")])
    texts = replace(
        dataset([0, 1, 1]),
        task="text-classification",
        inputs=(6, 20),
        preprocessing={"kind": "tokens", "tokenizer": tokenizer.facts()},
        x=x,
        test=np.array([1, 2]),
        ids=("row 1", "row 2", "row 3"),
    )
    (hard, other) = hardest([trained("net", [[0, 0]], truth=(1, 1))], texts)
    assert (hard.id, other.id) == ("row 2: bb cc", "row 3: abc ba")


def test_a_hard_example_of_many_tokens_tells_the_share_that_is_wrong():
    sums = np.array([[[1.0, 3.0, 4.0], [9.0, 1.0, 4.0]]])  # nats, right, tokens
    tags = replace(dataset([0, 0, 0, 0]), task="language-modeling", classes=())
    tokenizer = train_tokenizer("char", ["ab"], vocabulary=9)
    x = np.stack([tokenizer.encode(["abab"]).ids] * 4)
    tags = replace(
        tags, x=x, inputs=(4, 9), preprocessing={"kind": "tokens", "tokenizer": tokenizer.facts()}
    )
    worst, best = hardest([replace(trained("net", [[0, 0, 0, 0]]), predicted=sums)], tags)
    assert (worst.wrong, best.wrong) == (0.75, 0.25)
    assert worst.id == "example 3: abab"
