"""One training by several processes or two hosts, and what is left when some are killed."""

import ctypes
import json
import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from trials import make_dataset, make_spec

from assay.data.dataset import Dataset
from assay.engine import checkpoint, distributed, loop, place
from assay.engine.outcome import read_outcome
from assay.engine.place import Place, check_devices, shape, shared_plan
from assay.engine.spec import Event, Plan, TrialRecord, TrialSpec
from assay.engine.trial import run_trial
from assay.errors import BadArgumentError, Interrupted, MissingExtraError, StoreError, TrialError
from assay.models.foreign import build_any, foreign_digest

fabric = pytest.importorskip("lightning_fabric", reason="assay[distributed] is not installed")
from assay.engine.distributed import HostError, dismiss, follow, run_distributed  # noqa: E402
from assay.engine.rank import interface_towards  # noqa: E402

Network = Callable[[str], str]
TWO = Plan(devices=2)
HOSTS = Plan(nodes=2)
SLOW = """
import time
from torch import nn

class Slow(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.head = nn.Linear(inputs[0], outputs)

    def forward(self, x):
        time.sleep(0.01 * self.training)
        return self.head(x)
"""


@pytest.fixture(autouse=True)
def _checkpoints_come_often(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "_SAVING_SHARE", float("inf"))
    monkeypatch.setattr(distributed, "_GRACE", 1.0)


@pytest.fixture
def slow(tmp_path: Path) -> str:
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    return f"{tmp_path / 'slow.py'}:Slow"


def coded(spec: TrialSpec) -> TrialSpec:
    """Return a trial that names its code, which other hosts compare with theirs."""
    digest = foreign_digest(spec.candidate.name)
    return replace(spec, candidate=replace(spec.candidate, digest=digest))


def shared(spec: TrialSpec, dataset: Dataset, folder: Path, **options: Any) -> TrialRecord:
    return run_distributed(spec, lambda: dataset, folder, timeout=20, **options)


def same(one: TrialRecord, several: TrialRecord, folders: list[Path]) -> None:
    """Assert that two records and what lies beside them agree within rounding."""
    assert (several.status, several.reason) == ("finished", "")
    assert (several.steps, several.best_step) == (one.steps, one.best_step)
    for a, b in zip(one.curve, several.curve, strict=True):
        for name in ("step", "train_loss", "val_loss", "val_score"):
            assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-4, abs=1e-5)
    assert several.metrics == pytest.approx(dict(one.metrics), rel=1e-4, abs=1e-5)
    assert several.moved == pytest.approx(one.moved, rel=1e-4)
    weights = [load_file(folder / "weights.safetensors") for folder in folders]
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "name", "strategy", "changes"),
    [
        ("table", "mlp", "ddp", {"batch_size": 17}),  # one rank has an example more
        ("image", "lenet5", "ddp", {"augment": "shift", "clip": 1.0}),
        ("values", "mlp", "ddp", {"optimizer": "sgd", "lr": 0.01}),
        ("table", "mlp", "fsdp", {"batch_size": 17}),
        ("image", "lenet5", "fsdp", {"optimizer": "sgd", "lr": 0.01, "clip": 1.0}),
    ],
)
def test_two_ranks_do_what_one_process_does(
    tmp_path: Path, kind: str, name: str, strategy: Any, changes: dict[str, Any]
):
    dataset, folders = make_dataset(kind), [tmp_path / "one", tmp_path / "two"]
    spec = make_spec(name, dataset, steps=12, **changes)
    one = run_trial(spec, dataset, folders[0])
    events: list[Event] = []
    plan = Plan(devices=2, strategy=strategy)
    two = shared(
        replace(spec, plan=plan), dataset, folders[1], emit=events.append, checkpoint_every=600
    )
    same(one, two, folders)
    assert [e.kind for e in events] == ["start", *["progress"] * 4, "finish"]
    assert sorted(p.name for p in folders[1].iterdir()) == sorted(
        p.name for p in folders[0].iterdir()
    )
    assert shared(replace(spec, plan=plan), dataset, folders[1]) == two  # is not run again


