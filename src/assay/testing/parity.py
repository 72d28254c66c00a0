"""An entry held against its reference: the same weights must give the same numbers.

The reference is the network of torchvision or timm that the card names. Its random weights are
loaded into ours in the order in which both sides register theirs, and both answer the same images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.canon.card import Architecture, Shape, Variant
from assay.canon.catalog import catalog
from assay.errors import AssayError, BadArgumentError
from assay.models.build import build
from assay.models.foreign import build_any

LIBRARIES = ("timm", "torchvision")
BATCH = 4  # images of the training step
FILLING = 8  # images that fill the statistics of normalisations
LEAST_SPREAD = 1e-3  # between the answers to two images; below it equal answers prove nothing


class ParityError(AssayError, ValueError):
    """An entry is not the network of its reference."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far an entry is from its reference, each a share of the largest value.

    Attributes:
        name: The variant.
        reference: As on the card, "torchvision:resnet18".
        parameters: Trainable, the same on both sides.
        outputs: Largest difference of two scores, in evaluation.
        loss: Difference of the losses of one training step.
        gradients: Largest difference of the norms of two parameters' gradients in that step.
    """

    name: str
    reference: str
    parameters: int
    outputs: float
    loss: float
    gradients: float

    @property
    def worst(self) -> float:
        """The largest of the differences."""
        return max(self.outputs, self.loss, self.gradients)


def referenced() -> list[tuple[Architecture, Variant]]:
    """Return the variants of the catalog that torchvision or timm has too, sorted by name."""
    found = [
        (card, variant)
        for card in catalog().architectures
        for variant in card.variants
        if variant.reference.partition(":")[0] in LIBRARIES
    ]
    return sorted(found, key=lambda pair: pair[1].name)


def compare_to_reference(name: str) -> Parity:
    """Return how far an entry is from its reference at its native shape, in float32.

    Dropout draws the same numbers on both sides; the dropout or stochastic depth that only one
    side has is off.

    Args:
        name: A variant, or a card's id for its default variant.

    Raises:
        UnknownNameError: The canon has no such name.
        BadArgumentError: Neither torchvision nor timm has the entry.
        MissingExtraError: The library is not installed.
        ParityError: The two differ in a shape, or give all images the same scores.
    """
    card, variant = _entry(name)
    shape = card.native(variant)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours, theirs = _pair(variant, shape)
        _unsettle(theirs, shape)
        _load_weights(ours, theirs)
        return _differences(variant, ours, theirs, _images(BATCH, shape))


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    """Return an entry and its reference at the native shape, with the same random weights.

    Args:
        name: A variant, or a card's id for its default variant.

    Raises:
        UnknownNameError: The canon has no such name.
        BadArgumentError: Neither torchvision nor timm has the entry.
        MissingExtraError: The library is not installed.
        ParityError: The two differ in a shape.
    """
    card, variant = _entry(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _pair(variant, card.native(variant))


def check_shapes(name: str) -> int:
    """Return the parameters of an entry whose weights have the shapes of its reference, in order.

    Needs neither memory nor arithmetic, whatever the entry's size.

    Args:
        name: A variant, or a card's id for its default variant.

    Raises:
        UnknownNameError: The canon has no such name.
        BadArgumentError: Neither torchvision nor timm has the entry.
        MissingExtraError: The library is not installed.
        ParityError: The two differ in a shape.
    """
    card, variant = _entry(name)
    with torch.device("meta"):
        ours, theirs = build(variant.name), _reference(variant, card.native(variant))
    _match_shapes(variant, ours, theirs)
    return _count(ours)


def _pair(variant: Variant, shape: Shape) -> tuple[nn.Module, nn.Module]:
    theirs = _reference(variant, shape)
    ours = build(variant.name)
    _match_shapes(variant, ours, theirs)
    _load_weights(ours, theirs)
    _match_chance(ours, theirs)
    return ours, theirs


def _entry(name: str) -> tuple[Architecture, Variant]:
    card, variant = catalog().entry(name)
    if variant.reference.partition(":")[0] not in LIBRARIES:
        raise BadArgumentError(
            f"{variant.name} must have a reference in {' or '.join(LIBRARIES)} to be held against. "
            f"Received reference={variant.reference!r}; `assay.testing.parity.referenced()` "
            "returns the entries that have one."
        )
    return card, variant


def _reference(variant: Variant, shape: Shape) -> nn.Module:
    theirs = build_any(variant.reference, shape, variant.outputs).train()
    _, align = ALIGNED.get(variant.reference, ("", _as_it_is))
    align(theirs)
    return theirs


def _as_it_is(theirs: nn.Module) -> None:
    """Change nothing."""


def _darknet_slope(theirs: nn.Module) -> None:
    """Let the activation leak as in darknet's own files."""
    for module in theirs.modules():
        if isinstance(module, nn.LeakyReLU):
            module.negative_slope = 0.1


