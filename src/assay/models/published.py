"""What torchvision and timm publish for an entry of the canon: where, how prepared, which names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assay.canon.card import Architecture, Variant
from assay.errors import BadArgumentError, MissingExtraError
from assay.models.build import build
from assay.models.dry import unstarted
from assay.models.foreign import build_any
from assay.models.preprocessing import Preprocessing
from assay.models.weight_files import HUB, fetch, fetch_hashed

LIBRARIES = ("torchvision", "timm")

# torchvision standardises a second time inside these two; together it is (x - 0.5) / 0.5.
_STANDARDISED_INSIDE = ("googlenet", "inception_v3")
_SKIPS_FIRST = ("timm:legacy_xception",)  # a block's shortcut before its branch; ours comes after
_OLD_NAMES = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")  # of torchvision's DenseNet
_SIDE = re.compile(r"(aux[12]|AuxLogits)\.")  # classifiers that only its training uses


@dataclass(frozen=True, kw_only=True)
class Publication:
    """Where a library's weights for one network are, and what images they expect."""

    address: str  # of a .pth file, or hf:REPO
    preprocessing: Preprocessing

    def file(self) -> Path:
        """Return the file on this machine, from the library's own cache or downloaded to it."""
        if self.address.startswith(HUB):
            return fetch(self.address)
        return fetch_hashed(self.address, Path(torch.hub.get_dir()) / "checkpoints")


def publication(variant: Variant, library: str) -> Publication:
    """Return what a library publishes by default for the network that is the variant's reference.

    Args:
        variant: Of the canon.
        library: One of `LIBRARIES`.

    Raises:
        BadArgumentError: The variant has no reference there, or no weights are published.
        MissingExtraError: The library is not installed.
    """
    where, _, name = variant.reference.partition(":")
    if where != library:
        known = f"its reference is {variant.reference}" if where in LIBRARIES else "it has none"
        raise BadArgumentError(
            f"`weights` may be {library!r} for an entry whose reference is there. Received "
            f"{variant.name}: {known}; "
            + (f"give {where!r}." if where in LIBRARIES else "give a file, or hf:REPO.")
        )
    module = _library(library)
    found = _of_timm(module, name) if library == "timm" else _of_torchvision(module, name)
    if found is None:
        raise BadArgumentError(
            f"`weights` must be published to be loaded. Received {library!r} for {variant.name}, "
            f"and {library} has none for {name}; give a file, or hf:REPO."
        )
    return found


def names_in_reference(card: Architecture, variant: Variant) -> dict[str, str]:
    """Return the reference's name of each of our weights; both sides register the same order.

    Raises:
        MissingExtraError: The reference's library is not installed.
    """
    _library(variant.reference.partition(":")[0])
    with torch.random.fork_rng(devices=[]), unstarted():
        ours = build(variant.name).state_dict()
        theirs = build_any(variant.reference, card.native(variant), variant.outputs).state_dict()
    own, others = ([k for k, v in s.items() if v.is_floating_point()] for s in (ours, theirs))
    return dict(zip(own, _in_our_order(variant.reference, others), strict=True))


def today(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return published entries under the names that the library's code has today."""
    return {_OLD_NAMES.sub(r"\1\2.", name): value for name, value in tensors.items()}


def aside(names: Iterable[str]) -> tuple[str, ...]:
    """Return those that belong to a classifier which only torchvision's training has."""
    return tuple(name for name in names if _SIDE.match(name))


def preprocessing_of(config: Mapping[str, Any]) -> Preprocessing:
    """Return what timm's description of weights says of images.

    Raises:
        KeyError: Something is not said.
    """
    height, width = config["input_size"][1:]
    return Preprocessing(
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        size=(height, width),
        resize=int(min(height, width) / config["crop_pct"]),
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
    )


def _in_our_order(reference: str, names: list[str]) -> list[str]:
    """Return the reference's names in the order in which ours registers the same."""
    if reference not in _SKIPS_FIRST:
        return names
    first: dict[str, int] = {}
    for place, name in enumerate(names):
        first.setdefault(name.partition(".")[0], place)
    return sorted(names, key=lambda name: (first[name.partition(".")[0]], ".skip" in name))


def _of_torchvision(torchvision: Any, name: str) -> Publication | None:
    weights = torchvision.models.get_model_weights(name)
    if not len(weights):
        return None
    images = weights.DEFAULT.transforms()
    inside = name in _STANDARDISED_INSIDE
    return Publication(
        address=weights.DEFAULT.url,
        preprocessing=Preprocessing(
            mean=(0.5,) * 3 if inside else tuple(images.mean),
            std=(0.5,) * 3 if inside else tuple(images.std),
            size=(images.crop_size[0], images.crop_size[0]),
            resize=images.resize_size[0],
            interpolation=images.interpolation.value,
        ),
    )


def _of_timm(timm: Any, name: str) -> Publication | None:
    config = timm.models.get_pretrained_cfg(name)
    if config is None or not (config.hf_hub_id or config.url):
        return None
    address = f"{HUB}{config.hf_hub_id}" if config.hf_hub_id else config.url
    return Publication(address=address, preprocessing=preprocessing_of(config.to_dict()))


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"Weights of {name} need {name}, which is not installed: pip install 'assay[{name}]'."
        ) from error
