"""Changing a network that is built: what takes a module's place, wherever such a module stands."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Change = Callable[[nn.Module], nn.Module | None]  # what takes a module's place; None: it stays


def everywhere(network: nn.Module, change: Change) -> nn.Module | None:
    """Apply a change to every module, inner ones first; None if it changed nothing."""
    changed = False
    for name, child in list(network.named_children()):
        new = everywhere(child, change)
        if new is not None:
            setattr(network, name, new)
            changed = True
    new = change(network)
    return new if new is not None else network if changed else None


def replacing(kind: type[nn.Module], make: Callable[[], nn.Module]) -> Change:
    """Return the change that puts what `make` returns in the place of every `kind`."""
    return lambda module: make() if isinstance(module, kind) else None


def either(first: Change, second: Change) -> Change:
    """Return the change that is the first where it changes something, else the second."""

    def change(module: nn.Module) -> nn.Module | None:
        new = first(module)
        return second(module) if new is None else new

    return change


def fixed(module: nn.Module, name: str, value: Tensor) -> nn.Module:
    """Put a constant, which is not saved, where a parameter was."""
    delattr(module, name)
    module.register_buffer(name, value.detach(), persistent=False)
    return module
