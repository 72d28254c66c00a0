"""Does tuning pay? Networks by their cards' recipes against the same networks tuned, on test data.

    python -m benchmarks.tuning [--splits 3] [--seeds 3] [--steps 300] [--store FOLDER] [NAME ...]

Each data set is divided anew `--splits` times, and each division is tuned anew. Its studies are by
the cards' recipes, with `--tune 9`, with `--tune 20`, and by the cards' recipes with trials so long
that they cost what `--tune 20` and its trials do. The page is docs/results/tuning.md, the figures
are in results/tuning.json. Naming data sets measures these and keeps the others.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from assay.compare.resampling import resampled_test
from assay.compare.result import StudyResult
from assay.compare.statistics import adjust, paired_test
from assay.compare.study import Study
from assay.compare.tuning import Rung, halving
from benchmarks.common import load, machine, save
from benchmarks.recorded_grid import NETS, cancer, study_tables

PAGE = Path(__file__).parents[1] / "docs" / "results" / "tuning.md"
FIGURES = Path(__file__).parent / "results" / "tuning.json"
TUNE = (9, 20)
LONGER = "longer"
LEVEL = 0.05
LINEAR = "softmax_regression"
QUIET = {"baselines": False, "precision": "fp32", "autotune": False}  # the same on any machine
TABLE = ["softmax_regression", "mlp", f"{NETS}:Dense64Dropped"]


def affairs(folder: Path) -> str:
    """Return Fair's survey of 6,366 marriages as a table: is there an affair or not?"""
    from statsmodels.datasets import fair

    table = fair.load_pandas().data
    table["affairs"] = np.where(table["affairs"] > 0, "some", "none")
    file = folder / "affairs.csv"
    table.to_csv(file, index=False)
    return str(file)


def sets(folder: Path) -> dict[str, dict]:
    """Return what each study is asked."""
    table = {"models": TABLE, "task": "tabular-classification"}
    return {
        "digits": {"data": "digits", "models": ["softmax_regression", "mlp", "lenet5", "gru"]},
        "breast_cancer": {"data": cancer(folder), "target": "target", **table},
        "affairs": {"data": affairs(folder), "target": "affairs", **table},
    }


def cost(rungs: Sequence[Rung]) -> float:
    """Return what tuning one network costs, in whole trials."""
    return sum(rung.settings * rung.share for rung in rungs)


def ways(steps: int, seeds: int) -> dict[str, dict]:
    """Return the options of the untuned study, then those of what is held against it."""
    dearest = cost(halving(max(TUNE), steps=steps))
    return {
        "untuned": {"budget": f"{steps}steps"},
        **{f"--tune {n}": {"budget": f"{steps}steps", "tune": n} for n in TUNE},
        LONGER: {"budget": f"{round(steps * (1 + dearest / seeds))}steps"},
    }


def compare(asked: Mapping, steps: int, seeds: int) -> dict:
    """Return what the studies of one division of one data set came to."""
    found: dict = {"rows": [], "best": {}}
    plain: dict[str, np.ndarray] = {}
    for way, options in ways(steps, seeds).items():
        study = Study(**asked, **options, seeds=seeds, **QUIET)
        result = study.run(on_event=lambda event: None)
        tables = study_tables(study, result)
        plain = plain or tables
        sizes = result.data["sizes"]
        found["share"] = sizes["test"] / (sizes["test"] + sizes["train"])
        found["examples"] = sizes["test"]
        best = max(tables, key=lambda name: float(tables[name].mean()))
        found["best"][way] = short(best)
        for name, table in tables.items():
            found["rows"].append(_row(result, way, name, table, plain[name]))
    return found


def _row(result: StudyResult, way: str, name: str, table: np.ndarray, plain: np.ndarray) -> dict:
    own = next(c for c in result.candidates if c.name == name)
    tuned = next((t for t in result.tuning if t.candidate == name), None)
    test = paired_test(table, plain)
    settings = tuned.settings if tuned else ()
    return {
        "way": way,
        "name": short(name),
        "score": float(table.mean()),
        "spread": float(table.mean(axis=1).std(ddof=1)),
        "gain": test.mean,
        "low": test.low,
        "high": test.high,
        "p": test.p,
        "chosen": tuned.chosen if tuned else 0,
        "knobs": dict(settings[tuned.chosen].knobs) if tuned else {},
        "steps": sum(s.steps for s in settings) + sum(seed.steps for seed in own.seeds),
    }


