"""A `--handlers` module: the worker knows the pretended device, and so do its children."""

from typing import Any

import torch
from pretended import pretended_device, register

HANDLERS: dict[str, Any] = {}
register()
_always = pretended_device()
_always.__enter__()
torch.zeros(1)  # torch imports for seconds at the first of these: once, not in every child
