"""Many seeds of many networks on three data sets, recorded for the calibration of verdicts.

    python -m benchmarks.recorded_grid [--seeds 20] [--store /tmp/recorded-grid] [NAME ...]

Every trial is a real one, run by `assay compare`. What is kept, in benchmarks/results/recorded/, is
which test examples each trial got right (an .npz with one array, seeds by examples, for each
candidate) and what each candidate costs (a .json beside it). The benchmarks of calibration, racing
and regret read them, so that they need no training.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from assay.compare.outcomes import read_predicted
from assay.compare.result import StudyResult
from assay.compare.study import Study
from assay.data.load import load
from assay.store.store import Store
from benchmarks.common import machine

KEPT = Path(__file__).parent / "results" / "recorded"
NETS = Path(__file__).with_name("recorded_nets.py")
IMAGES = ["softmax_regression", "mlp", "lenet5", "lenet5_1998"]
IMAGES += [
    f"{NETS}:{name}"
    for name in (
        "Conv8",
        "Conv8Norm",
        "Conv12",
        "Conv16",
        "Conv16Norm",
        "Conv8Deep",
        "Dense64",
        "Dense256",
    )
]
TABLES = ["softmax_regression", "mlp"]
TABLES += [
    f"{NETS}:{name}"
    for name in (
        "Dense16",
        "Dense64",
        "Dense64Dropped",
        "Dense256",
        "Dense256Dropped",
        "Dense16Twice",
        "Dense64Twice",
        "Dense64Thrice",
    )
]


def fashion(folder: Path) -> str:
    """Return a file with 3,000 images of Fashion-MNIST to learn from and 4,000 to test on."""
    whole = load("fashion-mnist", folder=folder)
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(len(whole.x), 7_000, replace=False))
    file = folder / "fashion_7000.npz"
    np.savez(file, x=whole.x[rows], y=whole.y[rows])
    return str(file)


def cancer(folder: Path) -> str:
    """Return scikit-learn's breast cancer table as a file."""
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer(as_frame=True).frame
    file = folder / "breast_cancer.csv"
    table.to_csv(file, index=False)
    return str(file)


def sets(folder: Path) -> dict[str, dict]:
    """Return what each study is asked."""
    return {
        "digits": {"data": "digits", "models": IMAGES, "budget": "250steps"},
        "fashion_7000": {"data": fashion(folder), "models": IMAGES, "budget": "250steps"},
        "breast_cancer": {
            "data": cancer(folder),
            "models": TABLES,
            "budget": "150steps",
            "target": "target",
            "task": "tabular-classification",
        },
    }


def keep(name: str, study: Study, seeds: int) -> None:
    """Run a study and write which test examples each trial got right."""
    result = study.run(on_event=lambda event: None)
    right = study_tables(study, result)
    short = {c.name: c.name.rpartition(":")[2] for c in result.candidates}
    np.savez_compressed(
        KEPT / f"{name}.npz",
        **{short[c]: np.packbits(table.astype(bool), axis=1) for c, table in right.items()},
    )
    facts = {
        "machine": machine(),
        "seeds": seeds,
        "examples": result.data["sizes"]["test"],
        "sizes": result.data["sizes"],
        "budget": result.budget,
        "costs": {
            short[c.name]: {
                "latency": c.cost.latency_p50_ms if c.cost else None,
                "seconds": c.train_seconds,
            }
            for c in result.candidates
        },
    }
    (KEPT / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(name, {short[c]: round(float(t.mean()), 4) for c, t in right.items()}, flush=True)


def study_tables(study: Study, result: StudyResult) -> dict[str, np.ndarray]:
    """Return for each candidate a table of seeds by test examples: whether each was right."""
    with Store.open(study.request.store, readonly=True) as store:
        dataset = study._load(store.files)
        truth = dataset.y[dataset.test]
        return {
            candidate.name: read_predicted(
                [
                    store.trial_folder(trial.hash)
                    for trial in sorted(candidate.seeds, key=lambda trial: trial.seed)
                    if trial.status == "finished"
                ]
            )
            == truth
            for candidate in result.candidates
        }


def main() -> None:
    """Run what is left and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--store", default="/tmp/recorded-grid")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    folder = Path(args.store)
    folder.mkdir(parents=True, exist_ok=True)
    for name, options in sets(folder).items():
        if not args.names or name in args.names:
            asked = {**options, "seeds": args.seeds, "store": str(folder), "patience": None}
            keep(name, Study(**asked), args.seeds)


if __name__ == "__main__":
    main()