def short(name: str) -> str:
    """Return a candidate's name without the file it is from."""
    return name.rpartition(":")[2]


def gains(facts: Mapping, data: str) -> list[dict]:
    """Return for each network and way the gain over its untuned self, over all divisions."""
    divisions = facts["data"][data]
    found = []
    for first in divisions[0]["rows"]:
        same = [
            row
            for division in divisions
            for row in division["rows"]
            if (row["way"], row["name"]) == (first["way"], first["name"])
        ]
        gain = np.array([row["gain"] for row in same])
        row = {
            "way": first["way"],
            "name": first["name"],
            "score": float(np.mean([row["score"] for row in same])),
            "spread": float(np.mean([row["spread"] ** 2 for row in same])) ** 0.5,
            "gains": gain.tolist(),
            "gain": float(gain.mean()),
            "kept": sum(row["chosen"] == 0 for row in same),
        }
        if len(gain) > 1 and np.ptp(gain) > 0.0:
            test = resampled_test(gain, np.zeros(len(gain)), test_share=divisions[0]["share"])
            row |= {"low": test.low, "high": test.high}
        found.append(row)
    return found


def page(facts: Mapping) -> str:
    """Return the page."""
    steps, seeds, splits = facts["steps"], facts["seeds"], facts["splits"]
    lines = [
        "# Does tuning pay?",
        "",
        f"`python -m benchmarks.tuning --splits {splits} --seeds {seeds} --steps {steps}`",
        "",
        facts["machine"],
        "",
        "Networks by the recipes of their cards, against the same networks tuned by `assay compare "
        f"--tune`: {splits} divisions of each data set, tuned anew on each, {seeds} seeds, "
        f"{steps:,} steps a trial. Tuning sees the validation part only; all figures here are of "
        "the test part.",
        "",
        *_in_short(facts),
        "",
        "## What tuning costs",
        "",
        *_costs(facts),
        "",
        "## By network",
        "",
        "Accuracy in per cent; the spread is the standard deviation between seeds. Gains are in "
        "points over the same network untuned: the mean over the divisions with its 95 % interval "
        "(corrected resampled t test: the divisions overlap), then each division's own. `kept` "
        "counts the divisions in which tuning left the card's recipe as it was.",
        "",
    ]
    for data in facts["data"]:
        lines += [*_by_network(facts, data), ""]
    lines += [
        "## Each division by itself",
        "",
        "The verdict of `paired_test` on the tuned against the untuned network, over seeds and "
        "test examples; p is corrected by Holm for all lines of a data set.",
        "",
    ]
    for data in facts["data"]:
        lines += [*_by_division(facts, data), ""]
    return "\n".join(lines)


def judged(facts: Mapping, data: str) -> list[tuple[int, dict, float]]:
    """Return each change on each division with its p, corrected for all of the data set."""
    rows = [
        (at, row)
        for at, division in enumerate(facts["data"][data])
        for row in division["rows"]
        if row["way"] != "untuned" and (row["chosen"] != 0 or row["way"] == LONGER)
    ]
    corrected = adjust([row["p"] for _, row in rows])
    return [(at, row, p) for (at, row), p in zip(rows, corrected, strict=True)]


def _in_short(facts: Mapping) -> list[str]:
    lines = []
    for way in [*(f"--tune {n}" for n in TUNE), LONGER]:
        rows = [r for data in facts["data"] for r in gains(facts, data) if r["way"] == way]
        single = np.array([gain for row in rows for gain in row["gains"]])
        deep = [gain for row in rows if row["name"] != LINEAR for gain in row["gains"]]
        told = [row for data in facts["data"] for _, row, p in judged(facts, data) if p < LEVEL]
        told = [row["gain"] for row in told if row["way"] == way]
        lines.append(
            f"- {_way(way)}: gain {100 * single.mean():+.2f} points on average, "
            f"{100 * np.median(single):+.2f} in the median of {len(single)} (a network on a "
            f"division), from {100 * single.min():+.2f} to {100 * single.max():+.2f}; a better "
            f"mean {(single > 0).sum()} times, shown {sum(gain > 0 for gain in told)} times; a "
            f"worse one {(single < 0).sum()} times, shown {sum(gain < 0 for gain in told)} times; "
            f"without {LINEAR}, {100 * np.mean(deep):+.2f} points on average"
        )
    return lines


