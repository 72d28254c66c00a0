"""A canon entry as a network for the user's shapes."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from assay.canon.card import SERIES, Adaptation, Architecture, Shape, Variant
from assay.canon.catalog import catalog
from assay.canon.idea import check_removable, parted
from assay.canon.task import TASKS, Task
from assay.errors import BadArgumentError, nearest

if TYPE_CHECKING:
    from torch import nn


def build(
    name: str,
    *,
    inputs: Shape | None = None,
    outputs: int | None = None,
    task: Task | None = None,
    weights: str | Path | None = None,
) -> nn.Module:
    """Return a new network, with random weights or with those that somebody has learned.

    With `weights`, `network.pretrained` tells what was loaded: the file, its hash, the
    preprocessing that predictions need, and the entries left random. Those are the head when
    `outputs` is not the file's. A first layer is fitted to another number of channels as timm does
    it, by summing or repeating. Published weights need the full-size form of a network: small
    images are enlarged, and never read by the small form. A batch of other channels, or of images
    below the least size, is refused when the network is called.

    Args:
        name: A variant, or a card's id for its default variant; NAME-without-IDEA takes one of
            the card's removable ideas out.
        inputs: Shape of one example: (C, H, W), (T, F) or (F,), or (T, V) for at most T tokens out
            of a vocabulary of V; the native one if not given.
        outputs: Classes to score, values to predict, or words to choose from; the native count if
            not given.
        task: What a network of sequences or tokens is to do, such as "language-modeling"; the
            entry's first task that fits `inputs` if not given.
        weights: "torchvision" or "timm" for what that library publishes for the entry; a path, an
            address or hf:REPO of a safetensors or .pth file, under the reference's names or ours;
            of several files (shards) it is the folder, or hf:REPO.

    Raises:
        UnknownNameError: The canon has no such name.
        BadArgumentError: The network cannot read such a shape, has no such idea, or the library no
            such weights.
        DataError: The weights are damaged, refused or of another network.
        MissingExtraError: The library that publishes them is not installed.
        MissingPathError: They are not there, or cannot be downloaded.
    """
    from assay.models.input_check import check_of

    network = unchecked(name, inputs=inputs, outputs=outputs, task=task, weights=weights)
    whole, idea = parted(name)
    card, variant = catalog().entry(whole)
    given = card.native(variant) if inputs is None else tuple(inputs)
    shown = variant.name if idea is None else name
    network.register_forward_pre_hook(check_of(shown, card, variant, given, network, task))
    return network


def unchecked(
    name: str,
    *,
    inputs: Shape | None = None,
    outputs: int | None = None,
    task: Task | None = None,
    weights: str | Path | None = None,
) -> nn.Module:
    """Return what `build` returns, without its look at each batch: for loops that know theirs."""
    whole, idea = parted(name)
    if idea is not None:
        _refuse_weights(name, weights)
        complete = unchecked(whole, inputs=inputs, outputs=outputs, task=task)
        return _without(idea, whole, complete, inputs)
    card, variant = catalog().entry(whole)
    given = card.native(variant) if inputs is None else tuple(inputs)
    asked = _checked_task(card, variant, given, task)
    native = given[1] if TASKS[asked].answers == "tokens" else variant.outputs
    count = native if outputs is None else _checked_outputs(outputs)
    if weights is not None:
        from assay.models.weights import build_with_weights

        return build_with_weights(card, variant, given, count, str(weights), asked)
    adaptation = card.adapt(variant, given, asked)
    if card.input.kind in SERIES:
        return behind(adaptation, series(variant, given, count, adaptation, asked))
    return behind(adaptation, bare(variant, given, count, adaptation))


def bare(variant: Variant, inputs: Shape, outputs: int, adaptation: Adaptation | None) -> nn.Module:
    """Return the network alone, for the shape that an adaptation of `inputs` gives."""
    if adaptation is None:
        return _builder(variant)(inputs, outputs, small=False)
    return _builder(variant)(adaptation.inputs, outputs, small=adaptation.small)


def series(
    variant: Variant, inputs: Shape, outputs: int, adaptation: Adaptation | None, task: Task
) -> nn.Module:
    """Return the network alone, of those that read one thing after another."""
    if adaptation is None:
        return _builder(variant)(inputs, outputs, task=task)
    return _builder(variant)(adaptation.inputs, outputs, task="sequence-classification")


def behind(adaptation: Adaptation | None, network: nn.Module) -> nn.Module:
    """Return the network behind the module that adapts its inputs, if one is needed."""
    from assay.blocks.adapt import Adapted, Rows, Upsample

    if adaptation is not None and adaptation.kind == "upsample":
        height, width = adaptation.inputs[1:]
        return Adapted(Upsample((height, width)), network)
    if adaptation is not None and adaptation.kind == "rows":
        return Adapted(Rows(), network)
    return network


def _without(idea: str, whole: str, network: nn.Module, inputs: Shape | None) -> nn.Module:
    from assay.models.ablation import without

    card, variant = catalog().entry(whole)
    check_removable(card, variant.name, idea)
    return without(idea, network, variant.name, inputs or card.native(variant))


def _builder(variant: Variant) -> Callable[..., nn.Module]:
    module, _, function = variant.code.partition(":")
    return getattr(import_module(module), function)


def _refuse_weights(name: str, weights: str | Path | None) -> None:
    if weights is not None:
        raise BadArgumentError(
            f"`weights` are of a whole network. Received weights={str(weights)!r} for {name}; "
            "leave one of the two out."
        )


def _checked_task(card: Architecture, variant: Variant, inputs: Shape, task: Task | None) -> Task:
    if task is None:
        return card.task_for(variant, inputs)
    if task not in card.tasks:
        raise BadArgumentError(
            f"`task` must be one that {variant.name} does: {', '.join(card.tasks)}. "
            f"Received task={task!r}.{nearest(task, card.tasks)}"
        )
    return task


def _checked_outputs(outputs: int) -> int:
    if type(outputs) is not int or outputs < 1:
        raise BadArgumentError(
            f"`outputs` must be a whole number of at least 1. Received outputs={outputs!r}; "
            "give the number of classes, or 1 for regression."
        )
    return outputs
