"""Every network learns to read digits in seconds, by the recipe on its card."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.canon.card import Card, Variant
from assay.canon.catalog import catalog
from assay.models.build import build

READERS = catalog().candidates("image-classification")
FLOOR = 0.5  # share of unseen digits read right; guessing gives 0.1


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.tensor(raw.images, dtype=torch.float32)[:, None]
    order = np.random.default_rng(0).permutation(len(images))
    return ((images - images.mean()) / images.std())[order], torch.tensor(raw.target)[order]


@pytest.mark.parametrize(("card", "variant"), READERS, ids=[v.name for _, v in READERS])
def test_it_learns_to_read_digits(card: Card, variant: Variant, digits: tuple[Tensor, Tensor]):
    torch.manual_seed(0)
    images, labels = digits
    model = build(variant.name, inputs=(1, 8, 8), outputs=10)
    if hasattr(model, "initialize"):
        model.initialize(images[:1000])
    assert accuracy(model, images[1000:], labels[1000:]) < FLOOR / 2
    steps = 50 if variant.macs > 1e8 else 150
    train(card, model.train(), images[:1000], labels[:1000], steps)
    assert accuracy(model, images[1000:], labels[1000:]) > FLOOR


def train(card: Card, model: nn.Module, images: Tensor, labels: Tensor, steps: int) -> None:
    """Take `steps` with AdamW, which every card's recipe names, and one cycle of its rate."""
    recipe = card.recipe
    assert recipe.optimizer == "adamw"
    optimizer = torch.optim.AdamW(model.parameters(), recipe.lr, fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, steps, pct_start=0.2)
    for step in range(steps):
        chosen = torch.arange(step * 32, (step + 1) * 32) % len(images)
        loss = F.cross_entropy(model(images[chosen]), labels[chosen], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip or float("inf"))
        optimizer.step()
        cycle.step()


@torch.inference_mode()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that are read right."""
    return (model.eval()(images).argmax(1) == labels).double().mean().item()
