"""Fair tuning: the same settings, rungs and budget for everybody, and a better setting found."""

import builtins
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from assay.canon.catalog import catalog
from assay.canon.search import space
from assay.compare import tuning
from assay.compare.candidates import candidate
from assay.compare.tuning import (
    LEAST_STEPS,
    TUNING_SEED,
    TuningResult,
    check_tune,
    halving,
    recipe_with,
    space_of,
    tune,
)
from assay.data.load import load
from assay.engine.spec import (
    Candidate,
    Plan,
    Point,
    Recipe,
    TrialRecord,
    TrialSpec,
    spec_from_json,
)
from assay.errors import BadArgumentError, MissingExtraError
from benchmarks import common
from benchmarks import tuning as gains

IMAGE, TABLE = (1, 28, 28), (7,)


def spec_of(name="timm:net", *, task="image-classification", inputs=IMAGE, **recipe) -> TrialSpec:
    return TrialSpec(
        candidate=Candidate(name=name, digest="0", recipe=Recipe(**recipe)),
        task=task,
        inputs=inputs,
        outputs=10,
        split_hash="1" * 64,
        seed=0,
        steps=900,
        plan=Plan(step_seconds=0.01),
    )


def record_of(spec: TrialSpec, score: float, *, loss: float = 1.0, reason: str = "") -> TrialRecord:
    points = (Point(step=spec.steps, seconds=1, train_loss=1, val_loss=loss, val_score=score),)
    return TrialRecord(
        hash=spec.hash,
        candidate=spec.candidate.name,
        seed=spec.seed,
        status="failed" if reason else "finished",
        reason=reason,
        steps=spec.steps,
        train_seconds=spec.steps * 0.01,
        curve=() if reason else points,
    )


class Bench:
    """Runs made-up trials, and remembers which; what it knows already it does not run again."""

    def __init__(self, score: Callable[[TrialSpec], float], most: int = 10**9) -> None:
        self.score, self.most = score, most
        self.ran: list[TrialSpec] = []
        self.records: dict[str, TrialRecord] = {}

    def __call__(self, specs: list[TrialSpec]) -> Mapping[str, TrialRecord]:
        for spec in specs:
            if spec.hash not in self.records:
                if len(self.ran) == self.most:
                    raise KeyboardInterrupt
                self.ran.append(spec)
                self.records[spec.hash] = record_of(spec, self.score(spec))
        return self.records


def peak(spec: TrialSpec) -> float:
    """A learning rate of 0.006, little smoothing and small shifts do best; time helps a little."""
    recipe = spec.candidate.recipe
    away = math.log(recipe.lr / 0.006 * math.sqrt(64 / recipe.batch_size)) ** 2
    away += (8 * recipe.label_smoothing) ** 2
    return 0.9 - 0.1 * away - 2.0 / spec.steps


def named(result: TuningResult) -> list[float]:
    return [tried.lr for tried in result.settings]