def test_divided_weights_load_into_the_plain_network(tmp_path: Path):
    dataset = make_dataset("table")
    spec = make_spec("mlp", dataset, steps=40, lr=5e-3, plan=Plan(devices=2, strategy="fsdp"))
    record = shared(spec, dataset, tmp_path)
    assert record.metrics["test_accuracy"] > 0.6  # chance is a third
    network = build_any("mlp", spec.inputs, spec.outputs)
    network.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    network.eval()
    with torch.no_grad():
        found = network(torch.from_numpy(dataset.x[dataset.test])).softmax(1).numpy()
    expected = read_outcome(tmp_path / "outcome.parquet", "test").predicted
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


SHARES = """
import torch
from torch import nn

class Looking(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs[0], 64), nn.ReLU(), nn.Linear(64, outputs))
        self.held = 0

    def forward(self, x):
        held = sum(getattr(p, "_local_tensor", p).numel() for p in self.parameters())
        if self.training and held * 2 > 64 * (7 + 1) + 3 * (64 + 1) + 3 * 64:
            raise MemoryError(f"this rank holds {held} values")
        return self.layers(x)
"""


@pytest.mark.parametrize(("strategy", "status"), [("fsdp", "finished"), ("ddp", "failed")])
def test_fsdp_leaves_each_rank_its_share_of_the_weights(tmp_path: Path, strategy: Any, status: str):
    (tmp_path / "net.py").write_text(SHARES, encoding="utf-8")
    dataset = make_dataset("table")
    plan = Plan(devices=2, strategy=strategy)
    spec = make_spec(f"{tmp_path / 'net.py'}:Looking", dataset, steps=2, plan=plan)
    assert shared(spec, dataset, tmp_path / "t").status == status


AUXILIARY = """
from torch import nn

class Helped(nn.Module):
    auxiliary_weight = 0.3

    def __init__(self, inputs, outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs[0], 8), nn.ReLU())
        self.early, self.late = nn.Linear(8, outputs), nn.Linear(8, outputs)

    def forward(self, x):
        return self.late(self.body(x))

    def forward_all(self, x):
        x = self.body(x)
        return [self.early(x), self.late(x)]
"""


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_auxiliary_classifiers_learn_on_every_rank(tmp_path: Path, strategy: Any):
    (tmp_path / "net.py").write_text(AUXILIARY, encoding="utf-8")
    dataset, folders = make_dataset("table"), [tmp_path / "one", tmp_path / "two"]
    spec = make_spec(f"{tmp_path / 'net.py'}:Helped", dataset, steps=8)
    one = run_trial(spec, dataset, folders[0])
    two = replace(spec, plan=Plan(devices=2, strategy=strategy))
    same(one, shared(two, dataset, folders[1]), folders)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_stopped_training_continues_and_its_checkpoint_is_whole(
    tmp_path: Path, strategy: Any, network: Network
):
    """The network has batch norm and draws random numbers from every generator."""
    dataset = make_dataset("table")
    name = network("Dropping")
    spec = make_spec(name, dataset, plan=Plan(devices=2, strategy=strategy), optimizer="sgd")
    expected = shared(spec, dataset, tmp_path / "a")
    asked: list[Event] = []
    with pytest.raises(Interrupted, match=r"^The trial was stopped and can be resumed\.$"):
        shared(
            spec,
            dataset,
            tmp_path / "b",
            emit=asked.append,
            stop=lambda: len(asked) > 3,
            checkpoint_every=0,
        )
    found = checkpoint.newest(tmp_path / "b")
    assert found is not None
    plain = build_any(name, spec.inputs, spec.outputs)
    prefix = "learner.model."
    weights = {k.removeprefix(prefix): v for k, v in found.tensors.items() if k.startswith(prefix)}
    plain.load_state_dict(weights)
    events: list[Event] = []
    record = shared(spec, dataset, tmp_path / "b", emit=events.append)
    assert (events[0].kind, events[0].step) == ("resume", found.step)
    same(expected, record, [tmp_path / "a", tmp_path / "b"])


