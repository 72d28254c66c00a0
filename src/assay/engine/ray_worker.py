"""The worker's side of `engine/ray_pool.py`: one at a time, a job and the files it needs.

What goes back and forth are JSON texts and bytes. `RaySeat` alone knows of ray.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from assay.engine.artifacts import (
    CHECKPOINT,
    Depot,
    Shelf,
    as_json,
    fill_from,
    holds,
    in_order,
    pieces,
    plain,
)
from assay.engine.executor import Job, Pool
from assay.engine.machine import processor, versions
from assay.engine.spec import Event
from assay.errors import AssayError, StoreError, TrialError
from assay.models.foreign import foreign_digest
from assay.models.weight_files import cache

Message = tuple[str, bytes]  # JSON, and the bytes that belong to it

_AT_MOST = 2 * 32 * 2**20  # bytes of one answer, about
_IN_HAND = 4  # messages with bytes that may wait to be fetched
_SHARE = 0.05  # of the time: sending checkpoints may take no more


class RayWorker:
    """Does jobs that come from elsewhere, in a Pool of one. Ray calls its methods in threads.

    Args:
        options: JSON. `preload`, `memory`, `options` and `accelerated` as Pool takes them (the
            driver of an accelerator reserves addresses without end, so no limit of memory then);
            `every`, seconds
            between two looks for a checkpoint to send; `artifacts`, a URL or ""; `same_files`,
            whether data that are found at the parent's path are used there.
    """

    def __init__(self, options: str) -> None:
        facts = json.loads(options)
        self._every: float = facts["every"]
        self._same_files: bool = facts["same_files"]
        self._depot = Depot(facts["artifacts"]) if facts["artifacts"] else None
        self._shelf = Shelf(cache().with_name("carried-data"))
        self._given: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._ready: queue.Queue[Message] = queue.Queue()
        self._room = threading.Semaphore(_IN_HAND)
        self._scratch = Path(tempfile.mkdtemp(prefix="assay-ray-"))
        self._pool = Pool(
            1,
            memory=None if facts["accelerated"] else facts["memory"],
            preload=facts["preload"],
            options=facts["options"],
            accelerated=facts["accelerated"],
        )
        self._pool.__enter__()

    def facts(self) -> str:
        """Return who this is, as JSON: `versions`, `processor`, `host`, `pid`."""
        return as_json(
            {
                "versions": versions(),
                "processor": processor(),
                "host": platform.node(),
                "pid": os.getpid(),
            }
        )

    def begin(self, job: str, names: str, *contents: bytes) -> None:
        """Start a job; `poll` tells of it.

        Args:
            job: A Job as JSON.
            names: JSON list: the files that are in the trial's folder already.
            contents: Of these.
        """
        facts = json.loads(job)
        files = dict(zip(json.loads(names), contents, strict=True))
        threading.Thread(target=self._work, args=(Job(**facts), files), daemon=True).start()

    def give(self, parcel: str, content: Sequence[Callable[[], bytes]] = ()) -> None:
        """Hand over the data set that was asked for.

        Args:
            parcel: JSON: `pieces`, [name, is last] for each; or `names`, files in the depot.
            content: What fetches each piece.
        """
        self._given.put((parcel, content))

    def poll(self, seconds: float) -> list[Message]:
        """Return what there is to tell, after `seconds` at most; the last is `ended`.

        The others are `event`, `wants` (a data set), `file` (a piece of one), `stored` (a file in
        the depot) and `removed`.
        """
        told: list[Message] = []
        with suppress(queue.Empty):
            told.append(self._ready.get(timeout=seconds))
            while sum(len(m[1]) for m in told) < _AT_MOST:
                told.append(self._ready.get_nowait())
        for _ in filter(None, (content for _, content in told)):
            self._room.release()
        return told

    def stop(self, grace: float) -> None:
        """Have the job write a checkpoint and end; see `Pool.stop`."""
        self._given.put(("", ()))  # whoever waits for data waits no more
        self._pool.stop(grace)

    def close(self) -> None:
        """End the warm process."""
        self._pool.kill()
        self._pool.__exit__(None, None, None)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _work(self, job: Job, files: Mapping[str, bytes]) -> None:
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
            ended = self._do(job, files, folder)
        except (StoreError, TrialError, OSError) as error:  # this machine's fault, not the job's
            ended = {"status": "lost", "reason": str(error)}
        except Exception as error:  # noqa: BLE001 - the parent must hear of it, whatever it is
            ended = {"status": "lost", "reason": f"{type(error).__name__}: {error}"}
        shutil.rmtree(folder, ignore_errors=True)
        self._tell(ended=ended)

    def _do(self, job: Job, files: Mapping[str, bytes], folder: Path) -> dict[str, Any]:
        payload = dict(job.payload)
        other = _other_code(payload)
        if other:
            return {"status": "failed", "reason": other}
        if "data" in payload:
            found = self._data(payload.pop("data_key"), Path(payload["data"]))
            if found is None:
                return {"status": "stopped"}
            payload["data"] = str(found)
        if "folder" not in payload:
            return self._run(Job(job.kind, job.key, payload))
        payload["folder"] = str(folder)
        for name, content in files.items():
            (folder / plain(name)).write_bytes(content)
        sender = _Sender(self, job.key, folder, set(files))
        with sender:
            ended = self._run(Job(job.kind, job.key, payload))
        sender.send_all()
        return ended

    def _run(self, job: Job) -> dict[str, Any]:
        for _, result in self._pool.run([job], self._pass_on):
            return asdict(result)
        return {"status": "stopped"}

    def _pass_on(self, event: Event) -> None:
        self._tell(event=asdict(event))

    def _data(self, key: str, theirs: Path) -> Path | None:
        """Return a folder with the data here, or None when there was a stop meanwhile."""
        if self._same_files and holds(theirs, key):
            return theirs
        stopped = False

        def fill(folder: Path) -> None:
            nonlocal stopped
            self._tell(wants=key)
            parcel, given = self._given.get()
            stopped = not parcel
            if not stopped:
                self._unpack(json.loads(parcel), given, folder, key)

        try:
            return self._shelf.find(key) or self._shelf.add(key, fill)
        except StoreError:
            if stopped:
                return None
            raise

    def _unpack(self, parcel: Mapping[str, Any], given: Sequence[Any], to: Path, key: str) -> None:
        if self._depot is not None:
            for name in parcel["names"]:
                self._depot.get(f"data/{key}/{name}", to / plain(name))
            return
        marks = parcel["pieces"]
        fill_from(((name, give, last) for (name, last), give in zip(marks, given, strict=True)), to)

    def _tell(self, content: bytes = b"", **facts: Any) -> None:
        """Put a message where `poll` finds it; one with bytes waits until there is room."""
        if content:
            self._room.acquire()
        self._ready.put((as_json(facts), content))

    def _send(self, path: Path, key: str) -> None:
        """Send a file, unless it has gone meanwhile."""
        with suppress(FileNotFoundError):
            if self._depot is not None:
                self._depot.put(path, f"trials/{key}/{path.name}")
                self._tell(stored=path.name)
                return
            with path.open("rb") as file:
                size, sent = os.fstat(file.fileno()).st_size, 0
                for piece in pieces(file):
                    sent += len(piece)
                    self._tell(piece, file=path.name, last=sent == size)


class RaySeat(RayWorker):
    """A RayWorker whose data sets come out of Ray's object store."""

    def give(self, parcel: str, content: Sequence[Any] = ()) -> None:
        """Hand over the data set that was asked for.

        Args:
            parcel: As RayWorker takes it.
            content: References to the pieces.
        """
        import ray

        fetch: Callable[[Any], bytes] = ray.get
        super().give(parcel, [partial(fetch, piece) for piece in content])


