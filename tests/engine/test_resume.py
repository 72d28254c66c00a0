"""A trial killed anywhere ends with the bits of one that was not."""

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from trials import make_dataset, make_spec

from assay.data.dataset import Dataset
from assay.engine import loop
from assay.engine.spec import Event, Plan, TrialRecord, TrialSpec
from assay.engine.stacked_trial import run_stack
from assay.engine.trial import run_trial
from assay.errors import Interrupted
from assay.learners.optimization import Optimization
from assay.models.vision.whitened_cnn import WhitenedCNN

Network = Callable[[str], str]
BF16 = Plan(
    precision="bf16", memory_format="channels_last", attention="matmul", convolution="matmul"
)
TIMES = ("train_seconds", "cpu_seconds", "samples_per_second", "peak_memory_bytes", "load")


@pytest.fixture(autouse=True)
def _checkpoints_come_often(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "_SAVING_SHARE", float("inf"))


def fingerprint(folder: Path) -> tuple[str, str, str]:
    """The sha256 of weights, outcome and of what the record says apart from times."""
    record = json.loads((folder / "record.json").read_text())
    kept = {k: v for k, v in record.items() if k not in TIMES}
    kept["curve"] = [{**point, "seconds": 0} for point in kept["curve"]]
    parts = [(folder / n).read_bytes() for n in ("weights.safetensors", "outcome.parquet")]
    parts.append(json.dumps(kept, sort_keys=True).encode())
    first, second, third = (hashlib.sha256(part).hexdigest() for part in parts)
    return first, second, third


