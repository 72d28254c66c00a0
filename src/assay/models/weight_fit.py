"""Where each tensor of a file goes in a network, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from assay.canon.card import Adaptation, Shape, Variant
from assay.models.build import bare
from assay.models.dry import unstarted

Shapes = dict[str, tuple[int, ...]]

_PREFIXES = ("", "module.", "_orig_mod.", "1.")  # of wrappers: several devices, compiled, adapted
_SHOWN = 10


@dataclass
class Fit:
    """How the tensors of a file go into one form of a network, and what stands against it.

    Attributes:
        adaptation: What makes the form: None is the network as it is.
        of_reference: Whether the file has the reference's names, not ours.
        tensors: What to load, under our names.
        fresh: Entries that keep their random values: the head, for another number of classes.
        unused: Entries of the file without a place here.
        missing: The file's names of what it lacks.
        unexpected: What it has and the network has not.
        misshapen: What has another shape, with both.
    """

    adaptation: Adaptation | None
    of_reference: bool = False
    tensors: dict[str, Tensor] = field(default_factory=dict)
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """How many entries do not fit."""
        return len(self.missing) + len(self.unexpected) + len(self.misshapen)


@dataclass(frozen=True)
class Slots:
    """The learned entries of a form of a network.

    Attributes:
        shapes: Of each.
        classes: The dimension that follows the number of outputs, of those that have one: the head.
        channels: The dimension that follows the channels of the image: the first layer.
    """

    shapes: Shapes
    classes: Mapping[str, int]
    channels: Mapping[str, int]


def slots_of(variant: Variant, inputs: Shape, outputs: int, adaptation: Adaptation | None) -> Slots:
    """Return what a form has to be filled with."""
    shapes = shapes_of(variant, inputs, outputs, adaptation)
    classes = changed(shapes, shapes_of(variant, inputs, outputs + 1, adaptation))
    inner = adaptation.inputs if adaptation else inputs
    if len(inner) != 3:
        return Slots(shapes, classes, {})
    wider = (inner[0] + 1, *inner[1:])
    other = replace(adaptation, inputs=wider) if adaptation else None
    return Slots(shapes, classes, changed(shapes, shapes_of(variant, wider, outputs, other)))


def shapes_of(
    variant: Variant, inputs: Shape, outputs: int, adaptation: Adaptation | None
) -> Shapes:
    """Return the shapes of what a form learns, by name; counters and tables are left out."""
    with torch.random.fork_rng(devices=[]), unstarted():
        state = bare(variant, inputs, outputs, adaptation).state_dict()
    return {name: tuple(v.shape) for name, v in state.items() if v.is_floating_point()}


def unwrapped(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield what was learned, as it is named and without each of the prefixes of wrappers."""
    learned = {name: value for name, value in tensors.items() if value.is_floating_point()}
    for prefix in _PREFIXES:
        if any(name.startswith(prefix) for name in learned):
            yield {name.removeprefix(prefix): value for name, value in learned.items()}


def fit(into: Fit, slots: Slots, names: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Fit:
    """Fill in a fit and return it.

    Args:
        into: Its form, and whose names they are.
        slots: Of the form.
        names: The file's names by ours.
        tensors: Of the file.
    """
    for ours, theirs in names.items():
        if theirs in tensors:
            _place(into, slots, ours, theirs, tensors[theirs])
        else:
            into.missing.append(theirs)
    known = set(names.values())
    into.unexpected = [name for name in tensors if name not in known]
    return into


def listed(what: str, names: list[str]) -> str:
    """Return "what 12: the first ten and 2 more", or an empty string."""
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what} {len(names)}: {', '.join(names[:_SHOWN])}{more}"


def changed(shapes: Shapes, others: Shapes) -> dict[str, int]:
    """Return the dimension of each entry in which two forms differ, where it is one."""
    found: dict[str, int] = {}
    for name, shape in shapes.items():
        other = others.get(name, ())
        dims = [i for i, (a, b) in enumerate(zip(shape, other, strict=False)) if a != b]
        if len(shape) == len(other) and len(dims) == 1:
            found[name] = dims[0]
    return found


def _place(into: Fit, slots: Slots, ours: str, theirs: str, value: Tensor) -> None:
    wanted = slots.shapes[ours]
    if value.shape == wanted:
        into.tensors[ours] = value
    elif _differs_only_along(slots.classes.get(ours), value, wanted):
        into.fresh += (ours,)
    elif _differs_only_along(slots.channels.get(ours), value, wanted):
        into.tensors[ours] = _with_channels(value, slots.channels[ours], wanted)
    else:
        into.misshapen.append(f"{theirs} {tuple(value.shape)} for {wanted}")


def _differs_only_along(dim: int | None, value: Tensor, wanted: tuple[int, ...]) -> bool:
    if dim is None or value.ndim != len(wanted):
        return False
    return all(i == dim or a == b for i, (a, b) in enumerate(zip(value.shape, wanted, strict=True)))


def _with_channels(value: Tensor, dim: int, wanted: tuple[int, ...]) -> Tensor:
    """Return a first layer for another number of channels, as timm makes it.

    One channel gets the sum over all, as if the image were shown to each; more get copies in turn,
    scaled so that the sum over channels stays.
    """
    have, want = value.shape[dim], wanted[dim]
    if want == 1:
        return value.sum(dim, keepdim=True)
    turns = torch.arange(want) % have
    return value.index_select(dim, turns) * (have / want)
