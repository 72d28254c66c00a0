"""Two networks side by side: which layers they share, and what the others cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal

from assay.models.layer import Node

Sort = Literal["equal", "changed", "removed", "added"]
Pair = tuple[Node | None, Node | None]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Layers that lie side by side and fare alike.

    Attributes:
        sort: Of them: equal in both networks, changed, or in one network only.
        first: Those of the first network, none where they were added.
        second: Those of the second, none where they were removed.
        own: Whether only what is the layers' own is meant, the rest being told apart.
    """

    sort: Sort
    first: tuple[Node, ...]
    second: tuple[Node, ...]
    own: bool = False

    @property
    def parameters(self) -> tuple[int, int]:
        """Of the first and of the second."""
        return self._sum(self.first, "parameters"), self._sum(self.second, "parameters")

    @property
    def macs(self) -> tuple[int, int]:
        """Of the first and of the second."""
        return self._sum(self.first, "macs"), self._sum(self.second, "macs")

    def _sum(self, nodes: Sequence[Node], what: str) -> int:
        return sum(getattr(node.layer, f"own_{what}" if self.own else what) for node in nodes)


def differences(first: Node, second: Node, *, depth: int) -> list[Change]:
    """Return how one network becomes another, layer by layer; the figures add up to both.

    Layers are equal that are of the same kind inside and out and cost the same, wherever they
    lie; the longest common runs are found first.

    Args:
        first: One network.
        second: The other.
        depth: How deep blocks are opened that differ.
    """
    changes = list(_inside(first, second, depth))
    return [_joined(list(run)) for _, run in groupby(changes, key=_alike)]


def _inside(first: Node, second: Node, depth: int) -> Iterator[Change]:
    """Yield what becomes of the layers inside one that differs; of blocks in a row told once."""
    for _, run in groupby(_aligned(first.below, second.below), key=_likenesses):
        yield from map(_joined, zip(*(_change(*pair, depth) for pair in run), strict=True))
    own = [(node.layer.own_parameters, node.layer.own_macs) for node in (first, second)]
    if any(map(any, own)):
        sort: Sort = "equal" if own[0] == own[1] else "changed"
        yield Change(sort=sort, first=(first,), second=(second,), own=True)


def _change(one: Node | None, other: Node | None, depth: int) -> Iterator[Change]:
    if one is None or other is None:
        sort: Sort = "added" if one is None else "removed"
        yield Change(sort=sort, first=_some(one), second=_some(other))
    elif one.likeness == other.likeness:
        yield Change(sort="equal", first=(one,), second=(other,))
    elif depth > 1 and one.below and other.below and _worth_opening(one, other):
        yield from _inside(one, other, depth - 1)
    else:
        yield Change(sort="changed", first=(one,), second=(other,))


def _worth_opening(one: Node, other: Node) -> bool:
    """Whether more than a single layer of either does the work."""
    busy = [sum(1 for n in top.nodes if n.layer.own_macs) for top in (one, other)]
    return max(busy) > 1 or one.class_name == other.class_name == "Sequential"


def _aligned(first: Sequence[Node], second: Sequence[Node]) -> Iterator[Pair]:
    """Yield equal layers together, then, in the gaps between, those that are comparable."""
    for here, there in _gaps(first, second, lambda node: node.likeness):
        if len(here) == len(there) == 1:
            yield here[0], there[0]
            continue
        for one, other in _gaps(here, there, _class_of):
            yield from _paired(one, other)


def _gaps(
    first: Sequence[Node], second: Sequence[Node], key: Callable[[Node], object]
) -> Iterator[tuple[Sequence[Node], Sequence[Node]]]:
    """Yield matches one by one, and what lies between them as it is."""
    matcher = SequenceMatcher(None, [*map(key, first)], [*map(key, second)], autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            for step in range(i_end - i):
                yield first[i + step : i + step + 1], second[j + step : j + step + 1]
        else:
            yield first[i:i_end], second[j:j_end]


def _paired(first: Sequence[Node], second: Sequence[Node]) -> Iterator[Pair]:
    """Yield layers of the same name together, the others alone."""
    names = {_name(node): node for node in second}
    common = {_name(node) for node in first} & names.keys()
    if len(first) == len(second) == 1 and _class_of(first[0]) == _class_of(second[0]):
        yield first[0], second[0]
        return
    for node in first:
        yield node, names[_name(node)] if _name(node) in common else None
    for node in second:
        if _name(node) not in common:
            yield None, node


def _class_of(node: Node) -> str:
    return node.class_name


def _name(node: Node) -> str:
    return node.layer.path.rpartition(".")[2]


def _some(node: Node | None) -> tuple[Node, ...]:
    return () if node is None else (node,)


def _alike(change: Change) -> object:
    """Return what changes have in common that one line can tell."""
    if change.sort == "equal":
        return change.sort, change.own
    nodes = (*change.first, *change.second)
    parents = [node.layer.path.rpartition(".")[0] for node in nodes]
    likeness = [[node.likeness for node in side] for side in (change.first, change.second)]
    return change.sort, change.own, parents, likeness


def _likenesses(pair: Pair) -> object:
    return [None if node is None else node.likeness for node in pair]


def _joined(run: Sequence[Change]) -> Change:
    return Change(
        sort=run[0].sort,
        first=tuple(node for change in run for node in change.first),
        second=tuple(node for change in run for node in change.second),
        own=run[0].own,
    )
