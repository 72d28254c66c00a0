"""Studies that end when the recommendation is decided, against the grid of all trials.

    python -m benchmarks.racing [--studies 500] [--grids 200] [GRID ...]

On simulated grids, whose truth is known, and on those that `benchmarks.recorded_grid` recorded: how
often equal candidates are declared different, which share of the grid's trials a race needs, how
often it recommends what the whole grid does, and how far below the best candidate the
recommendation is with a tenth of the trials; for `--prefer latency`, with the margin that stands
where none is asked for, and for `--prefer score`. The
figures are a section of docs/calibration.md; naming grids measures these anew and keeps the others.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import ndtri

from assay.compare.margin import margin_for
from assay.compare.racing import Race
from assay.compare.recommend import choose
from assay.compare.result import PairVerdict
from assay.compare.verdicts import beaten_by, judge

CANDIDATES, SEEDS = 12, 20
TENTH = 0.1  # of the grid's trials
GOAL = 0.3  # points that a recommendation from a tenth loses in the median
MARGIN = margin_for(None, share=True)
COMMAND = "python -m benchmarks.racing"
RECORDED = Path(__file__).parent / "results" / "recorded"

PREFERENCES = ("latency", "score")
_SHARES = ("trials", "same", "no_worse")

_HEAD = """## Studies that end when decided (`--until decided`), and small budgets

`{command}`, with `--studies` (of equal candidates) and `--grids` as each row shows.

A simulated grid has 12 candidates and 20 seeds, its truth is known, and better candidates tend to
cost more. A recorded grid (`python -m benchmarks.recorded_grid`: real trials of 10 to 12 networks,
20 seeds each) is met anew in each study with its seeds in another order, with all of its test
examples or with a random half; its truth is the mean over all seeds and examples. Its equal
candidates are two halves of one network's seeds.

- **false**: studies of equal candidates that declare any difference under `--until decided` and
  `--prefer latency`; goal: at most 5 %. Their races end early, as nothing is left to find.
- **trials**: what a race uses of the whole grid's, on average; goal: at most half.
- **same**: races that recommend what the whole grid does; **no worse**: that or a truly better one.
- **regret**: by how many points the recommendation is truly below the best candidate, in the median
  and, in brackets, in nine of ten studies: after the whole grid, after the race, and after a tenth
  of the grid's trials (two seeds of each candidate); goal for the tenth: 0.3 in the median."""
_TABLE = """\
`--prefer {prefer}`:

| grid | grids drawn | false | trials | same | no worse | regret: grid | race | tenth |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""
_FOOT = """\
With all examples the whole recorded grid is the same in every study, so that `same` is about one
recommendation. A race ends when nobody is likely to be shown to beat its recommendation or to end
more than the margin above it, and, under `--prefer latency`, when no cheaper candidate is likely to
end within the margin of the best mean. Among candidates that are about equal it therefore often
takes another one than the grid, above all under `--prefer score`, where nothing but their means
tells them apart: `same` is low there, and so is what it loses.