def _other_code(payload: Mapping[str, Any]) -> str:
    """Return the reason not to run a candidate whose code here is not that of the parent, or ""."""
    candidate = payload.get("candidate") or payload.get("spec", {}).get("candidate")
    if not candidate:
        return ""
    with suppress(AssayError):  # a baseline, or a file that is not here, which the job itself says
        if foreign_digest(candidate["name"]) != candidate["digest"]:
            return (
                f"A candidate's code must be the same on every machine. That of "
                f"{candidate['name']} differs on {platform.node()}; copy it there."
            )
    return ""


class _Sender:
    """Sends a trial's newest checkpoint now and then while the block runs.

    Args:
        worker: Whose messages they become.
        key: The job's.
        folder: The trial's.
        known: Names of the files that the parent has.
    """

    def __init__(self, worker: RayWorker, key: str, folder: Path, known: set[str]) -> None:
        self._worker, self._key, self._folder, self._known = worker, key, folder, known
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *details: object) -> None:
        self._over.set()
        self._thread.join()

    def send_all(self) -> None:
        """Send what the parent does not have, `record.json` last."""
        for path in in_order(self._folder):
            if path.name not in self._known or not path.match(CHECKPOINT):
                self._worker._send(path, self._key)

    def _watch(self) -> None:
        pause = self._worker._every
        while not self._over.wait(pause):
            newest = max(self._folder.glob(CHECKPOINT), default=None)
            if newest is None or newest.name in self._known:
                continue
            began = time.monotonic()
            with suppress(OSError):  # the next one will do
                self._worker._send(newest, self._key)
                self._known.add(newest.name)
            pause = max(self._worker._every, (time.monotonic() - began) / _SHARE)