def killed(work: Callable[[], object]) -> bool:
    """Run `work` in a forked child; return whether SIGKILL ended it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def kill_before_step(step: int) -> Callable[[], bool]:
    """A `stop` that kills the process when it has been asked so many times."""
    asked = iter(range(step))

    def stop() -> bool:
        if next(asked, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    return stop


def run(
    spec: TrialSpec, dataset: Dataset, folder: Path, **options: Callable[..., object]
) -> TrialRecord:
    return run_trial(spec, dataset, folder, checkpoint_every=0.0, **options)  # type: ignore[arg-type]


def resumed_after_kills(spec: TrialSpec, dataset: Dataset, folder: Path, kills: int) -> list[int]:
    """Kill a trial that often at random steps, let it finish; return where it was resumed."""
    where = random.Random(spec.hash)
    for _ in range(kills):
        stop = kill_before_step(where.randint(2, spec.steps // 3))
        assert killed(lambda stop=stop: run(spec, dataset, folder, stop=stop))
        assert not (folder / "record.json").exists()
    events: list[Event] = []
    run(spec, dataset, folder, emit=events.append)
    assert events[0].kind == "resume"
    return [events[0].step]


@pytest.mark.parametrize(
    ("kind", "name", "changes"),
    [
        ("image", "Dropping", {}),
        ("image", "Dropping", {"augment": "shift", "optimizer": "sgd", "lr": 0.05}),
        ("image", "Convolving", {"plan": BF16}),
        ("image", "lenet5", {"plan": BF16}),
        ("image", "whitened_cnn", {"optimizer": "sgd", "lr": 0.05, "clip": 1.0}),
        ("image", "vit_tiny", {"plan": BF16, "steps": 9, "batch_size": 4}),
        ("image", "mobilenet_v2", {"plan": BF16, "steps": 9, "batch_size": 4}),
        ("sequence", "lstm", {}),
        ("sequence", "gru", {"plan": Plan(precision="bf16")}),
        ("table", "mlp", {}),
        ("values", "mlp", {}),
    ],
)
def test_a_trial_killed_at_random_steps_ends_with_the_same_bits(
    tmp_path: Path, network: Network, kind: str, name: str, changes: dict[str, object]
):
    dataset = make_dataset(kind)
    spec = make_spec(network(name) if name.istitle() else name, dataset, **changes)
    run(spec, dataset, tmp_path / "whole")
    kills = 1 if spec.steps < 24 else 2  # of a large network, one
    resumed_after_kills(spec, dataset, tmp_path / "killed", kills=kills)
    assert fingerprint(tmp_path / "killed") == fingerprint(tmp_path / "whole")


def _forget_generators(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loop, "load_generator_states", lambda tensors: None)


def _forget_moments(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Optimization, "load_state", lambda self, tensors: None)


def _forget_losses(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loop.Loop, "evaluate", _only_the_newest_losses(loop.Loop.evaluate))


def _only_the_newest_losses(evaluate: Callable[[loop.Loop], None]) -> Callable[[loop.Loop], None]:
    def changed(self: loop.Loop) -> None:
        self._losses = [self._losses[-1][-1:]]
        evaluate(self)

    return changed


@pytest.mark.parametrize("forget", [_forget_generators, _forget_moments, _forget_losses])
def test_the_comparison_catches_a_state_that_is_not_restored(
    tmp_path: Path,
    network: Network,
    monkeypatch: pytest.MonkeyPatch,
    forget: Callable[[pytest.MonkeyPatch], None],
):
    dataset = make_dataset()
    spec = make_spec(network("Dropping"), dataset)
    run(spec, dataset, tmp_path / "whole")
    asked = iter(range(8))
    with pytest.raises(Interrupted):
        run(spec, dataset, tmp_path / "t", stop=lambda: next(asked, None) is None)
    forget(monkeypatch)
    run(spec, dataset, tmp_path / "t")
    assert fingerprint(tmp_path / "t") != fingerprint(tmp_path / "whole")


def test_kills_at_random_moments_leave_a_trial_that_ends_with_the_same_bits(
    tmp_path: Path, network: Network
):
    dataset = make_dataset()
    spec = make_spec(network("Dropping"), dataset, steps=60, evaluations=6)
    run(spec, dataset, tmp_path / "warm")  # a first step imports seconds' worth: RELIABILITY.md
    length = _calls_of(lambda: run(spec, dataset, tmp_path / "whole"))
    moments, kills = random.Random(0), 0
    while killed(
        lambda: (
            _die_after_calls(int(moments.uniform(0.05, 0.4) * length)),
            run(spec, dataset, tmp_path / "killed"),
        )
    ):
        moments.random()  # the child's draw was made in the child
        kills += 1
        assert kills < 200, "no progress between kills"
    assert kills >= 3
    assert fingerprint(tmp_path / "killed") == fingerprint(tmp_path / "whole")


def _calls_of(work: Callable[[], object]) -> int:
    """How many calls and returns Python and C functions make during `work`."""
    seen = [0]

    def count(*event: object) -> None:
        seen[0] += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen[0]


def _die_after_calls(number: int) -> None:
    """Have this process killed after so many calls, whatever it is doing then."""
    calls = iter(range(number))

    def count(*event: object) -> None:
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


@pytest.mark.parametrize("call", ["fsync", "replace", "unlink", "open"])
def test_a_kill_at_every_file_operation_leaves_a_trial_that_ends_with_the_same_bits(
    tmp_path: Path, network: Network, call: str
):
    dataset = make_dataset()
    spec = make_spec(network("Dropping"), dataset, steps=4, evaluations=2)
    run(spec, dataset, tmp_path / "whole")
    for number in range(200):
        folder = tmp_path / str(number)
        die = partial(_die_before_operation, call, number)
        if not killed(lambda die=die, folder=folder: (die(), run(spec, dataset, folder))):
            break
        run(spec, dataset, folder)
        assert fingerprint(folder) == fingerprint(tmp_path / "whole")
    assert 3 <= number < 199


def _die_before_operation(call: str, number: int) -> None:
    """Have this process killed before the so-many-th call."""
    owner = os if call == "fsync" else Path
    original, calls = getattr(owner, call), iter(range(number))

    def dying(*arguments: object, **options: object) -> object:
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, call, dying)  # this is a forked child: nobody else sees it


def test_a_stopped_trial_resumes_to_the_same_bits(tmp_path: Path, network: Network):
    dataset = make_dataset()
    spec = make_spec(network("Dropping"), dataset)
    run(spec, dataset, tmp_path / "whole")
    for _ in range(50):
        asked = iter(range(3))
        try:
            run(spec, dataset, tmp_path / "t", stop=lambda asked=asked: next(asked, None) is None)
            break
        except Interrupted:
            continue
    assert fingerprint(tmp_path / "t") == fingerprint(tmp_path / "whole")


def test_a_resumed_trial_does_not_look_at_the_data_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    looks: list[int] = []

    def look(network: WhitenedCNN, images: torch.Tensor) -> None:
        looks.append(len(images))
        torch.nn.init.normal_(network.head.weight, std=images.std().item())

    monkeypatch.setattr(WhitenedCNN, "initialize", look)
    dataset = make_dataset("image")
    spec = make_spec("whitened_cnn", dataset)
    run(spec, dataset, tmp_path / "whole")
    assert killed(lambda: run(spec, dataset, tmp_path / "t", stop=kill_before_step(10)))
    run(spec, dataset, tmp_path / "t")
    assert len(looks) == 1  # the killed process had a list of its own
    assert fingerprint(tmp_path / "t") == fingerprint(tmp_path / "whole")


@pytest.mark.parametrize("together", [False, True])
def test_no_checkpoint_is_written_when_less_than_its_interval_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: bool
):
    saved: list[int] = []
    monkeypatch.setattr(loop.checkpoint, "save", lambda folder, step, *rest: saved.append(step))
    dataset = make_dataset()
    specs = [make_spec("mlp", dataset, seed=seed) for seed in range(1 + together)]
    folders = [tmp_path / str(spec.seed) for spec in specs]
    if together:
        run_stack(specs, dataset, folders, checkpoint_every=1e-9)
    else:
        run_trial(*specs, dataset, *folders, checkpoint_every=1e-9)
    assert sorted(set(saved)) == list(range(1, 24))


def test_a_damaged_checkpoint_is_left_out_and_named(tmp_path: Path, network: Network):
    dataset = make_dataset()
    spec = make_spec(network("Dropping"), dataset)
    run(spec, dataset, tmp_path / "whole")
    assert killed(lambda: run(spec, dataset, tmp_path / "t", stop=kill_before_step(10)))
    newest = max((tmp_path / "t").glob("checkpoint-*"))
    newest.write_bytes(newest.read_bytes()[:-100])
    events: list[Event] = []
    run(spec, dataset, tmp_path / "t", emit=events.append)
    assert (events[0].kind, events[0].text) == (
        "resume",
        f"damaged and left out: {newest.name}",
    )
    assert fingerprint(tmp_path / "t") == fingerprint(tmp_path / "whole")


def test_a_checkpoint_of_another_trial_is_not_used(tmp_path: Path):
    dataset = make_dataset()
    assert killed(
        lambda: run(make_spec("mlp", dataset), dataset, tmp_path, stop=kill_before_step(10))
    )
    events: list[Event] = []
    other = make_spec("mlp", dataset, seed=1)
    run(other, dataset, tmp_path, emit=events.append)
    assert events[0].kind == "start"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "outcome.parquet",
        "record.json",
        "weights.safetensors",
    ]


def test_a_clock_that_jumps_changes_no_duration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dataset = make_dataset()
    days = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 86400.0 * next(days))
    record = run(make_spec("mlp", dataset), dataset, tmp_path)
    assert 0 < record.train_seconds < 60
