"""Several small networks, equal but for their weights, as one that computes them all at once.

The network's forward pass is traced with torch.fx, and every layer and function of it is replaced
by one that works on a batch (S, B, ...). Nothing is written for a network of its own; what is not
known, or does not give the answers of the separate networks on a probe, is not stacked.
`torch.vmap` does the same and was slower than separate networks on a CPU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from assay.engine.stacked_functions import FUNCTIONS, METHODS
from assay.engine.stacked_layers import is_leaf, put_together, stacked_layer

_PROBE = 4  # examples
_CLOSE = 2e-3  # of the largest score: float32 through a few layers, both ways in other orders
_PLAIN = (int, float, str, bool, tuple, type(None))


class _UnknownError(Exception):
    """Something that has no stacked form."""


def stack(
    networks: Sequence[nn.Module],
    *,
    inputs: tuple[int, ...],
    generators: list[torch.Generator] | None = None,
) -> nn.Module | None:
    """Return one network that computes all of `networks`, or None where it is not known how.

    Its state has the names of one network's, each tensor with the seeds as a first dimension; the
    networks are left as they are.

    Args:
        networks: Equally built; at least one.
        inputs: Shape of one example.
        generators: Of each seed's dropout; drawn from torch's default generator if not given.
            `keep` shortens the list.

    Shape:
        (S, B, *inputs) -> (S, B, outputs)
    """
    if generators is None:
        seeds = torch.randint(2**62, (len(networks),)).tolist()
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with torch.random.fork_rng(devices=[]):
        try:
            _check_answers(networks, inputs)
            return _stacked(networks, generators)
        except Exception:  # noqa: BLE001 - a stranger's forward pass may raise anything on a probe
            return None


def keep(stacked: nn.Module, generators: list[torch.Generator], seeds: Sequence[int]) -> None:
    """Leave only `seeds`, places in the present order, in a stack; gradients must be forgotten."""
    chosen = torch.tensor(seeds, dtype=torch.int64)
    for tensor in (*stacked.parameters(), *stacked.buffers()):
        tensor.data = tensor.data.index_select(0, chosen.to(tensor.device))
    generators[:] = [generators[seed] for seed in seeds]


def weights_of(stacked: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return the state dict of one seed's network, live."""
    return {name: tensor[seed] for name, tensor in stacked.state_dict().items()}


@dataclass(frozen=True)
class _Step:
    """One node of the traced forward pass: `do` with earlier values put in their places."""

    name: str
    do: Callable[..., Tensor]
    arguments: tuple[Any, ...]
    places: tuple[tuple[int, str], ...]  # of the arguments that earlier steps made
    options: Mapping[str, Any]
    last_used: tuple[str, ...]  # values that nobody asks for after this step

    def run(self, values: dict[str, Tensor]) -> None:
        arguments = list(self.arguments)
        for place, name in self.places:
            arguments[place] = values[name]
        values[self.name] = self.do(*arguments, **self.options)
        for name in self.last_used:
            del values[name]


class _Program:
    """The stacked forward pass."""

    def __init__(self, entry: str, steps: Sequence[_Step], answer: str) -> None:
        self._entry, self._steps, self._answer = entry, steps, answer

    def __call__(self, x: Tensor) -> Tensor:
        values = {self._entry: x}
        for step in self._steps:
            step.run(values)
        return values[self._answer]


