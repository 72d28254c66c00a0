"""Which opponents take part, how they are judged, and what the report says of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assay.compare.baselines import (
    against_baselines,
    baseline_specs,
    baselines_for,
    label,
    modules,
    on_what_they_learned,
    verdict_on_baselines,
)
from assay.compare.result import PairVerdict
from assay.data.dataset import Dataset
from assay.engine.budget import parse_budget
from assay.engine.classical import METHODS

CLASSES = tuple("abcdefghij")


def dataset(task: str, inputs: tuple[int, ...], *, train=1000, test=400) -> Dataset:
    total = train + 200 + test
    places = np.arange(total)
    tokens = task.startswith(("text", "token")) or task.endswith("language-modeling")
    return Dataset(
        folder=Path(),
        name="made",
        source="made",
        task=task,
        inputs=inputs,
        classes=() if task.endswith("regression") else CLASSES,
        preprocessing={},
        content_hash="c",
        split_hash="s",
        split_seed=0,
        x=np.ones((total if tokens else 0, inputs[0]), np.int32),
        y=np.zeros(total, np.int64),
        train=places[:train],
        val=places[train : train + 200],
        test=places[train + 200 :],
    )


def names(candidates):
    return [c.name.removeprefix("baseline:") for c in candidates]


LINEAR = ["majority", "logistic_regression", "linear_svm", "rbf_svm", "nearest_neighbours"]
SMALL = dataset("image-classification", (1, 8, 8))
LARGE = dataset("image-classification", (1, 28, 28), train=51_000, test=10_000)


def test_each_task_has_its_opponents():
    assert names(baselines_for(SMALL)) == LINEAR
    assert names(baselines_for(dataset("sequence-classification", (20, 3)))) == LINEAR
    table = dataset("tabular-classification", (5,), train=300)
    assert names(baselines_for(table)) == [*LINEAR, "gradient_boosting"]
    assert names(baselines_for(dataset("tabular-regression", (5,)))) == [
        "mean",
        "least_squares",
        "nearest_neighbours",
        "gradient_boosting",
    ]


@pytest.mark.parametrize(
    ("task", "inputs", "expected"),
    [
        ("text-classification", (64, 5000), ["majority", "tfidf"]),
        ("token-classification", (64, 5000), ["majority", "frequent_tag"]),
        ("language-modeling", (64, 5000), ["unigram", "bigram", "ngram"]),
        ("masked-language-modeling", (64, 5000), ["unigram", "between"]),
        ("text-to-text", (64, 5000), ["frequent_answer", "nearest_answer"]),
        ("sequence-regression", (20, 3), ["mean", "least_squares", "nearest_neighbours"]),
        ("forecasting", (20, 3), ["least_squares", "last_value", "seasonal_naive"]),
    ],
)
def test_text_and_series_have_opponents_that_learn_from_all(
    task: str, inputs: tuple[int, ...], expected: list[str]
):
    data = dataset(task, inputs)
    if task == "forecasting":
        data = replace(
            data, y=np.zeros((len(data.y), 12)), preprocessing={"season": 7, "steps": 20}
        )
    specs = baseline_specs(data)
    assert names(spec.candidate for spec in specs) == expected
    assert {(spec.steps, *spec.candidate.adaptation) for spec in specs} <= {(1000,)}


@pytest.mark.parametrize(("season", "steps"), [(1, 20), (21, 20)])
def test_a_season_that_no_window_holds_is_no_second_last_value(season: int, steps: int):
    data = replace(
        dataset("forecasting", (steps, 3)),
        y=np.zeros((1600, 12)),
        preprocessing={"season": season, "steps": steps},
    )
    specs = baseline_specs(data)
    assert names(spec.candidate for spec in specs) == ["least_squares", "last_value"]
    assert on_what_they_learned(specs, data) == ()


def test_padding_costs_no_time():
    """Texts of 1,200 tokens take too long to learn from; not so if all but 20 are padding."""
    data = dataset("text-classification", (1200, 5000))
    short = data.x.copy()
    short[:, 20:] = 0
    assert names(baselines_for(data)) == ["majority"]
    specs = baseline_specs(replace(data, x=short))
    assert [spec.steps for spec in specs] == [1000, 1000]


def test_a_trial_of_an_opponent_is_planned_the_same_each_time():
    specs = baseline_specs(SMALL, parse_budget("auto"))
    assert specs == baseline_specs(SMALL, parse_budget("auto"))
    assert len({spec.hash for spec in specs}) == len(specs)
    assert {(s.seed, s.evaluations, s.patience, s.steps, s.candidate.family) for s in specs} == {
        (0, 1, None, 1000, "baseline")
    }
    assert on_what_they_learned(specs, SMALL) == ()


@pytest.mark.parametrize("budget", [None, "auto", "1s", "3steps"])
def test_no_opponent_is_given_more_than_two_seconds_or_the_budget(budget: str | None):
    from assay.compare.baselines import _sizes

    given = parse_budget(budget) if budget else None
    for spec in baseline_specs(LARGE, given):
        method = METHODS[spec.candidate.name]
        if method.seconds:
            seconds = method.seconds(replace(_sizes(LARGE), train=spec.steps))
            assert 0 < seconds <= (1.0 if budget == "1s" else 2.0)
            assert 200 < spec.steps < 51_000


def test_the_reader_is_told_who_learned_from_a_part():
    specs = baseline_specs(LARGE)
    counts = {s.candidate.name: f"{s.steps:,}" for s in specs}
    (note,) = on_what_they_learned(specs, LARGE)
    assert note.en == (
        "To take seconds only, some simple opponents learned from a part of the 51,000 training "
        f"examples: logistic regression {counts['baseline:logistic_regression']}, "
        f"linear SVM {counts['baseline:linear_svm']}, RBF SVM {counts['baseline:rbf_svm']}, "
        f"nearest neighbours {counts['baseline:nearest_neighbours']}; "
        "with all of them they may do better."
    )
    assert note.zh.startswith(
        "为使用时不超过数秒，部分简单对手只用了 51,000 个训练样本中的一部分："
    )
    seen = next(s.candidate for s in specs if s.candidate.name == "baseline:rbf_svm").adaptation
    assert seen["en"] == (f"Learned from {counts['baseline:rbf_svm']} of 51,000 training examples.")


def test_an_opponent_that_would_take_too_long_is_left_out_and_named():
    huge = dataset("image-classification", (3, 64, 64), train=5000, test=400_000)
    specs = baseline_specs(huge)
    assert names(s.candidate for s in specs) == ["majority", "logistic_regression", "linear_svm"]
    cut, out = on_what_they_learned(specs, huge)
    assert cut.kind == "baselines-cut"
    assert out.en == (
        "Some simple opponents would take more than seconds on these data and were left out: "
        "RBF SVM, nearest neighbours."
    )
    assert out.zh == "部分简单对手在此数据上用时会超过数秒，未参加比较：高斯核支持向量机、最近邻。"
    assert "averaged down to 3×32×32" in specs[1].candidate.adaptation["en"]


def test_names_for_people_and_what_to_import():
    assert label("baseline:majority", "en") == "the most frequent class"
    assert label("baseline:majority", "zh") == "多数类"
    assert label("resnet18", "zh") == "resnet18"
    assert modules(baselines_for(SMALL)) == (
        "sklearn.linear_model",
        "sklearn.neighbors",
        "sklearn.svm",
    )


def right(share: float, rows: int = 3, count: int = 400, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((rows, count)) < share).astype(float)


def test_the_family_is_networks_against_opponents():
    networks = {"good": right(0.9, seed=1), "poor": right(0.55, seed=2)}
    baselines = {"baseline:rbf_svm": right(0.7, 1, seed=3), "baseline:majority": right(0.1, 1)}
    found = against_baselines(networks, baselines)
    assert [(v.a, v.b, v.verdict) for v in found] == [
        ("good", "baseline:rbf_svm", "better"),
        ("good", "baseline:majority", "better"),
        ("poor", "baseline:rbf_svm", "worse"),
        ("poor", "baseline:majority", "better"),
    ]
    ps = sorted(v.p for v in found)
    assert sorted(v.p_holm for v in found) == pytest.approx(
        np.maximum.accumulate([p * (4 - i) for i, p in enumerate(ps)])
    )
    assert any(v.p_holm > v.p for v in found)
    loose = against_baselines(networks, baselines, correction="none")
    assert all(v.p == v.p_holm for v in loose)


def test_an_opponent_has_no_spread_over_seeds():
    """Its row taken for one of many seeds would borrow the network's spread."""
    spread = np.stack([right(share, 1, seed=i)[0] for i, share in enumerate((0.6, 0.75, 0.9))])
    (fixed,) = against_baselines({"net": spread}, {"baseline:rbf_svm": right(0.7, 1, seed=9)})
    from assay.compare.statistics import paired_test

    borrowed = paired_test(spread, right(0.7, 1, seed=9))
    assert fixed.high - fixed.low < borrowed.high - borrowed.low


