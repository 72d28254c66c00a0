"""Is one network told apart from itself? Recorded trials of the same network under other seeds.

    python -m benchmarks.same_network [--studies 500]

The trials are those of `benchmarks.recorded_grid`. A real study has five recorded trials of a
network against five others of the same network, on the test examples as they are; each network
gives two such pairs that share no trial. A resampled study draws a network, puts its twenty trials
in two groups at random, and draws as many test examples as there are, with replacement. The share
of studies that declare a difference is that of false verdicts. The figures are a section of
docs/calibration.md.
"""

import argparse
from collections.abc import Mapping

import numpy as np
from scipy.stats import binomtest

from assay.compare.statistics import paired_test
from assay.compare.verdicts import judge
from benchmarks.racing import RECORDED, Grid, Tables, recorded, run_race

SEEDS, MOST = 5, 10  # of either side: in a study of fixed seeds, and in a longer race
COPIES = 4  # of one network in a study of several candidates
KINDS = {
    "real": f"real, {SEEDS} seeds against {SEEDS} others, `judge`",
    "real, until": f"the same under `--until decided` (looks at 3 and {SEEDS} seeds)",
    "resampled": f"resampled, {SEEDS} seeds against {SEEDS} others, `judge`",
    "resampled, until": f"resampled, up to {MOST} against {MOST}, under `--until decided`",
    "family": f"resampled, {COPIES} copies of a network with {SEEDS} seeds each, any difference",
    "family, until": "the same under `--until decided`",
}


def grids() -> dict[str, Grid]:
    """Return the recorded grids by name."""
    return {file.stem: recorded(file) for file in sorted(RECORDED.glob("*.npz"))}


def real_pairs(grid: Grid) -> list[Tables]:
    """Return each network against itself: seeds 0-4 against 5-9, and 10-14 against 15-19."""
    return [
        {"a": table[at : at + SEEDS], "b": table[at + SEEDS : at + 2 * SEEDS]}
        for table in grid.tables.values()
        for at in range(0, len(table) - 2 * SEEDS + 1, 2 * SEEDS)
    ]


def resampled(rng: np.random.Generator, every: Mapping[str, Grid], copies: int) -> Tables:
    """Return one network under so many names, its seeds shared out, its examples drawn anew."""
    networks = [table for grid in every.values() for table in grid.tables.values()]
    table = networks[rng.integers(len(networks))]
    columns = rng.integers(table.shape[1], size=table.shape[1])
    drawn = table[rng.permutation(len(table))][:, columns]
    return {str(i): part for i, part in enumerate(np.array_split(drawn, copies))}


def declares(tables: Tables) -> bool:
    """Return whether a study of these tables tells any two candidates apart."""
    return any(v.verdict != "not distinguishable" for v in judge(tables))


def declares_until(tables: Tables) -> bool:
    """Return whether a race over these tables does, at any moment."""
    costs = {name: float(i) for i, name in enumerate(tables)}
    return run_race(Grid(tables, costs, dict.fromkeys(tables, 0.0))).differences > 0


def real(every: Mapping[str, Grid]) -> dict[str, dict]:
    """Return for each data set what its real studies declared."""
    found = {}
    for name, grid in every.items():
        pairs = real_pairs(grid)
        tests = [paired_test(pair["a"], pair["b"]) for pair in pairs]
        found[name] = {
            "networks": len(grid.tables),
            "examples": pairs[0]["a"].shape[1],
            "studies": len(pairs),
            "real": sum(map(declares, pairs)),
            "real, until": sum(map(declares_until, pairs)),
            "holds": sum(test.low <= 0.0 <= test.high for test in tests),
        }
    return found


def simulated(every: Mapping[str, Grid], studies: int) -> dict[str, int]:
    """Return how many of so many resampled studies declared a difference, by kind."""
    rng = np.random.default_rng(16)
    found = dict.fromkeys(("resampled", "resampled, until", "family", "family, until"), 0)
    for _ in range(studies):
        pair = resampled(rng, every, 2)
        found["resampled"] += declares({name: table[:SEEDS] for name, table in pair.items()})
        found["resampled, until"] += declares_until(pair)
        copies = resampled(rng, every, COPIES)
        found["family"] += declares(copies)
        found["family, until"] += declares_until(copies)
    return found


def measure(studies: int) -> dict:
    """Return what real and resampled studies declared."""
    every = grids()
    return {"real": real(every), "studies": studies, "resampled": simulated(every, studies)}


def render(facts: Mapping) -> str:
    """Return the section of docs/calibration.md on networks against themselves as Markdown."""
    sets, studies = facts["real"], sum(of["studies"] for of in facts["real"].values())
    counts = {key: sum(of[key] for of in sets.values()) for key in ("real", "real, until")}
    counts |= facts["resampled"]
    holds = sum(of["holds"] for of in sets.values())
    lines = [
        "## One network against itself (A/A), on recorded trials",
        "",
        f"`python -m benchmarks.same_network --studies {facts['studies']}`",
        "",
        "Trials of `python -m benchmarks.recorded_grid`: "
        + "; ".join(
            f"{name}, {of['networks']} networks, {of['examples']:,} test examples"
            for name, of in sets.items()
        )
        + ". A real study has five recorded trials of a network against five others of it; the two "
        "studies of a network share no trial. A resampled study shares a network's twenty seeds "
        "out at random and draws the test examples anew. Goal: at most 5 % declare a difference.",
        "",
        "| studies | declare a difference | share | 95 % interval (Clopper and Pearson) |",
        "| --- | ---: | ---: | ---: |",
    ]
    for kind, words in KINDS.items():
        of = studies if kind.startswith("real") else facts["studies"]
        lines.append(f"| {words} | {counts[kind]} of {of} | {_shares(counts[kind], of)} |")
    by_set = ", ".join(
        f"{name} {of['real']} and {of['real, until']} of {of['studies']}"
        for name, of in sets.items()
    )
    lines += [
        "",
        f"Real studies by data set, `judge` and under `--until`: {by_set}. The 95 % interval of "
        f"the difference holds 0 in {holds} of {studies} real studies "
        f"({100 * holds / studies:.1f} %).",
    ]
    return "\n".join(lines)


def _shares(count: int, of: int) -> str:
    interval = binomtest(count, of).proportion_ci(method="exact")
    return f"{100 * count / of:.1f} % | {100 * interval.low:.1f} to {100 * interval.high:.1f} %"


def main() -> None:
    """Measure, print and keep the figures."""
    from benchmarks.calibration import keep

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    facts = measure(parser.parse_args().studies)
    keep("same network", facts)
    print(render(facts))


if __name__ == "__main__":
    main()
