"""A device that is not the processor and computes on it, so that every test can have one.

What an accelerator refuses is refused here: an operation on tensors of both devices, and numbers
read as an array without a copy. Its tensors hold tensors of the processor, which compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

NAME = "pretended"
_MOVES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


@contextmanager
def pretended_device() -> Iterator[torch.device]:
    """Let tensors go to the device "pretended" meanwhile; yield it. `register` comes first."""
    with _Pretending():
        yield torch.device(NAME, 0)


@cache
def register() -> None:
    """Have torch know the device. Before the first backward pass of this process, not after."""
    _setup_privateuseone_for_python_backend(NAME, _Module())
    everything = torch.library.Library("_", "IMPL")
    everything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    autocast = torch.library.Library("aten", "IMPL")
    for name in ("linear", "conv2d"):
        autocast.impl(name, _narrowed(getattr(torch.ops.aten, name).default), "AutocastPrivateUse1")
    _kept.extend([everything, autocast])


_kept: list[Any] = []  # a library is forgotten with its last reference


def _narrowed(function: Any) -> Any:
    """Return an operation as autocast does it: its tensors in bfloat16."""
    autocast = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def apply(*args: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(autocast):
            return function(*(a.bfloat16() if isinstance(a, Tensor) else a for a in args))

    return apply


class _Pretended(Tensor):
    """A tensor that says it is elsewhere, and holds the one that is here."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> _Pretended:
        with torch.inference_mode(False):  # noqa: FBT003 - positional only; views fail otherwise
            there: _Pretended = Tensor._make_wrapper_subclass(
                cls,
                here.size(),
                strides=here.stride(),
                storage_offset=here.storage_offset(),
                dtype=here.dtype,
                device=torch.device(NAME, 0),
            )
        there.here = here
        return there

    def tolist(self) -> Any:
        """Return the numbers, which an accelerator hands over, too."""
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _compute(function, args, kwargs or {})


class _Pretending(TorchDispatchMode):
    """Sees what makes tensors there of nothing, or of tensors here."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        with self:  # in inference mode even what is made of other operations comes here
            found = func.decompose(*args, **(kwargs or {}))
        return _compute(func, args, kwargs or {}) if found is NotImplemented else found


def _compute(function: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Do here what is asked there, and answer there."""
    given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
    there = [t for t in given if isinstance(t, _Pretended)]
    asked = kwargs.get("device")
    goes_there = bool(there) if asked is None else torch.device(asked).type == NAME
    if function is torch.ops.aten.copy_.default:
        goes_there = isinstance(args[0], _Pretended)
    elif there and function not in _MOVES:
        _refuse_strays(function, given)
    if goes_there and any(isinstance(v, torch.Generator) for v in tree_leaves((args, kwargs))):
        raise RuntimeError(f"{function} on {NAME} expects a generator there, and got one on cpu")
    if asked is not None and goes_there:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    function = _CELLS.get(function, function)
    found = function(*tree_map(_here, args), **tree_map(_here, dict(kwargs)))
    if not goes_there:
        return found
    known = {id(t.here): t for t in there}  # what is written into comes back as itself

    def there_again(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return known[id(value)] if id(value) in known else _Pretended(value)

    return tree_map(there_again, found)


def _refuse_strays(function: Any, given: list[Tensor]) -> None:
    """Raise where a tensor of the processor is among those of the device.

    A single number may be, but not in the fused kernels of optimizers.
    """
    fused = str(function).startswith("aten._fused")
    for tensor in given:
        if not isinstance(tensor, _Pretended) and (tensor.dim() or fused):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but {function} got one on "
                f"{tensor.device}, of shape {tuple(tensor.shape)}, among those on {NAME}"
            )


def _here(value: Any) -> Any:
    return value.here if isinstance(value, _Pretended) else value


def _lstm_cell(
    inputs: Tensor, hidden: Tensor, cell: Tensor, *biases: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Torch's kernel for accelerators, which the processor has not; the last is for backward."""
    i, f, g, o = sum(biases, inputs + hidden).chunk(4, 1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    after = f * cell + i * g
    return o * after.tanh(), after, torch.cat([i, f, g, o], 1)


def _lstm_cell_backward(
    d_shown: Tensor | None, d_after: Tensor | None, cell: Tensor, after: Tensor, kept: Tensor,
    has_bias: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    i, f, g, o = kept.chunk(4, 1)
    d_shown = torch.zeros_like(after) if d_shown is None else d_shown
    d_cell = d_shown * o * (1 - after.tanh() ** 2)
    if d_after is not None:
        d_cell = d_cell + d_after
    gates = torch.cat(
        [
            d_cell * g * i * (1 - i),
            d_cell * cell * f * (1 - f),
            d_cell * i * (1 - g**2),
            d_shown * after.tanh() * o * (1 - o),
        ],
        1,
    )
    return gates, d_cell * f, gates.sum(0) if has_bias else None


_CELLS = {
    torch.ops.aten._thnn_fused_lstm_cell.default: _lstm_cell,
    torch.ops.aten._thnn_fused_lstm_cell_backward_impl.default: _lstm_cell_backward,
}


class _Module(_DummyBackendModule):
    """What `torch.get_device_module` returns."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def synchronize(self, device: Any = None) -> None:
        del device

    def manual_seed(self, seed: int) -> None:
        del seed  # what is drawn there is drawn here, by the processor's generator

    def get_rng_state(self) -> Tensor:
        return torch.zeros(1, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor) -> None:
        del state

    def get_device_name(self) -> str:
        return "Pretended 1"
