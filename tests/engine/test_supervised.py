"""The supervised learner is torch's own training loop, and nothing else."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.adapt import Adapted
from assay.data.target import spread
from assay.engine.spec import Plan, Recipe
from assay.engine.ways import apply_plan
from assay.learners.objective import Values
from assay.learners.optimization import Optimization
from assay.learners.schedule import one_cycle
from assay.learners.supervised import Supervised
from assay.models.build import build


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Flatten(),
        nn.Linear(5 * 4 * 4, 3),
    )  # fmt: skip


BATCHES = [(torch.randn(6, 2, 8, 8), torch.randint(3, (6,))) for _ in range(4)]


def plain_loop(model: nn.Module, recipe: Recipe) -> list[float]:
    """What a person would write."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, lr=1.0, momentum=recipe.momentum, nesterov=True)
    else:
        optimizer = torch.optim.AdamW(groups, lr=1.0)
    losses = []
    for step, (x, y) in enumerate(BATCHES):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * one_cycle(step, steps=len(BATCHES), warmup=recipe.warmup)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y, label_smoothing=recipe.label_smoothing)
        loss.backward()
        if recipe.clip:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(lr=0.01),
        Recipe(optimizer="sgd", lr=0.1, weight_decay=0.1, clip=0.5),
        Recipe(lr=0.01, weight_decay=0.5, warmup=0.0, label_smoothing=0.0),
    ],
    ids=["adamw", "sgd", "bare"],
)
def test_it_learns_as_a_plain_loop_does(recipe: Recipe, memory_format: str):
    expected = plain_loop(network(), recipe)
    model = network()
    if memory_format == "channels_last":
        model = model.to(memory_format=torch.channels_last)
    plan = Plan(memory_format=memory_format)
    learner = Supervised(model, recipe=recipe, plan=plan, steps=len(BATCHES))
    losses = [learner.step(x, y).item() for x, y in BATCHES]
    assert losses == pytest.approx(expected, rel=1e-4)


class Aided(nn.Module):
    """A network with two classifiers in its middle."""

    auxiliary_weight = 0.25

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(2, 4, 3, 2), nn.Conv2d(4, 6, 3)
        self.sides = nn.ModuleList(nn.Linear(4 * 3 * 3, 3) for _ in range(2))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_all(x)[-1]

    def forward_all(self, x: Tensor) -> list[Tensor]:
        x = self.first(x).relu()
        sides = [side(x.flatten(1)) for side in self.sides]
        return [*sides, self.head(self.second(x).flatten(1))]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("adapted", [False, True])
def test_auxiliary_classifiers_count_by_their_weight_while_learning_and_never_after(
    adapted: bool, compiled: bool, monkeypatch: pytest.MonkeyPatch
):
    compilations = []
    monkeypatch.setattr(torch, "compile", lambda f, dynamic: compilations.append(f) or f)
    twin, model = Aided(), Aided()
    if adapted:
        model = Adapted(nn.Identity(), model)
    recipe = Recipe(lr=0.1, weight_decay=0.0, warmup=0.0, optimizer="sgd", momentum=0.0, clip=None)
    learner = Supervised(model, recipe=recipe, plan=Plan(compile=compiled), steps=100)
    x, y = BATCHES[0]

    first, second, last = (
        F.cross_entropy(scores, y, label_smoothing=recipe.label_smoothing)
        for scores in twin.forward_all(x)
    )
    expected = last + 0.25 * (first + second)
    expected.backward()
    plain = F.cross_entropy(twin(x), y).item()
    assert learner.evaluate([x], y)[0] == pytest.approx(plain)

    assert learner.step(x, y).item() == pytest.approx(expected.item())
    for before, after in zip(twin.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(after, before - 0.1 * before.grad)
    assert len(compilations) == compiled


@pytest.mark.parametrize("name", ["googlenet_auxiliary", "inception_v3_auxiliary"])
@pytest.mark.parametrize(
    "plan",
    [
        Plan(precision="bf16", memory_format="channels_last", convolution="matmul"),
        Plan(fp32_layers=()),
    ],
    ids=["fast", "plain"],
)
def test_every_auxiliary_classifier_of_the_canon_learns(name: str, plan: Plan):
    torch.manual_seed(0)
    model = apply_plan(build(name, inputs=(1, 8, 8), outputs=3), plan)
    learner = Supervised(model, recipe=Recipe(), plan=plan, steps=1)
    learner.optimization.step = lambda: None
    learner.step(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 1]))
    assert sum("auxiliary." in name for name, _ in model.named_parameters()) > 0
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_the_learning_rate_rises_and_falls_in_lines():
    rates = [one_cycle(step, steps=10, warmup=0.2) for step in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    assert [one_cycle(step, steps=4, warmup=0) for step in range(4)] == [1, 0.75, 0.5, 0.25]
    assert one_cycle(0, steps=1, warmup=0.5) == 1


def test_channels_last_weights_are_updated_without_copies():
    model = network().to(memory_format=torch.channels_last)
    optimization = Optimization(model, recipe=Recipe(), steps=10)
    views = [view for group in optimization._groups for _, view in group.weights]
    assert all(view.is_contiguous() for view in views)
    assert {view.data_ptr() for view in views} == {p.data_ptr() for p in model.parameters()}


@pytest.mark.parametrize(
    ("recipe", "theirs"),
    [
        (
            Recipe(optimizer="adamw", weight_decay=0.1),
            lambda groups: torch.optim.AdamW(groups, fused=True),
        ),
        (
            Recipe(optimizer="adamw", weight_decay=0.1, beta2=0.9, epsilon=0.01),
            lambda groups: torch.optim.AdamW(groups, betas=(0.9, 0.9), eps=0.01, fused=True),
        ),
        (
            Recipe(optimizer="sgd", weight_decay=0.1, momentum=0.8),
            lambda groups: torch.optim.SGD(groups, momentum=0.8, nesterov=True, fused=True),
        ),
        (
            Recipe(optimizer="sgd", weight_decay=0.1, momentum=0.0),
            lambda groups: torch.optim.SGD(groups, momentum=0.0, fused=True),
        ),
    ],
)
def test_steps_equal_those_of_torchs_own_optimizer_to_the_bit(recipe, theirs):
    model, twin = network(), network()
    twin.load_state_dict(model.state_dict())
    ours = Optimization(model, recipe=recipe, steps=5)
    parameters = list(twin.parameters())
    optimizer = theirs(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.1},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
    )
    for step in range(5):
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step))
            q.grad = p.grad.clone()
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * one_cycle(step, steps=5, warmup=recipe.warmup)
        ours.step()
        optimizer.step()
    assert all(map(torch.equal, model.parameters(), twin.parameters()))