NETS = ("resnet18", "mlp", "gru")
OPPONENTS = ("baseline:rbf_svm", "baseline:majority")


def pair(a: str, b: str, verdict: str) -> PairVerdict:
    facts = {"difference": 0.1, "low": 0.0, "high": 0.2, "p": 0.01, "p_holm": 0.02}
    return PairVerdict(a=a, b=b, verdict=verdict, better=0.9, loss=0.01, **facts)


def verdicts(worse: dict):
    return [pair(n, b, worse.get((n, b), "better")) for n in NETS for b in OPPONENTS]


def test_networks_that_beat_every_opponent_are_named():
    found = verdict_on_baselines(verdicts({}), NETS, OPPONENTS)
    assert found.severity == "note"
    assert found.en == (
        "resnet18, mlp and gru beat every simple opponent, the best of which is RBF SVM."
    )
    assert found.zh == "resnet18、mlp、gru 胜过所有简单对手（其中最好的是高斯核支持向量机）。"
    some = verdicts({("gru", "baseline:rbf_svm"): "not distinguishable"})
    found = verdict_on_baselines([v for v in some if v.a != "mlp"], NETS, OPPONENTS)
    assert found.en == (
        "resnet18 beats every simple opponent, the best of which is RBF SVM; "
        "not shown to: mlp and gru."
    )


def test_that_nothing_deep_beats_them_is_a_warning():
    even = {(n, "baseline:rbf_svm"): "not distinguishable" for n in NETS}
    found = verdict_on_baselines(verdicts(even), NETS, OPPONENTS)
    assert (found.severity, found.where) == ("warning", ("resnet18", "baseline:rbf_svm"))
    assert found.en == (
        "No network has been shown to beat every simple opponent: the best of them, resnet18, "
        "cannot be told apart from RBF SVM, so use RBF SVM or give the networks more data or a "
        "larger budget."
    )
    assert found.zh == (
        "没有网络被证明胜过所有简单对手：其中最好的 resnet18 与高斯核支持向量机无法区分；"
        "请直接使用高斯核支持向量机，或给网络更多数据、更大预算。"
    )
    worse = {(n, "baseline:rbf_svm"): "worse" for n in NETS}
    found = verdict_on_baselines(verdicts(worse), NETS, OPPONENTS)
    assert "resnet18, is worse than RBF SVM" in found.en
    assert verdict_on_baselines([], NETS, ()) is None
