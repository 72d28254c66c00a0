"""Trials on the digits, and workers that know the jobs in `ray_handlers.py`."""

from dataclasses import asdict
from pathlib import Path

from assay.data.load import load
from assay.engine.executor import Job
from assay.engine.spec import Candidate, Recipe, TrialSpec
from assay.models.foreign import foreign_digest

WARM = ("--handlers", "ray_handlers")
COLD = (*WARM, "--cold")


def trials(folder: Path, *, split: int = 0, steps: int = 500) -> list[Job]:
    """Return two candidates with two seeds each on the digits."""
    dataset = load("digits", folder=folder.parent / "data", seed=split)
    jobs = []
    for seed in (0, 1):
        for width in (16, 64):
            candidate = Candidate(
                name="mlp", digest=foreign_digest("mlp"), recipe=Recipe(batch_size=width)
            )
            spec = TrialSpec(
                candidate=candidate,
                task=dataset.task,
                inputs=dataset.inputs,
                outputs=dataset.outputs,
                split_hash=dataset.split_hash,
                seed=seed,
                steps=steps,
                evaluations=20,
                patience=None,
            )
            payload = {"data": str(dataset.folder), "folder": str(folder / spec.hash)}
            jobs.append(Job("test:trial", spec.hash, {"spec": asdict(spec), **payload}))
    return jobs
