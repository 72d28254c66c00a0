"""A canon entry with weights that somebody has learned: the reference's, or one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from assay.canon.card import SERIES, Adaptation, Architecture, Shape, Variant
from assay.canon.task import Task
from assay.errors import DataError
from assay.models.build import bare, behind, series
from assay.models.language_weights import Asked, load_language
from assay.models.preprocessing import Preprocessing
from assay.models.published import (
    LIBRARIES,
    aside,
    names_in_reference,
    preprocessing_of,
    publication,
    today,
)
from assay.models.weight_files import HUB, as_safetensors, fetch, hub_config, read, sha256
from assay.models.weight_fit import Fit, fit, listed, shapes_of, slots_of, unwrapped

_SLOPES = {"timm:darknet53": 0.01}  # its activations leak less than those of darknet's own files


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Where a network's weights came from; `assay.build(..., weights=...)` attaches it.

    Attributes:
        source: As it was asked for.
        file: What was read; of weights in several files, their index.
        sha256: Of that file; of an index, over all its shards.
        preprocessing: What images went through, for the shape that the network reads; None where
            the source does not say.
        fresh: Entries that kept their random values: the head, when `outputs` differ.
        unused: Entries of the file that have no place here: torchvision's side classifiers.
    """

    source: str
    file: Path
    sha256: str
    preprocessing: Preprocessing | None
    fresh: tuple[str, ...]
    unused: tuple[str, ...]


def build_with_weights(
    card: Architecture,
    variant: Variant,
    inputs: Shape,
    outputs: int,
    source: str,
    task: Task | None = None,
) -> nn.Module:
    """Return the network with the weights of `source`; see `assay.build`.

    Args:
        card: Of the entry.
        variant: Which member.
        inputs: Shape of one example.
        outputs: Classes to score, or words to choose from.
        source: A library's name, a file, a folder, an address or hf:REPO.
        task: Of a network of sequences or tokens.

    Raises:
        BadArgumentError: The library publishes none.
        DataError: The file is damaged, refused or of another network.
        MissingExtraError: The library is not installed.
        MissingPathError: The file is not there, or cannot be downloaded.
    """
    found, preprocessing = _found(variant, source)
    try:
        file = as_safetensors(found)
        tensors = read(file)
    except DataError as error:
        raise DataError(f"{_asked(variant, inputs, outputs)}: {error}") from error
    if task is not None and card.input.kind in SERIES:
        adaptation = card.adapt(variant, inputs, task)
        if adaptation is not None:
            inputs, task = adaptation.inputs, "sequence-classification"
        asked = Asked(card=card, variant=variant, inputs=inputs, outputs=outputs, task=task)
        return _series(asked, adaptation, tensors, source, file)
    best = _best(card, variant, inputs, outputs, tensors)
    if best.faults:
        raise _misfit(card, variant, inputs, outputs, found, tensors, best)
    network = bare(variant, inputs, outputs, best.adaptation)
    if best.of_reference:
        follow_reference(variant, network)
    network.load_state_dict({**network.state_dict(), **best.tensors})
    whole = behind(best.adaptation, network)
    pretrained = Pretrained(
        source=source,
        file=file,
        sha256=sha256(file),
        preprocessing=preprocessing and preprocessing.of_shape(inputs),
        fresh=best.fresh,
        unused=best.unused,
    )
    whole.pretrained = pretrained  # type: ignore[assignment]  # modules hold plain values too
    return whole


def _series(
    asked: Asked,
    adaptation: Adaptation | None,
    tensors: Mapping[str, Tensor],
    source: str,
    file: Path,
) -> nn.Module:
    network = series(asked.variant, asked.inputs, asked.outputs, None, asked.task)
    found = load_language(network, asked, tensors, file)
    whole = behind(adaptation, network)
    pretrained = Pretrained(
        source=source,
        file=file,
        sha256=sha256(file),
        preprocessing=None,
        fresh=found.fresh,
        unused=found.unused,
    )
    whole.pretrained = pretrained  # type: ignore[assignment]  # modules hold plain values too
    return whole


