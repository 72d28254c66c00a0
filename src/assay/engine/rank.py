"""What one rank of a shared training does, in a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import signal
import socket
import struct
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import torch.distributed as dist
from torch import Tensor

from assay.data.dataset import Dataset
from assay.engine import checkpoint
from assay.engine.loop import _BEST, _LEARNER, _LOSSES, Loop, Progress, _under
from assay.engine.machine import versions
from assay.engine.randomness import generator_states, load_generator_states, seeded
from assay.engine.spec import Event, TrialRecord, TrialSpec, spec_from_json
from assay.engine.trial import Examples, Part, Reporter, Run, check_split, failures_recorded
from assay.errors import Interrupted, StoreError, TrialError
from assay.learners.together import Together, divide
from assay.models.foreign import foreign_digest

DONE, FAILED, STOPPED, LOST = 0, 70, 75, 76  # how the process of a rank ends
JOB, WHY, ARRIVED, ALL = "job", "why", "arrived", "all"  # keys of the ranks' store
_SIOCGIFADDR = 0x8915  # of Linux's ioctl
_SIGNS_OF_LOSS = (
    "gloo", "connection closed", "connection reset", "broken pipe", "timed out", "pair closure",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Seat:
    """One rank's place, and what it works on.

    Attributes:
        rank: From 0.
        local: Among those of its host.
        world: Ranks in all.
        address: Where the store of this trial answers.
        port: There.
        prefix: Of this trial's keys in the store.
        folder: The trial's own, which rank 0 writes.
        checkpoint_every: Seconds between checkpoints, at least.
        timeout: Seconds that a rank waits for another before it counts as lost.
    """

    rank: int
    local: int
    world: int
    address: str
    port: int
    prefix: str
    folder: Path
    checkpoint_every: float
    timeout: float


def be_rank(seat: Seat, open_data: Callable[[], Dataset], emit: Callable[[Event], None]) -> int:
    """Train with the others, and return how that ended: the process's exit code."""
    stop = _own_signals()
    try:
        store = connect(seat.address, seat.port, seat.prefix, seat.timeout)
        spec = spec_from_json(json.loads(store.get(JOB))["spec"])
    except Exception:  # noqa: BLE001 - whoever started this tells the user
        traceback.print_exc()
        return LOST
    try:
        dataset = open_data()
        check_split(spec, dataset)
        _join(seat, store)
    except Exception as error:  # noqa: BLE001 - data may be anything
        if is_loss(error):
            return _lost(error, store, seat)
        return _failed("absent", error, store, seat)
    try:
        return _train(seat, store, spec, dataset, emit, stop)
    except _LostError as error:
        return _lost(error, store, seat)
    except Interrupted:
        return STOPPED
    except StoreError as error:
        return _failed("unwritable", error, store, seat)


def check_code(spec: TrialSpec) -> None:
    """Raise TrialError where this host would run other code than the one that planned the trial."""
    here = versions()
    for name, planned in spec.versions.items():
        if here.get(name) != planned:
            raise TrialError(
                f"Every host must run the same versions. That of {name} is {here.get(name)} on "
                f"{platform.node()}, planned {planned}; install the same."
            )
    name = spec.candidate.name
    if foreign_digest(name) != spec.candidate.digest:
        raise TrialError(
            "A candidate's code must be the same on every host. "
            f"That of {name} differs on {platform.node()}; copy it there."
        )


def connect(address: str, port: int, prefix: str, timeout: float) -> dist.PrefixStore:
    """Return the ranks' store, or raise what torch does when nothing answers there in time."""
    patience = timedelta(seconds=timeout)
    store = dist.TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=patience)
    return dist.PrefixStore(prefix, store)


def is_loss(error: BaseException) -> bool:
    """Return whether an error is the way torch says that another rank is gone."""
    if isinstance(error, dist.DistError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS_OF_LOSS)


def _join(seat: Seat, store: dist.PrefixStore) -> None:
    """Wait for all ranks, and become one group with them."""
    if store.add(ARRIVED, 1) == seat.world:
        store.set(ALL, "1")
    try:
        store.wait([ALL], timedelta(seconds=seat.timeout))
    except dist.DistError:
        came = store.add(ARRIVED, 0)
        raise TrialError(
            f"A training shared by {seat.world} ranks begins when all are there. Within "
            f"{seat.timeout:g} s {came} came; run the same command again on every host."
        ) from None
    os.environ |= {
        "RANK": str(seat.rank),
        "LOCAL_RANK": str(seat.local),
        "WORLD_SIZE": str(seat.world),
        "MASTER_ADDR": seat.address,
        "MASTER_PORT": str(seat.port),
    }
    interface = interface_towards(seat.address)
    if interface:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    dist.init_process_group(
        "gloo",
        store=dist.PrefixStore("group", store),
        rank=seat.rank,
        world_size=seat.world,
        timeout=timedelta(seconds=seat.timeout),
    )


def interface_towards(address: str) -> str:
    """Return the name of the network interface that leads to an address, or "" if unknown.

    A host's own name often leads gloo to an interface that others cannot reach.
    """
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))  # sends nothing
        ours = probe.getsockname()[0]
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                asked = struct.pack("256s", name.encode()[:15])
                found = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, asked)
                if socket.inet_ntoa(found[20:24]) == ours:
                    return name
    return ""


