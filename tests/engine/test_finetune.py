"""Networks that start from learned weights: what learns, how fast, and in which order."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from torch import Tensor, nn
from trials import make_dataset, make_spec

from assay.data.batches import Normalise
from assay.data.dataset import Dataset
from assay.engine.spec import Candidate, Plan, Recipe, TrialSpec, spec_from_json
from assay.engine.trial import run_trial
from assay.errors import Interrupted
from assay.learners.fine_tuning import BODY_RATE, PARTS, FineTuning
from assay.learners.supervised import Supervised
from assay.models.foreign import build_any
from assay.models.start import head_of, keep_start, start

SOURCE = {"mean": [0.4], "std": [0.2]}  # of the images that the weights have learned from
NAME = "mobilenet_v1_025"  # small, and normalised


def digits(classes: int, train: int) -> Dataset:
    """Return the first examples of scikit-learn's digits below `classes`."""
    x, y = load_digits(return_X_y=True)
    chosen = np.flatnonzero(y < classes)[: train + 400]
    x, y = x[chosen].reshape(-1, 1, 8, 8), y[chosen]
    return replace(
        make_dataset(),
        classes=tuple(map(str, range(classes))),
        x=(x * 255 / 16).astype(np.uint8),
        y=y.astype(np.int64),
        train=np.arange(train),
        val=np.arange(train, train + 200),
        test=np.arange(train + 200, train + 400),
    )


def body_of(state: Mapping[str, Tensor], name: str, outputs: int) -> dict[str, Tensor]:
    """Return what a network holds but for the layer that follows the number of classes."""
    other = build_any(f"{name}-pretrained", (1, 8, 8), outputs + 1)[1].state_dict()
    body = {k: v for k, v in state.items() if v.shape == other[k].shape}
    assert len(state) - len(body) == 2
    return body


@cache
def learned(folder: Path) -> str:
    """Return the weights of a LeNet-5 that knows the digits 0 to 7."""
    dataset = digits(classes=8, train=900)
    run_trial(make_spec("lenet5-pretrained", dataset, steps=300, seed=1), dataset, folder)
    saved = load_file(folder / "weights.safetensors")
    own = {k.removeprefix("1."): v for k, v in saved.items() if k.startswith("1.")}
    return keep_start(body_of(own, "lenet5", 8), {"mean": [0.5], "std": [0.25]})


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> str:
    return learned(tmp_path_factory.mktemp("source"))


def tuned(name: str, dataset: Dataset, weights: str, tune: str, **changes) -> TrialSpec:
    spec = make_spec(f"{name}-pretrained", dataset, **changes)
    return replace(spec, candidate=replace(spec.candidate, weights=weights, tune=tune))


def test_what_was_learned_on_eight_digits_helps_with_ten(knowledge: str, tmp_path: Path):
    dataset = digits(classes=10, train=80)
    chance = build_any("lenet5-pretrained", dataset.inputs, 10)[1].state_dict()
    body = body_of(chance, "lenet5", 10)
    scores = [
        run_trial(
            tuned("lenet5", dataset, weights, "frozen", steps=80, lr=0.02), dataset, tmp_path / n
        ).metrics["test_accuracy"]
        for n, weights in [("learned", knowledge), ("random", keep_start(body, {}))]
    ]
    assert scores[0] > 0.75
    assert scores[0] > scores[1] + 0.1


@pytest.fixture(scope="module")
def random_start() -> str:
    """Return weights of a small normalised network, as if they had been learned."""
    torch.manual_seed(0)
    network = build_any(f"{NAME}-pretrained", (1, 8, 8), 5)[1]
    return keep_start(body_of(network.state_dict(), NAME, 5), SOURCE)


class Tuned:
    """A network that starts from weights, one mode, and what has moved since."""

    def __init__(self, weights: str, mode: str, *, steps: int = 10, **recipe) -> None:
        torch.manual_seed(0)
        self.model = build_any(f"{NAME}-pretrained", (1, 8, 8), 3)
        start(self.model, weights, {"mean": [0.5], "std": [0.25]})
        self.head = head_of(self.model, weights)
        self.tuning = FineTuning(self.model, mode=mode, head=self.head, steps=steps)
        recipe = Recipe(batch_size=8, **{"warmup": 0.0, **recipe})
        self.learner = Supervised(
            self.model, recipe=recipe, plan=Plan(), steps=steps, fine_tuning=self.tuning
        )
        self.before = {k: v.clone() for k, v in self.model.state_dict().items()}

    def step(self) -> set[str]:
        """Take a step and return the names of what it moved."""
        torch.manual_seed(1)
        last = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.learner.step(torch.randn(8, 1, 8, 8), torch.arange(8) % 3)
        return {k for k, v in self.model.state_dict().items() if not torch.equal(v, last[k])}


def statistics(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_buffers() if "running" in name or "tracked" in name}


