"""Do the intervals and verdicts keep what they promise? Simulations with known truth.

    python -m benchmarks.calibration [--studies 500] [--minutes 2] [--seeds 2,3]

Every simulated study has a network, the same network under other seeds, and a better one. From it
come: the share of A/A pairs that are called different, the share of 95 % intervals that hold the
truth, of one candidate and of differences, and how often a true difference of one point is found.
A run adds studies to those that were counted before, until there are as many as asked for or its
time is over; with `--seeds`, to the cells of so many seeds only. The figures are kept in
results/calibration.json, section by section; `page` turns all sections that are there into
docs/calibration.md.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from assay.compare.moments import Moments
from assay.compare.statistics import hierarchical_interval, paired_tests
from assay.compare.verdicts import judge
from benchmarks import faults, few_errors, racing, same_network
from benchmarks.common import machine, save

SEEDS = (1, 2, 3, 5, 10)
EXAMPLES = (100, 300, 1_000, 3_000, 10_000)
POWER_EXAMPLES, POWER_SEEDS = 10_000, 5
SPREADS = (0.002, 0.005, 0.01)  # between seeds, for power
FAMILY, FAMILY_EXAMPLES = 12, 3_000  # candidates that are equally good, and test examples
POINT = 0.01
UNLIKE = "unlike seeds"
MANY_EXAMPLES = 3_000  # which leave 45 errors or more
MANY_STEPS = 1_000  # of a network that has nearly learnt what it can
CHANCE = (0.9 * 0.1 / 3 / POWER_EXAMPLES) ** 0.5  # between seeds: a third of p(1 - p), as simulated
BLOCK = 250  # studies that are counted together
COUNTED = {"alike", "one", "same", "other", "found", "square"}  # means over a cell's studies
FEW = "accuracy 98.5 %"  # which leaves one or two errors in 100 examples
RESULTS = Path(__file__).parent / "results" / "calibration.json"
PAGE = Path(__file__).parent.parent / "docs" / "calibration.md"
FASHION = Path(__file__).parent.parent / "docs" / "results" / "fashion-mnist.json"


@dataclass(frozen=True)
class RightOrWrong:
    """A probit world: an example is right when its ease, the network's way and luck sum above 0.

    Attributes:
        about: What it resembles.
        accuracy: Of the network, in (0, 1).
        ease: Standard deviation between examples, all networks alike.
        way: Between networks on one example, all seeds alike; A/A pairs have the same.
        spread: Of the accuracy between seeds.
        gain: By how much accuracy the better network is better; at 0 it is another, not a better.
        apart: How many times as far its seeds spread.
    """

    about: str
    accuracy: float
    ease: float
    way: float
    spread: float
    gain: float = POINT
    apart: float = 1.0

    @property
    def _width(self) -> float:
        return (self.ease**2 + self.way**2 + 1.0) ** 0.5

    def draw(self, rng: np.random.Generator, seeds: int, examples: int):
        """Return three tables and the true mean of each, over all seeds and over those drawn."""
        usual = self.spread / _density(float(ndtri(self.accuracy))) * self._width
        ease = self.ease * rng.standard_normal(examples, dtype=np.float32)
        ways = self.way * rng.standard_normal((2, examples), dtype=np.float32)
        tables, truths, drawn = [], [], []
        for way, accuracy, luck in (
            (0, self.accuracy, usual),
            (0, self.accuracy, usual),
            (1, self.accuracy + self.gain, usual * self.apart),
        ):
            middle = float(ndtri(accuracy)) * (self._width**2 + luck**2) ** 0.5
            lucks = luck * rng.standard_normal((seeds, 1), dtype=np.float32)
            chance = rng.standard_normal((seeds, examples), dtype=np.float32)
            tables.append((chance + lucks + (ease + ways[way] + middle) > 0).astype(np.float64))
            truths.append(accuracy)
            drawn.append(float(ndtr((middle + lucks) / self._width).mean()))
        return tables, truths, drawn

    def equals(self, rng: np.random.Generator, seeds: int, examples: int, networks: int):
        """Return tables of different networks that are equally good."""
        luck = self.spread / _density(float(ndtri(self.accuracy))) * self._width
        middle = float(ndtri(self.accuracy)) * (self._width**2 + luck**2) ** 0.5
        ease = middle + self.ease * rng.standard_normal(examples, dtype=np.float32)
        return {
            str(i): (
                ease
                + self.way * rng.standard_normal(examples, dtype=np.float32)
                + luck * rng.standard_normal((seeds, 1), dtype=np.float32)
                + rng.standard_normal((seeds, examples), dtype=np.float32)
                > 0
            ).astype(np.float64)
            for i in range(networks)
        }


@dataclass(frozen=True)
class SquaredErrors:
    """Negative squared errors of normal values, a skewed score; seeds differ in their scale.

    Attributes:
        about: What it resembles.
        ease: Standard deviation of what all networks get wrong about an example.
        way: Of what one network gets wrong, all seeds alike.
        spread: Of the mean squared error between seeds, as a share of it.
        gain: By what share the better network's mean squared error is smaller.
    """

    about: str
    ease: float
    way: float
    spread: float
    gain: float = 0.05

    def draw(self, rng: np.random.Generator, seeds: int, examples: int):
        """Return three tables and the true mean of each, over all seeds and over those drawn."""
        ease = self.ease * rng.standard_normal(examples)
        ways = self.way * rng.standard_normal((2, examples))
        size, luck = self.ease**2 + self.way**2 + 1.0, self.spread / 2
        tables, truths, drawn = [], [], []
        for way, share in ((0, 1.0), (0, 1.0), (1, 1.0 - self.gain)):
            lucks = luck * rng.standard_normal((seeds, 1))
            error = ease + ways[way] + rng.standard_normal((seeds, examples))
            tables.append(-share * np.square(error * np.exp(lucks)))
            truths.append(-share * size * float(np.exp(2 * luck**2)))
            drawn.append(-share * size * float(np.exp(2 * lucks).mean()))
        return tables, truths, drawn


World = RightOrWrong | SquaredErrors
WORLDS: Mapping[str, World] = {
    "accuracy 90 %": RightOrWrong(
        "Fashion-MNIST: chance is a third of p(1 - p), seeds spread by 0.2 points",
        accuracy=0.90, ease=3.0, way=1.2, spread=0.002,
    ),
    "accuracy 98.5 %": RightOrWrong(
        "digits: chance is half of p(1 - p), seeds spread by 0.1 points",
        accuracy=0.985, ease=2.5, way=0.5, spread=0.001, gain=0.005,
    ),
    "squared errors": SquaredErrors(
        "regression: skewed scores, seeds spread by 2 %", ease=1.0, way=0.5, spread=0.02
    ),
    UNLIKE: RightOrWrong(
        "90 % against another 90 %: seeds of the one spread by 0.2 points, of the other by 1 point",
        accuracy=0.90, ease=3.0, way=1.2, spread=0.002, gain=0.0, apart=5.0,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """Shares over the studies of one world, number of seeds and number of examples.

    Attributes:
        alike: A/A pairs called different (goal: at most 0.05).
        one: Intervals of one candidate that hold the truth (goal: 0.93 to 0.97).
        same: Intervals of A/A differences that hold 0.
        other: Intervals of A/B differences that hold the truth (goal: 0.93 to 0.97).
        found: A/B pairs called different, and the right way round; where they are equal, either.
        square: Mean squared error of A/B differences.
    """

    world: str
    seeds: int
    examples: int
    studies: int
    alike: float
    one: float
    same: float
    other: float
    found: float
    square: float


def simulate(
    name: str, world: World, seeds: int, examples: int, studies: int, *, key: Sequence[int] = (0,)
) -> Cell:
    """Return the shares over so many studies. With one seed the truth is of the networks drawn."""
    rng = np.random.default_rng([*key, seeds, examples])
    counts = np.zeros(6)
    for _ in range(studies):
        tables, truths, drawn = world.draw(rng, seeds, examples)
        a, again, b = drawn if seeds == 1 else truths
        tests = paired_tests(dict(zip("axb", tables, strict=True)))
        one, same, other = hierarchical_interval(tables[0]), tests["a", "x"], tests["a", "b"]
        counts += (
            same.p <= 0.05,
            one.low <= a <= one.high,
            same.low <= a - again <= same.high,
            other.low <= a - b <= other.high,
            other.p <= 0.05 and (other.mean < 0 or world.gain == 0),
            (other.mean - (a - b)) ** 2,
        )
    return Cell(name, seeds, examples, studies, *(float(c) for c in counts / studies))


def family(spread: float, seeds: int, studies: int, *, key: Sequence[int] = (0,)) -> dict:
    """Return the share of studies that find any difference among equal networks, by Holm."""
    rng, found = np.random.default_rng([*key, seeds, round(1e4 * spread)]), 0
    world = RightOrWrong("", accuracy=0.90, ease=3.0, way=1.2, spread=spread, gain=0.0)
    for _ in range(studies):
        tables = world.equals(rng, seeds, FAMILY_EXAMPLES, FAMILY)
        found += min(v.p_holm for v in judge(tables)) < 0.05
    return {"spread": spread, "seeds": seeds, "studies": studies, "found": found / studies}


def merged(old: Mapping | None, new: Mapping) -> dict:
    """Return the shares of two counts together, by the studies of each."""
    if old is None:
        return dict(new)
    both = old["studies"] + new["studies"]
    found = dict(old, studies=both)
    for key in COUNTED & set(new):
        found[key] = (old[key] * old["studies"] + new[key] * new["studies"]) / both
    return found


def _density(z: float) -> float:
    return float(np.exp(-(z**2) / 2) / (2 * np.pi) ** 0.5)


Count = Callable[[Sequence[int]], dict]  # by the key of its random numbers


def counts() -> dict[str, tuple[str, Count]]:
    """Return everything that is counted, each as its list and how a block of it is made."""
    found: dict[str, tuple[str, Count]] = {}
    for place, (name, world) in enumerate(WORLDS.items()):
        for examples in EXAMPLES:
            for seeds in SEEDS:
                found[f"{name}, {examples}, {seeds}"] = (
                    "cells", partial(_cell, name, world, seeds, examples, place),
                )  # fmt: skip
    for spread in SPREADS:
        world = RightOrWrong("", accuracy=0.90, ease=3.0, way=1.2, spread=spread)
        for seeds in SEEDS[1:]:
            found[f"power, {spread}, {seeds}"] = "power", partial(_power_of, world, seeds)
            found[f"family, {spread}, {seeds}"] = "families", partial(_family, spread, seeds)
    return found


def _cell(
    name: str, world: World, seeds: int, examples: int, place: int, key: Sequence[int]
) -> dict:
    return asdict(simulate(name, world, seeds, examples, BLOCK, key=(place, *key)))


def _power_of(world: RightOrWrong, seeds: int, key: Sequence[int]) -> dict:
    cell = simulate("power", world, seeds, POWER_EXAMPLES, BLOCK, key=(9, *key))
    return {"spread": world.spread, **asdict(cell)}


def _family(spread: float, seeds: int, key: Sequence[int]) -> dict:
    return family(spread, seeds, BLOCK, key=(8, *key))


def count_more(
    facts: Mapping, studies: int, minutes: float, seeds: Sequence[int] | None = None
) -> dict:
    """Return the facts with blocks of studies added, those first that have the fewest.

    Args:
        facts: What was counted before.
        studies: That everything is to have.
        minutes: After which no block is begun.
        seeds: Count cells of so many seeds only; None counts everything.
    """
    began, before = time.monotonic(), facts.get("seconds", 0.0)
    tally, made = dict(facts.get("tally", {})), counts()
    if seeds is not None:
        cells = {f"{world}, {n}, {s}" for world in WORLDS for n in EXAMPLES for s in seeds}
        made = {name: made[name] for name in made if name in cells}
    while True:
        had = {name: tally.get(name, {}).get("studies", 0) for name in made}
        name = min(had, key=lambda name: had[name])
        taken = time.monotonic() - began
        if had[name] >= studies or taken > 60 * minutes:
            break
        tally[name] = merged(tally.get(name), made[name][1]((had[name],)))
    return {
        "seconds": before + taken,
        "worlds": {name: asdict(world) for name, world in WORLDS.items()},
        "tally": tally,
    }


def listed(facts: Mapping) -> dict[str, list[dict]]:
    """Return the cells, the power and the families that were counted."""
    found: dict[str, list[dict]] = {"cells": [], "power": [], "families": []}
    for name, (place, _) in counts().items():
        if name in facts["tally"]:
            found[place].append(facts["tally"][name])
    return found


def recorded_spreads() -> dict[str, list[float]]:
    """Return for each recorded grid how far the seeds of its networks spread, chance taken out."""
    found = {}
    for name, grid in same_network.grids().items():
        parts = map(Moments.of, grid.tables.values())
        found[name] = sorted(
            (max(part.of_seeds - part.of_chance, 0.0) * part.seeds) ** 0.5 for part in parts
        )
    return found


def fashion_spreads() -> dict[str, tuple[float, float]]:
    """Return of each network on Fashion-MNIST its steps and how far its seeds spread."""
    found = {}
    for row in json.loads(FASHION.read_text())["candidates"]:
        done = [seed for seed in row["seeds"] if seed["status"] == "finished"]
        if len(done) > 1:
            spread = float(np.std([seed["score"] for seed in done], ddof=1))
            found[row["name"]] = float(np.mean([seed["steps"] for seed in done])), spread
    return found


def render_simulated(facts: Mapping) -> str:
    """Return the section of simulations as Markdown."""
    counted = listed(facts)
    cells = counted["cells"]
    studies = min(row["studies"] for rows in counted.values() for row in rows)
    lines = [
        "## Simulations with known truth",
        "",
        f"`python -m benchmarks.calibration --studies {studies}`",
        "",
        facts["machine"],
        "",
        f"At least {studies:,} studies a cell, so that a share of 95 % has a standard error of at "
        f"most {_error(studies)} points. "
        "A study is a network, the same network under other seeds, and another one, on the same "
        "examples.",
        "",
        *(f"- {name}: {world['about']}" for name, world in facts["worlds"].items()),
        "",
        *_summary([c for c in cells if c["seeds"] > 1]),
        "- with one seed the intervals speak of the trained networks at hand, and their truth is "
        "taken so; two trainings of one network do differ, and the first column counts how often "
        "that is seen",
        "",
        "Two seeds know their spread by one degree of freedom: where the two of a pair spread "
        "alike, their intervals hold a little more than they say (`moments.joint_freedom`).",
        "",
        *_few(facts["few"]),
        "",
        *_power(counted["power"], facts["recorded"]),
        "",
        *_families(counted["families"]),
        "",
        *_table(cells),
    ]
    return "\n".join(lines)


def _error(studies: int) -> str:
    return f"{100 * (0.95 * 0.05 / studies) ** 0.5:.1f}"


def _summary(cells: Sequence[Mapping]) -> list[str]:
    worst = max(cells, key=lambda c: c["alike"])
    lines = [
        f"- A/A pairs called different, all {len(cells)} cells of two seeds or more: "
        f"{_share(_mean(cells, 'alike'))}, at most {_share(worst['alike'])} ({_where(worst)}); "
        "goal 5 %",
    ]
    equal = [c for c in cells if c["world"] == UNLIKE]
    worst = max(equal, key=lambda c: c["found"])
    lines.append(
        f"- equal networks called different, whose seeds spread unlike ({len(equal)} cells): "
        f"{_share(_mean(equal, 'found'))}, at most {_share(worst['found'])} ({_where(worst)})"
    )
    for key, words in (
        ("one", "one candidate"),
        ("same", "A/A differences"),
        ("other", "A/B differences"),
    ):
        low, high = min(cells, key=lambda c: c[key]), max(cells, key=lambda c: c[key])
        below, above = (sum(c[key] < 0.93 for c in cells), sum(c[key] > 0.97 for c in cells))
        lines.append(
            f"- coverage of 95 % intervals of {words}: {_share(_mean(cells, key))}, from "
            f"{_share(low[key])} ({_where(low)}) to {_share(high[key])} ({_where(high)}); "
            f"{len(cells) - below - above} of {len(cells)} cells within 93 to 97 %, {below} below, "
            f"{above} above"
        )
    large = [c for c in cells if c["examples"] >= MANY_EXAMPLES]
    held = [c[key] for c in large for key in ("one", "same", "other")]
    lines.append(
        f"- of the {len(held)} coverages at {MANY_EXAMPLES:,} examples and more: "
        f"{_share(min(held))} to {_share(max(held))}"
    )
    return lines


def _few(facts: Mapping) -> list[str]:
    one, pairs = facts["one"], facts["pairs"]

    def shown(found: Sequence[float]) -> str:
        return f"{_share(found[0])} at a width of {100 * found[1]:.1f} points"

    return [
        f"Intervals are wide where an accuracy of 98.5 % leaves {few_errors.EXAMPLES} examples "
        "with one or two errors, because so few can be counted: an exact interval of one network "
        f"(Clopper and Pearson) holds the truth in {shown(one['exact'])}, ours in "
        f"{shown(one['ours'])}, and Wilson's, in {shown(one['wilson'])}, falls short. "
        f"Two networks are right about the very same examples in {_share(facts['alike'])} of "
        f"studies; our interval of their difference holds the truth in {shown(pairs['ours'])}, the "
        f"published one of Bonett and Price in {shown(pairs['bonett price'])}.",
    ]


def _power(rows: Sequence[Mapping], recorded: Mapping[str, Sequence[float]]) -> list[str]:
    words = (
        f"Power: a true difference of one point at {POWER_EXAMPLES:,} examples and 90 % accuracy "
        f"is found in this share of studies (goal 80 % at {POWER_SEEDS} seeds); in brackets, what "
        "a test would find that is told how far seeds spread, which no test is."
    )
    return [words, "", *_by_spread(rows, known=True), "", *_which_row(recorded)] if rows else []


def _which_row(recorded: Mapping[str, Sequence[float]]) -> list[str]:
    """Say how far the seeds of real networks spread."""
    fashion = fashion_spreads()
    long = [spread for steps, spread in fashion.values() if steps >= MANY_STEPS]
    short = [spread for steps, spread in fashion.values() if steps < MANY_STEPS]
    grids = "; ".join(
        f"{name} {_points(spreads[0])} to {_points(spreads[-1])}, in the median "
        f"{_points(float(np.median(spreads)))}"
        for name, spreads in recorded.items()
    )
    return [
        f"Which row applies. On Fashion-MNIST's {POWER_EXAMPLES:,} test images "
        f"(docs/results/fashion-mnist.json; few seeds, so that each spread is a rough one, and "
        f"with the {_points(CHANCE)} points in it that single answers add by chance) the "
        f"{len(long)} networks that took {MANY_STEPS:,} steps or more spread by "
        f"{', '.join(map(_points, sorted(long)))} points, the {len(short)} that took fewer by "
        f"{', '.join(map(_points, sorted(short)))}. Networks cut off after 150 to 250 steps (20 "
        "seeds each, benchmarks/results/recorded, chance taken out) spread by, in points: "
        f"{grids}. So the first row is for networks that have nearly learnt what they can, the "
        "second for those that were stopped early; of those whose training may fail, the third is "
        "still too kind.",
    ]


def _points(value: float) -> str:
    return f"{100 * value:.2f}"


def _families(rows: Sequence[Mapping]) -> list[str]:
    words = (
        f"Any false difference: {FAMILY} networks that are equally good and not alike, "
        f"{FAMILY_EXAMPLES:,} examples; the share in which `judge` "
        "finds any of the 66 pairs different by Holm (goal: at most 5 %)."
    )
    return [words, "", *_by_spread(rows)] if rows else []


def _by_spread(rows: Sequence[Mapping], *, known: bool = False) -> list[str]:
    seeds = sorted({row["seeds"] for row in rows})
    lines = [
        "| spread between seeds | " + " | ".join(f"{s} seeds" for s in seeds) + " |",
        "| --- |" + " ---: |" * len(seeds),
    ]
    for spread in sorted({row["spread"] for row in rows}):
        of = {row["seeds"]: row for row in rows if row["spread"] == spread}
        shares = " | ".join(
            _share(of[s]["found"]) + (f" ({_share(_told(of[s]))})" if known else "") for s in seeds
        )
        lines.append(f"| {100 * spread:.1f} points | {shares} |")
    return lines


def _told(cell: Mapping) -> float:
    """Return the power of a z test by the spread that the differences of all studies had."""
    return float(ndtr(POINT / cell["square"] ** 0.5 - 1.96))


def _table(cells: Sequence[Mapping]) -> list[str]:
    lines = [
        "| scores | examples | seeds | A/A called different | one candidate holds | A/A holds "
        "| A/B holds | A/B found |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for c in cells:
        shares = " | ".join(_share(c[k]) for k in ("alike", "one", "same", "other", "found"))
        lines.append(f"| {c['world']} | {c['examples']:,} | {c['seeds']} | {shares} |")
    return lines


def _mean(cells: Sequence[Mapping], key: str) -> float:
    return sum(c[key] for c in cells) / len(cells)


def _where(cell: Mapping) -> str:
    return f"{cell['world']}, {cell['examples']:,} examples, {cell['seeds']} seeds"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


SECTIONS: dict[str, Callable[[Mapping], str]] = {
    "same network": same_network.render,
    "racing": racing.render,
    "simulated": render_simulated,
    "faults": faults.render,
}


def kept(section: str) -> dict:
    """Return the facts of a section as they were kept last; empty where there are none."""
    return json.loads(RESULTS.read_text()).get(section, {}) if RESULTS.exists() else {}


def keep(section: str, facts: Mapping) -> None:
    """Keep the facts of one section beside those of the others, and write the page anew."""
    every = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    every[section] = facts
    save("calibration", every)
    PAGE.write_text(page(every))


def page(every: Mapping[str, Mapping]) -> str:
    """Return docs/calibration.md from all sections that have facts, in the order of SECTIONS."""
    head = (
        "# Calibration\n\nHow often intervals and verdicts are wrong, measured. Each section was "
        "written by the command in it."
    )
    parts = [render(every[name]) for name, render in SECTIONS.items() if name in every]
    return "\n\n".join([head, *parts]) + "\n"


def main() -> None:
    """Simulate and keep the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--seeds", type=lambda text: [int(part) for part in text.split(",")])
    args = parser.parse_args()
    facts = count_more(kept("simulated"), args.studies, args.minutes, args.seeds)
    facts |= {
        "few": few_errors.measure(WORLDS[FEW], WORLDS[FEW].accuracy),
        "recorded": recorded_spreads(),
        "machine": machine(),
    }
    keep("simulated", facts)
    print("\n".join(render_simulated(facts).splitlines()[:60]))


if __name__ == "__main__":
    main()
