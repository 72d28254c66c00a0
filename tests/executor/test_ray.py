"""A study on two Ray nodes is the study on one machine, also when one of the nodes dies."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from processes import wait_until
from ray_cluster import add_node, two_nodes
from ray_trials import COLD, WARM, trials

from assay.engine import ray_pool
from assay.engine.artifacts import CHECKPOINT
from assay.engine.executor import Job, Pool
from assay.engine.ray_address import RayCluster, check_within_reach, parse_executor
from assay.engine.ray_pool import RayPool
from assay.engine.ray_worker import RaySeat
from assay.engine.spec import Event
from assay.errors import BadArgumentError, MissingExtraError

pytestmark = pytest.mark.filterwarnings(  # Ray leaves its log files to the collector
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
HERE = RayCluster()
ADDRESS = "A Ray cluster's address is ray://HOST:PORT."
TAKES = "What a trial takes is given by cpus, gpus, memory, artifacts."


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with two_nodes(tmp_path_factory.mktemp("cache")) as started:
        yield started


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("local", None),
        ("ray", RayCluster()),
        ("ray://head", RayCluster(address="ray://head:10001")),
        ("ray://10.0.0.1:7777", RayCluster(address="ray://10.0.0.1:7777")),
        ("ray://[::1]:7777", RayCluster(address="ray://[::1]:7777")),
        ("ray?cpus=2&gpus=0.25", RayCluster(cpus=2, gpus=0.25)),
        ("ray://h?memory=4", RayCluster(address="ray://h:10001", memory=4 * 2**30)),
        ("ray?artifacts=s3://bucket/folder", RayCluster(artifacts="s3://bucket/folder")),
    ],
)
def test_an_executor_is_this_machine_or_a_cluster(text: str, expected: RayCluster | None):
    assert parse_executor(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "An executor is local, ray or ray://HOST:PORT. Received ''."),
        ("spark", "An executor is local, ray or ray://HOST:PORT. Received 'spark'."),
        ("ray:/h", "An executor is local, ray or ray://HOST:PORT. Received 'ray:/h'."),
        ("ray://", f"{ADDRESS} Received 'ray://'."),
        ("ray://h:port", f"{ADDRESS} Received 'ray://h:port'."),
        ("ray://h:99999", f"{ADDRESS} Received 'ray://h:99999'."),
        ("ray://h/folder", f"{ADDRESS} Received 'ray://h/folder'."),
        ("ray?cpu=2", f"{TAKES} Received 'ray?cpu=2'. Did you mean 'cpus'?"),
        ("ray?cpus=nan", "cpus, gpus and memory are numbers from 0. Received 'ray?cpus=nan'."),
        ("ray?gpus=-1", "cpus, gpus and memory are numbers from 0. Received 'ray?gpus=-1'."),
        (
            "ray?cpus=0",
            "A trial takes cpus above 0 and gpus whole or under 1. Received 'ray?cpus=0'.",
        ),
        (
            "ray?gpus=1.5",
            "A trial takes cpus above 0 and gpus whole or under 1. Received 'ray?gpus=1.5'.",
        ),
    ],
)
def test_anything_else_is_refused(text: str, sentence: str):
    with pytest.raises(BadArgumentError) as caught:
        parse_executor(text)
    assert str(caught.value) == sentence


def test_an_address_where_nothing_listens_is_told_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    with (
        pytest.raises(BadArgumentError) as caught,
        RayPool(RayCluster(address=f"ray://127.0.0.1:{port}")),
    ):
        pass
    assert time.monotonic() - began < 5
    assert str(caught.value) == (
        f"A Ray cluster must answer at the address given. None did at ray://127.0.0.1:{port} "
        "within seconds (Connection refused); correct --executor or RAY_ADDRESS, or run "
        "`ray start --head` there."
    )


def test_an_address_that_swallows_packets_is_told_in_time(monkeypatch: pytest.MonkeyPatch):
    def silent(address: tuple[str, int], patience: float) -> None:
        assert (address, patience) == (("h", 10001), 0.5)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", silent)
    with pytest.raises(BadArgumentError, match=r"ray://h:10001 within seconds \(timed out\)"):
        check_within_reach(RayCluster(address="ray://h:10001"), 0.5)


def test_something_else_that_listens_at_rays_address_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setattr("assay.engine.ray_address._HEALTH", 0.01)
        with pytest.raises(BadArgumentError) as caught:
            check_within_reach(HERE)
    assert str(caught.value) == (
        f"A Ray cluster must answer at the address given. None did at {address} within seconds "
        "(what listens there gives no answer that Ray would give); correct --executor or "
        "RAY_ADDRESS, or run `ray start --head` there."
    )


def test_a_cluster_that_asks_for_a_token_says_so(monkeypatch: pytest.MonkeyPatch):
    def refused(command: list[str], **options: object) -> None:
        raise subprocess.CalledProcessError(1, command, b"", b"ray.exceptions.AuthenticationError:")

    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setattr("assay.engine.ray_address.subprocess.run", refused)
        with pytest.raises(BadArgumentError) as caught:
            check_within_reach(HERE)
    assert str(caught.value) == (
        f"A Ray cluster must answer at the address given. None did at {address} within seconds (it "
        "asks for a token: set Ray's RAY_AUTH_MODE as it is there); correct --executor or "
        "RAY_ADDRESS, or run `ray start --head` there."
    )


@pytest.mark.parametrize(
    ("module", "cluster_"),
    [
        ("ray", HERE),
        ("grpc", RayCluster(address="ray://h:1")),
        ("fsspec", RayCluster(artifacts="s3://b")),
    ],
)
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, cluster_: RayCluster
):
    monkeypatch.setattr(
        "assay.engine.ray_address.find_spec", lambda name: None if name == module else name
    )
    with pytest.raises(MissingExtraError) as caught:
        check_within_reach(cluster_)
    assert str(caught.value) == (
        f"--executor ray needs {module}, which is not installed; "
        "`pip install assay[ray]` brings it."
    )


def test_ray_leaves_our_answers_to_signals_alone(cluster: Any):
    assert cluster.answers_after == cluster.answers_before


def test_jobs_run_on_both_nodes_in_processes_of_their_own(cluster: Any):
    with RayPool(HERE, options=COLD) as pool:
        assert pool.workers == 2
        jobs = [
            Job("test:note", str(i), {"file": "/dev/null", "name": "", "seconds": 0.5})
            for i in range(4)
        ]
        assert [r.status for _, r in pool.run(jobs)] == ["done"] * 4
        echoes = [r.value for _, r in pool.run([Job("test:echo", "a", {}) for _ in range(4)])]
        assert len({e["pid"] for e in echoes}) == 4
        failed = next(pool.run([Job("test:fail", "a", {"how": "value"})]))[1]
        assert (failed.status, failed.reason) == ("failed", "ValueError: two lines")


def test_a_job_with_several_folders_is_refused(cluster: Any):
    with RayPool(HERE, options=COLD) as pool, pytest.raises(BadArgumentError) as caught:
        list(pool.run([Job("test:echo", "a", {"folders": []})]))
    assert str(caught.value) == (
        "A job on a Ray cluster has one folder at most. Received several, in 'test:echo'; "
        "send its trials one by one."
    )


def test_a_client_elsewhere_sends_a_trial_with_its_data(cluster: Any, tmp_path: Path):
    wait_for(cluster.client_port)
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("ray_client.py")),
            f"ray://127.0.0.1:{cluster.client_port}",
            str(tmp_path / "trials"),
        ],
        env={**os.environ, "PYTHONPATH": cluster.path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    files = ["outcome.parquet", "record.json", "weights.safetensors"]
    assert json.loads(done.stdout or "null") == ["done", "finished", files], done.stderr
    assert done.stderr == ""


def test_a_study_with_a_node_killed_in_its_middle_is_the_study_of_one_machine(
    cluster: Any, tmp_path: Path
):
    jobs = trials(tmp_path / "ray", steps=1500)
    with Pool(2, options=WARM) as local:
        expected = {j.key: r for j, r in local.run(trials(tmp_path / "local", steps=1500))}
    told: list[Event] = []
    killed = False

    def hurt(event: Event) -> None:
        nonlocal killed
        told.append(event)
        under_way = [p for p in (tmp_path / "ray").glob("*") if list(p.glob(CHECKPOINT))]
        if len(under_way) == 2 and not killed:
            killed = True
            cluster.remove_node(cluster.other, allow_graceful=False)

    with RayPool(HERE, options=WARM, same_files=False, checkpoints=0.05) as pool:
        found = {j.key: r for j, r in pool.run(jobs, hurt)}
    assert killed
    assert [e.text for e in told if "lost" in e.text] == [
        f"{socket.gethostname()} was lost; trying again elsewhere"
    ]
    assert [e.step > 0 for e in told if e.kind == "resume" and not e.text] == [True]
    assert {k: r.status for k, r in found.items()} == dict.fromkeys(expected, "done")
    assert {k: table(r.value) for k, r in found.items()} == {
        k: table(r.value) for k, r in expected.items()
    }
    for key in found:
        here, there = tmp_path / "local" / key, tmp_path / "ray" / key
        files = ["outcome.parquet", "record.json", "weights.safetensors"]
        assert sorted(p.name for p in there.iterdir()) == files
        assert json.loads((there / "record.json").read_text()) == dict(found[key].value)
        for name in ("outcome.parquet", "weights.safetensors"):
            assert (there / name).read_bytes() == (here / name).read_bytes()


def test_a_node_that_joins_takes_part(cluster: Any, monkeypatch: pytest.MonkeyPatch):
    import ray

    monkeypatch.setattr(ray_pool, "_COUNT_AGAIN", 0.1)
    there = len(cluster.list_all_nodes())
    wait_until(lambda: ray.cluster_resources().get("CPU") == there, 60)  # one killed is given up
    with RayPool(HERE, options=COLD) as pool:
        before = pool.workers
        cluster.other = add_node(cluster)
        list(pool.run([Job("test:echo", "a", {})]))
        assert (before, pool.workers) == (there, there + 1)


def test_a_stop_brings_the_checkpoint_home_and_another_executor_continues(
    cluster: Any, tmp_path: Path
):
    through_files = RayCluster(artifacts=f"file://{tmp_path}/depot")
    job = trials(tmp_path / "ray", split=1, steps=3000)[0]
    with RayPool(through_files, options=WARM, same_files=False) as pool:
        ended = list(pool.run([job], lambda e: pool.stop() if e.kind == "progress" else None))
        assert [r.status for _, r in ended] == ["stopped"]
        assert list(pool.run([job])) == []
    carried = sorted(p.name for p in (tmp_path / "depot/data").glob("*/*"))
    assert carried == ["ids.json", "meta.json", "split.npz", "x.npy", "y.npy"]
    assert [p for p in (tmp_path / "depot/trials").rglob("*") if p.is_file()] == []
    assert list((tmp_path / "ray").glob(f"*/{CHECKPOINT}"))
    told: list[Event] = []
    with Pool(2, options=WARM) as local:
        (_, continued), *_ = local.run([job], told.append)
        again = trials(tmp_path / "local", split=1, steps=3000)[0]
        (_, expected), *_ = local.run([again])
    assert [e.step > 0 for e in told if e.kind == "resume"] == [True]
    assert table(continued.value) == table(expected.value)


@pytest.mark.parametrize("times", [1, 3])
def test_a_job_that_loses_its_worker_is_tried_twice_again(cluster: Any, tmp_path: Path, times: int):
    told: list[Event] = []
    payload = {"count": str(tmp_path / "n"), "times": times}
    with RayPool(HERE, options=COLD) as pool:
        (_, result), *_ = pool.run([Job("test:lose", "a", payload)], told.append)
    host = socket.gethostname()
    assert [e.text for e in told] == [f"{host} was lost; trying again elsewhere"] * min(times, 2)
    if times == 1:
        assert (result.status, result.value) == ("done", {"tries": 2})
    else:
        assert result.status == "failed"
        assert result.reason.startswith(f"its worker was lost 3 times, last {host}: ")


def test_workers_killed_while_they_are_made_are_replaced(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Stillborn(RaySeat):
        def __init__(self, options: str) -> None:
            for file in (tmp_path / "first", tmp_path / "second"):
                with suppress(FileExistsError):
                    file.touch(exist_ok=False)
                    os.kill(os.getpid(), signal.SIGKILL)
            super().__init__(options)

    made = {"num_cpus": 1, "max_restarts": 0, "max_concurrency": 4}
    monkeypatch.setattr(
        ray_pool, "_actor_class", lambda ray, _: ray.remote(Stillborn).options(**made)
    )
    told: list[Event] = []
    with RayPool(HERE, options=COLD) as pool:
        jobs = [Job("test:echo", str(i), {}) for i in range(3)]
        assert [r.status for _, r in pool.run(jobs, told.append)] == ["done"] * 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["first", "second"]
    assert told == []  # no job had begun: none is charged with it


def test_more_than_any_node_has_is_refused(cluster: Any):
    with pytest.raises(BadArgumentError) as caught, RayPool(RayCluster(cpus=64, gpus=0.5)):
        pass
    text = str(caught.value)
    assert text.startswith(
        "A cluster must have room for one trial (cpus=64, gpus=0.5). The nodes of this machine's "
        "Ray cluster have 1 CPU, 0 GPU, "
    )
    assert text.endswith("; ask for less, or add a node.")


def test_other_versions_on_a_node_are_refused(cluster: Any, monkeypatch: pytest.MonkeyPatch):
    ours = ray_pool.versions()
    monkeypatch.setattr(ray_pool, "versions", lambda: {**ours, "torch": "1.0"})
    with pytest.raises(BadArgumentError) as caught, RayPool(HERE, options=COLD):
        pass
    assert str(caught.value) == (
        "Every node must have the python, torch, numpy and assay of this machine. "
        f"{socket.gethostname()} has torch {ours['torch']}, here it is torch 1.0; install the "
        "same there."
    )


def table(record: Any) -> dict[str, Any]:
    """Return of a record what does not depend on the clock or the machine."""
    facts = {k: record[k] for k in ("hash", "status", "steps", "best_step", "metrics", "moved")}
    curve = [{k: v for k, v in point.items() if k != "seconds"} for point in record["curve"]]
    return {**facts, "curve": curve}


def wait_for(port: int) -> None:
    """Wait until something listens at a port; Ray's client server starts after its node."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return
