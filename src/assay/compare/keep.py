"""What a finished study leaves behind: the winner, ready to use, and the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assay.compare.findings import Trained
from assay.compare.result import StudyResult
from assay.data.dataset import Dataset
from assay.engine.spec import digest
from assay.ship.artifact import FACTS, save_artifact
from assay.ship.find import WINNER, trial_facts, validation_score
from assay.store.store import Store

RESULTS = "results.json"
_PASSING = ("seconds", "trials_run", "machine", "command")  # of a result; say nothing new


def save_winner(study: str, winner: Trained, dataset: Dataset, store: Store) -> None:
    """Save a candidate's best seed, chosen by its score on validation.

    Args:
        study: Its id, in whose folder the artifact goes.
        winner: The recommended candidate; one seed of it at least has finished.
        dataset: That it was trained on.
        store: That holds its weights.
    """
    done = [r for r in winner.records if r.status == "finished"]
    best = max(done, key=validation_score)
    folder = store.run_folder(study) / WINNER
    if _saved_trial(folder) == best.hash:
        return
    cost = asdict(winner.cost) if winner.cost else {}
    save_artifact(
        folder,
        weights=store.trial_folder(best.hash) / "weights.safetensors",
        candidate=winner.candidate,
        dataset=dataset,
        facts={**trial_facts(best), "cost": cost, "study": study},
    )


def write(result: StudyResult, folder: Path, lang: str) -> None:
    """Write the report, unless the one that is there says the same."""
    from assay.report.codec import result_to_json
    from assay.report.write import write_report

    _tidy(folder)
    with suppress(OSError, ValueError, TypeError):
        before = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        if (folder / "report.html").is_file() and _news(before) == _news(result_to_json(result)):
            return
    write_report(result, folder, lang)


def _tidy(folder: Path) -> None:
    """Remove what a process that was killed here left unfinished."""
    for path in [*folder.glob(".*.tmp"), *folder.glob("plots/.*.tmp")]:
        path.unlink(missing_ok=True)
    for room in folder.glob(f".{WINNER}-*"):
        shutil.rmtree(room, ignore_errors=True)


def _saved_trial(folder: Path) -> str:
    """Return which trial the saved winner is of, or an empty string."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / FACTS).read_text(encoding="utf-8"))["facts"]["hash"])
    return ""


def _news(facts: Mapping[str, Any]) -> str:
    return digest({key: value for key, value in facts.items() if key not in _PASSING})
