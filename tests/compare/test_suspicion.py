"""Every fault that is planted is told, in one sentence; honest trials are left in peace."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assay.compare.findings import Trained
from assay.compare.result import PairVerdict
from assay.compare.suspicion import difference_above, suspicions, wilson
from assay.data.dataset import Dataset
from assay.engine.spec import Candidate, Point, TrialRecord

RANDOM = np.random.default_rng(0)
TEST, VAL = 400, 200


def dataset(*, regression: bool = False) -> Dataset:
    total = 600 + VAL + TEST
    y = RANDOM.integers(4, size=total)
    return Dataset(
        folder=Path(),
        name="made",
        source="made",
        task="tabular-regression" if regression else "tabular-classification",
        inputs=(5,),
        classes=() if regression else tuple("abcd"),
        preprocessing={},
        content_hash="c",
        split_hash="s",
        split_seed=0,
        x=np.empty((0, 5)),
        y=RANDOM.normal(50, 10, total).astype(np.float32) if regression else y,
        train=np.arange(600),
        val=np.arange(600, 600 + VAL),
        test=np.arange(600 + VAL, total),
    )


DATA, VALUES = dataset(), dataset(regression=True)


def predictions(seeds: int, *, right: float = 0.9) -> np.ndarray:
    truth = DATA.y[DATA.test]
    wrong = RANDOM.random((seeds, TEST)) >= right
    return np.where(wrong, (truth + 1) % 4, truth)


def curve(scores) -> tuple[Point, ...]:
    return tuple(
        Point(
            step=10 * (i + 1),
            seconds=float(i),
            train_loss=RANDOM.random(),
            val_loss=RANDOM.random(),
            val_score=float(score),
        )
        for i, score in enumerate(scores)
    )


def trained(name: str = "net", seeds: int = 3, *, predicted=None, val: float = 0.91) -> Trained:
    """An honest candidate: a curve that rises with noise, a test score near validation's."""
    predicted = predictions(seeds) if predicted is None else predicted
    rise = 0.9 - 0.6 * np.exp(-np.arange(20) / 3)
    records = tuple(
        TrialRecord(
            hash=f"{name}{seed}",
            candidate=name,
            seed=seed,
            status="finished",
            metrics={
                "val_accuracy": val,
                "test_accuracy": float((predicted[seed] == DATA.y[DATA.test]).mean()),
            },
            curve=curve(rise + RANDOM.normal(0, 0.02, 20)),
            moved=0.3,
            looked_at=VAL,
        )
        for seed in range(seeds)
    )
    return Trained(
        candidate=Candidate(name=name, digest="d", family="cnn"),
        specs=(),
        records=records,
        predicted=predicted,
        scores=np.empty((0, 0)),
        cost=None,
    )


def with_records(candidate: Trained, **changes: dict) -> Trained:
    """`changes` maps s0, s1... to new fields of that record."""
    records = [replace(r, **changes.get(f"s{i}", {})) for i, r in enumerate(candidate.records)]
    return replace(candidate, records=tuple(records))


def kinds(*candidates: Trained, data=DATA) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(c.kind, c.severity, c.where) for c in suspicions(candidates, data)]


def test_honest_trials_are_left_in_peace():
    assert kinds(trained("a"), trained("b", 1), trained("c", 5)) == []
    failed = Trained(
        candidate=Candidate(name="f", digest="d"),
        specs=(),
        records=(TrialRecord(hash="f", candidate="f", seed=0, status="failed"),),
        predicted=np.empty((0, 0)),
        scores=np.empty((0, 0)),
        cost=None,
    )
    assert kinds(failed) == []
    assert suspicions([], DATA) == ()


def test_a_seed_used_twice():
    twice = with_records(trained(), s2={"seed": 0})
    (found,) = suspicions([trained("other"), twice], DATA)
    assert (found.kind, found.severity, found.where) == ("seed-used-twice", "error", ("net",))
    assert found.en == (
        "net counts seed 0 more than once, so its spread over seeds is too small; "
        "run it with seeds that differ."
    )
    assert found.zh == "net 重复计入了种子 0，种子间的差异因此被低估；请使用互不相同的种子。"


def test_two_seeds_that_agree_to_the_last_digit():
    honest = trained()
    copied = with_records(honest, s1={"curve": honest.records[2].curve})
    (found,) = suspicions([copied], DATA)
    assert (found.kind, found.severity) == ("seeds-alike", "error")
    assert found.en == (
        "Seeds 1, 2 of net agree to the last digit, so the seed does not reach its training; "
        "they count as one."
    )
    assert found.zh == "net 的种子 1、2 结果逐位相同，说明种子没有影响训练；它们只能算作一次。"


