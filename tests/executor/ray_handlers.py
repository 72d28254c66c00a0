"""Jobs for a worker on a Ray cluster, besides those in `handlers.py`."""

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import handlers

from assay.engine.spec import spec_from_json
from assay.engine.worker import Emit, Stopped


def lose(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Kill the actor that this job's warm process belongs to; with `times`, only so often."""
    count = Path(payload["count"])
    tries = len(count.read_text()) if count.exists() else 0
    if tries >= payload.get("times", 10**9):
        return {"tries": tries + 1}
    count.write_text("x" * (tries + 1))
    actor = int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(actor, signal.SIGKILL)
    time.sleep(20)
    return {}


def trial(payload: Mapping[str, Any], emit: Emit, stop: Stopped) -> Mapping[str, Any]:
    """Run a trial whose checkpoints come fast, so that a short one has some."""
    from assay.data.load import open_prepared
    from assay.engine.trial import run_trial

    spec, folder = spec_from_json(payload["spec"]), Path(payload["folder"])
    dataset = open_prepared(Path(payload["data"]))
    return asdict(run_trial(spec, dataset, folder, emit=emit, stop=stop, checkpoint_every=0.05))


HANDLERS = {**handlers.HANDLERS, "test:lose": lose, "test:trial": trial}
