"""What `--executor` names: this machine, or a Ray cluster and what a trial takes. No ray here."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import parse_qsl, urlsplit

from assay.errors import BadArgumentError, MissingExtraError, nearest

PORT = 10001  # where `ray start --head` listens for clients
PATIENCE = 5.0  # seconds that the first sign of life may take
_HEALTH = 20.0  # seconds, most of which pass in imports on a busy machine
_DEFAULTS: Mapping[str, str] = {"cpus": "1", "gpus": "0", "memory": "", "artifacts": ""}
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class RayCluster:
    """A Ray cluster, and what one trial takes of it.

    Attributes:
        address: `ray://HOST:PORT`, or "" for the cluster that this machine is part of.
        cpus: That Ray sets aside for a trial, above 0.
        gpus: The same, a whole number or a fraction under 1; 0 is none.
        memory: Bytes set aside for a trial and its limit; None is neither.
        artifacts: fsspec URL through which files travel; "" is Ray's object store.
    """

    address: str = ""
    cpus: float = 1.0
    gpus: float = 0.0
    memory: int | None = None
    artifacts: str = ""

    @property
    def shown(self) -> str:
        """The address for people."""
        return self.address or "this machine's Ray cluster"


def parse_executor(text: str) -> RayCluster | None:
    """Return the cluster that `--executor` names, or None for this machine alone.

    Args:
        text: `local`, `ray` or `ray://HOST[:PORT]`; behind the latter two may stand
            `?cpus=2&gpus=0.25&memory=4&artifacts=s3://BUCKET/FOLDER` (memory in GiB).

    Raises:
        BadArgumentError: It is none of these.
    """
    if text == "local":
        return None
    place, _, query = text.partition("?")
    if place == "ray":
        return _with_options("", query, text)
    if not place.startswith("ray://"):
        raise _refused("An executor is local, ray or ray://HOST:PORT", text)
    try:
        parts = urlsplit(place)
        host, port = parts.hostname or "", parts.port or PORT
    except ValueError:
        raise _refused("A Ray cluster's address is ray://HOST:PORT", text) from None
    if not host or parts.path.strip("/") or parts.username:
        raise _refused("A Ray cluster's address is ray://HOST:PORT", text)
    host = f"[{host}]" if ":" in host else host
    return _with_options(f"ray://{host}:{port}", query, text)


def check_within_reach(cluster: RayCluster, patience: float = PATIENCE) -> None:
    """Raise unless ray is installed and something listens at the address. Takes seconds at most.

    Args:
        cluster: As `parse_executor` returned it.
        patience: Seconds.

    Raises:
        MissingExtraError: ray, or fsspec for an artifacts URL, is not installed.
        BadArgumentError: Nothing listens there.
    """
    needed = ["ray"]
    needed += ["grpc"] if cluster.address else []
    needed += ["fsspec"] if cluster.artifacts else []
    for module in needed:
        if find_spec(module) is None:
            raise MissingExtraError(
                f"--executor ray needs {module}, which is not installed; "
                "`pip install assay[ray]` brings it."
            )
    address = cluster.address or _told_by_environment()
    if not address:
        return
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        socket.create_connection((parts.hostname or "", parts.port or PORT), patience).close()
        if not cluster.address:
            _ask_for_health(address)
    except OSError as error:
        why = error.strerror or error
        raise BadArgumentError(
            f"A Ray cluster must answer at the address given. None did at {address} within "
            f"seconds ({why}); correct --executor or RAY_ADDRESS, or run `ray start --head` there."
        ) from error


def _ask_for_health(address: str) -> None:
    """Raise OSError unless Ray answers there; `ray.init` would wait for minutes."""
    ask = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        subprocess.run(ask, check=True, timeout=_HEALTH, capture_output=True)
    except subprocess.CalledProcessError as error:
        if b"AuthenticationError" in error.stderr:  # newer ones ask for a token unless told not to
            raise OSError("it asks for a token: set Ray's RAY_AUTH_MODE as it is there") from error
        raise OSError("what listens there gives no answer that Ray would give") from error
    except subprocess.TimeoutExpired as error:
        raise OSError("what listens there gives no answer that Ray would give") from error


def _told_by_environment() -> str:
    """Return the address that Ray itself would take from RAY_ADDRESS, if it is one."""
    told = os.environ.get("RAY_ADDRESS", "")
    return told if ":" in told else ""


def _with_options(address: str, query: str, text: str) -> RayCluster:
    given = parse_qsl(query, keep_blank_values=True)
    unknown = [name for name, _ in given if name not in _DEFAULTS]
    if unknown or (query and not given):
        names = ", ".join(_DEFAULTS)
        hint = nearest(unknown[0], _DEFAULTS) if unknown else ""
        raise _refused(f"What a trial takes is given by {names}", text, hint)
    values = {**_DEFAULTS, **dict(given)}
    memory = _number(values["memory"], text) if values["memory"] else 0.0
    cpus, gpus = _number(values["cpus"], text), _number(values["gpus"], text)
    if not cpus or (gpus > 1 and gpus % 1):
        raise _refused("A trial takes cpus above 0 and gpus whole or under 1", text)
    return RayCluster(
        address=address,
        cpus=cpus,
        gpus=gpus,
        memory=int(memory * _GIB) or None,
        artifacts=values["artifacts"],
    )


def _number(value: str, text: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise _refused("cpus, gpus and memory are numbers from 0", text)
    return number


def _refused(rule: str, text: str, hint: str = "") -> BadArgumentError:
    return BadArgumentError(f"{rule}. Received {text!r}.{hint}")