def _way(way: str) -> str:
    return f"{way} trials by the card's recipe" if way == LONGER else f"`{way}`"


def _costs(facts: Mapping) -> list[str]:
    steps, seeds = facts["steps"], facts["seeds"]
    lines = [
        "| | rungs | tuning trials a network | in whole trials | a network with its seeds |",
        "| --- | --- | ---: | ---: | ---: |",
        f"| untuned | | 0 | 0 | {seeds}.0 |",
    ]
    for settings in TUNE:
        rungs = halving(settings, steps=steps)
        shown = ", ".join(f"{r.settings} × {round(steps * r.share)} steps" for r in rungs)
        trials = sum(rung.settings for rung in rungs)
        lines.append(
            f"| `--tune {settings}` | {shown} | {trials} | {cost(rungs):.1f} "
            f"| {seeds + cost(rungs):.1f} |"
        )
    longer = ways(steps, seeds)[LONGER]["budget"].removesuffix("steps")
    dearest = cost(halving(max(TUNE), steps=steps))
    lines.append(f"| {LONGER} | {longer} steps a trial, untuned | 0 | 0 | {seeds + dearest:.1f} |")
    return lines


def _by_network(facts: Mapping, data: str) -> list[str]:
    divisions = facts["data"][data]
    lines = [
        f"**{data}**, {divisions[0]['examples']:,} test examples, {len(divisions)} divisions",
        "",
        "| network | way | accuracy | spread | gain | 95 % interval | by division | kept |",
        "| --- | --- | ---: | ---: | ---: | --- | --- | ---: |",
    ]
    for row in sorted(gains(facts, data), key=lambda row: row["name"]):
        head = (
            f"| {row['name']} | {row['way']} | {_points(row['score'])} | {_points(row['spread'])}"
        )
        if row["way"] == "untuned":
            lines.append(f"{head} | | | | |")
            continue
        between = f"{_gain(row['low'])} to {_gain(row['high'])}" if "low" in row else ""
        single = ", ".join(_gain(gain) for gain in row["gains"])
        kept = f"{row['kept']} of {len(divisions)}" if row["way"] != LONGER else ""
        lines.append(f"{head} | {_gain(row['gain'])} | {between} | {single} | {kept} |")
    leaders = [
        f"division {at}: " + ", ".join(f"{way} {best}" for way, best in division["best"].items())
        for at, division in enumerate(divisions)
    ]
    return [*lines, "", f"Best mean, {'; '.join(leaders)}."]


def _by_division(facts: Mapping, data: str) -> list[str]:
    lines = [
        f"**{data}**",
        "",
        "| network | division | way | gain | 95 % interval | p, Holm | chosen |",
        "| --- | ---: | --- | ---: | --- | ---: | --- |",
    ]
    for at, row, p in sorted(judged(facts, data), key=lambda found: found[1]["name"]):
        knobs = ", ".join(f"{name} {value:g}" for name, value in row["knobs"].items())
        lines.append(
            f"| {row['name']} | {at} | {row['way']} | {_gain(row['gain'])} | {_gain(row['low'])} "
            f"to {_gain(row['high'])} | {p:.2g} | {knobs} |"
        )
    return lines


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _gain(share: float) -> str:
    return f"{100 * share:+.2f}"


def main() -> None:
    """Run what is left, keep the figures and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--store", default="/tmp/tuning")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    folder = Path(args.store)
    folder.mkdir(parents=True, exist_ok=True)
    asked_for = {"steps": args.steps, "seeds": args.seeds, "splits": args.splits}
    kept = load("tuning") if FIGURES.exists() else {}
    same = all(kept.get(key) == value for key, value in asked_for.items())
    facts: dict = {"machine": machine(), **asked_for, "data": kept["data"] if same else {}}
    for name, asked in sets(folder).items():
        if args.names and name not in args.names:
            continue
        asked = {**asked, "store": str(folder)}
        facts["data"][name] = [
            compare({**asked, "split_seed": division}, args.steps, args.seeds)
            for division in range(args.splits)
        ]
        save("tuning", facts)
        PAGE.write_text(page(facts), encoding="utf-8")
    print(page(facts))


if __name__ == "__main__":
    main()
