"""Networks of tokens learn something real in seconds, by the recipe on their card.

Encoders look up a digit behind a key, BERT finds hidden symbols of a circle, and those that write
answer letters with the same backwards or go on counting. What has a test of its own elsewhere is
named in test_learning.py.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from assay.canon.card import Architecture
from assay.canon.catalog import catalog
from assay.canon.task import Task
from assay.data.probe_memory import FIRST, recall
from assay.data.tokens import END
from assay.engine.spec import Plan, Recipe
from assay.learners.objective import objective_for
from assay.learners.supervised import Supervised
from assay.models.build import build

Texts = tuple[Tensor, Tensor]  # (N, T) and their answers, as a prepared data set holds them


@dataclass(frozen=True)
class Question:
    task: Task
    draw: Callable[[int], Texts]
    vocabulary: int
    outputs: int
    guess: float  # the score of who knows the form of an answer and nothing else


def looked_up(count: int) -> Texts:
    """Return `key digit ? ? key`: the digit is the label."""
    x, y = recall(5, count, np.random.default_rng(0))
    return torch.from_numpy(x), torch.from_numpy(y)


def ordered(count: int) -> Texts:
    """Return texts that count in a circle of four: a hidden symbol follows from any other."""
    x = FIRST + (torch.randint(4, (count, 1)) + torch.arange(8)) % 4
    return x.int(), x.int()


def backwards(count: int) -> Texts:
    """Return three letters of eight, and the same from the last to the first, with their ends."""
    x = FIRST + torch.randint(8, (count, 3))
    end = torch.full((count, 1), END)
    source = torch.cat([x, end], dim=1)
    return source.int(), torch.cat([x.flip(1), end], dim=1).int()


def counted_on(count: int) -> Texts:
    """Return three symbols of a circle of eight, and the three that follow, with their ends."""
    x = FIRST + (torch.randint(8, (count, 1)) + torch.arange(6)) % 8
    end = torch.full((count, 1), END)
    return torch.cat([x[:, :3], end], dim=1).int(), torch.cat([x[:, 3:], end], dim=1).int()


LOOK_UP = Question("text-classification", looked_up, FIRST + 11 + 26, 10, guess=1 / 10)
HIDDEN = Question("masked-language-modeling", ordered, FIRST + 4, FIRST + 4, guess=1 / 4)
BACKWARDS = Question("text-to-text", backwards, FIRST + 8, FIRST + 8, guess=8**-0.75)
COUNT_ON = Question("text-to-text", counted_on, FIRST + 8, FIRST + 8, guess=8**-0.75)
UNSEEN = 64


@dataclass(frozen=True)
class Smoke:
    question: Question
    steps: int
    floor: float = 0.5  # share of right labels; the geometric mean of a true token's probability
    batch: int = 32

    @property
    def midway(self) -> float:
        """Halfway from guessing to the floor."""
        return (self.question.guess + self.floor) / 2


LEARNS = {  # of each card's variant that studies propose
    "albert": Smoke(LOOK_UP, 35, batch=16),
    "bert": Smoke(HIDDEN, 115),
    "bidirectional-rnn": Smoke(LOOK_UP, 100),
    "big-bird": Smoke(LOOK_UP, 60),
    "linformer": Smoke(LOOK_UP, 60),
    "performer": Smoke(LOOK_UP, 60),
    "seq2seq": Smoke(BACKWARDS, 100),
    "seq2seq-bahdanau": Smoke(BACKWARDS, 60),
    "seq2seq-luong": Smoke(BACKWARDS, 80),
    "synthesizer": Smoke(LOOK_UP, 60),
    "t5": Smoke(COUNT_ON, 55, batch=8),
    "tcn": Smoke(LOOK_UP, 100),
    "transformer": Smoke(BACKWARDS, 90),
}


every_architecture = pytest.mark.parametrize(
    "card", [c for c in catalog().architectures if c.id in LEARNS], ids=lambda card: card.id
)


def test_no_floor_is_within_the_reach_of_guessing():
    assert [name for name, smoke in LEARNS.items() if not reach(smoke) < smoke.floor < 1] == []


def reach(smoke: Smoke) -> float:
    """Return the share that guessing exceeds about once in a thousand tries."""
    guess = smoke.question.guess
    return guess + 3.1 * (guess * (1 - guess) / UNSEEN) ** 0.5


@every_architecture
def test_it_learns_to_answer(card: Architecture):
    before, after = taught(card, LEARNS[card.id])
    assert before < LEARNS[card.id].midway
    assert after > LEARNS[card.id].floor


@pytest.mark.parametrize("name", ["synthesizer", "seq2seq"])  # of labels and of texts
def test_a_network_that_is_told_wrong_answers_misses_its_floor(name: str):
    card = next(card for card in catalog().architectures if card.id == name)
    _, after = taught(card, LEARNS[name], wrong=True)
    assert after < LEARNS[name].midway


def taught(card: Architecture, smoke: Smoke, *, wrong: bool = False) -> tuple[float, float]:
    """Return the score on unseen texts before and after training, on answers of others if wrong."""
    torch.manual_seed(0)
    asked = smoke.question
    x, y = asked.draw(UNSEEN + smoke.steps * smoke.batch)
    told = y[torch.randperm(len(y))] if wrong else y
    name = next(variant.name for variant in card.variants if variant.default)
    shape = (x.shape[1], asked.vocabulary)
    model = build(name, inputs=shape, outputs=asked.outputs, task=asked.task)
    objective = objective_for(asked.task, classes=(), outputs=asked.outputs, model=model)
    learner = Supervised(
        model,
        recipe=Recipe(**asdict(card.recipe)),
        plan=Plan(),
        steps=smoke.steps,
        objective=objective,
    )
    _, before = learner.evaluate([x[:UNSEEN]], y[:UNSEEN])
    for batch in torch.arange(UNSEEN, len(x)).split(smoke.batch):
        learner.step(x[batch], told[batch])
    _, after = learner.evaluate([x[:UNSEEN]], y[:UNSEEN])
    return before, after
