"""Learning of several seeds at once: one forward and backward pass, one optimizer step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.engine.spec import Plan, Recipe
from assay.learners.objective import Values
from assay.learners.optimization import Optimization
from assay.learners.supervised import Supervised

_STEADY = 1e-6  # added to a norm before it divides, as torch does


class StackedSupervised:
    """Trains a stack as each of its seeds would be trained alone.

    Args:
        stacked: Maps (S, B, ...) to (S, B, K); its state has the names of one seed's network.
        learners: One for each seed, all with as many steps taken; their weights are in `stacked`.
        recipe: Of all seeds.
        plan: Of all seeds; says the precision.
        steps: Of the whole run, which the schedule spans.
    """

    def __init__(
        self,
        stacked: nn.Module,
        learners: Sequence[Supervised],
        *,
        recipe: Recipe,
        plan: Plan,
        steps: int,
    ) -> None:
        self.model, self.learners = stacked.train(), list(learners)
        self._recipe, self._bf16 = recipe, plan.precision == "bf16"
        self._objective = learners[0].objective
        alone = replace(recipe, clip=None)  # the seeds are clipped one by one
        self._optimization = Optimization(stacked, recipe=alone, steps=steps)
        self._optimization.taken = learners[0].optimization.taken
        states = [learner.optimization.by_name() for learner in learners]
        for name, moments in self._optimization.by_name().items():
            values = [state[name] for state in states]
            moments.copy_(torch.stack(values) if moments.ndim else values[0])

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Learn from one batch of each seed, (S, B, ...) and (S, B); return losses (S,)."""
        losses = self._losses(self._scores(x), y)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        if self._recipe.clip is not None:
            self._clip(self._recipe.clip)
        self._optimization.step()
        return losses.detach()

    def evaluate(self, batches: Iterable[Tensor], y: Tensor) -> list[tuple[float, float]]:
        """Return each seed's loss and score on the same examples."""
        seeds = len(self.learners)
        self.model.eval()
        try:
            with torch.inference_mode():
                scores = torch.cat(
                    [self._scores(x.expand(seeds, *x.shape)).cpu() for x in batches], 1
                )
                return [
                    learner.objective.score(own, y)
                    for learner, own in zip(self.learners, scores, strict=True)
                ]
        finally:
            self.model.train()

    def hand_out(self, seed: int) -> None:
        """Bring a seed's own learner to where the seed stands."""
        learner = self.learners[seed]
        learner.load_weights({name: t[seed] for name, t in self.model.state_dict().items()})
        learner.optimization.taken = self._optimization.taken
        ours = self._optimization.by_name()
        for name, moments in learner.optimization.by_name().items():
            moments.copy_(ours[name][seed] if ours[name].ndim else ours[name])

    def keep(self, seeds: Sequence[int]) -> None:
        """Forget the moments of all seeds but these; the model has been shortened already."""
        self.learners = [self.learners[seed] for seed in seeds]
        chosen = torch.tensor(seeds, dtype=torch.int64)
        for moments in self._optimization.by_name().values():
            if moments.ndim:
                moments.data = moments.data.index_select(0, chosen.to(moments.device))

    def _scores(self, x: Tensor) -> Tensor:
        """(S, B, ...) -> (S, B, K) in float32."""
        kind = x.device.type
        precision: AbstractContextManager[object] = (
            torch.autocast(kind, torch.bfloat16) if self._bf16 else nullcontext()
        )
        with precision:
            return self.model(x).float()

    def _losses(self, scores: Tensor, y: Tensor) -> Tensor:
        """(S, B, K), (S, B) -> (S,)."""
        if isinstance(self._objective, Values):
            return (scores.squeeze(2) - self._objective.standard(y)).square().mean(1)
        each = F.cross_entropy(
            scores.flatten(0, 1),
            y.flatten(),
            reduction="none",
            label_smoothing=self._recipe.label_smoothing,
        )
        return each.view_as(y).mean(1)

    @torch.no_grad()
    def _clip(self, most: float) -> None:
        """Shorten each seed's gradient to at most `most`."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)  # (S,)
        share = (most / (norms + _STEADY)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(share.view(-1, *[1] * (gradient.ndim - 1)))