def test_ranks_on_one_host_or_two_are_the_same_trial():
    spec = make_spec("mlp", make_dataset("table"))
    hashes = [replace(spec, plan=plan).hash for plan in (TWO, HOSTS, Plan())]
    assert hashes[0] == hashes[1] != hashes[2]


def children() -> list[int]:
    return [int(p) for p in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_ends_the_trial_with_its_reason_and_it_continues(
    tmp_path: Path, slow: str, victim: int
):
    dataset = make_dataset("table")
    spec = make_spec(slow, dataset, plan=TWO)
    expected = shared(spec, dataset, tmp_path / "a")
    before = set(children())

    def kill(event: Event) -> None:
        if event.step >= 5:
            with suppress(ProcessLookupError):
                os.kill(sorted(set(children()) - before)[victim], signal.SIGKILL)

    began = time.monotonic()
    with pytest.raises(TrialError) as caught:
        shared(spec, dataset, tmp_path / "b", emit=kill, checkpoint_every=0)
    assert str(caught.value) == (
        f"rank {victim} of 2 was killed by signal 9 (SIGKILL); "
        "run the same command again to continue"
    )
    assert time.monotonic() - began < 15
    assert set(children()) == before
    events: list[Event] = []
    record = shared(spec, dataset, tmp_path / "b", emit=events.append)
    assert events[0].kind == "resume"
    assert events[0].step >= 4
    same(expected, record, [tmp_path / "a", tmp_path / "b"])


def test_a_candidates_own_failure_is_its_record(tmp_path: Path, network: Network):
    dataset = make_dataset()
    spec = make_spec(network("Crashing"), dataset, plan=TWO)
    record = shared(spec, dataset, tmp_path / "t")
    assert (record.status, record.reason) == (
        "failed",
        "crashed at step 5: IndexError: tables turned",
    )


FAILING = """
import torch
from torch import nn

class Failing(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs[0], outputs)

    def forward(self, x):
        if self.training and torch.distributed.get_rank() == 1:
            raise IndexError("tables turned")
        return super().forward(x)
"""


def test_a_failure_of_another_rank_is_told(tmp_path: Path):
    (tmp_path / "net.py").write_text(FAILING, encoding="utf-8")
    dataset = make_dataset("table")
    spec = make_spec(f"{tmp_path / 'net.py'}:Failing", dataset, plan=TWO)
    with pytest.raises(TrialError) as caught:
        shared(spec, dataset, tmp_path / "t")
    assert str(caught.value) == "crashed at step 1: IndexError: tables turned"


def test_a_folder_that_cannot_be_written_is_no_fault_of_the_candidate(tmp_path: Path):
    dataset = make_dataset("table")
    folder = tmp_path / "t"
    (folder / "outcome.parquet").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"outcome\.parquet"):
        shared(make_spec("mlp", dataset, plan=TWO), dataset, folder)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"batch_size": 1},
            "Every rank needs an example of each batch. Received 2 ranks and batches of 1; use "
            "fewer ranks.",
        ),
        (
            {"plan": Plan(devices=3)},
            "A trial runs on the ranks it was planned for. Received 2, planned 3; start as many "
            "as before, or a new study.",
        ),
    ],
)
def test_what_ranks_cannot_train_is_refused(tmp_path: Path, spec: dict[str, Any], text: str):
    dataset = make_dataset("table")
    asked = make_spec("mlp", dataset, **{"plan": TWO, **spec})
    with pytest.raises(TrialError) as caught:
        shared(asked, dataset, tmp_path, where=Place(first=0, count=2, world=2))
    assert str(caught.value) == text


def test_gradual_fine_tuning_is_refused(tmp_path: Path):
    dataset = make_dataset("table")
    spec = make_spec("mlp", dataset, plan=TWO)
    spec = replace(spec, candidate=replace(spec.candidate, tune="gradual"))
    with pytest.raises(TrialError) as caught:
        shared(spec, dataset, tmp_path)
    assert str(caught.value) == (
        "Ranks agree once on which layers learn, and gradual fine-tuning changes that. "
        "Received --pretrained gradual on several ranks; use full or head."
    )


TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29400",
}


