"""Which processes share one training: what was asked for, and what torchrun says. No torch here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal, get_args

from assay.engine.spec import Plan
from assay.errors import BadArgumentError, MissingExtraError

Strategy = Literal["ddp", "fsdp"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)
PORT = 29500  # torchrun's own default
_HERE = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a process that the user started stands among all that share a training.

    Attributes:
        first: The lowest of the ranks that it starts.
        count: Ranks that it starts.
        world: Ranks in all.
        address: Of the host of rank 0.
        port: There; 0 is any that is free.
        hosted: Whether torchrun's own store answers there already.
    """

    first: int
    count: int
    world: int
    address: str = _HERE
    port: int = 0
    hosted: bool = False

    @property
    def leads(self) -> bool:
        """Whether it starts rank 0, and so plans, evaluates and writes."""
        return self.first == 0

    @property
    def alone(self) -> bool:
        """Whether no other process takes part but those that it starts."""
        return self.count == self.world

    @property
    def followers(self) -> int:
        """Other processes that the user started."""
        return self.world // self.count - 1


def check_devices(
    devices: int,
    nodes: int,
    strategy: str,
    *,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Raise unless a training can be shared like this.

    Args:
        devices: Ranks on each host, from 1; 1 beside `nodes=1` leaves the number to torchrun.
        nodes: Hosts, from 1.
        strategy: ddp or fsdp.
        environment: What torchrun and the user have set; `os.environ` by default.

    Raises:
        BadArgumentError: A value outside its range, or one that the environment contradicts.
        MissingExtraError: lightning-fabric is not installed.
    """
    found = place(devices, nodes, environment)
    if strategy not in STRATEGIES:
        raise BadArgumentError(
            f"`strategy` must be one of {', '.join(STRATEGIES)}. Received {strategy!r}."
        )
    if strategy == "fsdp" and found.world == 1:
        raise BadArgumentError(
            "`strategy` fsdp divides a network among several ranks. Received devices=1 and "
            "nodes=1; raise one of them or leave `strategy` out."
        )
    if found.world > 1 and find_spec("lightning_fabric") is None:
        raise MissingExtraError(
            "Training on several devices needs lightning-fabric, which is not installed; "
            "`pip install assay[distributed]` brings it."
        )


def place(devices: int, nodes: int, environment: Mapping[str, str] | None = None) -> Place:
    """Return where this process stands.

    Under torchrun every process is one rank. Otherwise the command was started once on each host,
    and starts `devices` ranks there; with several hosts the environment names the first one in
    MASTER_ADDR (and MASTER_PORT, by default 29500) and counts them in NODE_RANK, from 0.

    Args:
        devices: Ranks on each host, from 1.
        nodes: Hosts, from 1.
        environment: `os.environ` by default.

    Raises:
        BadArgumentError: A value is missing, or contradicts another.
    """
    told = os.environ if environment is None else environment
    for name, value in (("devices", devices), ("nodes", nodes)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BadArgumentError(
                f"`{name}` must be a whole number from 1. Received {name}={value!r}."
            )
    if "TORCHELASTIC_RUN_ID" in told:
        return _under_torchrun(devices, nodes, told)
    if nodes == 1:
        return Place(first=0, count=devices, world=devices)
    number = _whole("NODE_RANK", told.get("NODE_RANK", ""), nodes - 1)
    address = told.get("MASTER_ADDR", "")
    if not address:
        raise BadArgumentError(
            "A training on several hosts needs the address of the first one in MASTER_ADDR. "
            f"Received none with nodes={nodes}; set it to the same address on every host."
        )
    return Place(
        first=number * devices,
        count=devices,
        world=nodes * devices,
        address=address,
        port=_whole("MASTER_PORT", told.get("MASTER_PORT", str(PORT)), 65535),
    )


def shape(
    devices: int, nodes: int, environment: Mapping[str, str] | None = None
) -> tuple[int, int]:
    """Return devices and nodes; under torchrun they are torchrun's where neither was asked for.

    Args:
        devices: As asked for.
        nodes: As asked for.
        environment: `os.environ` by default.
    """
    told = os.environ if environment is None else environment
    if "TORCHELASTIC_RUN_ID" not in told or devices * nodes > 1:
        return devices, nodes
    world, here = int(told["WORLD_SIZE"]), int(told.get("LOCAL_WORLD_SIZE", "1"))
    return here, world // here


def shared_plan(plan: Plan, *, devices: int, nodes: int, strategy: Strategy) -> Plan:
    """Return a plan measured for one process as it is computed by several.

    The compiler is left out; a network whose weights are divided keeps them contiguous.
    """
    if devices * nodes == 1:
        return plan
    shared = replace(plan, devices=devices, nodes=nodes, strategy=strategy, compile=False)
    if strategy == "fsdp":
        return replace(shared, memory_format="contiguous", convolution="direct")
    return shared


def _under_torchrun(devices: int, nodes: int, told: Mapping[str, str]) -> Place:
    world, rank = int(told["WORLD_SIZE"]), int(told["RANK"])
    if devices * nodes not in (1, world):
        raise BadArgumentError(
            f"Under torchrun devices times nodes must be its number of processes, {world}. "
            f"Received devices={devices} and nodes={nodes}; leave both out."
        )
    return Place(
        first=rank,
        count=1,
        world=world,
        address=told["MASTER_ADDR"],
        port=int(told["MASTER_PORT"]),
        hosted=told.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
    )


def _whole(name: str, text: str, most: int) -> int:
    if text.isdecimal() and int(text) <= most:
        return int(text)
    what = "this host's number, from 0" if name == "NODE_RANK" else "a port"
    raise BadArgumentError(
        f"A training on several hosts needs {what}, in {name}, a whole number of at most {most}. "
        f"Received {text!r}."
    )