def test_the_same_labels_of_two_seeds_are_no_fault():
    same = predictions(1).repeat(3, axis=0)
    assert kinds(trained(predicted=same)) == []


def test_weights_that_never_moved():
    still = with_records(trained(), s1={"moved": 0.0})
    (found,) = suspicions([still, with_records(trained("old"), s0={"moved": None})], DATA)
    assert (found.kind, found.severity, found.where) == ("never-moved", "error", ("net",))
    assert found.en == (
        "The weights of net (seed 1) are those of the start, so nothing was learned; look at the "
        "learning rate and at which parameters need a gradient."
    )
    assert found.zh == (
        "net (种子 1) 的权重与训练开始时相同，没有学到任何东西；请检查学习率以及哪些参数需要梯度。"
    )


def test_always_the_same_class():
    predicted = predictions(3, right=0.25)
    predicted[[0, 2]] = 1
    (found,) = suspicions([trained(predicted=predicted, val=0.25)], DATA)
    assert (found.kind, found.severity) == ("constant-predictions", "warning")
    assert found.en == (
        "All test examples get the same class from net (seeds 0, 2): nothing was learned that "
        "tells them apart; try more steps or another learning rate."
    )
    many = [trained(f"net{i}", predicted=predicted, val=0.25) for i in range(17)]
    assert " and 13 more: nothing was learned" in suspicions(many, DATA)[0].en
    assert found.zh == (
        "net (种子 0、2) 对所有测试样本都给出同一类别，没有学会区分它们；"
        "请增加训练步数或更换学习率。"
    )


def test_no_mistake_at_all():
    predicted = predictions(3)
    predicted[1] = DATA.y[DATA.test]
    (found,) = suspicions([trained(predicted=predicted)], DATA)
    assert (found.kind, found.severity) == ("perfect-score", "warning")
    assert found.en == (
        "No mistake on 400 test examples was made by net (seed 1): either the task is easy or "
        "something in the inputs gives the answer away; look for a column or a mark that holds it, "
        "and for test examples among the training ones."
    )
    assert "400 个测试样本上没有任何错误" in found.zh
    few = replace(DATA, test=DATA.test[:20])
    cut = replace(trained(predicted=predicted), predicted=predicted[:, :20])
    assert suspicions([cut], few) == ()


def test_a_test_score_above_validation():
    (found,) = suspicions([trained("a"), trained(val=0.7)], DATA)
    assert (found.kind, found.severity, found.where) == (
        "test-above-validation",
        "warning",
        ("net",),
    )
    assert found.en == (
        "The score on the 400 test examples is above that on validation, by more than chance "
        "allows, for net, although validation chose the weights: the test part is easier or has "
        "leaked; look for copies of test examples in training."
    )
    assert "在 400 个测试样本上的得分高于验证集" in found.zh
    assert kinds(trained(val=0.85)) == []  # 5 points on 200 and 400 examples are chance
    few = {f"s{i}": {"looked_at": 5} for i in range(3)}
    assert kinds(with_records(trained(val=0.7), **few)) == []


def test_a_test_score_above_training():
    def learned(train: float) -> Trained:
        honest = trained()
        fields = {
            f"s{i}": {"metrics": {**r.metrics, "train_accuracy": train}}
            for i, r in enumerate(honest.records)
        }
        return with_records(honest, **fields)

    (found,) = suspicions([trained("a"), learned(0.7)], DATA)
    assert (found.kind, found.severity, found.where) == ("test-above-training", "warning", ("net",))
    assert found.en == (
        "The score on the 400 test examples is above that on training examples, by more than "
        "chance allows, for net, although these were learned from: the parts were not drawn alike; "
        "look for training examples that are harder or wrongly labelled."
    )
    assert "在 400 个测试样本上的得分高于训练样本" in found.zh
    assert kinds(learned(0.85)) == kinds(learned(1.0)) == []


def test_a_score_that_jumps_in_one_seed_only():
    slow = 0.3 + 0.01 * np.arange(20)
    sudden = slow.copy()
    sudden[12:] += 0.45
    honest = with_records(trained(), **{f"s{i}": {"curve": curve(slow)} for i in range(3)})
    assert kinds(honest) == []
    (found,) = suspicions([with_records(honest, s1={"curve": curve(sudden)})], DATA)
    assert (found.kind, found.severity) == ("metric-jumps", "warning")
    assert found.en == (
        "The validation score of net, seed 1, jumps from 0.410 to 0.870 between steps 120 and 130, "
        "more than twice as far as with any other seed; look at its curve before trusting it."
    )
    assert "第 120 步与第 130 步之间由 0.410 变为 0.870" in found.zh
    every = {f"s{i}": {"curve": curve(sudden)} for i in range(3)}
    assert kinds(with_records(honest, **every)) == []  # that is how this network learns


