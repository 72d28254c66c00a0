"""Weights that trials start from: under our names, without the head, kept by their hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from assay.blocks.adapt import Adapted, Upsample
from assay.canon.card import Shape
from assay.canon.catalog import catalog
from assay.errors import MissingPathError
from assay.models.build import bare
from assay.models.weight_files import cache, keep
from assay.models.weight_fit import slots_of
from assay.models.weights import Pretrained, build_with_weights, follow_reference, full_size

_FACTS = "assay"


class Restandardise(nn.Module):
    """Puts images that were standardised one way on another footing. (B, C, H, W) -> the same.

    Args:
        channels: Of the images.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        self.register_buffer("shift", torch.zeros(channels, 1, 1))

    def set(self, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Take images from the mean and std of `given` to those of `wanted`."""
        values = (torch.tensor(v).view(-1, 1, 1) for s in (given, wanted) for v in _spread(s))
        mean, std, their_mean, their_std = values
        self.scale.copy_(std / their_std)
        self.shift.copy_((mean - their_mean) / their_std)

    def forward(self, x: Tensor) -> Tensor:
        """Return the images as the weights expect them."""
        return x * self.scale + self.shift


def build_to_start(name: str, inputs: Shape, outputs: int) -> Adapted:
    """Return a network, still random, in the form that published weights fit.

    Args:
        name: Of the canon.
        inputs: Shape of one image.
        outputs: Classes to score, or 1 for regression.
    """
    card, variant = catalog().entry(name)
    adaptation = full_size(card, variant, inputs)
    network = bare(variant, inputs, outputs, adaptation)
    follow_reference(variant, network)
    before: list[nn.Module] = [Restandardise(inputs[0])]
    if adaptation is not None:
        height, width = adaptation.inputs[1:]
        before.append(Upsample((height, width)))
    return Adapted(nn.Sequential(*before), network)


def prepare_start(name: str, inputs: Shape) -> str:
    """Keep the published weights of a network for images of this shape; return their sha256.

    Args:
        name: Of the canon; its reference's library publishes them.
        inputs: Shape of one image.

    Raises:
        AssayError: They cannot be had: see `assay.build`.
    """
    card, variant = catalog().entry(name)
    library = variant.reference.partition(":")[0]
    with torch.random.fork_rng(devices=[]):
        whole = build_with_weights(card, variant, inputs, variant.outputs, library)
    told = whole.pretrained
    network = whole[1] if isinstance(whole, Adapted) else whole
    slots = slots_of(variant, inputs, variant.outputs, full_size(card, variant, inputs))
    body = {k: v for k, v in network.state_dict().items() if k not in slots.classes}
    prepared = told.preprocessing if isinstance(told, Pretrained) else None
    facts = {"mean": prepared.mean, "std": prepared.std} if prepared else {}
    return keep_start(body, facts)


def keep_start(body: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """Keep weights to start from, and the mean and std of their images; return the sha256."""
    content = save(dict(body), {_FACTS: json.dumps(facts)})
    digest = hashlib.sha256(content).hexdigest()
    keep(_file(digest), content)
    return digest


def start(network: nn.Module, weights: str, preprocessing: Mapping[str, Any]) -> None:
    """Give a network of `build_to_start` the weights it starts from; its head stays random.

    Args:
        network: As it was built.
        weights: Their sha256.
        preprocessing: How the images that it will see are standardised.

    Raises:
        MissingPathError: The weights are no longer there.
    """
    before, inner = network.children()
    file = _present(weights)
    inner.load_state_dict(load_file(file), strict=False)
    with safe_open(file, "pt") as opened:
        facts = json.loads(opened.metadata()[_FACTS])
    first = next(before.children())
    if facts and isinstance(first, Restandardise):
        first.set(preprocessing, facts)


def head_of(network: nn.Module, weights: str) -> frozenset[str]:
    """Return the parameters of a network that the weights it starts from do not hold.

    Raises:
        MissingPathError: The weights are no longer there.
    """
    with safe_open(_present(weights), "pt") as opened:
        held = {f"1.{name}" for name in opened.keys()}  # noqa: SIM118 - it is no mapping
    return frozenset(name for name, _ in network.named_parameters() if name not in held)


def _spread(of: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    return list(of["mean"]), list(of["std"])


def _file(digest: str) -> Path:
    return cache() / "starts" / f"{digest}.safetensors"


def _present(digest: str) -> Path:
    file = _file(digest)
    if not file.is_file():
        raise MissingPathError(
            f"The weights that this network starts from are kept in {file}. They are no longer "
            "there; run the comparison again, which fetches them anew."
        )
    return file