def test_the_first_step_does_not_import_the_compiler():
    code = (
        "import sys, torch\n"
        "from assay.engine.spec import Recipe\n"
        "from assay.learners.optimization import Optimization\n"
        "model = torch.nn.Linear(2, 2)\n"
        "for name in ('sgd', 'adamw'):\n"
        "    model(torch.ones(1, 2)).sum().backward()\n"
        "    recipe = Recipe(optimizer=name, clip=1.0)\n"
        "    Optimization(model, recipe=recipe, steps=1).step()\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_frozen_weights_stay():
    model = network()
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    learner = Supervised(model, recipe=Recipe(), plan=Plan(), steps=10)
    for x, y in BATCHES:
        learner.step(x, y)
    assert torch.equal(model[0].weight, before)


def test_what_a_model_exempts_is_not_decayed():
    model = network()
    model.no_weight_decay = lambda: {"5.weight"}
    recipe = Recipe(lr=0.1, weight_decay=0.5, warmup=0)
    optimization = Optimization(model, recipe=recipe, steps=10)
    before = copy.deepcopy(model.state_dict())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimization.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"0.weight", "3.weight"}


def test_evaluating_changes_nothing():
    learner = Supervised(network(), recipe=Recipe(), plan=Plan(), steps=10)
    before = {name: tensor.clone() for name, tensor in learner.state().items()}
    x, y = BATCHES[0]
    loss, score = learner.evaluate([x[:4], x[4:]], y)
    with torch.no_grad():
        logits = learner.model.eval()(x)
    assert loss == pytest.approx(F.cross_entropy(logits, y).item())
    assert score == pytest.approx((logits.argmax(1) == y).float().mean().item())
    assert all(torch.equal(learner.state()[name], tensor) for name, tensor in before.items())


def test_regression_is_learnt_in_standard_units():
    model = nn.Sequential(nn.Linear(1, 1))
    nn.init.zeros_(model[0].weight)
    nn.init.constant_(model[0].bias, 0.5)
    objective = Values(100.0, 10.0)
    learner = Supervised(model, recipe=Recipe(), plan=Plan(), steps=10, objective=objective)
    y = torch.tensor([100.0, 110.0])
    assert learner.predict([torch.zeros(2, 1)], y).tolist() == [105.0, 105.0]
    loss, score = learner.evaluate([torch.zeros(2, 1)], y)
    assert loss == pytest.approx(0.25)
    assert score == pytest.approx(0.0)


def test_a_constant_target_spreads_by_one():
    assert spread(np.full(4, 7.0)) == (7.0, 1.0)
