"""Batches from arrays in memory: an order that any step can be asked for, one gather each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from assay.data.augment import draw_offsets, shift, shift_reach
from assay.data.dataset import Dataset
from assay.errors import BadArgumentError

Part = Literal["train", "val", "test"]
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
_KEPT_SHARE = 8  # a part of up to one in so many bytes of an accelerator's memory is kept there
_CPU = torch.device("cpu")
_NONE = torch.empty(2, 0, dtype=torch.int64)


class OnDisk:
    """The rows of a part that is too large for memory; read as they are asked for.

    Args:
        array: Memory-mapped; every worker shares the pages that the system keeps of it.
        rows: Which of its rows belong to the part.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self.array, self.rows = array, rows
        self.shape = torch.Size((len(rows), *array.shape[1:]))
        self.device = _CPU  # where its rows come to

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Tensor) -> Tensor:
        return torch.from_numpy(self.array[self.rows[chosen.numpy()]])

    def dim(self) -> int:
        """Return the number of dimensions."""
        return len(self.shape)

    def index_select(self, dim: int, chosen: Tensor) -> Tensor:
        """Return the rows chosen; `dim` is 0."""
        del dim
        return self[chosen]

    def split(self, size: int) -> Iterator[Tensor]:
        """Yield all rows in order, `size` at a time."""
        for piece in torch.split(torch.arange(len(self)), size):
            yield self[piece]


def to_tensor(
    dataset: Dataset, part: Part, *, most_bytes: int | None = None
) -> tuple[Tensor | OnDisk, Tensor]:
    """Return one part's examples (uint8 images as they are, else float32) and its targets.

    Args:
        dataset: Prepared.
        part: Which part.
        most_bytes: A part above this size stays on disk; by default an eighth of the memory.
    """
    rows = getattr(dataset, part)
    y = torch.from_numpy(np.ascontiguousarray(dataset.y[rows]))
    limit = memory_bytes() // 8 if most_bytes is None else most_bytes
    if len(rows) * dataset.x[:1].nbytes > limit:
        return OnDisk(dataset.x, rows), y
    return torch.from_numpy(np.ascontiguousarray(dataset.x[rows])), y


def kept_on(device: torch.device, x: Tensor | OnDisk, y: Tensor) -> tuple[Tensor | OnDisk, Tensor]:
    """Return a part on a device where its memory has the room, else as it is.

    Batches that are gathered there need not cross over in every step.
    """
    if device.type == "cuda" and isinstance(x, Tensor):
        _, there = torch.cuda.mem_get_info(device)
        if x.nbytes > there // _KEPT_SHARE:
            return x, y
    return (x.to(device), y.to(device)) if isinstance(x, Tensor) else (x, y)


def memory_bytes(limit: Path = CONTAINER_LIMIT) -> int:
    """Return the physical memory, or a container's share of it.

    Args:
        limit: File that holds the share in bytes, or "max"; there is none outside a container.
    """
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(limit.read_text()))
    except (OSError, ValueError):
        return physical


class Normalise:
    """Turns stored examples into what a model reads: uint8 images to float32, the rest as it is.

    Args:
        preprocessing: The data set's; its `mean` and `std` are of pixels on 0..1.
        device: Where the model reads them; uint8 crosses over, a quarter of the bytes.
    """

    def __init__(self, preprocessing: Mapping[str, Any], device: torch.device = _CPU) -> None:
        self.device = device
        self.scale: Tensor | None = None
        if preprocessing.get("kind") == "image":
            std = torch.tensor(preprocessing["std"], dtype=torch.float64).view(-1, 1, 1)
            mean = torch.tensor(preprocessing["mean"], dtype=torch.float64).view(-1, 1, 1)
            self.scale = (1 / (255 * std)).float().to(device)
            self.shift = (-mean / std).float().to(device)

    def __call__(self, x: Tensor) -> Tensor:
        """Return float32 examples.

        Shape:
            (B, C, H, W) uint8 -> (B, C, H, W) float32; anything else -> the same
        """
        x = x.to(self.device)
        if self.scale is None:
            return x
        return torch.mul(x, self.scale).add_(self.shift)


class Batches:
    """The training part in an order that is a function of seed and step alone.

    So a run resumes from its step number: nothing else has to be kept. Every epoch has its own
    order; the examples that do not fill a last batch are left to other epochs' chance.

    Args:
        x: Every training example, as stored, in memory or on disk.
        y: Their targets.
        batch_size: Examples in a batch; a smaller set is one batch.
        seed: Of the order and of the augmentation.
        normalise: Applied to each batch; None leaves it as stored.
        augment: "shift" moves each image by its own number of pixels.
        reach: Of "shift": the largest distance, as a share of the shorter side, in [0, 0.5].
    """

    def __init__(
        self,
        x: Tensor | OnDisk,
        y: Tensor,
        batch_size: int,
        seed: int,
        *,
        normalise: Normalise | None = None,
        augment: Literal["none", "shift"] = "none",
        reach: float = 0.125,
    ) -> None:
        if batch_size < 1 or not len(x) or len(x) != len(y):
            raise BadArgumentError(
                "Batches need at least one example, a target for each and a positive `batch_size`. "
                f"Received {len(x)} examples, {len(y)} targets, batch_size={batch_size}."
            )
        if augment == "shift" and x.dim() != 4:
            raise BadArgumentError(
                "`augment` may be 'shift' for images only. Received examples of shape "
                f"{tuple(x.shape[1:])}; use augment='none'."
            )
        self.x, self.y = x, y
        self.batch_size = min(batch_size, len(x))
        self.steps_per_epoch = len(x) // self.batch_size
        self._seed, self._normalise = seed, normalise
        self._reach = shift_reach(min(x.shape[2:]), reach) if augment == "shift" else 0
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def indices(self, step: int) -> Tensor:
        """Return the places in `x` of the batch of that step, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            order = torch.randperm(len(self.x), generator=self._generator(epoch, stream=0))
            self._order, self._epoch = order.to(self.x.device), epoch
        return self._order[position * self.batch_size : (position + 1) * self.batch_size]

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the batch of that step, ready for the model, and its targets."""
        return self._gather(self.indices(step), self._offsets(step))

    def of_all(self, others: Sequence[Batches], step: int) -> tuple[Tensor, Tensor]:
        """Return what each of `others` returns at that step, (S, B, ...), of one gather.

        Args:
            others: Of the same examples, and alike but for their seed.
            step: From 0.
        """
        chosen = torch.cat([one.indices(step) for one in others])
        offsets = torch.cat([one._offsets(step) for one in others], dim=1)
        x, y = self._gather(chosen, offsets)
        seeds = len(others)
        return x.view(seeds, -1, *x.shape[1:]), y.view(seeds, -1, *y.shape[1:])

    def _gather(self, chosen: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        x = self.x.index_select(0, chosen)
        if self._reach:
            x = shift(x, offsets, reach=self._reach)
        if self._normalise is not None:
            x = self._normalise(x)
        return x, self.y.index_select(0, chosen).to(x.device)

    def _offsets(self, step: int) -> Tensor:
        if not self._reach:
            return _NONE
        generator = self._generator(step, stream=1)
        return draw_offsets(self.batch_size, reach=self._reach, generator=generator)

    def _generator(self, number: int, *, stream: int) -> torch.Generator:
        state = np.random.SeedSequence([self._seed, stream, number]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
