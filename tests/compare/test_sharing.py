"""Several processes on one store: the work is shared, and no trial is done twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from assay.compare.study import Study

SHORT = {"models": ["softmax_regression", "mlp"], "budget": "150steps", "seeds": 4}
SHORT |= {"evaluations": 3, "autotune": False, "baselines": False, "patience": None}

PARENT = """
import json, sys
from assay.compare.study import Study
events = []
result = Study("digits", store=sys.argv[1], workers=1, **json.loads(sys.argv[2])).run(
    on_event=events.append
)
began = [f"{e.candidate} {e.seed}" for e in events if e.kind == "start"]
scores = {c.name: [s.score for s in c.seeds] for c in result.candidates}
json.dump({"began": began, "scores": scores, "run": result.trials_run}, sys.stdout)
"""


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    """Two processes that were asked the same at the same time."""
    store = tmp_path_factory.mktemp("store")
    words = [sys.executable, "-c", PARENT, str(store), json.dumps(SHORT)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [json.loads(process.communicate(timeout=240)[0]) for process in both]
    return store, told


def test_two_processes_share_a_study_and_do_no_trial_twice(parents):
    _, (first, second) = parents
    every = [f"{name} {seed}" for name in SHORT["models"] for seed in range(4)]
    assert sorted(first["began"] + second["began"]) == sorted(every)
    assert first["run"] + second["run"] == len(every)
    assert min(first["run"], second["run"]) > 0


def test_both_report_what_a_third_reads_from_the_records(parents):
    store, (first, second) = parents
    result = Study("digits", store=store, **SHORT).run()
    scores = {c.name: [s.score for s in c.seeds] for c in result.candidates}
    assert result.trials_run == 0
    assert first["scores"] == second["scores"] == scores