def _skips_last(theirs: nn.Module) -> None:
    """Register the shortcut of a block after its branch, as ours are."""
    for block in theirs.modules():
        for name in ("skip", "skipbn"):
            layer = getattr(block, name, None)
            if isinstance(layer, nn.Module):
                delattr(block, name)
                setattr(block, name, layer)


ALIGNED: Mapping[str, tuple[str, Callable[[nn.Module], None]]] = {
    "timm:darknet53": ("compared with darknet's own slope of 0.1, not timm's 0.01", _darknet_slope),
    "timm:legacy_xception": ("a block's shortcut is taken after its branch", _skips_last),
}


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and statistics by name; counters and tables of positions are neither."""
    return {name: v for name, v in model.state_dict().items() if v.is_floating_point()}


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _match_shapes(variant: Variant, ours: nn.Module, theirs: nn.Module) -> None:
    ours_all, theirs_all = _weights(ours), _weights(theirs)
    pairs = zip(ours_all.items(), theirs_all.items(), strict=False)
    for (name, mine), (their_name, other) in pairs:
        if mine.shape != other.shape:
            raise ParityError(
                f"{variant.name} must register its weights in the order and the shapes of "
                f"{variant.reference}. Received {name} {tuple(mine.shape)} where it has "
                f"{their_name} {tuple(other.shape)}; correct the network or the card's reference."
            )
    if len(ours_all) != len(theirs_all):
        raise ParityError(
            f"{variant.name} must have as many weights as {variant.reference}, which has "
            f"{len(theirs_all)}. Received {len(ours_all)}; correct the network or the card's "
            "reference."
        )


def _unsettle(theirs: nn.Module, shape: Shape) -> None:
    """Move all values from the 0 or 1 they start from, where exchanged ones would go unseen."""
    for value in theirs.parameters():
        if value.numel() and value.min() == value.max():
            nn.init.normal_(value, mean=value.flatten()[0].item(), std=0.1)
    norms = [m for m in theirs.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            theirs.train()(_images(FILLING, shape))


@torch.no_grad()
def _load_weights(ours: nn.Module, theirs: nn.Module) -> None:
    """Give ours a copy of the reference's weights."""
    for mine, other in zip(_weights(ours).values(), _weights(theirs).values(), strict=True):
        mine.copy_(other)


def _match_chance(ours: nn.Module, theirs: nn.Module) -> None:
    """Switch off the chance that only one side has."""
    if not any(_drops_branches(module) for module in ours.modules()):
        for module in theirs.modules():
            if type(module).__name__ == "StochasticDepth":
                cast(Any, module).p = 0.0
    if not _drops_values(theirs):
        for module in ours.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0


def _drops_values(theirs: nn.Module) -> bool:
    """Return whether a reference has dropout; timm's may have it without a module."""
    rate = getattr(theirs, "drop_rate", 0)
    return rate > 0 or any(isinstance(m, nn.Dropout) and m.p > 0 for m in theirs.modules())


def _drops_branches(module: nn.Module) -> bool:
    """Return whether a module of our own leaves something out by chance."""
    return "drop" in type(module).__name__.lower() and "torch.nn" not in type(module).__module__


def _images(count: int, shape: Shape) -> Tensor:
    """Return images that differ as a whole, not only in their noise."""
    channels, *sides = shape
    coarse = torch.randn(count, channels, 4, 4)
    return F.interpolate(coarse, tuple(sides), mode="bilinear") + torch.randn(count, *shape)


def _differences(variant: Variant, ours: nn.Module, theirs: nn.Module, images: Tensor) -> Parity:
    with torch.inference_mode():
        answers = [model.eval()(images[:2]) for model in (ours, theirs)]
    _refuse_equal_answers(variant, answers[1])
    labels = torch.arange(len(images)) % variant.outputs
    losses, norms = zip(*(_one_step(m, images, labels) for m in (ours, theirs)), strict=True)
    return Parity(
        name=variant.name,
        reference=variant.reference,
        parameters=_count(ours),
        outputs=_apart(*answers),
        loss=_apart(*losses),
        gradients=_apart(*norms),
    )


def _refuse_equal_answers(variant: Variant, answers: Tensor) -> None:
    if _apart(answers[0], answers[1]) < LEAST_SPREAD:
        raise ParityError(
            f"{variant.reference} must tell two images apart for a comparison to prove anything. "
            f"Received scores that differ by {_apart(answers[0], answers[1]):.1e} of the largest; "
            "compare with weights that are further from those it starts from."
        )


def _one_step(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss in training, and the norm of each parameter's gradient."""
    torch.manual_seed(1)  # the same dropout on both sides
    loss = F.cross_entropy(model.train()(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    norms = [p.new_zeros(()) if p.grad is None else p.grad.norm() for p in model.parameters()]
    model.zero_grad()
    return loss.detach(), torch.stack(norms)


def _apart(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()