def parameters(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters()}


def test_frozen_moves_nothing_but_the_head_not_even_statistics(random_start: str):
    tuned = Tuned(random_start, "frozen")
    assert len(tuned.head) == 2
    assert tuned.step() == tuned.head
    tuned.learner.evaluate([torch.randn(4, 1, 8, 8)], torch.zeros(4, dtype=torch.long))
    assert tuned.step() == tuned.head


def test_head_moves_the_head_and_lets_statistics_follow(random_start: str):
    tuned = Tuned(random_start, "head")
    assert tuned.step() == tuned.head | statistics(tuned.model)


def test_full_moves_everything(random_start: str):
    tuned = Tuned(random_start, "full")
    assert tuned.step() == parameters(tuned.model) | statistics(tuned.model)


def test_the_body_learns_at_a_tenth_of_the_heads_rate(random_start: str):
    slow = Tuned(random_start, "full", optimizer="sgd", momentum=0.0, weight_decay=0.0)
    recipe = Recipe(optimizer="sgd", momentum=0.0, weight_decay=0.0, warmup=0.0, batch_size=8)
    plain = Tuned(random_start, "full")
    plain.learner = Supervised(plain.model, recipe=recipe, plan=Plan(), steps=10)
    for net in (slow, plain):
        net.step()
    for name in parameters(slow.model):
        here, there = (
            dict(net.model.named_parameters())[name].detach() - net.before[name]
            for net in (slow, plain)
        )
        share = 1.0 if name in slow.head else BODY_RATE
        assert torch.allclose(here, share * there, rtol=1e-2, atol=1e-6), name


def test_gradual_frees_the_head_first_and_the_first_layers_last(random_start: str):
    steps = 2 * (PARTS + 1)
    tuned = Tuned(random_start, "gradual", steps=steps)
    body = [name for name, _ in tuned.model.named_parameters() if name not in tuned.head]
    counts = []
    for _ in range(steps):
        moved = tuned.step() & parameters(tuned.model)
        count = len(moved - tuned.head)
        assert moved == tuned.head | set(body[len(body) - count :])
        counts.append(count)
    quarters = [len(body) - len(body) * (PARTS - n) // PARTS for n in range(PARTS + 1)]
    assert counts == [count for count in quarters for _ in range(2)]
    assert counts[0] == 0
    assert counts[-1] == len(body)


def test_images_are_standardised_as_those_that_the_weights_have_learned_from(random_start: str):
    tuned = Tuned(random_start, "frozen")
    pixels = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    own = Normalise({"kind": "image", "mean": [0.5], "std": [0.25]})(pixels)
    theirs = Normalise({"kind": "image", **SOURCE})(pixels)
    large = nn.functional.interpolate(theirs, (64, 64), mode="bilinear")
    tuned.model.eval()
    with torch.inference_mode():
        assert torch.allclose(tuned.model(own), tuned.model[1](large), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tune", ["gradual", "frozen"])
def test_a_stopped_fine_tuning_ends_with_the_bits_of_an_unbroken_one(
    knowledge: str, tmp_path: Path, tune: str
):
    dataset = digits(classes=10, train=80)
    spec = tuned("lenet5", dataset, knowledge, tune, steps=20)
    run_trial(spec, dataset, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run_trial(spec, dataset, tmp_path / "parts", stop=after(11))
    run_trial(spec, dataset, tmp_path / "parts")
    whole, parts = (
        load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    if tune == "frozen":
        assert_body(whole, knowledge)


def assert_body(found: dict[str, Tensor], weights: str) -> None:
    from assay.models.start import _present

    for name, value in load_file(_present(weights)).items():
        assert torch.equal(found[f"1.{name}"], value)


def after(steps: int) -> Callable[[], bool]:
    asked = iter(range(10**6))
    return lambda: next(asked) >= steps


def test_the_address_of_a_trial_follows_its_weights_and_what_learns():
    plain = make_spec("lenet5", make_dataset())
    changed = [
        replace(plain, candidate=replace(plain.candidate, **change))
        for change in ({"weights": "a"}, {"tune": "full"}, {"tune": "head"})
    ]
    assert len({plain.hash, *(spec.hash for spec in changed)}) == 4
    assert spec_from_json(asdict(changed[0])) == changed[0]
    assert Candidate(name="n", digest="d").tune == ""


def test_weights_that_are_gone_fail_the_trial_in_one_sentence(tmp_path: Path):
    dataset = digits(classes=10, train=80)
    record = run_trial(tuned("lenet5", dataset, "gone", "full"), dataset, tmp_path)
    assert record.status == "failed"
    assert record.reason.startswith("The weights that this network starts from are kept in ")
    assert record.reason.endswith(
        "gone.safetensors. They are no longer there; run the comparison again, which fetches them "
        "anew."
    )
