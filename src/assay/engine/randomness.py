"""The default generators (torch, numpy, Python) of one trial: seeded, kept, put back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

_PREFIX, _ON = "random.", "random.on."
_CPU = torch.device("cpu")


@contextmanager
def seeded(seed: int, *, threads: int, device: torch.device = _CPU) -> Iterator[None]:
    """Seed every default generator and fix the threads; what was there before comes back.

    Torch has one generator for each device: the processor's is seeded, and that of `device`.

    Denormal numbers count as zero meanwhile: units that stopped learning leave them in the
    optimizer's moments, and they are slow.
    """
    before, before_threads = generator_states(device), torch.get_num_threads()
    torch.set_flush_denormal(True)
    _set_threads(threads)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
    try:
        yield
    finally:
        load_generator_states(before)
        _set_threads(before_threads)
        torch.set_flush_denormal(False)


def generator_states(device: torch.device = _CPU) -> dict[str, Tensor]:
    """Return the states of the default generators as tensors, with that of `device`."""
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, words, pending = random.getstate()
    of_device = {}
    if device.type != "cpu":
        of_device[_ON + device.type] = torch.get_device_module(device).get_rng_state()
    return {
        **of_device,
        f"{_PREFIX}torch": torch.get_rng_state(),
        f"{_PREFIX}numpy": torch.from_numpy(np.append(keys, [position, has_gauss]).astype("i8")),
        f"{_PREFIX}numpy_gauss": torch.tensor(gauss, dtype=torch.float64),
        f"{_PREFIX}python": torch.tensor([version, pending is not None, *words]),
        f"{_PREFIX}python_gauss": torch.tensor(pending or 0.0, dtype=torch.float64),
    }


def load_generator_states(tensors: Mapping[str, Tensor]) -> None:
    """Put back what `generator_states` returned."""
    torch.set_rng_state(tensors[f"{_PREFIX}torch"])
    for name in tensors:
        if name.startswith(_ON):
            torch.get_device_module(name.removeprefix(_ON)).set_rng_state(tensors[name])
    *keys, position, has_gauss = tensors[f"{_PREFIX}numpy"].tolist()
    gauss = tensors[f"{_PREFIX}numpy_gauss"].item()
    np.random.set_state(("MT19937", np.array(keys, "u4"), position, has_gauss, gauss))
    version, has_pending, *words = tensors[f"{_PREFIX}python"].tolist()
    pending = tensors[f"{_PREFIX}python_gauss"].item() if has_pending else None
    random.setstate((version, tuple(words), pending))


def _set_threads(threads: int) -> None:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
