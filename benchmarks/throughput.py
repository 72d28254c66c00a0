"""Trials per second through the executor, against independent processes started by hand.

    python -m benchmarks.throughput [--trials 8] [--rounds 3]

By hand: as many processes as cores, each imports what it needs, says so, and then runs its share of
the trials one after another with `run_trial`. The executor: `Pool`, its warm process started before
the clock. Both train the same networks on digits; the two alternate, and a ratio is the executor's
trials per second over those by hand. The goal is 0.9.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from assay.data.load import load
from assay.engine.executor import Job, Pool
from assay.engine.machine import cores
from assay.engine.spec import Candidate, TrialSpec
from benchmarks.common import interleave, machine, ratio, save

BY_HAND = """
import json, sys
from pathlib import Path
from assay.data.load import open_prepared
from assay.engine.spec import spec_from_json
from assay.engine.trial import run_trial
from assay.engine.worker import _warm_up
_warm_up(())
print("ready", flush=True)
sys.stdin.readline()
facts = json.load(open(sys.argv[1]))
for spec, folder in facts["trials"]:
    run_trial(spec_from_json(spec), open_prepared(Path(facts["data"])), Path(folder))
"""


def specs(dataset, trials: int) -> list[TrialSpec]:
    """Return trials of LeNet-5 that differ in the seed, about two seconds each."""
    return [
        TrialSpec(
            candidate=Candidate(name="lenet5", digest="", family="cnn"),
            task=dataset.task,
            inputs=dataset.inputs,
            outputs=dataset.outputs,
            split_hash=dataset.split_hash,
            seed=seed,
            steps=600,
            evaluations=5,
            patience=None,
        )
        for seed in range(trials)
    ]


def by_executor(dataset, trials: list[TrialSpec]) -> float:
    """Return trials per second through a Pool."""
    with tempfile.TemporaryDirectory() as home, Pool(cores()) as pool:
        jobs = [
            Job(
                "trial",
                spec.hash,
                {
                    "spec": asdict(spec),
                    "data": str(dataset.folder),
                    "folder": str(Path(home) / spec.hash),
                },
            )
            for spec in trials
        ]
        list(pool.run([Job("macs", "warm", _anything(trials[0]))]))
        began = time.monotonic()
        done = [result.status for _, result in pool.run(jobs)]
        assert done == ["done"] * len(jobs), done
        return len(jobs) / (time.monotonic() - began)


def _anything(spec: TrialSpec) -> dict:
    candidate = asdict(spec.candidate)
    return {"candidate": candidate, "inputs": list(spec.inputs), "outputs": spec.outputs}


def by_hand(dataset, trials: list[TrialSpec]) -> float:
    """Return trials per second of one process a core."""
    import json

    with tempfile.TemporaryDirectory() as home:
        processes = []
        for worker in range(cores()):
            share = trials[worker :: cores()]
            file = Path(home) / f"{worker}.json"
            rows = [[asdict(spec), str(Path(home) / spec.hash)] for spec in share]
            file.write_text(json.dumps({"data": str(dataset.folder), "trials": rows}))
            words = [sys.executable, "-c", BY_HAND, str(file)]
            pipe = subprocess.PIPE
            processes.append(subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True))
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait() for process in processes] == [0] * len(processes)
        return len(trials) / (time.monotonic() - began)


def main() -> None:
    """Print the ratio and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        dataset = load("digits", folder=Path(folder))
        trials = specs(dataset, args.trials)
        ways = {
            "by hand": lambda: by_hand(dataset, trials),
            "executor": lambda: by_executor(dataset, trials),
        }
        rates = interleave(ways, args.rounds)
    found = ratio(rates["executor"], rates["by hand"])
    print(f"executor over by hand: {found}, goal 0.9; trials per second {rates}")
    facts = {"machine": machine(), "rates": rates, "ratio": asdict(found), "trials": args.trials}
    save("throughput", facts)


if __name__ == "__main__":
    main()