def test_no_better_than_the_majority():
    def verdict(a, word):
        facts = {"difference": 0.0, "low": -0.1, "high": 0.1, "p": 0.5, "p_holm": 0.5}
        return PairVerdict(a=a, b="baseline:majority", verdict=word, better=0.5, loss=0.1, **facts)

    ahead = replace(verdict("ahead", "not distinguishable"), low=0.1)  # but for the many pairs
    against = [verdict("net", "not distinguishable"), verdict("good", "better"), ahead]
    (found,) = suspicions([trained(), trained("good"), trained("ahead")], DATA, against=against)
    assert (found.kind, found.severity, found.where) == (
        "no-better-than-trivial",
        "warning",
        ("net",),
    )
    assert found.en == (
        "Nothing shows net to be better than always answering with the most frequent class, which "
        "looks at no input."
    )
    assert found.zh == "net 未被证明优于始终回答多数类，而后者完全不看输入。"


def values(*, val: float = 1.0, noise: float = 1.0) -> Trained:
    truth = VALUES.y[VALUES.test]
    errors = np.random.default_rng(1).normal(0, noise, (3, TEST))  # whatever ran before
    predicted = (truth + errors).astype(np.float32)
    rmse = np.sqrt(np.square(predicted - truth).mean(axis=1))
    changes = {
        f"s{i}": {"metrics": {"val_rmse": val, "test_rmse": float(rmse[i])}} for i in range(3)
    }
    return with_records(trained(predicted=predicted.copy()), **changes)


def test_values_have_the_same_faults():
    def told(candidate):
        return [c.kind for c in suspicions([candidate], VALUES)]

    assert told(values()) == []
    assert told(values(val=1.3)) == []
    assert told(values(val=4.0)) == ["test-above-validation"]
    assert told(values(noise=0.0)) == ["seeds-alike", "perfect-score", "test-above-validation"]
    constant = values()
    constant.predicted[1] = 50.0
    assert told(constant) == ["constant-predictions"]


def test_real_trials_on_digits_are_left_in_peace(tmp_path: Path):
    from assay.compare.candidates import candidate
    from assay.compare.outcomes import read_predicted
    from assay.data.load import load
    from assay.engine.spec import TrialSpec
    from assay.engine.trial import run_trial

    digits = load("digits", folder=tmp_path / "data")
    net = candidate("mlp", digits.inputs, digits.task)
    specs = [
        TrialSpec(
            candidate=net,
            task=digits.task,
            inputs=digits.inputs,
            outputs=digits.outputs,
            split_hash=digits.split_hash,
            seed=seed,
            steps=150,
            evaluations=10,
        )
        for seed in range(3)
    ]
    folders = [tmp_path / str(spec.seed) for spec in specs]
    records = [run_trial(s, digits, f) for s, f in zip(specs, folders, strict=True)]
    real = Trained(
        candidate=net,
        specs=tuple(specs),
        records=tuple(records),
        predicted=read_predicted(folders),
        scores=np.empty((0, 0)),
        cost=None,
    )
    assert all(r.moved > 0.01 and r.looked_at == len(digits.val) for r in records)
    assert all(0.98 < r.metrics["train_accuracy"] <= 1 for r in records)
    assert suspicions([real], digits) == ()
    again = replace(specs[1], plan=replace(specs[1].plan, step_seconds=1.0), seed=1)
    copy = replace(run_trial(again, digits, tmp_path / "again"), seed=2)
    planted = replace(real, records=(*records[:2], copy))
    assert [c.kind for c in suspicions([planted], digits)] == ["seeds-alike"]


def test_errors_come_first():
    predicted = predictions(3)
    predicted[1] = DATA.y[DATA.test]
    faults = with_records(trained(predicted=predicted), s2={"moved": 0.0})
    assert [c.severity for c in suspicions([faults], DATA)] == ["error", "warning"]


@pytest.mark.parametrize(
    ("share", "count", "low", "high"),
    [(81 / 263, 263, 0.2553, 0.3662), (15 / 148, 148, 0.0624, 0.1605), (0.0, 20, 0.0, 0.1611)],
)
def test_wilsons_interval_is_that_of_the_published_examples(share, count, low, high):
    """Newcombe (1998), Statistics in Medicine 17:857, table I, method 3."""
    assert wilson(share, count, 1.959964) == pytest.approx((low, high), abs=5e-5)


def test_a_difference_of_shares_is_that_of_the_published_example():
    """Newcombe (1998), Statistics in Medicine 17:873, table II, method 10: 56/70 less 48/80.

    Its 95% interval is 0.0524 to 0.3339.
    """
    assert difference_above(56 / 70, 70, 48 / 80, 80, 1.959964)
    assert not difference_above(56 / 70 - 0.0541, 70, 48 / 80, 80, 1.959964)
