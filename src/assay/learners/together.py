"""Supervised learning by several ranks: each learns from its part of every batch."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from assay.learners.optimization import Optimization
from assay.learners.supervised import Supervised

_STREAM = 2  # of the random numbers of the ranks; 0 and 1 are the batches' own


class Together:
    """One rank's share of a `Supervised` that all ranks train; see `Learner`.

    Gradients are the mean over the whole batch, as in one process. What a network draws at random
    in a step comes from (seed, step, rank), so a run continues from its step number whatever the
    number of ranks; batch normalisation sees a rank's own examples.

    Args:
        inner: Built alike on every rank; in it, the ranks' network takes the place of its own.
        fabric: A launched `lightning_fabric.Fabric`.
        seed: Of the trial.
        plain: Of rank 0, where the weights are divided: a whole network that evaluates.
    """

    def __init__(
        self,
        inner: Supervised,
        fabric: Any,
        *,
        seed: int,
        plain: Supervised | None = None,
    ) -> None:
        self.inner, self._fabric, self._seed = inner, fabric, seed
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.whole = inner if plain is None else plain  # what evaluates and predicts, on rank 0
        whole = inner._training is inner.model
        inner._training = fabric.setup_module(inner.model if whole else _AllScores(inner))
        self.divided = any(_is_divided(p) for p in inner.model.parameters())
        if self.divided:
            slow = inner._fine_tuning.body if inner._fine_tuning else frozenset[str]()
            old = inner.optimization
            inner.optimization = Optimization(
                inner.model, recipe=old.recipe, steps=old.steps, slow=slow
            )
        self.asked: Callable[[], tuple[bool, bool]] = lambda: (False, False)  # to stop, to save
        self.stopping = self.saving = False  # what was asked for in the last step, by any rank

    @property
    def model(self) -> nn.Module:
        """The whole network on rank 0, an empty one on the others."""
        return self.whole.model if self.rank == 0 else nn.Module()

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Learn from this rank's part of one whole batch; return the loss of all of it."""
        inner = self.inner
        taken = inner.optimization.taken
        reseed(self._seed, taken, self.rank)
        if inner._fine_tuning:
            inner._fine_tuning.advance(taken)
        mine = slice(*part(len(y), self.rank, self.world))
        weight = inner.objective.weight
        share = weight(x[mine], y[mine]) / max(weight(x, y), 1)
        loss = inner._training_loss(x[mine], y[mine])
        self._fabric.backward(loss * (share * self.world))  # what the ranks send is averaged
        inner.optimization.step()
        stop, save = self.asked()
        told = torch.tensor([loss.item() * share, stop, save], dtype=torch.float64)
        dist.all_reduce(told)
        self.stopping, self.saving = bool(told[1]), bool(told[2])
        return told[0].float()

    def evaluate(self, batches: Iterable[Tensor], y: Tensor) -> tuple[float, float]:
        """Return what rank 0 finds, on every rank."""
        self._refresh()
        found = torch.zeros(2, dtype=torch.float64)
        if self.rank == 0:
            found = torch.tensor(self.whole.evaluate(batches, y), dtype=torch.float64)
        dist.broadcast(found, 0)
        return found[0].item(), found[1].item()

    def predict(self, batches: Iterable[Tensor], y: Tensor) -> np.ndarray:
        """Return what the whole network answers; rank 0 only."""
        return self.whole.predict(batches, y)

    def state(self) -> dict[str, Tensor]:
        """Return whole tensors on rank 0, nothing on the others; every rank must ask."""
        return self._gathered(self.inner.state())

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what rank 0 has; the others give nothing."""
        state = self.inner.state()
        received = {k: self._received(live, tensors.get(k)) for k, live in state.items()}
        self.inner.load_state(received)

    def weights(self) -> dict[str, Tensor]:
        """Return those of the last evaluation on rank 0, nothing on the others."""
        return self.whole.weights() if self.rank == 0 else {}

    def load_weights(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite the whole network's state dict; rank 0 only."""
        self.whole.load_weights(tensors)

    def _refresh(self) -> None:
        """Bring the ranks' shares together in the network that evaluates."""
        if self.divided:
            gathered = self._gathered(self.inner.weights())
            if self.rank == 0:
                self.whole.load_weights(gathered)

    def _gathered(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            full = tensor.full_tensor() if _is_divided(tensor) else tensor  # type: ignore[attr-defined]
            if self.rank == 0:
                found[name] = full.detach()
        return found

    def _received(self, live: Tensor, given: Tensor | None) -> Tensor:
        """Return a tensor of rank 0, divided where `live` is."""
        full = torch.empty(live.shape, dtype=live.dtype) if given is None else given.contiguous()
        dist.broadcast(full, 0)
        if not _is_divided(live):
            return full
        from torch.distributed.tensor import distribute_tensor

        mesh, placements = live.device_mesh, live.placements  # type: ignore[attr-defined]
        return distribute_tensor(full, mesh, placements, src_data_rank=None)


class _AllScores(nn.Module):
    """Has the scores of all classifiers of a network as its forward pass."""

    def __init__(self, learner: Supervised) -> None:
        super().__init__()
        self.model = learner.model
        self._scores = learner._training  # of the same model

    def forward(self, *given: Tensor) -> Any:
        return self._scores(*given)


def part(count: int, rank: int, world: int) -> tuple[int, int]:
    """Return where a rank's part of so many examples begins and ends; sizes differ by one."""
    return count * rank // world, count * (rank + 1) // world


def reseed(*numbers: int) -> None:
    """Seed the default generators (torch, numpy, Python) from these numbers."""
    words = np.random.SeedSequence([_STREAM, *numbers]).generate_state(2, np.uint64)
    torch.default_generator.manual_seed(int(words[0] >> np.uint64(1)))
    np.random.seed(int(words[1] % np.uint64(2**32)))
    random.seed(int(words[1]))


def divide(model: nn.Module, mesh: Any) -> nn.Module:
    """Have each rank keep its share of the parameters; blocks are put together one at a time.

    Args:
        model: Whose blocks, the items of its outermost `Sequential` and `ModuleList`, are gathered
            one by one; where blocks share parameters, the whole is gathered at once.
        mesh: Of devices; its dimension "data_parallel" spans the ranks.

    Source:
        Zhao et al., 2023, https://arxiv.org/abs/2304.11277; torch's `fully_shard`.
    """
    from torch.distributed.fsdp import fully_shard

    ranks = mesh["data_parallel"]
    blocks = [b for b in _blocks(model) if any(True for _ in b.parameters())]
    listed = [id(p) for b in blocks for p in b.parameters()]
    if len(set(listed)) == len(listed):
        for block in blocks:
            fully_shard(block, mesh=ranks)
    fully_shard(model, mesh=ranks)
    return model


def _blocks(module: nn.Module) -> list[nn.Module]:
    if type(module) in (nn.Sequential, nn.ModuleList):  # and no kind of them that is one block
        return list(module.children())
    return [block for child in module.children() for block in _blocks(child)]


def _is_divided(tensor: Tensor) -> bool:
    return hasattr(tensor, "placements")
