"""A study in small, for tests that signal or kill it: `python study.py FOLDER [SECONDS]`."""

import os
import sys
from pathlib import Path

from processes import OPTIONS

from assay.engine.executor import Job, Pool
from assay.engine.signals import stop_on_signals
from assay.engine.spec import Event


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(folder: Path, seconds: float, kind: str) -> int:
    payload = {"steps": 400, "seconds": seconds}
    jobs = [Job(f"test:{kind}", k, {**payload, "file": str(folder / k), "name": k}) for k in "abc"]
    told = False

    def tell(event: Event) -> None:
        nonlocal told
        if not told and len(pool.children) == 2:
            told = True
            say(" ".join(map(str, (pool.pid, *pool.children))))

    with Pool(2, options=OPTIONS) as pool, stop_on_signals(pool.stop) as stop:
        found = [f"{job.key} {result.status}" for job, result in pool.run(jobs, tell)]
        say("\n".join(found))
        if stop.requested:
            return stop.exit_code
    return 0


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))
