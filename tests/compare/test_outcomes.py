"""Finished trials become tables for any metric, without training."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from assay.compare.outcomes import constant_metric, read_outcomes, read_predicted, score_table
from assay.data.concern import Concern
from assay.engine.outcome import Answers, write_outcome
from assay.errors import BadArgumentError, StoreError
from assay.metrics import METRICS, metric_for

TRUTH = np.array([0, 1, 2, 2])
PROBS = np.array([[0.5, 0.4, 0.1], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]], np.float32)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / str(seed) for seed in range(2)]
    for seed, folder in enumerate(made):
        folder.mkdir()
        answers = Answers(example=np.arange(4), truth=TRUTH, predicted=np.roll(PROBS, seed, axis=1))
        write_outcome(folder / "outcome.parquet", {"test": answers}, {"hash": "h"})
    return made


def test_a_row_of_labels_for_each_trial(folders: list[Path]):
    assert read_predicted(folders).tolist() == [[0, 1, 2, 0], [1, 2, 0, 1]]
    assert read_predicted([]).shape == (0, 0)


def test_probabilities_are_kept(folders: list[Path]):
    found = read_outcomes(folders)
    np.testing.assert_array_equal(found[0].predicted, PROBS)
    assert found[1].truth.tolist() == TRUTH.tolist()


def test_a_table_holds_seeds_by_examples_and_larger_is_better(folders: list[Path]):
    table = score_table(folders, METRICS["accuracy"])
    assert table.tolist() == [[1, 1, 1, 0], [0, 0, 0, 0]]
    table = score_table(folders, METRICS["log-loss"])
    np.testing.assert_allclose(table[0], np.log(PROBS[np.arange(4), TRUTH]), rtol=1e-6)
    means = score_table(folders, METRICS["macro-f1"]).mean(axis=1)
    expected = [METRICS["macro-f1"].of(np.roll(PROBS, s, axis=1), TRUTH) for s in range(2)]
    assert means == pytest.approx(expected)
    assert score_table([], METRICS["accuracy"]).shape == (0, 0)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "No such file or directory"),
        (lambda path: path.write_bytes(b"not parquet at all"), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "damaged"),
    ],
    ids=["missing", "other", "cut"],
)
def test_a_damaged_file_is_named(folders: list[Path], damage, reason: str):
    damage(folders[0] / "outcome.parquet")
    with pytest.raises(StoreError) as caught:
        read_predicted(folders)
    assert str(caught.value) == (
        "A finished trial keeps its predictions in outcome.parquet. "
        f"{folders[0]}/outcome.parquet cannot be read ({reason}); remove the folder {folders[0]} "
        "and run the same command again."
    )


def test_a_metric_that_is_not_defined_here_is_one_sentence(tmp_path: Path):
    answers = Answers(example=np.arange(2), truth=np.array([1, 1]), predicted=PROBS[:2])
    write_outcome(tmp_path / "outcome.parquet", {"test": answers}, {})
    with pytest.raises(BadArgumentError) as caught:
        score_table([tmp_path], METRICS["auroc"])
    assert str(caught.value) == (
        "`metric` must be finite on the predictions it judges. AUROC is not, for 2 examples; "
        "choose another with --metric."
    )


def test_a_metric_that_is_the_same_for_all_is_noticed(folders: list[Path]):
    metric = metric_for("top-3", "image-classification")
    tables = {name: score_table(folders, metric) for name in ("a", "b")}
    assert constant_metric(metric, tables) == Concern(
        kind="constant-metric",
        severity="warning",
        en="Top-3 accuracy is 1 for every trial of every candidate, so it cannot tell them apart; "
        "choose another with --metric.",
        zh="所有候选模型的每次试验中，前 3 准确率都是 1，无法区分它们；请用 --metric 换一个指标。",
    )
    assert constant_metric(metric, {"a": tables["a"]}) is None
    metric = METRICS["accuracy"]
    tables = {name: score_table(folders, metric) for name in ("a", "b")}
    assert constant_metric(metric, tables) is None


def test_any_metric_is_computed_without_torch_and_scikit_learn(folders: list[Path]):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from assay.compare.outcomes import score_table\nfrom assay.metrics import metrics_of\n"
        "for metric in metrics_of('image-classification').values():\n"
        "    score_table([Path(sys.argv[1])], metric)\n"
        "assert not {'torch', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folders[0])], check=True)
