"""What the benchmarks share: alternate two ways of doing a thing, compare round by round."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

FASHION = Path("/usr/share/datasets/fashion-mnist")  # apt-get install dataset-fashion-mnist


@dataclass(frozen=True)
class Ratio:
    """B over A, round by round."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}-{self.high:.2f}]"


def interleave(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run each way once a round, the first one rotating; return each way's figures by round."""
    figures: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for r in range(rounds):
        for name in names[r % len(names) :] + names[: r % len(names)]:
            figures[name].append(ways[name]())
    return figures


def two_places(models: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the models, and copies of them made in the other order.

    Where in memory their weights lie is worth two hundredths of a time, either way.
    """
    return [models, {name: deepcopy(models[name]) for name in reversed(models)}]


def ratio(new: list[float], old: list[float]) -> Ratio:
    """Compare two lists of figures, pair by pair."""
    pairs = [n / o for n, o in zip(new, old, strict=True)]
    return Ratio(statistics.median(pairs), min(pairs), max(pairs))


def rate(work: Callable[[], int], seconds: float) -> float:
    """Return units of work per CPU second of this process, over at least `seconds` of them."""
    start, done = time.process_time(), 0
    while time.process_time() - start < seconds:
        done += work()
    return done / (time.process_time() - start)


class Apart:
    """A process that does some work for as long as it is asked to.

    Args:
        pipe: To the process, which runs `serve`.
        words: What it said of its work.
    """

    def __init__(self, pipe: Connection, words: str) -> None:
        self.pipe, self.words = pipe, words

    def rate(self, seconds: float) -> float:
        """Return its units of work per CPU second."""
        self.pipe.send(seconds)
        return self.pipe.recv()


@contextmanager
def apart(work: Callable[[str, Connection], None], name: str) -> Iterator[Apart]:
    """Start a process that does `work` on `name`."""
    ours, theirs = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=work, args=(name, theirs), daemon=True)
    process.start()
    yield Apart(ours, ours.recv())
    ours.send(0.0)
    process.join()


def serve(step: Callable[[], int], words: str, pipe: Connection) -> None:
    """Take a step, say `words`, and answer every request for a rate until one is for nothing."""
    step()
    pipe.send(words)
    while seconds := pipe.recv():
        pipe.send(rate(step, seconds))


def machine() -> str:
    """Return one line that names the machine, its load and torch."""
    import torch

    from assay.engine.machine import machine as facts

    seen = facts()
    return (
        f"{seen['processor']}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"{time.strftime('%Y-%m-%d')}"
    )


def load(name: str) -> dict:
    """Return a benchmark's figures as they were saved last."""
    return json.loads((Path(__file__).parent / "results" / f"{name}.json").read_text())


def save(name: str, facts: dict) -> None:
    """Write a benchmark's figures beside it, for README.md."""
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
