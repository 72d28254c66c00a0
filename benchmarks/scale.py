"""What limits a study of 1,000 candidates × 100 seeds × 10 million examples.

    python -m benchmarks.scale [PART ...]

Each part measures what one machine can measure in seconds; `docs/scale.md` is written from the
figures, with what is computed from them kept apart. Parts: jobs, files, store, statistics,
examples, outcome, plan; without one, all.
"""

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from assay.engine.spec import Candidate, Plan, Point, TrialRecord, TrialSpec
from benchmarks.common import load, machine, save

CANDIDATES, SEEDS, EXAMPLES = 1_000, 100, 10_000_000
TRIALS = CANDIDATES * SEEDS
TEST = 0.25  # share of the examples, see docs/decisions/0005
CLASSES = 10
WORKER = ("--handlers", "benchmarks.scale", "--cold")
HANDLERS = {"bench:nothing": lambda payload, emit, stop: {}}


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cpu(work: Callable[[], object]) -> float:
    """Return the processor seconds that `work` takes in this process: others do not disturb."""
    began = time.process_time()
    work()
    return time.process_time() - began


def spec(seed: int, candidate: str = "lenet5") -> TrialSpec:
    """Return a trial as a study would plan it."""
    return TrialSpec(
        candidate=Candidate(name=candidate, digest="d" * 64),
        task="image-classification",
        inputs=(1, 28, 28),
        outputs=CLASSES,
        split_hash="5" * 64,
        seed=seed,
        steps=1000,
        plan=Plan(precision="bf16", fp32_layers=("depthwise",), step_seconds=0.01),
        versions={"python": "3.11", "torch": "2.15", "assay": "0.1+00000000"},
        machine="A processor",
    )


def record(planned: TrialSpec) -> TrialRecord:
    """Return what such a trial leaves: twenty points of a curve, ten metrics."""
    curve = tuple(
        Point(step=50 * i, seconds=i / 7, train_loss=1 / (i + 1), val_loss=0.3, val_score=0.9)
        for i in range(20)
    )
    return TrialRecord(
        hash=planned.hash,
        candidate=planned.candidate.name,
        seed=planned.seed,
        status="finished",
        metrics={f"test_metric_{i}": 0.1234567890123 * i for i in range(10)},
        curve=curve,
        spec=asdict(planned),
    )


def jobs() -> dict:
    """Time of a job that does nothing, and of the start, on this machine and through Ray."""
    from assay.engine.executor import Job, Pool
    from assay.engine.ray_address import RayCluster
    from assay.engine.ray_pool import RayPool

    os.environ["PYTHONPATH"] = os.environ.get("PYTHONPATH") or str(Path.cwd())
    found: dict = {}
    makers = {
        "Pool": lambda: Pool(2, options=WORKER),
        "RayPool": lambda: RayPool(RayCluster(), workers=2, options=WORKER),
    }
    for name, make in makers.items():
        began = time.perf_counter()
        with make() as pool:
            list(pool.run([Job("bench:nothing", "a", {})]))
            found[name] = {"start_seconds": time.perf_counter() - began}
            many = [Job("bench:nothing", str(i), {}) for i in range(200)]
            rounds = [seconds(lambda p=pool, m=many: list(p.run(m))) / len(many) for _ in range(3)]
            found[name]["job_seconds"] = statistics.median(rounds)
    return found


def files() -> dict:
    """Bytes a second on both roads that files travel."""
    import ray

    from assay.engine.artifacts import PIECE, Depot, fill_from
    from assay.engine.ray_pool import _QUIET

    os.environ.update(_QUIET)
    size = 256 * 2**20
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "x.npy"
        source.write_bytes(os.urandom(size))
        depot = Depot(f"file://{folder}/depot")
        through_depot = seconds(lambda: (depot.put(source, "x"), depot.get("x", folder / "y")))
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        try:
            content = source.read_bytes()
            pieces = [content[i : i + PIECE] for i in range(0, size, PIECE)]
            began = time.perf_counter()
            refs = [ray.put(piece) for piece in pieces]
            fill_from(
                (("z", lambda r=r: ray.get(r), r is refs[-1]) for r in refs),
                folder,
            )
            through_ray = time.perf_counter() - began
        finally:
            ray.shutdown()
    return {
        "depot_bytes_per_second": size / through_depot,
        "object_store_bytes_per_second": size / through_ray,
    }


def store(most: float = 150.0) -> dict:
    """Enter up to 100,000 trials into a SQLite store, read them back, claim and make folders.

    Args:
        most: Seconds after which no more are entered.
    """
    from assay.store.store import Store

    with tempfile.TemporaryDirectory() as name, Store.open(name) as opened:
        specs = [spec(seed) for seed in range(TRIALS)]
        hashing = cpu(lambda: [s.hash for s in specs[:5000]]) / 5000
        hashes = [f"{i:016x}" for i in range(TRIALS)]
        entered, began, worked = 0, time.perf_counter(), time.process_time()
        one = record(specs[0])
        for mark in hashes:
            opened.add_trial(dataclasses.replace(one, hash=mark))
            entered += 1
            if entered % 1000 == 0 and time.perf_counter() - began > most:
                break
        writing = (time.perf_counter() - began) / entered
        working = (time.process_time() - worked) / entered
        reading = cpu(lambda: opened.trials(hashes[:entered]))
        claims = cpu(lambda: [opened.claim(mark).release() for mark in hashes[:5000]]) / 5000
        database = Path(name) / "assay.db"
        size = sum(p.stat().st_size for p in database.parent.glob("assay.db*"))
        return {
            "entered": entered,
            "write_seconds_per_trial": writing,
            "write_cpu_seconds_per_trial": working,
            "read_all_cpu_seconds": reading,
            "claim_cpu_seconds": claims,
            "hash_cpu_seconds": hashing,
            "database_bytes_per_trial": size / entered,
        }


