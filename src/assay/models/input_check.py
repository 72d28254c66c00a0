"""What a built network reads, checked before torch meets it: the entry's words, not a layer's."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from assay.blocks.adapt import Adapted, Upsample
from assay.canon.card import SERIES, Architecture, Shape, Variant
from assay.canon.task import TASKS, Task
from assay.errors import BadArgumentError


@dataclass(frozen=True)
class InputCheck:
    """Refuses a batch that a network cannot read; a forward pre-hook.

    Attributes:
        name: As the network was asked for.
        least: The smallest example that it reads.
        free: Dimensions of an example that may be larger than that; the others must be equal.
        flat: Whether the number of values alone counts.
    """

    name: str
    least: Shape
    free: tuple[int, ...] = ()
    flat: bool = False

    def __call__(self, network: nn.Module, args: tuple[Any, ...]) -> None:
        """Look at the shape of what the network is called with.

        Raises:
            BadArgumentError: It is no batch of examples of the network's channels and least size.
        """
        if args and isinstance(args[0], Tensor) and not self._reads(args[0].shape):
            raise BadArgumentError(
                f"{self.name}, as it was built, reads batches of shape {self._readable()}. "
                f"Received {tuple(args[0].shape)}; give such a batch, or build the network with "
                "`inputs` of yours."
            )

    def _reads(self, batch: Shape) -> bool:
        if self.flat:
            return len(batch) > 1 and prod(batch[1:]) == prod(self.least)
        if len(batch) != len(self.least) + 1:
            return False
        return all(
            given >= least if dim in self.free else given == least
            for dim, (given, least) in enumerate(zip(batch[1:], self.least, strict=True))
        )

    def _readable(self) -> str:
        """Return "(B, 3, H, W) with H of at least 32 and W of at least 32"."""
        letters = "CHW" if len(self.least) == 3 else "TF"
        sides = [letters[d] if d in self.free else str(n) for d, n in enumerate(self.least)]
        bounds = [f"{letters[dim]} of at least {self.least[dim]}" for dim in self.free]
        told = f"(B, {', '.join(sides)})"
        if self.flat:
            return f"{told}, {prod(self.least)} values each"
        return f"{told} with {' and '.join(bounds)}" if bounds else told


@dataclass(frozen=True)
class TokenCheck:
    """Refuses a batch of tokens that a network cannot read; a forward pre-hook.

    Attributes:
        name: As the network was asked for.
        most: Tokens of an example, at most.
        vocabulary: Tokens to choose from.
    """

    name: str
    most: int
    vocabulary: int

    def __call__(self, network: nn.Module, args: tuple[Any, ...]) -> None:
        """Look at the tokens that the network is called with.

        Raises:
            BadArgumentError: They are no whole numbers of the vocabulary, or too many.
        """
        for tokens in args:
            if isinstance(tokens, Tensor) and not self._reads(tokens):
                told = f"{tokens.dtype} of shape {tuple(tokens.shape)}".removeprefix("torch.")
                ends = f" with values from {tokens.min()} to {tokens.max()}" if len(tokens) else ""
                raise BadArgumentError(
                    f"{self.name}, as it was built, reads tokens (B, T), int64 in "
                    f"[0, {self.vocabulary}), with T from 1 to {self.most}. Received {told}{ends}; "
                    "give such a batch, or build the network with `inputs` of yours."
                )

    def _reads(self, tokens: Tensor) -> bool:
        whole = tokens.dtype in (torch.int64, torch.int32) and tokens.dim() == 2
        if not whole or not 1 <= tokens.shape[1] <= self.most or not len(tokens):
            return False
        if tokens.is_meta:
            return True
        least, greatest = tokens.aminmax()
        return bool(least >= 0) and bool(greatest < self.vocabulary)


def check_of(
    name: str,
    card: Architecture,
    variant: Variant,
    inputs: Shape,
    network: nn.Module,
    task: Task | None = None,
) -> InputCheck | TokenCheck:
    """Return the check of a network.

    Args:
        name: As the network was asked for.
        card: Of the entry.
        variant: Which member.
        inputs: Shape of one example that it was built for.
        network: As it was built.
        task: That it was built for, if that was said.
    """
    if card.input.kind == "image":
        return _of_images(name, card, variant, inputs, network)
    if TASKS[task or card.task_for(variant, inputs)].reads == "tokens":
        return TokenCheck(name, *inputs)
    if card.input.kind in SERIES:
        time = len(inputs) - 2  # the rows of an image
        return InputCheck(name, (*inputs[:time], 1, inputs[-1]), (time,))
    return InputCheck(name, inputs, flat=True)


def _of_images(
    name: str, card: Architecture, variant: Variant, inputs: Shape, network: nn.Module
) -> InputCheck:
    if isinstance(network, Adapted) and isinstance(network[0], Upsample):
        return InputCheck(name, (inputs[0], 1, 1), (1, 2))
    if card.input.fixed:
        return InputCheck(name, inputs)
    adaptation = card.adapt(variant, inputs)
    made_small = card.made_small(variant) or (adaptation and adaptation.small)
    stem = card.small if made_small else None
    own = getattr(network, "least_side", 1)  # of a form that depends on what it was built for
    least = [max(own, side) for side in (stem.least if stem else card.input.least)[1:]]
    return InputCheck(name, (inputs[0], *map(min, least, inputs[1:])), (1, 2))
