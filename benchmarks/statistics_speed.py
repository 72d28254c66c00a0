"""What the statistics of a large study cost: 50 candidates × 10 seeds × 10,000 test examples.

    python -m benchmarks.statistics_speed [--rounds 3]

All 1,225 pairs are judged and every candidate gets its interval, once for right-or-wrong scores and
once for squared errors; goal: under 5 s.
"""

import argparse
import time
from collections.abc import Mapping

import numpy as np

from assay.compare.resolution import next_hour, resolution
from assay.compare.statistics import hierarchical_interval
from assay.compare.verdicts import judge
from benchmarks.common import machine, save

CANDIDATES, SEEDS, EXAMPLES = 50, 10, 10_000
GOAL = 5.0


def tables(kind: str) -> dict[str, np.ndarray]:
    """Return a table for each candidate."""
    rng, found = np.random.default_rng(0), {}
    ease = 4.0 + 3.0 * rng.standard_normal(EXAMPLES, dtype=np.float32)
    for i in range(CANDIDATES):
        noise = rng.standard_normal((SEEDS, EXAMPLES), dtype=np.float32)
        values = ease + i / CANDIDATES + noise
        right = values > 0
        found[f"c{i}"] = (right if kind == "right or wrong" else -np.square(values)).astype(float)
    return found


def seconds(scores: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return what the verdicts, the intervals and the two sentences take."""
    parts = {
        "verdicts": lambda: judge(scores),
        "intervals": lambda: [hierarchical_interval(table) for table in scores.values()],
        "resolution": lambda: resolution(scores),
        "next hour": lambda: next_hour(scores, 60.0),
    }
    found = {}
    for name, part in parts.items():
        began = time.perf_counter()
        part()
        found[name] = time.perf_counter() - began
    return found


def main() -> None:
    """Print the median of the rounds and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(machine())
    facts: dict = {"machine": machine(), "goal_seconds": GOAL, "kinds": {}}
    for kind in ("right or wrong", "squared errors"):
        scores = tables(kind)
        taken = [seconds(scores) for _ in range(rounds)]
        median = {name: float(np.median([t[name] for t in taken])) for name in taken[0]}
        facts["kinds"][kind] = {**median, "all": sum(median.values())}
        print(kind, {name: round(value, 2) for name, value in facts["kinds"][kind].items()})
    save("statistics_speed", facts)


if __name__ == "__main__":
    main()