def full_size(card: Architecture, variant: Variant, inputs: Shape) -> Adaptation | None:
    """Return what is done so that images of `inputs` fit the form that published weights have.

    That is never the small form: images below its limit are enlarged to it. Where the weights
    depend on the size of the image, as positions do, images are brought to the native size.
    """
    if card.input.kind != "image" or len(inputs) != 3:
        return card.adapt(variant, inputs)
    least = card.small.upto if card.small else 1
    lowest = (max(least, side) for side in card.input.least[1:])
    sides = tuple(max(pair) for pair in zip(inputs[1:], lowest, strict=True))
    native = card.native(variant)[1:]
    if sides != native:
        here, there = (shapes_of(variant, (inputs[0], *s), 2, None) for s in (sides, native))
        sides = sides if here == there else native
    if sides == inputs[1:]:
        return None
    old, new = (f"{height}×{width}" for height, width in (inputs[1:], sides))
    return Adaptation(
        kind="upsample",
        inputs=(inputs[0], *sides),
        en=f"Images are brought from {old} to {new}, a size that the published weights suit.",
        zh=f"图像由 {old} 缩放到 {new}，以适合公开权重。",
    )


def follow_reference(variant: Variant, network: nn.Module) -> None:
    """Set what the reference's weights rely on and our own network does otherwise."""
    slope = _SLOPES.get(variant.reference)
    for module in network.modules():
        if slope is not None and isinstance(module, nn.LeakyReLU):
            module.negative_slope = slope


def _found(variant: Variant, source: str) -> tuple[Path, Preprocessing | None]:
    if source in LIBRARIES:
        published = publication(variant, source)
        return published.file(), published.preprocessing
    file = fetch(source)
    config = hub_config(source.removeprefix(HUB)) if source.startswith(HUB) else {}
    try:
        return file, preprocessing_of(config.get("pretrained_cfg", {}))
    except (KeyError, TypeError, ValueError, AttributeError):
        return file, None


def _best(
    card: Architecture,
    variant: Variant,
    inputs: Shape,
    outputs: int,
    tensors: Mapping[str, Tensor],
) -> Fit:
    """Return the way to read the file that leaves the fewest faults; the first without any."""
    best: Fit | None = None
    for found in _fits(card, variant, inputs, outputs, tensors):
        if best is None or found.faults < best.faults:
            best = found
        if not best.faults:
            break
    return best or Fit(None)


def _fits(
    card: Architecture,
    variant: Variant,
    inputs: Shape,
    outputs: int,
    tensors: Mapping[str, Tensor],
) -> Iterator[Fit]:
    """Yield the file read under our names in either form, then under the reference's."""
    full = full_size(card, variant, inputs)
    known = 0
    for adaptation in dict.fromkeys([card.adapt(variant, inputs), full]):
        slots = slots_of(variant, inputs, outputs, adaptation)
        own = {name: name for name in slots.shapes}
        for plain in unwrapped(tensors):
            known = max(known, len(own.keys() & plain.keys()))
            yield fit(Fit(adaptation), slots, own, plain)
    if variant.reference.partition(":")[0] in LIBRARIES and 2 * known <= len(tensors):
        slots = slots_of(variant, inputs, outputs, full)
        theirs = names_in_reference(card, variant)
        for plain in unwrapped(tensors):
            named = today(plain)
            unused = aside(named.keys() - set(theirs.values()))
            used = {name: value for name, value in named.items() if name not in unused}
            yield fit(Fit(full, of_reference=True, unused=unused), slots, theirs, used)


def _misfit(
    card: Architecture,
    variant: Variant,
    inputs: Shape,
    outputs: int,
    file: Path,
    tensors: Mapping[str, Tensor],
    best: Fit,
) -> DataError:
    faults = (
        listed("missing", best.missing),
        listed("not its own", best.unexpected),
        listed("of another shape", best.misshapen),
    )
    others = (v for v in card.variants if v != variant)
    fits = (v.name for v in others if not _best(card, v, inputs, outputs, tensors).faults)
    whose = next(fits, None)
    advice = f"it fits {whose}, build that" if whose else "give a file of this network"
    return DataError(
        f"{_asked(variant, inputs, outputs)} reads weights of its own names and shapes"
        f"{_or_reference(variant)}. {str(file)!r} does not fit: "
        f"{'; '.join(filter(None, faults))}; {advice}."
    )


def _asked(variant: Variant, inputs: Shape, outputs: int) -> str:
    return f"{variant.name} (inputs={inputs}, outputs={outputs})"


def _or_reference(variant: Variant) -> str:
    known = variant.reference.partition(":")[0] in LIBRARIES
    return f", or {variant.reference}'s" if known else ""
