"""A reference's state dict under our names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def renamed(state: Mapping[str, Tensor], place: Callable[[str], str]) -> dict[str, Tensor]:
    """Return the tensors under the names that `place` gives them.

    Args:
        state: Of the reference; parameters, or their gradients.
        place: Returns our name of one of theirs, "NAME/q", "NAME/k" or "NAME/v" where ours is the
            three (or the last two) joined, or nothing for what ours has no place for.
    """
    whole: dict[str, Tensor] = {}
    joined: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        ours, _, part = place(name).partition("/")
        if part:
            joined.setdefault(ours, {})[part] = value
        elif ours:
            whole[ours] = value
    for ours, values in joined.items():
        whole[ours] = torch.cat([values[part] for part in "qkv" if part in values])
    return whole


def by_patterns(name: str, patterns: Mapping[str, str]) -> str:
    """Return a name rewritten by the first pattern that is all of it, else as it is.

    Args:
        name: Of the reference.
        patterns: Regular expressions, and what each becomes, as `re.sub` takes it.
    """
    for theirs, ours in patterns.items():
        found = re.fullmatch(theirs, name)
        if found:
            return found.expand(ours)
    return name
