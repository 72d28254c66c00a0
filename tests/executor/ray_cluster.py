"""Two real Ray nodes on this machine, for the tests of `test_ray.py`."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TRIES = 3  # Ray gives a node thirty seconds to start, few on a busy machine
_STORE = 80_000_000  # bytes of shared memory a node
_DEAD_AFTER = {  # seconds, where Ray's own values would take fifteen
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 5,
}


@contextmanager
def two_nodes(cache: Path) -> Iterator[Any]:
    """Start a head and another node, one CPU each; this process is connected to the head.

    Args:
        cache: Where workers keep their copies of data.
    """
    import ray
    from ray.cluster_utils import Cluster

    from assay.engine.ray_address import RayCluster
    from assay.engine.ray_pool import _QUIET, connect

    before = dict(os.environ)
    path = os.pathsep.join([str(Path(__file__).parent), before.get("PYTHONPATH", "")])
    os.environ.update(_QUIET, ASSAY_CACHE=str(cache))
    cluster = Cluster()
    cluster.path = path
    try:
        cluster.client_port = _free_port()
        head = {"include_dashboard": False, "ray_client_server_port": cluster.client_port}
        add_node(cluster, _system_config=_DEAD_AFTER, **head)
        cluster.other = add_node(cluster)
        cluster.answers_before = [signal.getsignal(number) for number in _SIGNALS]
        with mock.patch.dict(os.environ, RAY_ADDRESS=cluster.address):
            connect(RayCluster())
        cluster.answers_after = [signal.getsignal(number) for number in _SIGNALS]
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


def add_node(cluster: Any, **options: Any) -> Any:
    """Start a node of one CPU, a second or third time if the machine was too busy."""
    for left in reversed(range(_TRIES)):
        try:
            with mock.patch.dict(os.environ, PYTHONPATH=cluster.path), _signals_kept():
                return cluster.add_node(num_cpus=1, object_store_memory=_STORE, **options)
        except Exception:
            if not left:
                raise
    return None


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Leave signals to whom they were left: a node of Ray's takes them for itself."""
    before = [signal.getsignal(number) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, answer in zip(_SIGNALS, before, strict=True):
            signal.signal(number, answer)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]