def test_a_process_of_torchruns_is_one_rank():
    expected = Place(first=3, count=1, world=4, address="10.0.0.1", port=29400, hosted=True)
    assert place.place(1, 1, TORCHRUN) == place.place(2, 2, TORCHRUN) == expected
    assert not expected.leads
    assert (shape(1, 1, TORCHRUN), shape(2, 1, {}), shape(1, 1, {})) == ((2, 2), (2, 1), (1, 1))


def test_each_host_starts_its_own_ranks():
    told = {"MASTER_ADDR": "10.0.0.1", "NODE_RANK": "1"}
    here = place.place(2, 3, told)
    assert here == Place(first=2, count=2, world=6, address="10.0.0.1", port=29500)
    assert (here.leads, here.alone, here.followers) == (False, False, 2)


@pytest.mark.parametrize(
    ("asked", "told", "text"),
    [
        ((0, 1, "ddp"), {}, "`devices` must be a whole number from 1. Received devices=0."),
        ((1, 1.5, "ddp"), {}, "`nodes` must be a whole number from 1. Received nodes=1.5."),
        ((2, 1, "tp"), {}, "`strategy` must be one of ddp, fsdp. Received 'tp'."),
        (
            (1, 1, "fsdp"),
            {},
            "`strategy` fsdp divides a network among several ranks. Received devices=1 and "
            "nodes=1; raise one of them or leave `strategy` out.",
        ),
        (
            (1, 2, "ddp"),
            {"NODE_RANK": "0"},
            "A training on several hosts needs the address of the first one in MASTER_ADDR. "
            "Received none with nodes=2; set it to the same address on every host.",
        ),
        (
            (1, 2, "ddp"),
            {"NODE_RANK": "2", "MASTER_ADDR": "h"},
            "A training on several hosts needs this host's number, from 0, in NODE_RANK, a whole "
            "number of at most 1. Received '2'.",
        ),
        (
            (1, 2, "ddp"),
            {"NODE_RANK": "0", "MASTER_ADDR": "h", "MASTER_PORT": "x"},
            "A training on several hosts needs a port, in MASTER_PORT, a whole number of at most "
            "65535. Received 'x'.",
        ),
        (
            (3, 1, "ddp"),
            TORCHRUN,
            "Under torchrun devices times nodes must be its number of processes, 4. Received "
            "devices=3 and nodes=1; leave both out.",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_once(asked: Any, told: dict[str, str], text: str):
    with pytest.raises(BadArgumentError) as caught:
        check_devices(*asked, environment=told)
    assert str(caught.value) == text


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    check_devices(2, 1, "fsdp", environment={})
    monkeypatch.setattr(place, "find_spec", lambda name: None)
    check_devices(1, 1, "ddp", environment={})
    with pytest.raises(MissingExtraError) as caught:
        check_devices(2, 1, "ddp", environment={})
    assert str(caught.value) == (
        "Training on several devices needs lightning-fabric, which is not installed; "
        "`pip install assay[distributed]` brings it."
    )


def test_a_plan_is_fitted_to_the_ranks():
    plan = Plan(memory_format="channels_last", convolution="matmul", compile=True)
    assert shared_plan(plan, devices=1, nodes=1, strategy="ddp") == plan
    ddp = shared_plan(plan, devices=2, nodes=1, strategy="ddp")
    assert ddp == replace(plan, devices=2, compile=False)
    fsdp = shared_plan(plan, devices=1, nodes=2, strategy="fsdp")
    assert fsdp == Plan(nodes=2, strategy="fsdp")


# ---- Two hosts: network namespaces, joined by a cable of their own.

ADDRESSES = ("10.77.0.1", "10.77.0.2")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    names = [f"assay{os.getpid()}{letter}" for letter in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        a, b = (f"{name}v"[-15:] for name in names)
        ip("link", "add", a, "netns", names[0], "type", "veth", "peer", b, "netns", names[1])
        for name, cable, address in zip(names, (a, b), ADDRESSES, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except (OSError, subprocess.CalledProcessError) as error:
        remove(names)
        pytest.skip(f"network namespaces cannot be made here: {error}")
    yield names
    remove(names)


def remove(names: list[str]) -> None:
    for name in names:
        if shutil.which("ip"):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@contextmanager
def host(name: str, result: Path, work: Callable[[], Any]) -> Iterator[int]:
    """Run `work` on a host of its own; what it returns or raises goes to `result`."""
    result.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        try:
            with open(f"/run/netns/{name}") as namespace:
                assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0
            told: Any = work()
        except BaseException as error:  # noqa: BLE001 - of the forked process
            told = f"{type(error).__name__}: {error}"
        result.with_suffix(".part").write_text(json.dumps(told))
        result.with_suffix(".part").rename(result)
        os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def wait_for(path: Path, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size):  # a moment lies between name and content
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.05)
    return json.loads(path.read_text())


def test_two_hosts_share_a_training_and_either_may_be_killed(
    tmp_path: Path, hosts: list[str], slow: str
):
    dataset = make_dataset("table")
    spec = coded(make_spec(slow, dataset, steps=40))
    one = run_trial(spec, dataset, tmp_path / "one")
    spec = replace(spec, plan=HOSTS)
    where = [Place(first=i, count=1, world=2, address=ADDRESSES[0], port=29511) for i in range(2)]
    answers = [tmp_path / "first.json", tmp_path / "second.json"]
    far = tmp_path / "step.json"  # where the training stands

    def lead() -> Any:
        events: list[Event] = []

        def note(event: Event) -> None:
            events.append(event)
            if event.step >= 5 + events[0].step:
                far.write_text(json.dumps(event.step))

        record = shared(
            spec, dataset, tmp_path / "two", emit=note, checkpoint_every=0, where=where[0]
        )
        dismiss(where[0])
        return [record.steps, events[0].kind, events[0].step]

    def help_out() -> Any:
        return follow(lambda: dataset, where[1], timeout=20, patience=20)

    first, second = (hosts[0], answers[0], lead), (hosts[1], answers[1], help_out)
    with host(*first), host(*second) as helper:
        wait_for(far)
        os.kill(helper, signal.SIGKILL)
        assert wait_for(answers[0]) == (
            "HostError: the connection to 10.77.0.2 was lost, where other ranks of 2 ran; "
            "run the same command again on every host to continue"
        )
    far.unlink()
    with host(*first) as leader, host(*second):
        wait_for(far)
        os.kill(leader, signal.SIGKILL)
        assert wait_for(answers[1]) == (
            "HostError: the connection to another host was lost, where other ranks of 2 ran; "
            "run the same command again on every host to continue"
        )
    reached = json.loads(far.read_text())
    with host(*first), host(*second):
        steps, kind, step = wait_for(answers[0])
        assert wait_for(answers[1]) == 1  # trials that it took part in
    assert (steps, kind) == (40, "resume")
    assert step >= reached - 1 >= 9
    two = run_distributed(spec, lambda: dataset, tmp_path / "two", where=where[0])
    same(one, two, [tmp_path / "one", tmp_path / "two"])


def test_a_cable_pulled_out_ends_the_trial_after_the_timeout(
    tmp_path: Path, hosts: list[str], slow: str
):
    dataset = make_dataset("table")
    spec = coded(make_spec(slow, dataset, steps=400, plan=HOSTS))
    where = [Place(first=i, count=1, world=2, address=ADDRESSES[0], port=29512) for i in (0, 1)]
    answer, far = tmp_path / "first.json", tmp_path / "step.json"

    def note(event: Event) -> None:
        far.write_text(json.dumps(event.step))

    def lead() -> None:
        run_distributed(spec, lambda: dataset, tmp_path / "t", emit=note, timeout=3, where=where[0])

    def help_out() -> int:
        return follow(lambda: dataset, where[1], timeout=3, patience=20)

    with host(hosts[0], answer, lead), host(hosts[1], tmp_path / "second.json", help_out):
        wait_for(far)
        ip("-n", hosts[1], "link", "set", f"{hosts[1]}v"[-15:], "down")
        assert wait_for(answer, seconds=15).startswith("HostError: the connection to ")


@contextmanager
def helper(dataset: Dataset, where: Place, answer: Path) -> Iterator[None]:
    """Have another process follow; what it returns or raises goes to `answer`."""
    pid = os.fork()
    if pid == 0:
        try:
            told: Any = follow(lambda: dataset, where, timeout=20, patience=20)
        except BaseException as error:  # noqa: BLE001 - of the forked process
            told = str(error)
        answer.write_text(json.dumps(told))
        os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def under_torchrun() -> tuple[Any, list[Place]]:
    """Return torchrun's store, and the places of its two processes."""
    import torch.distributed as dist

    agent = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    told = {**TORCHRUN, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    told["MASTER_PORT"] = str(agent.port)
    return agent, [place.place(1, 1, {**told, "RANK": rank}) for rank in "01"]


def test_under_torchrun_the_first_process_leads(tmp_path: Path):
    dataset = make_dataset("table")
    spec = coded(make_spec("mlp", dataset, steps=12))
    one = run_trial(spec, dataset, tmp_path / "one")
    spec = replace(spec, plan=TWO)
    agent, where = under_torchrun()
    with helper(dataset, where[1], tmp_path / "helper.json"):
        two = shared(spec, dataset, tmp_path / "two", where=where[0])
        other = shared(replace(spec, seed=1), dataset, tmp_path / "three", where=where[0])
        dismiss(where[0])
        assert wait_for(tmp_path / "helper.json") == 2
    assert other.seed == 1
    same(one, two, [tmp_path / "one", tmp_path / "two"])
    del agent


@pytest.mark.parametrize("other", ["data", "code", "versions"])
def test_a_host_with_other_data_or_code_is_refused_with_its_reason(tmp_path: Path, other: str):
    dataset = make_dataset("table")
    spec = coded(make_spec("mlp", dataset, plan=TWO))
    theirs = replace(dataset, split_hash="2" * 64) if other == "data" else dataset
    if other == "code":
        spec = replace(spec, candidate=replace(spec.candidate, digest="0"))
    if other == "versions":
        spec = replace(spec, versions={"torch": "1.0"})
    agent, where = under_torchrun()
    began = time.monotonic()
    with helper(theirs, where[1], tmp_path / "helper.json"):
        with pytest.raises(HostError) as caught:
            shared(spec, dataset, tmp_path / "t", where=where[0])
        assert wait_for(tmp_path / "helper.json") == str(caught.value)
    assert time.monotonic() - began < 15
    machine, torchs = platform.node(), version("torch")
    assert (
        str(caught.value)
        == {
            "data": "A trial runs on the data it was planned for. Received a data set of split "
            f"{'2' * 16}, planned {'1' * 16}; start a new study.",
            "code": "A candidate's code must be the same on every host. That of mlp differs on "
            f"{machine}; copy it there.",
            "versions": f"Every host must run the same versions. That of torch is {torchs} "
            f"on {machine}, planned 1.0; install the same.",
        }[other]
    )
    del agent


def test_a_host_that_nobody_leads_says_so():
    alone = Place(first=1, count=1, world=2, address="127.0.0.1", port=1)
    with pytest.raises(HostError) as caught:
        follow(lambda: make_dataset("table"), alone, patience=0.3)
    assert str(caught.value) == (
        "A host that helps waits for the first one at 127.0.0.1, port 1. Nothing came from there "
        "for 0.3 s; start the command there too."
    )


def test_a_training_does_not_wait_for_ever_for_the_others(tmp_path: Path):
    dataset = make_dataset("table")
    where = Place(first=0, count=1, world=2, address="127.0.0.1", port=29513)
    with pytest.raises(HostError) as caught:
        run_distributed(
            make_spec("mlp", dataset, plan=HOSTS),
            lambda: dataset,
            tmp_path,
            timeout=1,
            where=where,
        )
    assert str(caught.value) == (
        "A training shared by 2 ranks begins when all are there. Within 1 s 1 came; run the same "
        "command again on every host."
    )


def test_the_interface_is_the_one_that_leads_there():
    assert interface_towards("127.0.0.1") == "lo"
