"""One row of a network's layer table, in plain values; and the rows as the tree that they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One module of a network; modules inside it have rows of their own, below it.

    Attributes:
        path: Its name in the network, "stages.0.1.branch.0"; "" is the network itself.
        kind: Its class and what matters of its arguments, "Conv2d 3×3/2 64→128 g32".
        output: Shape of its result for one example; () if it is only a container or never runs.
        parameters: In it and all modules inside.
        macs: Multiply-accumulates of it and all modules inside, all its calls together.
        own_parameters: Its own alone. Over all layers they add up to the network's.
        own_macs: Its own alone. Over all layers they add up to the network's.
        field: The receptive field: how many positions along each axis of the input a central
            value of its result depends on, padding counted; None is all, -1 is not known. () if
            the input has no axes or the result does not depend on it.
        jump: How many input positions lie between two neighbouring values of its result.
        calls: How often it ran for one example.
    """

    path: str
    kind: str
    output: tuple[int, ...] = ()
    parameters: int = 0
    macs: int = 0
    own_parameters: int = 0
    own_macs: int = 0
    field: tuple[int | None, ...] = ()
    jump: tuple[float, ...] = ()
    calls: int = 0


@dataclass(frozen=True)
class Node:
    """A layer and those inside it."""

    layer: Layer
    below: tuple[Node, ...] = ()

    @cached_property
    def likeness(self) -> tuple[object, ...]:
        """What two nodes have in common that are the same but for their place."""
        one = self.layer
        own = (one.kind, one.output, one.own_parameters, one.own_macs)
        return (*own, *(node.likeness for node in self.below))

    @property
    def class_name(self) -> str:
        """The first word of its kind."""
        return self.layer.kind.partition(" ")[0]

    @property
    def nodes(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for node in self.below:
            yield from node.nodes


def tree(layers: Sequence[Layer]) -> Node:
    """Return the layers as a tree.

    Args:
        layers: Each before those inside it, the network itself first.
    """
    found, rest = _node(layers[0], list(layers[1:]))
    if rest:
        raise ValueError(f"{rest[0].path!r} lies in none of the layers before it")
    return found


def _node(layer: Layer, after: list[Layer]) -> tuple[Node, list[Layer]]:
    """Return the node of a layer, and the layers that come after all those inside it."""
    below: list[Node] = []
    inside = f"{layer.path}." if layer.path else ""
    while after and after[0].path.startswith(inside):
        node, after = _node(after[0], after[1:])
        below.append(node)
    return Node(layer, tuple(below)), after
