"""What a study can see is what its verdicts then show, and more of it is what was said to show."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from scipy.stats import t as student

from assay.compare.resolution import Outlook, Resolution, next_hour, outlook, resolution
from assay.compare.statistics import paired_test


def pair(rng, *, seeds=3, examples=300, gain=0.0, by_seed=0.02, way=0.3):
    """Two tables of normal scores: what networks, seeds and chance each add."""
    ease = rng.standard_normal(examples)
    return {
        name: ease
        + way * rng.standard_normal(examples)
        + by_seed * rng.standard_normal((seeds, 1))
        + 0.2 * rng.standard_normal((seeds, examples))
        + shift
        for name, shift in (("a", gain), ("b", 0.0))
    }


def test_the_smallest_difference_is_half_the_interval():
    tables = pair(np.random.default_rng(0))
    test = paired_test(tables["a"], tables["b"])
    found = resolution(tables, points=False)
    assert found.smallest == pytest.approx((test.high - test.low) / 2, rel=0.02)
    assert (found.seeds, found.examples, found.target) == (3, 300, found.smallest / 2)


def test_as_many_more_examples_as_said_show_the_target():
    few = [resolution(pair(np.random.default_rng(i), seeds=8), points=False) for i in range(20)]
    more = int(np.median([found.more_examples for found in few]))
    then = [
        resolution(pair(np.random.default_rng(i), seeds=8, examples=300 + more), points=False)
        for i in range(20)
    ]
    target = np.median([found.target for found in few])
    assert np.median([found.smallest for found in then]) == pytest.approx(target, rel=0.15)


def test_as_many_more_seeds_as_said_show_the_target():
    options = {"by_seed": 0.2, "way": 0.01, "examples": 2_000}
    few = [
        resolution(pair(np.random.default_rng(i), seeds=6, **options), points=False)
        for i in range(20)
    ]
    more = int(np.median([found.more_seeds for found in few]))
    assert 8 <= more <= 20  # the interval falls with the root of the seeds, and faster at first
    then = [
        resolution(pair(np.random.default_rng(50 + i), seeds=6 + more, **options), points=False)
        for i in range(20)
    ]
    target = np.median([found.target for found in few])
    assert np.median([found.smallest for found in then]) == pytest.approx(target, rel=0.2)


def test_seeds_that_are_all_the_noise_must_be_as_many_as_scipys_t_says():
    a, b = np.random.default_rng(9).standard_normal((2, 6, 1))
    tables = {"a": np.repeat(a, 50, axis=1), "b": np.repeat(b, 50, axis=1)}
    found, spread = resolution(tables, points=False), (a.var(ddof=1) + b.var(ddof=1)) ** 0.5

    def half(seeds: int) -> float:  # of the interval, both candidates alike
        return student.ppf(0.975, 2 * seeds - 2) * spread / seeds**0.5

    assert found.smallest == pytest.approx(half(6))
    enough = next(seeds for seeds in range(6, 1_000) if half(seeds) <= half(6) / 2)
    assert (found.more_seeds, found.more_examples) == (enough - 6, None)


def test_where_neither_is_enough_alone_both_are_named():
    found = resolution(pair(np.random.default_rng(1), by_seed=0.05, way=0.5), points=False)
    assert found.together
    assert found.more_examples == found.more_seeds * 100


def test_a_higher_confidence_sees_less():
    tables = pair(np.random.default_rng(4))
    assert resolution(tables, confidence=0.99).smallest > resolution(tables).smallest


def test_nothing_to_compare_has_no_resolution():
    assert resolution({"alone": np.ones((2, 5))}) is None
    assert resolution({"a": np.full((2, 5), 0.5), "b": np.full((2, 5), 0.5)}) is None
    assert next_hour({"alone": np.ones((2, 5))}, 10.0) == {}


def seen(**facts):
    usual = {"seeds": 3, "examples": 270, "smallest": 0.0213, "target": 0.01, "more_seeds": 12,
             "more_examples": 893, "together": False, "points": True}  # fmt: skip
    return Resolution(**{**usual, **facts})


@pytest.mark.parametrize(
    ("facts", "en", "zh"),
    [
        ({}, "With 270 test examples and 3 seeds, differences under 2.1 points cannot be seen; 12 "
         "more seeds or 900 more examples would show 1 point.",
         "有 270 个测试样本和 3 个种子时，小于 2.1 个百分点的差异看不出来；再加 12 个种子"
         "或 900 个样本，就能看出 1 个百分点的差异。"),
        ({"more_examples": None, "more_seeds": 1},
         "With 270 test examples and 3 seeds, differences under 2.1 points cannot be seen; 1 more "
         "seed would show 1 point, more examples alone would not.",
         "有 270 个测试样本和 3 个种子时，小于 2.1 个百分点的差异看不出来；再加 1 个种子就能看出 1 "
         "个百分点的差异，只加样本则不能。"),
        ({"more_seeds": None, "points": False},
         "With 270 test examples and 3 seeds, differences under 0.021 cannot be seen; 900 more "
         "examples would show 0.01, more seeds alone would not.",
         "有 270 个测试样本和 3 个种子时，小于 0.021 的差异看不出来；再加 900 个样本就能看出 "
         "0.01 的差异，只加种子则不能。"),
        ({"together": True},
         "With 270 test examples and 3 seeds, differences under 2.1 points cannot be seen; 12 more "
         "seeds together with 900 more examples would show 1 point.",
         "有 270 个测试样本和 3 个种子时，小于 2.1 个百分点的差异看不出来；再加 12 个种子，"
         "同时再加 900 个样本，才能看出 1 个百分点的差异。"),
        ({"more_seeds": None, "more_examples": None},
         "With 270 test examples and 3 seeds, differences under 2.1 points cannot be seen; no "
         "number of seeds and examples that could be had would show 1 point.",
         "有 270 个测试样本和 3 个种子时，小于 2.1 个百分点的差异看不出来；实际可得的种子和样本"
         "再多，也看不出 1 个百分点的差异。"),
        ({"seeds": 1, "more_seeds": None},
         "With 270 test examples and one seed, differences under 2.1 points between these trained "
         "networks cannot be seen, and how much another seed would change is unknown; train 3 "
         "seeds or more.",
         "有 270 个测试样本和 1 个种子时，这些训练好的网络之间小于 2.1 个百分点的差异看不出来，"
         "换一个种子会改变多少也无从得知；请训练 3 个或更多种子。"),
    ],
)  # fmt: skip
def test_a_resolution_is_one_sentence(facts, en: str, zh: str):
    assert seen(**facts).sentence("en") == en
    assert seen(**facts).sentence("zh") == zh


def test_what_an_hour_is_said_to_decide_is_decided_as_often():
    said, decided = [], []
    for i in range(150):
        rng = np.random.default_rng(i)
        options = {
            "gain": 0.15 * rng.standard_normal(),
            "by_seed": 0.06,
            "way": 0.05,
            "examples": 400,
        }
        tables = pair(rng, seeds=12, **options)
        few = {name: table[:4] for name, table in tables.items()}
        told = outlook(few, seconds_per_trial=225.0)  # 16 trials: 8 more seeds of each
        if told.chances:
            assert told.seeds == 8
            said.append(told.chances[0][2])
            decided.append(paired_test(tables["a"], tables["b"]).p < 0.05)
    assert 50 < len(said) < 150  # the rest were decided by four seeds
    assert np.mean(said) == pytest.approx(np.mean(decided), abs=0.1)


@pytest.mark.parametrize("gain", [0.0, 0.04, 0.12])
def test_what_an_hour_decides_is_scipys_integral_over_what_may_be_true(gain: float):
    rng = np.random.default_rng(10)  # so many seeds that their spread is known
    a, b = (rng.standard_normal((400, 1)) for _ in "ab")
    a += gain - (a - b).mean()
    tables = {"a": np.repeat(a, 9, axis=1), "b": np.repeat(b, 9, axis=1)}
    told = outlook(tables, seconds_per_trial=6.0)
    assert told.seeds == 300
    one = a.var(ddof=1) + b.var(ddof=1)  # of the difference, by seed
    needed = norm.ppf(0.975) * (one / 700) ** 0.5

    def decided(truth: float) -> float:  # once 300 more have been seen, if this is the truth
        mean, error = (400 * gain + 300 * truth) / 700, (300 * one) ** 0.5 / 700
        return norm.cdf((mean - needed) / error) + norm.cdf((-mean - needed) / error)

    now = norm(gain, (one / 400) ** 0.5)
    expected = quad(lambda truth: now.pdf(truth) * decided(truth), *now.ppf([1e-9, 1 - 1e-9]))[0]
    assert told.chances[0][2] == pytest.approx(expected, abs=0.005)


def test_an_hour_goes_to_the_leader_and_whom_it_has_not_beaten():
    rng = np.random.default_rng(5)
    tables = pair(rng) | {"c": rng.standard_normal((3, 300)) - 5.0}
    told = outlook(tables, seconds_per_trial=100.0, at_once=2)
    assert isinstance(told, Outlook)
    assert (told.trials, told.seeds, told.candidates) == (72, 36, ("a", "b"))
    assert [row[:2] for row in told.chances] == [("a", "b")]


def test_the_next_hour_is_one_sentence():
    near = pair(np.random.default_rng(6), gain=0.03, way=0.02, by_seed=0.05)
    far = pair(np.random.default_rng(6), gain=5.0)
    (chance,) = outlook(near, 36.0).chances
    assert next_hour(near, 36.0) == {
        "en": "Another hour (100 trials: 50 more seeds of each of the 2 candidates in question) "
        f"would most likely decide a against b ({chance[2]:.0%}).",
        "zh": "再花一小时（100 次试验：尚未分出高下的 2 个候选各加 50 个种子），"
        f"最可能分出高下的是：a 与 b（{chance[2]:.0%}）。",
    }
    assert next_hour(near, 3_000.0)["en"] == (
        "Another hour has room for 1 trials, too few for one more seed of each of the 2 candidates "
        "in question."
    )
    assert next_hour(far, 36.0)["en"] == (
        "Nothing about the best candidate is undecided: another hour would only narrow the "
        "intervals."
    )
    alone = {name: table[:1] for name, table in pair(np.random.default_rng(8)).items()}
    assert next_hour(alone, 36.0)["en"] == (
        "Another hour (100 trials: 50 more seeds of each of the 2 candidates in question) would "
        "first show how much seeds differ, which one seed cannot tell."
    )


def test_an_hour_that_cannot_help_says_so():
    tables = pair(np.random.default_rng(8), way=2.0, by_seed=0.001)
    assert next_hour(tables, 36.0)["en"].startswith(
        "Another hour (100 trials: 50 more seeds of each of the 2 candidates in question) would "
        "most likely decide nothing; the likeliest is a against b ("
    )
