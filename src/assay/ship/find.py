"""What RUN means: a folder, a study's id, or one candidate of a study."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assay.data.load import open_prepared
from assay.data.names import shown
from assay.engine.classical import FAMILY
from assay.engine.spec import TrialRecord, spec_from_json
from assay.errors import DataError, MissingPathError, UnknownNameError, nearest
from assay.ship.artifact import FACTS, save_artifact
from assay.store.place import default_store
from assay.store.store import Store, StudyEntry

WINNER = "winner"  # folder of the recommended model inside a run's folder
MODELS = "models"  # the same for models that somebody asked for by name


def find_artifact(run: str | Path, store: Store | str | Path | None = None) -> Path:
    """Return the folder of the artifact that `run` names.

    Args:
        run: A folder with an artifact or with a run's results; a study's id or the beginning of
            one; or ID/CANDIDATE, whose artifact is saved on the first call.
        store: Where ids are looked up; `assay-runs` in the working folder when None.

    Raises:
        MissingPathError: There is no such folder or store, or no model in it.
        UnknownNameError: There is no such study, or no such candidate in it.
    """
    folder = Path(run)
    if str(run) and _is_folder(folder):
        return _in_folder(folder)
    with ExitStack() as stack:
        opened = store if isinstance(store, Store) else stack.enter_context(_opened(run, store))
        prefix, _, candidate = str(run).partition("/")
        study = opened.study(prefix)
        if candidate:
            return _of_candidate(opened, study, candidate)
        return _of_winner(opened, study)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long, or with a NUL inside
        return False


def _in_folder(folder: Path) -> Path:
    for place in (folder, folder / WINNER):
        if (place / FACTS).is_file():
            return place
    raise MissingPathError(
        f"A run's folder holds {FACTS} or {WINNER}/{FACTS}. {shown(folder)} holds neither; "
        "`assay runs` lists the runs and where they are."
    )


def _opened(run: str | Path, where: str | Path | None) -> Store:
    place = default_store() if where is None else where
    if "://" not in str(place) and not Path(place).exists():
        raise MissingPathError(
            "RUN is a folder with a saved model, or the id of a run in a store. "
            f"Received {shown(run)!r}: there is no such folder here, and no store at "
            f"{shown(place)}; give the folder, or name the store with --store."
        )
    return Store.open(place, readonly=True)


def _of_winner(store: Store, study: StudyEntry) -> Path:
    folder = store.run_folder(study.id) / WINNER
    if (folder / FACTS).is_file():
        return folder
    names = ", ".join(_names(study))
    if study.status != "finished":
        raise MissingPathError(
            f"A run has a winner when it is finished. Run {study.id} is {study.status} "
            f"({study.finished} of {len(study.trials)} trials done); continue it with "
            f"`assay resume {study.id}`."
        )
    raise MissingPathError(
        f"Run {study.id} has no saved winner: no candidate met what was required, or its folder "
        f"was removed. Name a candidate, {study.id}/NAME, with NAME one of: {names}."
    )


def _of_candidate(store: Store, study: StudyEntry, name: str) -> Path:
    names = _names(study)
    if name not in names:
        raise UnknownNameError(
            f"Run {study.id} has no candidate {shown(name)!r}.{nearest(name, names)} "
            f"It has {', '.join(names)}."
        )
    folder = store.run_folder(study.id) / MODELS / re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    if not (folder / FACTS).is_file():
        _save(store, study, name, folder)
    return folder


def _names(study: StudyEntry) -> list[str]:
    """Return the networks: a baseline leaves no model behind."""
    candidates = (spec["candidate"] for spec in study.specs)
    return sorted({c["name"] for c in candidates if c["family"] != FAMILY})


def _save(store: Store, study: StudyEntry, name: str, folder: Path) -> None:
    """Save the candidate's best seed, chosen by its score on the validation part."""
    hashes = [
        trial
        for trial, spec in zip(study.trials, study.specs, strict=True)
        if spec["candidate"]["name"] == name
    ]
    done = [r for r in store.trials(hashes).values() if r.status == "finished"]
    if not done:
        raise MissingPathError(
            f"No trial of {shown(name)} in run {study.id} has finished, so there is no model; "
            f"continue it with `assay resume {study.id}` or choose another candidate."
        )
    best = max(sorted(done, key=lambda record: record.seed), key=validation_score)
    save_artifact(
        folder,
        weights=store.trial_folder(best.hash) / "weights.safetensors",
        candidate=spec_from_json(best.spec).candidate,
        dataset=open_prepared(_prepared(store, study)),
        facts=trial_facts(best),
    )


def validation_score(record: TrialRecord) -> float:
    """Return the score on the validation part of the weights that a trial kept; more is better."""
    return max((point.val_score for point in record.curve), default=float("-inf"))


def trial_facts(record: TrialRecord) -> dict[str, Any]:
    """Return what an artifact tells of the trial that trained it."""
    facts = asdict(record)
    kept = ("hash", "seed", "steps", "best_step", "train_seconds", "metrics")
    plan: Mapping[str, Any] = record.spec.get("plan", {})
    return {key: facts[key] for key in kept} | {"plan": dict(plan)}


def _prepared(store: Store, study: StudyEntry) -> Path:
    """Return the folder of the run's prepared data, also where the store was moved as a whole."""
    told = Path(str(study.data.get("folder", "")))
    for folder in (told, store.files / "data" / told.name):
        if told.name and folder.is_dir():
            return folder
    raise DataError(
        "A candidate's model is put together with the prepared data of its run. That of run "
        f"{study.id} is not at {shown(told)}; run the same `assay compare` again."
    )