def launch(spec: TrialSpec) -> Any:
    """Return the Fabric of this rank, which joins the group that is there."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import TorchElasticEnvironment
    from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy

    world = dist.get_world_size()
    strategy: Any = DDPStrategy(find_unused_parameters=True)  # chance may leave a layer out
    if spec.plan.strategy == "fsdp":
        strategy = ModelParallelStrategy(divide, data_parallel_size=world, tensor_parallel_size=1)
    fabric = Fabric(
        accelerator="cpu",
        devices=spec.plan.devices,
        num_nodes=spec.plan.nodes,
        strategy=strategy,
        plugins=[TorchElasticEnvironment()],
    )
    fabric.launch()
    return fabric


def _train(
    seat: Seat,
    store: dist.PrefixStore,
    spec: TrialSpec,
    dataset: Dataset,
    emit: Callable[[Event], None],
    stop: Callable[[], bool],
) -> int:
    leads = seat.rank == 0
    tell = Reporter(spec, emit if leads else _silent)
    run = _SharedRun(spec, dataset, seat.folder, tell, stop, seat.checkpoint_every)
    record = failures_recorded(run, run.lead if leads else run.take_part)
    if leads:
        run.close(record)
    if record.status == "failed":
        _tell(store, "failed", seat, record.reason)
    return FAILED if record.status == "failed" and not leads else DONE


class _LostError(Interrupted):
    """Another rank is gone: no fault of the candidate's, and no record of it."""


@contextmanager
def _losses_told() -> Iterator[None]:
    """Turn what torch raises when another rank is gone into `_LostError`."""
    try:
        yield
    except Exception as error:
        if is_loss(error):
            raise _LostError(str(error)) from error
        raise


class _SharedRun(Run):
    """The parts of one trial on one rank."""

    def lead(self) -> TrialRecord:
        """Train with the others; then predict and write alone."""
        with _losses_told():
            return self.complete()

    def take_part(self) -> TrialRecord:
        """Train with the others, and leave the rest to rank 0."""
        with _losses_told(), seeded(self.spec.seed, threads=self.spec.plan.threads):
            self.prepare().run()
            return self.record("finished")

    def _left_off(self) -> checkpoint.Checkpoint | None:
        return super()._left_off() if dist.get_rank() == 0 else None

    def _learner(  # type: ignore[override]
        self, x: Examples, y: Tensor, *, fresh: bool
    ) -> Together:
        del fresh  # which rank 0 alone knows, and all have to be built alike
        fabric = launch(self.spec)
        before = generator_states()
        inner, plain = super()._learner(x, y, fresh=True), None
        if self.spec.plan.strategy == "fsdp" and dist.get_rank() == 0:
            load_generator_states(before)
            plain = super()._learner(x, y, fresh=True)
        return Together(inner, fabric, seed=self.spec.seed, plain=plain)

    def _loop(  # type: ignore[override]
        self, learner: Together, x: Examples, y: Tensor, validation: Part
    ) -> Loop:
        alone = super()._loop(learner, x, y, validation)  # type: ignore[arg-type]
        return _SharedLoop(
            self.spec,
            learner,
            alone.batch,
            alone.validate,
            folder=self.folder,
            tick=self.tell,
            stop=self.stop,
            checkpoint_every=self.checkpoint_every,
        )


class _SharedLoop(Loop):
    """A loop that goes the same way on every rank: rank 0 decides when to stop and to save."""

    learner: Together

    def __init__(self, *args: Any, stop: Callable[[], bool], **kwargs: Any) -> None:
        super().__init__(*args, stop=self._told, **kwargs)
        if self.learner.rank == 0:
            self.learner.asked = lambda: (stop(), time.monotonic() >= self._due)

    def resume(self, found: checkpoint.Checkpoint | None) -> checkpoint.Checkpoint | None:
        """Continue from rank 0's checkpoint."""
        box: list[Any] = [found and (found.step, found.facts, found.tensors[_LOSSES])]
        dist.broadcast_object_list(box, 0)
        if box[0] is None:
            return None
        step, facts, losses = box[0]
        found = found or checkpoint.Checkpoint(step, {}, facts)
        self.progress = Progress.of_json(facts["progress"])
        self.learner.load_state(_under(_LEARNER, found.tensors))
        self.best = _under(_BEST, found.tensors)
        self._losses = [losses]
        return found

    def save(self) -> None:
        """Have rank 0 write a checkpoint; all hand in what they hold."""
        if self.learner.rank == 0:
            super().save()
        else:
            self.learner.state()

    def _told(self) -> bool:
        return self.learner.stopping or self.learner.saving

    def _pause(self) -> None:
        self.refuse_divergence()
        stopping, saving = self.learner.stopping, self.learner.saving
        self.learner.stopping = self.learner.saving = False
        if stopping or saving:
            self.save()
        if stopping:
            raise Interrupted("rank 0 was asked to stop")
        if saving:
            self.tick(self.progress)


def _tell(store: dist.PrefixStore, kind: str, seat: Seat, text: str) -> None:
    """Leave the reason where whoever started a rank looks for it; the first one counts."""
    with suppress(Exception):  # the store may be gone with its host
        why = {"kind": kind, "rank": seat.rank, "text": text}
        store.compare_set(WHY if kind != "lost" else f"{WHY}/{seat.rank}", "", json.dumps(why))


def _lost(error: Exception, store: dist.PrefixStore, seat: Seat) -> int:
    traceback.print_exc()
    _tell(store, "lost", seat, _whom(error))
    return LOST


def _failed(kind: str, error: Exception, store: dist.PrefixStore, seat: Seat) -> int:
    traceback.print_exc()
    _tell(store, kind, seat, str(error))
    return FAILED


def _whom(error: BaseException) -> str:
    """Return the address that was lost, where torch tells it."""
    found = re.search(r"\[([0-9a-fA-F.:]+)\]:\d+", str(error))
    return found[1].removeprefix("::ffff:") if found else ""


def _own_signals() -> Callable[[], bool]:
    """Let SIGTERM ask to stop; Ctrl-C is for whoever started this rank."""
    asked: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, remember)
    return lambda: bool(asked)


def _silent(event: Event) -> None:
    del event
