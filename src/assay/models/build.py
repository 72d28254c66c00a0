"""A canon entry as a network for the user's shapes."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from assay.canon.card import Adaptation, Shape, Variant
from assay.canon.catalog import catalog
from assay.errors import BadArgumentError

if TYPE_CHECKING:
    from torch import nn


def build(name: str, *, inputs: Shape | None = None, outputs: int | None = None) -> nn.Module:
    """Return a new network with random weights.

    Args:
        name: A variant, or a card's id for its default variant.
        inputs: Shape of one example: (C, H, W), (T, F) or (F,); the native one if not given.
        outputs: Classes to score, or 1 for regression; the native count if not given.

    Raises:
        UnknownNameError: The canon has no such name.
        BadArgumentError: The network cannot read such a shape.
    """
    card, variant = catalog().entry(name)
    given = card.native(variant) if inputs is None else tuple(inputs)
    adaptation = card.adapt(variant, given)
    count = variant.outputs if outputs is None else _checked_outputs(outputs)
    if adaptation is None:
        return _builder(variant)(given, count, small=False)
    network = _builder(variant)(adaptation.inputs, count, small=adaptation.small)
    return _behind(adaptation, network)


def _builder(variant: Variant) -> Callable[..., nn.Module]:
    module, _, function = variant.code.partition(":")
    return getattr(import_module(module), function)


def _behind(adaptation: Adaptation, network: nn.Module) -> nn.Module:
    """Return the network behind the module that adapts its inputs, if one is needed."""
    from assay.blocks.adapt import Adapted, Rows, Upsample

    if adaptation.kind == "upsample":
        height, width = adaptation.inputs[1:]
        return Adapted(Upsample((height, width)), network)
    if adaptation.kind == "rows":
        return Adapted(Rows(), network)
    return network


def _checked_outputs(outputs: int) -> int:
    if type(outputs) is not int or outputs < 1:
        raise BadArgumentError(
            f"`outputs` must be a whole number of at least 1. Received outputs={outputs!r}; "
            "give the number of classes, or 1 for regression."
        )
    return outputs
