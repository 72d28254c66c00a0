"""Names of networks that start from published weights: resnet18-pretrained.

Such a name stands for the form of the network that those weights fit: never the small one.
"""

from __future__ import annotations

SUFFIX = "-pretrained"


def pretrained(name: str) -> str:
    """Return the name of a network that starts from published weights."""
    return f"{name}{SUFFIX}"


def untrained(name: str) -> tuple[str, bool]:
    """Return the network's own name, and whether `name` says that it starts from weights."""
    return name.removesuffix(SUFFIX), name.endswith(SUFFIX)