**Which preference to take.** `--prefer latency` recommends the cheapest candidate that nothing has
been shown to beat and that is within {margin} of the best mean. With a tenth of the trials, two
seeds of each candidate, {latency}. `--prefer score` recommends the best mean itself: {score}. That
is little less; `--prefer score` is for those to whom no lower cost is worth anything, and who would
pay more, or less, for a cheaper network says so by `--margin`. Neither is better than the means
that it goes by: where seeds spread far or examples are few, two seeds may mislead both."""

Tables = dict[str, np.ndarray]


@dataclass(frozen=True)
class World:
    """What simulated studies are drawn from.

    Attributes:
        examples: Of the test part.
        seed_points: Standard deviation of the accuracy over seeds, in points.
        best: Accuracy of the best candidates.
        spread: Mean of how many points each candidate is below `best`, exponential.
        uneven: Standard deviation of the logarithm of `seed_points` from candidate to candidate.
    """

    examples: int
    seed_points: float
    best: float = 0.92
    spread: float = 2.0
    uneven: float = 0.3


WORLDS = {
    "small": World(examples=300, seed_points=1.5),
    "middle": World(examples=2_000, seed_points=0.6),
    "large": World(examples=10_000, seed_points=0.3),
    "unstable": World(examples=10_000, seed_points=1.0, uneven=0.6),
}


@dataclass
class Grid:
    """Tables of every candidate, what each costs, and how good each truly is."""

    tables: Tables
    costs: dict[str, float]
    truth: dict[str, float]
    best: float = field(init=False)

    def __post_init__(self) -> None:
        self.best = max(self.truth.values())


@dataclass(frozen=True)
class Ran:
    """One race: what it recommended, what it used, what it declared, and why it ended."""

    recommended: str
    trials: int
    differences: int
    end: str


def simulate(
    rng: np.random.Generator,
    world: World,
    *,
    equal: bool = False,
    candidates: int = CANDIDATES,
    seeds: int = SEEDS,
) -> Grid:
    """Return a grid of right-or-wrong answers: difficulty, taste, luck of the seed, and chance.

    An answer is right when the sum of normals is above zero: the difficulty of the example, shared
    by all candidates; each candidate's own view of the example; the seed's luck; chance. The true
    accuracy is therefore known. Better candidates tend to cost more.
    """
    below = np.zeros(candidates) if equal else rng.exponential(world.spread, candidates)
    accuracy = world.best - below / 100
    cost = np.exp(rng.standard_normal(candidates)) * np.exp(-0.3 * (below - below.mean()))
    luck = world.seed_points / 100 * np.exp(world.uneven * rng.standard_normal(candidates))
    difficulty = 2.0 * rng.standard_normal(world.examples)
    names = [f"c{i:02d}" for i in range(candidates)]
    tables = {}
    for i, name in enumerate(names):
        tables[name] = _answers(rng, accuracy[i], luck[i], difficulty, seeds)
    return Grid(
        tables,
        dict(zip(names, cost.tolist(), strict=True)),
        dict(zip(names, accuracy.tolist(), strict=True)),
    )


def _answers(
    rng: np.random.Generator, accuracy: float, luck: float, difficulty: np.ndarray, seeds: int
) -> np.ndarray:
    rest = 2.0**2 + 1.0 + 1.0  # variances of difficulty, taste and chance
    steepness = math.exp(-(ndtri(accuracy) ** 2) / 2) / math.sqrt(2 * math.pi)
    by_seed = luck * math.sqrt(rest) / steepness  # latent; to first order
    place = ndtri(accuracy) * math.sqrt(rest + by_seed**2)
    seen = place + difficulty + rng.standard_normal(len(difficulty))
    shift = by_seed * rng.standard_normal((seeds, 1))
    chance = rng.standard_normal((seeds, len(difficulty)), dtype=np.float32)
    return (seen + shift + chance > 0).astype(np.uint8)


def recorded(file: Path) -> Grid:
    """Return a recorded grid: FILE.npz and the facts beside it; its means count as the truth.

    Arrays hold seeds by test examples, plain or as `numpy.packbits` packs right-or-wrong answers;
    the facts are {"examples": their number, "costs": {name: a number or {"latency": ...}}}.
    """
    facts = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    examples = facts.get("examples")
    with np.load(file) as arrays:
        tables = {name: np.asarray(arrays[name]) for name in arrays.files}
    for name, table in tables.items():
        if examples and table.shape[1] != examples:
            tables[name] = np.unpackbits(table, axis=1, count=examples)
    costs = {name: _cost(cost) for name, cost in facts["costs"].items()}
    return Grid(tables, costs, {name: float(table.mean()) for name, table in tables.items()})


def _cost(cost: float | Mapping[str, float | None] | None) -> float:
    number = cost["latency"] if isinstance(cost, Mapping) else cost
    return math.inf if number is None else float(number)


def evenly(grid: Grid) -> Grid:
    """Return the grid as `--prefer score` sees it: everything costs the same."""
    return Grid(grid.tables, dict.fromkeys(grid.tables, 1.0), grid.truth)


def redrawn(rng: np.random.Generator, grid: Grid, *, share: float = 1.0) -> Grid:
    """Return the grid with its seeds in another order and a share of its examples."""
    columns = next(iter(grid.tables.values())).shape[1]
    some = rng.permutation(columns)[: round(share * columns)]
    tables = {n: t[rng.permutation(len(t))][:, some] for n, t in grid.tables.items()}
    return Grid(tables, grid.costs, grid.truth)


def split_in_two(rng: np.random.Generator, grid: Grid) -> Grid:
    """Return one candidate of the grid as two: a half of its seeds each."""
    name = str(rng.choice(list(grid.tables)))
    table = grid.tables[name][rng.permutation(len(grid.tables[name]))]
    half = len(table) // 2
    tables = {"a": table[:half], "b": table[half : 2 * half]}
    return Grid(tables, {"a": 1.0, "b": 2.0}, dict.fromkeys("ab", grid.truth[name]))


def run_race(grid: Grid, *, first: int = 3, most: int | None = None) -> Ran:
    """Run a race over recorded trials, to its end."""
    least = min(len(table) for table in grid.tables.values())
    race = Race(list(grid.tables), first=first, most=most or least, margin=MARGIN)
    used = dict.fromkeys(grid.tables, 0)
    while asked := race.next(_taken(grid, used), costs=grid.costs):
        for name in asked:
            used[name] += 1
    tables = _taken(grid, used)
    verdicts = race.verdicts(tables)
    return Ran(
        recommended=recommended(verdicts, tables, grid.costs),
        trials=sum(used.values()),
        differences=sum(v.verdict != "not distinguishable" for v in verdicts),
        end=race.end,
    )


def recommended(verdicts: list[PairVerdict], tables: Tables, costs: Mapping[str, float]) -> str:
    """Return the candidate that is recommended, by the default margin."""
    unbeaten = [n for n in tables if not beaten_by(n, verdicts)]
    means = {n: float(tables[n].mean()) for n in unbeaten}
    return choose(unbeaten, means, costs, MARGIN)


def _taken(grid: Grid, used: Mapping[str, int]) -> Tables:
    return {name: table[: used[name]] for name, table in grid.tables.items() if used[name]}


def false_differences(draw: Callable[[], Grid], studies: int) -> float:
    """Return the share of studies of equal candidates that declare any difference."""
    return sum(run_race(draw()).differences > 0 for _ in range(studies)) / studies


def against_the_grid(draw: Callable[[], Grid], studies: int) -> dict[str, dict]:
    """Return for each preference how races compare with the grid, and what budgets lose.

    Regrets are in points below the best candidate, in the median and in nine of ten studies.
    """
    rows: dict[str, list[dict[str, float]]] = {prefer: [] for prefer in PREFERENCES}
    for _ in range(studies):
        grid = draw()
        rows["latency"].append(_compare(grid))
        rows["score"].append(_compare(evenly(grid)))
    return {prefer: _summed_up(of) for prefer, of in rows.items()}


def _summed_up(rows: list[dict[str, float]]) -> dict:
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    found: dict = {key: float(columns.pop(key).mean()) for key in _SHARES}
    return found | {
        f"regret_{key}": np.quantile(column, (0.5, 0.9)).tolist() for key, column in columns.items()
    }


def _compare(grid: Grid) -> dict[str, float]:
    whole = recommended(judge(grid.tables), grid.tables, grid.costs)
    race = run_race(grid)
    seeds = min(len(table) for table in grid.tables.values())
    afforded = max(2, round(TENTH * seeds))
    tenth = run_race(grid, first=afforded, most=afforded)
    loss = {name: 100 * (grid.best - value) for name, value in grid.truth.items()}
    return {
        "trials": race.trials / sum(len(table) for table in grid.tables.values()),
        "same": float(race.recommended == whole),
        "no_worse": float(loss[race.recommended] <= loss[whole]),
        "race": loss[race.recommended],
        "grid": loss[whole],
        "tenth": loss[tenth.recommended],
    }


def measure(name: str, studies: int, grids: int) -> dict:
    """Return every figure of one simulated or recorded grid."""
    facts: dict = {"studies": studies, "grids": grids}
    if name in WORLDS:
        rng, world = np.random.default_rng(14), WORLDS[name]
        draw = partial(simulate, rng, world)
        false = false_differences(partial(draw, equal=True), studies)
        return facts | asdict(world) | {"false": false} | against_the_grid(draw, grids)
    rng, grid = np.random.default_rng(15), recorded(RECORDED / f"{name}.npz")
    facts |= {
        "candidates": len(grid.tables),
        "examples": next(iter(grid.tables.values())).shape[1],
        "false": false_differences(partial(split_in_two, rng, grid), studies),
    }
    for key, share in (("all", 1.0), ("half", 0.5)):
        facts[key] = against_the_grid(partial(redrawn, rng, grid, share=share), grids)
    return facts


def render(facts: Mapping[str, Mapping]) -> str:
    """Return the section of docs/calibration.md on races and small budgets as Markdown."""
    tables = [
        "\n".join([_TABLE.format(prefer=prefer), *(_row(*row, prefer) for row in _rows(facts))])
        for prefer in PREFERENCES
    ]
    losses = {prefer: _losses(facts, prefer) for prefer in PREFERENCES}
    losses["margin"] = MARGIN.words("en")
    return "\n\n".join([_HEAD.format(command=COMMAND), *tables, _FOOT.format(**losses)])


def _rows(facts: Mapping[str, Mapping]) -> Iterator[tuple[str, Mapping, Mapping]]:
    """Yield the label of each row, the figures of its grid, and those by preference."""
    for name, of in facts.items():
        if name in WORLDS:
            words = f"{of['examples']:,} examples, seeds spread by {of['seed_points']:g} points"
            yield f"simulated, {name}: {words}", of, of
        else:
            words = f"recorded, {name}, {of['candidates']} networks"
            yield f"{words}, all {of['examples']:,} examples", of, of["all"]
            yield f"{words}, half of the examples", of, of["half"]


def _row(label: str, grid: Mapping, by_preference: Mapping, prefer: str) -> str:
    row = by_preference[prefer]
    shares = [f"{100 * of:.1f} %" for of in (grid["false"], *map(row.get, _SHARES))]
    regrets = [_regret(row[f"regret_{key}"]) for key in ("grid", "race", "tenth")]
    shares[0] += f" of {grid['studies']}"
    return " | ".join([f"| {label}", str(grid["grids"]), *shares, *regrets]) + " |"


def _regret(quantiles: Sequence[float]) -> str:
    return "{:.2f} ({:.2f})".format(*quantiles)


def _losses(facts: Mapping[str, Mapping], prefer: str) -> str:
    """Return in words what a tenth of the trials loses, over all rows."""
    medians = [of[prefer]["regret_tenth"][0] for _, _, of in _rows(facts)]
    most = [of[prefer]["regret_tenth"][1] for _, _, of in _rows(facts)]
    above = [label.split(":")[0] for label, _, of in _rows(facts) if _above(of[prefer])]
    return (
        f"it loses {min(medians):.2f} to {max(medians):.2f} points to the best candidate in the "
        f"median of studies, and up to {max(most):.2f} in nine of ten; the median is above the "
        f"goal of {GOAL:g} on {' and '.join(above) or 'no grid'}"
    )


def _above(row: Mapping) -> bool:
    return round(row["regret_tenth"][0], 2) > GOAL


def main() -> None:
    """Measure, print and keep the figures of the grids that were named, or of all."""
    from benchmarks.calibration import keep, kept

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--grids", type=int, default=200)
    every = [*WORLDS, *(file.stem for file in sorted(RECORDED.glob("*.npz")))]
    parser.add_argument("names", nargs="*", metavar="GRID", help=", ".join(every))
    args = parser.parse_args()
    for name in args.names or every:
        found = {**kept("racing"), name: measure(name, args.studies, args.grids)}
        print(name, found[name], flush=True)
        keep("racing", {key: found[key] for key in every if key in found})


if __name__ == "__main__":
    main()
