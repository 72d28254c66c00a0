"""Several divisions of the data: each a study, joined by the corrected test."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assay.compare.request import Request
from assay.compare.resampling import resampled_test
from assay.compare.result import StudyResult
from assay.compare.splits import judge_splits
from assay.compare.study import Study
from assay.errors import BadArgumentError
from assay.ship.load import load
from assay.store.store import Store

SHORT = {"models": ["softmax_regression", "mlp"], "budget": "60steps", "seeds": 1, "splits": 3}
SHORT |= {"evaluations": 2, "autotune": False, "baselines": False, "workers": 0}


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, StudyResult, Path]:
    home = tmp_path_factory.mktemp("splits")
    study = Study("digits", store=home, **SHORT)
    return study, study.run(), home


def parts(home: Path) -> list[StudyResult]:
    one = {**SHORT, "splits": 1}
    return [Study("digits", store=home, split_seed=i, **one).run() for i in range(3)]


def test_scores_are_means_over_the_divisions_with_the_corrected_interval(joined):
    _, result, home = joined
    of_each = parts(home)
    assert len({part.data["split_hash"] for part in of_each}) == 3
    for row in result.candidates:
        means = [next(c.score.mean for c in p.candidates if c.name == row.name) for p in of_each]
        sizes = of_each[0].data["sizes"]
        share = sizes["test"] / (sizes["test"] + sizes["train"])
        test = resampled_test(means, np.zeros(3), test_share=share)
        assert row.score.mean == pytest.approx(np.mean(means))
        assert (row.score.low, row.score.high) == pytest.approx((test.low, test.high))
        assert len(row.seeds) == 3
    assert result.trials_run == 6


def test_a_joined_study_is_on_record_with_report_and_winner(joined):
    study, result, home = joined
    with Store.open(home, readonly=True) as store:
        assert store.study(study.id).status == "finished"
        assert store.study(study.id).finished == 6
        entered = [entry.id for entry in store.studies()]
        assert [*store.study(study.id).data["parts"], study.id] == entered
    assert study.report.is_file()
    assert load(study.folder).classes == tuple(result.data["classes"])
    again = Study.again(study.id, store=str(home)).run()
    assert (again.id, again.trials_run) == (study.id, 0)
    assert again.candidates == result.candidates


def test_a_verdict_needs_more_than_a_difference_on_every_division():
    close = {"a": [0.90, 0.92, 0.91], "b": [0.89, 0.915, 0.90]}
    clear = {"a": [0.90, 0.92, 0.91], "b": [0.60, 0.61, 0.61]}
    assert [v.verdict for v in judge_splits(close, test_share=0.25)] == ["not distinguishable"]
    assert [v.verdict for v in judge_splits(clear, test_share=0.25)] == ["better"]
    worse = judge_splits(clear, test_share=0.25, higher_is_better=False)
    assert [v.verdict for v in worse] == ["worse"]


def test_data_with_a_test_part_of_their_own_cannot_be_divided_anew(tmp_path: Path):
    rng = np.random.default_rng(0)
    rows = {f"{kind}_{part}": None for kind in "xy" for part in ("train", "test")}
    for part, count in (("train", 60), ("test", 30)):
        rows[f"x_{part}"] = rng.normal(size=(count, 5)).astype(np.float32)
        rows[f"y_{part}"] = np.arange(count) % 3
    np.savez(tmp_path / "given.npz", **rows)
    study = Study(tmp_path / "given.npz", store=tmp_path / "s", **SHORT)
    with pytest.raises(BadArgumentError) as caught:
        study.run()
    assert str(caught.value) == (
        "`splits` needs data that can be divided anew. Received splits=3 for given, whose test "
        "part is given; leave --splits out."
    )


def test_each_division_is_asked_for_by_its_seed():
    asked = Request(data="digits", splits=3, split_seed=5)
    assert replace(asked, splits=1, split_seed=6).command() == (
        "assay compare digits --split-seed 6"
    )