class _Tracer(fx.Tracer):
    """Keeps whole the layers that have a stacked form, and looks into all others."""

    proxy_buffer_attributes = True

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether the trace stops at a module."""
        return is_leaf(m) or super().is_leaf_module(m, module_qualified_name)


def _stacked(networks: Sequence[nn.Module], generators: list[torch.Generator]) -> nn.Module:
    first = networks[0]
    graph = _graph(first)
    stacked = copy.deepcopy(first)
    for node in graph.nodes:
        if node.op == "call_module":
            target = str(node.target)
            layers = [network.get_submodule(target) for network in networks]
            layer = stacked_layer(layers, generators)
            if layer is None:
                raise _UnknownError(target)
            stacked.set_submodule(target, layer)
        elif node.op == "get_attr":
            _put_weights(stacked, networks, str(node.target))
    _check_complete(stacked, networks)
    stacked.forward = _program(graph, stacked)
    exempt = _exempt(first)
    stacked.no_weight_decay = lambda: exempt  # type: ignore[assignment]
    return stacked


def _graph(network: nn.Module) -> fx.Graph:
    """Trace a network whose forward pass is the same while training and while evaluating."""
    before = _attributes(network)
    training = network.training
    graphs = [_Tracer().trace(network.train(mode)) for mode in (False, True)]
    network.train(training)
    told = [[(n.op, str(n.target), str(n.args), str(n.kwargs)) for n in g.nodes] for g in graphs]
    entries = [node for node in graphs[0].nodes if node.op == "placeholder"]
    if told[0] != told[1] or len(entries) != 1 or before != _attributes(network):
        raise _UnknownError("another forward pass at another time")
    return graphs[0]


def _attributes(network: nn.Module) -> list[dict[str, Any]]:
    """Return the plain values that a network holds, without the mode it is in."""
    return [
        {k: v for k, v in vars(m).items() if isinstance(v, _PLAIN) and k != "training"}
        for m in network.modules()
    ]


def _put_weights(stacked: nn.Module, networks: Sequence[nn.Module], target: str) -> None:
    path, _, name = target.rpartition(".")
    put_together(
        stacked.get_submodule(path), [network.get_submodule(path) for network in networks], name
    )


def _check_complete(stacked: nn.Module, networks: Sequence[nn.Module]) -> None:
    """Every tensor must have its seeds, and none may stand in two places."""
    seeds = len(networks)
    for ours, theirs in (
        (stacked.named_parameters, networks[0].named_parameters),
        (stacked.named_buffers, networks[0].named_buffers),
    ):
        found = {name: tuple(tensor.shape) for name, tensor in ours(remove_duplicate=False)}
        wanted = {n: (seeds, *t.shape) for n, t in theirs(remove_duplicate=False)}
        if found != wanted or len(wanted) != len(list(theirs())):
            raise _UnknownError("tensors that no layer uses, or that two share")


def _program(graph: fx.Graph, stacked: nn.Module) -> _Program:
    steps, entry, answer = [], "", ""
    for node in graph.nodes:
        if node.op == "placeholder":
            entry = node.name
        elif node.op == "output":
            answer = node.args[0].name
        else:
            steps.append(_step(node, stacked))
    return _Program(entry, steps, answer)


def _step(node: fx.Node, stacked: nn.Module) -> _Step:
    places = [(i, a.name) for i, a in enumerate(node.args) if isinstance(a, fx.Node)]
    if {name for _, name in places} != {n.name for n in node.all_input_nodes}:
        raise _UnknownError("values inside lists or given by name")
    over = [n.name for n in node.all_input_nodes if _last_user(n) is node]
    return _Step(
        node.name,
        _function(node, stacked),
        tuple(node.args) if node.op != "get_attr" else (),
        tuple(places),
        dict(node.kwargs),
        tuple(over),
    )


def _last_user(node: fx.Node) -> fx.Node:
    users = set(node.users)
    return next(n for n in reversed(node.graph.nodes) if n in users)


def _function(node: fx.Node, stacked: nn.Module) -> Callable[..., Tensor]:
    if node.op == "call_module":
        return stacked.get_submodule(str(node.target))
    if node.op == "get_attr":
        path, _, name = str(node.target).rpartition(".")
        owner = stacked.get_submodule(path)
        return lambda: getattr(owner, name)
    table: Mapping[Any, Callable[..., Tensor]] = METHODS if node.op == "call_method" else FUNCTIONS
    if node.target not in table:
        raise _UnknownError(node.target)
    return table[node.target]


def _exempt(network: nn.Module) -> frozenset[str]:
    """Names of what is not decayed in one network, where biases and norms have one dimension."""
    ask = getattr(network, "no_weight_decay", None)
    named = frozenset(ask()) if callable(ask) else frozenset()
    return named | {name for name, p in network.named_parameters() if p.ndim < 2}


def _check_answers(networks: Sequence[nn.Module], inputs: tuple[int, ...]) -> None:
    """Compare copies on a batch each, training first: scores and statistics must be equal."""
    singles = [copy.deepcopy(network).float() for network in networks]
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(singles))]
    stacked = _stacked(singles, generators)
    x = torch.randn(len(singles), _PROBE, *inputs, device=_device(networks[0]))
    for training in (True, False):
        with torch.no_grad():
            answers = stacked.train(training)(x)
        for seed, (single, own) in enumerate(zip(singles, x, strict=True)):
            torch.manual_seed(seed)
            with torch.no_grad():
                _must_be_close(answers[seed], single.train(training)(own))
    for seed, single in enumerate(singles):
        ours = weights_of(stacked, seed)
        for name, tensor in single.state_dict().items():
            _must_be_close(ours[name].float(), tensor.float())


def _device(network: nn.Module) -> torch.device:
    return next((p.device for p in network.parameters()), torch.device("cpu"))


def _must_be_close(ours: Tensor, theirs: Tensor) -> None:
    if ours.shape != theirs.shape:
        raise _UnknownError("another shape")
    if (ours - theirs).abs().max() > _CLOSE * theirs.abs().max().clamp(min=1e-6):
        raise _UnknownError("other answers")
