"""The multiply-accumulates of a forward pass, from torch's own formulas."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from assay.canon.task import Task
from assay.models.example import blank


def count_macs(model: nn.Module, inputs: tuple[int, ...], task: Task | None = None) -> int:
    """Return the multiply-accumulates of one example's forward pass.

    Args:
        model: Any network; it stays in the mode it is in.
        inputs: Shape of one example.
        task: Of the network; None stands for one that reads vectors.
    """
    counter = MacCounter()
    with countable(model), counter:
        model(*blank(1, inputs, task))
    return counter.macs


@contextmanager
def countable(model: nn.Module) -> Iterator[None]:
    """Have `model` run in eval mode and in operations that torch has formulas for.

    Fused kernels for recurrence and attention are switched off meanwhile: torch has formulas for
    the matrix products that they are made of.
    """
    before, fast = model.training, torch.backends.mha.get_fastpath_enabled()
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # the switch warns, about other hardware
            torch.no_grad(),
            torch.backends.mkldnn.flags(enabled=False),
            sdpa_kernel(SDPBackend.MATH),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        model.train(before)


class MacCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up torch's own formulas; torch's `FlopCounterMode` first imports its compiler.

    Attributes:
        macs: What was counted so far.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, so the compiler need not be told to stay away

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        formula = flop_registry.get(func._overloadpacket)
        if formula is None and not self.knows(func):  # made of others, as attention may be
            with self:
                made = func.decompose(*args, **(kwargs or {}))
            if made is not NotImplemented:
                return made
        result = self.compute(func, args, kwargs or {})
        if formula is not None:
            self.count(int(formula(*args, **(kwargs or {}), out_val=result)) // 2)
        return result

    def knows(self, func: Any) -> bool:
        """Return whether an operation must stay whole, though it is made of others."""
        return False

    def compute(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result of one operation."""
        return func(*args, **kwargs)

    def count(self, macs: int) -> None:
        """Take note of the multiply-accumulates of one operation."""
        self.macs += macs