def test_tuning_finds_better_settings_than_the_default_and_than_chance():
    spec = spec_of()
    found = tune([spec], 27, run=Bench(peak))[spec.candidate.name]
    default = peak(spec)
    assert peak(found.settled(spec)) > default + 0.1
    assert found.chosen != 0
    startup = found.settings[: 27 // 3]
    later = found.settings[27 // 3 :]
    assert np.median([judge(spec, t) for t in later]) > np.median([judge(spec, t) for t in startup])


def judge(spec, tried):
    recipe = recipe_with(spec.candidate.recipe, dict(tried.knobs))
    return peak(replace(spec, candidate=replace(spec.candidate, recipe=recipe)))


def test_every_candidate_gets_the_same_settings_rungs_and_budget():
    specs = [spec_of("timm:a"), spec_of("lenet5", lr=0.004), spec_of("gru", lr=0.008, clip=1.0)]
    bench = Bench(peak)
    found = tune(specs, 9, run=bench)
    assert {name: len(r.settings) for name, r in found.items()} == {
        "timm:a": 9,
        "lenet5": 9,
        "gru": 9,
    }
    assert {r.rungs for r in found.values()} == {halving(9, steps=900)}
    counted = Counter((s.candidate.name, round(examples(s) / (900 * 64), 2)) for s in bench.ran)
    assert set(counted.values()) == {9, 3}
    assert all(counted[name, 0.33] == 9 and counted[name, 1.0] == 3 for name in found)
    assert {r.trials for r in found.values()} == {12}


def examples(spec: TrialSpec) -> int:
    return spec.steps * spec.candidate.recipe.batch_size


def test_tuning_trials_never_open_the_test_part_nor_use_a_seed_of_the_study():
    bench = Bench(peak)
    tune([spec_of()], 5, run=bench)
    assert {(spec.test, spec.seed) for spec in bench.ran} == {(False, TUNING_SEED)}


def test_the_first_setting_is_the_cards_default():
    for spec in (spec_of(), spec_of("timm:b", augment="shift", reach=0.2, lr=0.0123456)):
        bench = Bench(peak)
        found = tune([spec], 3, run=bench)[spec.candidate.name]
        assert spec.candidate.recipe in [s.candidate.recipe for s in bench.ran]
        tried = found.settings[0]
        assert recipe_with(spec.candidate.recipe, dict(tried.knobs)) == spec.candidate.recipe


@pytest.mark.parametrize(
    ("settings", "steps", "rungs"),
    [
        (2, 900, [(2, 1)]),
        (3, 900, [(3, 1)]),
        (4, 900, [(4, 1 / 3), (2, 1)]),
        (9, 900, [(9, 1 / 3), (3, 1)]),
        (10, 900, [(10, 1 / 9), (4, 1 / 3), (2, 1)]),
        (27, 900, [(27, 1 / 9), (9, 1 / 3), (3, 1)]),
        (27, 8 * LEAST_STEPS, [(27, 1 / 3), (9, 1)]),  # a ninth would be too short
        (27, LEAST_STEPS, [(27, 1)]),
    ],
)
def test_a_third_goes_on_with_three_times_the_steps(settings, steps, rungs):
    found = halving(settings, steps=steps)
    assert [(rung.settings, pytest.approx(rung.share)) for rung in found] == rungs


def test_the_same_records_give_the_same_settings():
    first, second = (tune([spec_of()], 12, run=Bench(peak)) for _ in range(2))
    assert first == second
    other = tune([spec_of()], 12, run=Bench(lambda spec: -peak(spec)))
    assert named(other["timm:net"])[:4] == named(first["timm:net"])[:4]  # drawn by chance
    assert named(other["timm:net"]) != named(first["timm:net"])  # then by what was learned
    assert (
        named(tune([spec_of()], 12, run=Bench(peak), seed=1)["timm:net"])[1]
        != named(first["timm:net"])[1]
    )


def test_a_study_that_was_killed_goes_on_where_it_was():
    whole, broken = Bench(peak), Bench(peak, most=7)
    expected = tune([spec_of()], 12, run=whole)
    with pytest.raises(KeyboardInterrupt):
        tune([spec_of()], 12, run=broken)
    broken.most = 10**9
    assert tune([spec_of()], 12, run=broken) == expected
    assert [s.hash for s in broken.ran] == [s.hash for s in whole.ran]


def test_what_diverges_or_is_no_number_counts_as_the_worst():
    def run(specs):
        found = {}
        for spec in specs:
            lr = spec.candidate.recipe.lr
            if lr > 0.003:
                found[spec.hash] = record_of(spec, 0.0, reason="diverged at step 3")
            else:
                found[spec.hash] = record_of(spec, math.nan if lr > 0.002 else -lr)
        return found

    found = tune([spec_of()], 9, run=run)["timm:net"]
    worst = [t for t in found.settings if t.lr > 0.002]
    assert worst
    assert all(math.isnan(t.score) and t.rung == 0 for t in worst)
    assert any(t.reason == "diverged at step 3" for t in worst)
    assert found.recipe.lr == min(t.lr for t in found.settings if t.rung == 1)


def test_the_default_stays_where_everything_fails_and_where_nothing_is_better():
    spec = spec_of()
    failing = tune(
        [spec], 5, run=lambda specs: {s.hash: record_of(s, 0, reason="x") for s in specs}
    )
    even = tune([spec], 5, run=Bench(lambda spec: 0.5))
    for found in (failing, even):
        assert found["timm:net"].chosen == 0
        assert found["timm:net"].settled(spec) == spec


def test_equal_scores_go_to_the_lower_validation_loss():
    def run(specs):
        return {s.hash: record_of(s, 0.5, loss=abs(s.candidate.recipe.lr - 0.01)) for s in specs}

    found = tune([spec_of()], 9, run=run)["timm:net"]
    near = min(found.settings, key=lambda t: abs(t.lr - 0.01))
    assert found.recipe.lr == near.lr


def test_one_setting_is_the_default_and_costs_nothing():
    spec = spec_of()
    found = tune([spec], 1, run=Bench(peak, most=0))["timm:net"]
    assert (found.chosen, found.trials, found.steps, found.settled(spec)) == (0, 0, 0, spec)


@pytest.mark.parametrize(
    ("optimizer", "size", "lr"),
    [("adamw", 256, 0.004), ("adamw", 16, 0.001), ("sgd", 256, 0.008), ("sgd", 16, 0.0005)],
)
def test_the_learning_rate_follows_the_batch(optimizer, size, lr):
    recipe = Recipe(optimizer=optimizer, lr=0.002, batch_size=64)
    assert recipe_with(recipe, {"batch_size": size}).lr == pytest.approx(lr)
    assert recipe_with(recipe, {"batch_size": size, "lr": 0.02}).lr == pytest.approx(10 * lr)


def test_a_larger_batch_takes_fewer_steps_at_the_same_cost():
    spec = spec_of()
    bench = Bench(lambda s: 0.1 * s.candidate.recipe.batch_size)
    found = tune([spec], 12, run=bench)["timm:net"]
    settled = found.settled(spec)
    assert (found.recipe.batch_size, settled.steps) == (128, 450)
    assert settled.plan.step_seconds == pytest.approx(0.02)
    assert (settled.seed, settled.test, settled.evaluations) == (0, True, spec.evaluations)
    assert found.scaling == "square root"


def test_the_cost_is_counted():
    bench = Bench(peak)
    found = tune([spec_of("timm:a"), spec_of("timm:b", lr=0.01)], 9, run=bench)
    steps = sum(spec.steps for spec in bench.ran)
    assert sum(r.steps for r in found.values()) == steps
    assert sum(r.seconds for r in found.values()) == pytest.approx(steps * 0.01)


@pytest.mark.parametrize("settings", [0, -3, 1001, 2.0, True, "9"])
def test_a_number_of_settings_that_cannot_be_tried_is_refused(settings):
    with pytest.raises(BadArgumentError) as caught:
        check_tune(settings)
    assert str(caught.value) == (
        "`tune` must be a whole number from 1 to 1000, the settings that each candidate gets. "
        f"Received tune={settings!r}; leave it out to train by the recipes of the cards."
    )


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "optuna":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError) as caught:
        tune([spec_of()], 3, run=Bench(peak))
    assert str(caught.value) == (
        "`tune` needs Optuna, which suggests the settings. It is not installed; "
        "run `pip install 'assay[tune]'`, or leave out `tune`."
    )


def test_a_card_adds_to_the_generic_space_and_foreign_networks_have_that_alone():
    def ranges(name, card="", *, inputs, task):
        recipe = catalog().entry(card or name)[0].recipe if ":" not in name else Recipe(clip=1.0)
        return space_of(spec_of(name, task=task, inputs=inputs, **asdict(recipe)))

    generic = {"lr", "batch_size", "weight_decay", "label_smoothing", "reach"}
    images = {"inputs": (3, 32, 32), "task": "image-classification"}
    assert set(ranges("timm:resnet10t", **images)) == generic
    gru = ranges("gru", inputs=(28, 28), task="sequence-classification")
    assert set(gru) == generic - {"reach"} | {"clip"}
    assert gru["lr"] == catalog().entry("gru")[0].search["lr"]
    assert set(ranges("vit_tiny", **images)) == generic | {"warmup"}
    rows = ranges("mlp", inputs=TABLE, task="tabular-regression")
    assert set(rows) == generic - {"label_smoothing", "reach"}
    texts = {"inputs": (16, 64), "task": "language-modeling"}
    assert not {"label_smoothing", "reach"} & set(ranges("gpt2_nano", **texts))
    answers = {"inputs": (16, 64), "task": "text-to-text"}
    assert "label_smoothing" in ranges("transformer_tiny", **answers)
    declared = catalog().entry("lenet5")[0].search["lr"]
    for name in ("lenet5-without-relu", "lenet5-pretrained"):
        assert ranges(name, "lenet5", **images)["lr"] == declared
    changed = space_of(spec_of("lenet5", lr=0.0123456))["lr"]  # by somebody, not by the card
    assert (changed.low, changed.default, changed.high) == pytest.approx(
        (0.00123456, 0.0123456, 0.123456)
    )


@pytest.mark.parametrize("size", [1, 3, 20, 64, 100, 10_000])
def test_no_batch_is_larger_than_the_training_part(size):
    ranges = space_of(spec_of(batch_size=64), train_size=size)
    if size < 64:
        assert "batch_size" not in ranges
    else:
        assert ranges["batch_size"].high == min(128, 64 if size < 128 else 128)


def test_every_default_lies_in_its_range_for_all_networks_and_kinds_of_data():
    for card in catalog().architectures:
        for task, inputs in (
            ("image-classification", (3, 32, 32)),
            ("sequence-classification", (28, 28)),
            ("tabular-regression", TABLE),
        ):
            ranges = space(card.search, card.recipe, task=task, inputs=inputs)
            assert {"lr", "batch_size", "weight_decay"} <= set(ranges)
            for name, span in ranges.items():
                assert span.low <= span.default <= span.high, (card.id, name)
                assert span.low < span.high
            default = {name: span.default for name, span in ranges.items()}
            assert recipe_with(card.recipe, default) == card.recipe


def test_lenet_is_tuned_on_real_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from assay.engine.trial import WEIGHTS, run_trial

    monkeypatch.setattr(tuning, "LEAST_STEPS", 10)
    dataset = load("digits", folder=tmp_path / "data")
    spec = replace(
        spec_of(inputs=dataset.inputs),
        candidate=candidate("lenet5", dataset.inputs, dataset.task),
        split_hash=dataset.split_hash,
        steps=30,
        evaluations=3,
    )

    def run(specs):
        return {s.hash: run_trial(s, dataset, tmp_path / s.hash) for s in specs}

    found = tune([spec], 4, run=run, train_size=len(dataset.train))["lenet5"]
    again = tune([spec], 4, run=run, train_size=len(dataset.train))["lenet5"]
    assert again == found  # every record was there already
    assert found.settings[found.chosen].score >= 0.7
    assert (found.trials, [t.rung for t in found.settings].count(1)) == (6, 2)
    records = [run([spec])[spec.hash] for spec in _trials(tmp_path)]
    assert len(records) == 6
    assert not any(name.startswith("test_") for r in records for name in r.metrics)
    assert all("val_accuracy" in r.metrics for r in records)
    assert not list(tmp_path.rglob(WEIGHTS))
    own = found.settled(replace(spec, steps=3, evaluations=1))  # a trial of the study itself
    assert "test_accuracy" in run([own])[own.hash].metrics
    assert (tmp_path / own.hash / WEIGHTS).exists()


def _trials(folder: Path) -> list[TrialSpec]:
    """Return what was run, as its records say."""
    files = sorted(folder.glob("*/record.json"))
    return [spec_from_json(json.loads(file.read_text())["spec"]) for file in files]


def test_the_page_of_what_tuning_gains_shows_what_was_measured():
    assert gains.PAGE.read_text(encoding="utf-8") == gains.page(common.load("tuning"))


def test_longer_trials_cost_what_the_dearest_tuning_and_its_trials_do():
    assert gains.cost(halving(9, steps=900)) == pytest.approx(6.0)  # 9 thirds and 3 whole trials
    ways = gains.ways(steps=900, seeds=3)
    spent = 3 * 900 + 900 * gains.cost(halving(20, steps=900))
    assert ways["longer"] == {"budget": f"{round(spent / 3)}steps"}
    assert ways["--tune 20"] == {"budget": "900steps", "tune": 20}
