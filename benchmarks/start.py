"""How long a user waits: help, list, a study from records, and the first step of a new study.

python -m benchmarks.start
"""

import statistics
import subprocess
import sys
import tempfile
import time

from assay.compare.study import Study
from assay.engine.spec import Event
from benchmarks.common import machine, save

COMMANDS = ("--help", "list", "show resnet18", "runs")
SMALL = ["compare", "digits", "--models", "softmax_regression,mlp", "--budget", "0.2s"]


def seconds(words: list[str], folder: str) -> float:
    """Return the wall clock of one whole command."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "assay", *words], cwd=folder, check=True, capture_output=True
    )
    return time.perf_counter() - began


def first_step(folder: str) -> float:
    """Return the seconds from starting a study to the first step of its first trial."""
    began, heard = time.perf_counter(), []

    def listen(event: Event) -> None:
        if event.kind == "start":
            heard.append(time.perf_counter() - began)

    study = Study(
        "digits", models=["mlp"], budget="0.2s", seeds=1, autotune=False, store=f"{folder}/new"
    )
    study.run(on_event=listen)
    return heard[0]


def main() -> None:
    """Print medians of five and keep them."""
    facts = {"machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        seconds(SMALL, folder)
        for words in (*(c.split() for c in COMMANDS), SMALL):
            times = [seconds(words, folder) for _ in range(5)]
            name = "assay " + " ".join(words) + (" (from records)" if words is SMALL else "")
            facts[name] = f"{statistics.median(times):.2f} s [{min(times):.2f}-{max(times):.2f}]"
            print(name, facts[name], flush=True)
        facts["first step of a new study"] = f"{first_step(folder):.2f} s"
        print("first step of a new study", facts["first step of a new study"])
    save("start", facts)


if __name__ == "__main__":
    main()