def statistics_() -> dict:
    """Seconds of the verdicts at several sizes, of right-or-wrong tables."""
    from assay.compare.statistics import hierarchical_interval
    from assay.compare.verdicts import judge

    found = []
    judge({"a": np.eye(3), "b": np.eye(3)})  # imports
    for candidates, seeds, examples in (
        (50, 10, 2_000),
        (50, 10, 8_000),
        (50, 40, 2_000),
        (200, 10, 2_000),
        (1_000, 5, 500),
    ):
        rng = np.random.default_rng(0)
        tables = {
            f"c{i}": (rng.random((seeds, examples)) < 0.7 + 0.2 * i / candidates).astype(float)
            for i in range(candidates)
        }
        found.append(
            {
                "candidates": candidates,
                "seeds": seeds,
                "examples": examples,
                "judge_cpu_seconds": cpu(lambda t=tables: judge(t)),
                "interval_cpu_seconds": cpu(
                    lambda t=tables: [hierarchical_interval(x) for x in t.values()]
                ),
            }
        )
    return {"sizes": found}


_OPENED = """
import sys, time
from pathlib import Path
from assay.data.load import open_prepared
from benchmarks.scale import resident
before, began = resident(), time.process_time()
kept = open_prepared(Path(sys.argv[1]))
print(time.process_time() - began, resident() - before)
"""


def resident() -> int:
    """Return the bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def examples(count: int = 1_000_000) -> dict:
    """Prepare a table of a million examples; what it takes on disk, in time and in memory."""
    from assay.data.load import load_arrays
    from assay.engine.machine import peak_memory_bytes, reset_peak_memory

    with tempfile.TemporaryDirectory() as name:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((count, 8), dtype=np.float32)
        y = rng.integers(0, CLASSES, count)
        reset_peak_memory()
        before, began = resident(), time.process_time()
        dataset = load_arrays(x, y, folder=Path(name))
        preparing = time.process_time() - began
        held = peak_memory_bytes() - before
        sizes = {p.name: p.stat().st_size / count for p in dataset.folder.iterdir()}
        done = subprocess.run(
            [sys.executable, "-c", _OPENED, str(dataset.folder)],
            check=True,
            capture_output=True,
            text=True,
        )
        opening, memory = map(float, done.stdout.split())
    return {
        "count": count,
        "prepare_cpu_seconds": preparing,
        "prepare_bytes_per_example": held / count,
        "disk_bytes_per_example": sizes,
        "open_cpu_seconds": opening,
        "open_bytes_per_example": memory / count,
    }


def outcome(count: int = 200_000) -> dict:
    """What a trial's answers take for each test example of ten classes."""
    from assay.engine.outcome import Answers, read_predicted, write_outcome

    rng = np.random.default_rng(0)
    scores = rng.standard_normal((count, CLASSES)).astype(np.float32) * 3
    predicted = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    answers = Answers(
        example=np.arange(count), truth=rng.integers(0, CLASSES, count), predicted=predicted
    )
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "outcome.parquet"
        writing = cpu(lambda: write_outcome(path, {"test": answers}, {}))
        reading = cpu(lambda: read_predicted(path, "test"))
        size = path.stat().st_size
    return {
        "bytes_per_example": size / count,
        "write_cpu_seconds_per_example": writing / count,
        "read_cpu_seconds_per_example": reading / count,
    }


def plan() -> dict:
    """Seconds of choosing how a candidate is computed, one at a time, nothing known before."""
    from assay.engine.executor import Job, Pool
    from assay.models.foreign import foreign_digest

    found = {}
    with tempfile.TemporaryDirectory() as name:
        os.environ["ASSAY_CACHE"] = name
        with Pool(1) as pool:
            shapes = {"task": "image-classification", "inputs": [1, 28, 28], "outputs": CLASSES}
            for network in ("mlp", "lenet5", "resnet18"):
                candidate = Candidate(name=network, digest=foreign_digest(network))
                payload = {
                    "candidate": asdict(candidate),
                    **shapes,
                    "precision": "auto",
                    "autotune": True,
                    "threads": 1,
                    "accelerator": "cpu",
                    "budget": "20s",
                    "train_size": 6_000_000,
                    "macs": 0,
                }
                _done(pool.run([Job("macs", network, payload)]))  # the warm process is there now
                job = Job("plan", network, payload)
                found[network] = seconds(lambda j=job: _done(pool.run([j])))
    return found


def _done(results: Iterator) -> None:
    for job, result in results:
        assert result.status == "done", (job.key, result.reason)


PARTS = {
    "jobs": jobs,
    "files": files,
    "store": store,
    "statistics": statistics_,
    "examples": examples,
    "outcome": outcome,
    "plan": plan,
}


def main() -> None:
    """Measure the parts asked for; keep what other parts measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    wanted = parser.parse_args().parts or list(PARTS)
    found: dict = {}
    with suppress(FileNotFoundError):
        found = load("scale")
    for part in wanted:
        figures = PARTS[part]()
        found[part] = {"machine": machine(), **figures}
        print(part, figures, flush=True)
        save("scale", found)


if __name__ == "__main__":
    main()
