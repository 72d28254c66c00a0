"""Every network of images learns to read digits in seconds, by the recipe on its card.

ZFNet tells only two digits apart, which takes it fewer steps. The training of large networks is too
short for the running averages of batch normalisation, so these are taken from seen images after it.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from test_learning_tokens import LEARNS as TOKENS
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from assay.canon.card import Architecture, Variant
from assay.canon.catalog import catalog
from assay.engine.spec import Recipe
from assay.learners.optimization import Optimization
from assay.models.build import build


@dataclass(frozen=True)
class Smoke:
    steps: int
    floor: float = 0.5  # share of unseen digits read right
    classes: int = 10  # digits 0 to classes - 1, so that guessing gives 1 / classes
    batch: int = 16
    blocks: int | None = None  # of each stage, the first ones; None keeps all

    @property
    def midway(self) -> float:
        """Halfway from guessing to the floor."""
        return (1 / self.classes + self.floor) / 2


LEARNS = {  # of each card's smallest variant
    "alexnet": Smoke(180, 0.4),
    "convmixer": Smoke(28),
    "convnext": Smoke(10),
    "darknet-19": Smoke(8),
    "darknet-53": Smoke(15),
    "deit": Smoke(66),
    "densenet": Smoke(7),
    "efficientnet": Smoke(54),
    "ghostnet": Smoke(88),
    "googlenet-v1": Smoke(8),
    "gru": Smoke(120),
    "inception-resnet-v2": Smoke(10, blocks=2),
    "inception-v2": Smoke(8),
    "inception-v3": Smoke(42, 0.4),
    "inception-v4": Smoke(18, blocks=2),
    "lenet-5": Smoke(120),
    "lightcnn": Smoke(30),
    "lstm": Smoke(120),
    "mlp": Smoke(120),
    "mlp-mixer": Smoke(40),
    "mobilenet-v1": Smoke(280, batch=32),
    "mobilenet-v2": Smoke(48),
    "mobilenet-v3": Smoke(60),
    "network-in-network": Smoke(100),
    "repvgg": Smoke(48),
    "resnet": Smoke(9),
    "resnext": Smoke(40, 0.35),
    "rnn": Smoke(120),
    "se-resnet": Smoke(60),
    "shufflenet-v1": Smoke(72),
    "shufflenet-v2": Smoke(320),
    "softmax-regression": Smoke(150),
    "squeezenet": Smoke(240, 0.35, batch=32),
    "swin-transformer": Smoke(32, batch=8),
    "transformer-encoder": Smoke(100),
    "vggnet": Smoke(10),
    "vision-transformer": Smoke(66),
    "whitened-cnn": Smoke(80),
    "wide-resnet": Smoke(32, batch=8),
    "xception": Smoke(20),
    "zfnet": Smoke(25, 0.9, classes=2),
}
COUNTING = (
    "parity/test_decoders.py",
    "test_a_decoder_learns_to_count_and_goes_on_counting",
)
TOPICS = (
    "models/test_mean_of_vectors.py",
    "test_ten_labels_suffice_where_vectors_are_learned_from_the_texts",
)
ELSEWHERE = {  # what learns in other tests
    "chatglm3": COUNTING,
    "glm": COUNTING,
    "gpt2": COUNTING,
    "llama": COUNTING,
    "mean-of-vectors": TOPICS,
    "paragraph-vector": TOPICS,
}
SEEN, UNSEEN = 1000, 256  # images; the rest chose what stands above and on the cards
JUDGED, SETTLING = 48, 64  # most of the unseen and of the seen that are read after training
Images = tuple[Tensor, Tensor]


def smallest(card: Architecture) -> Variant:
    """Return the variant that studies propose, else the cheapest."""
    proposed = (variant for variant in card.variants if variant.default)
    return next(proposed, min(card.variants, key=lambda variant: variant.macs))


every_architecture = pytest.mark.parametrize(
    "card",
    [card for card in catalog().architectures if card.id in LEARNS],
    ids=lambda card: smallest(card).name,
)


@pytest.fixture(scope="module")
def digits() -> Images:
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.tensor(raw.images, dtype=torch.float32)[:, None]
    order = np.random.default_rng(0).permutation(len(images))
    return ((images - images.mean()) / images.std())[order], torch.tensor(raw.target)[order]


@pytest.fixture(autouse=True)
def narrow_linear_layers(monkeypatch: pytest.MonkeyPatch):
    """Give AlexNet and ZFNet 256 hidden units for 4096, whose weights cost more than the rest."""
    for network in ("alexnet", "zfnet"):
        monkeypatch.setattr(f"assay.models.vision.{network}.LINEAR", 256)


def test_every_architecture_states_one_floor_and_nothing_else_does():
    stated = [*LEARNS, *TOKENS, *ELSEWHERE]
    assert sorted(stated) == sorted(card.id for card in catalog().architectures)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_learns_elsewhere_is_trained_there(name: str):
    file, test = ELSEWHERE[name]
    text = (Path(__file__).parent.parent / file).read_text(encoding="utf-8")
    card = next(card for card in catalog().architectures if card.id == name)
    assert f"def {test}(" in text
    assert smallest(card).code.partition(":")[2] in text


def test_no_floor_is_within_the_reach_of_guessing():
    assert [name for name, smoke in LEARNS.items() if not reach(smoke) < smoke.floor < 1] == []


def reach(smoke: Smoke) -> float:
    """Return the share that guessing exceeds about once in a thousand tries."""
    guess = 1 / smoke.classes
    return guess + 3.1 * (guess * (1 - guess) / JUDGED) ** 0.5


@every_architecture
def test_it_learns_to_read_digits(card: Architecture, digits: Images):
    smoke = LEARNS[card.id]
    before, after = taught(card, smoke, *digits)
    assert before < smoke.midway
    assert after > smoke.floor


@pytest.mark.parametrize("name", ["whitened-cnn", "zfnet"])  # of ten digits and of two
def test_a_network_that_is_told_wrong_labels_misses_its_floor(name: str, digits: Images):
    images, labels = digits
    smoke = LEARNS[name]
    known = (labels < smoke.classes).nonzero()[:, 0]
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))
    mixed = labels.clone()
    mixed[known] = labels[known[order]]
    card = next(card for card in catalog().architectures if card.id == name)
    _, after = taught(card, smoke, images, mixed, judge=labels)
    assert after < smoke.midway


def taught(
    card: Architecture, smoke: Smoke, images: Tensor, labels: Tensor, judge: Tensor | None = None
) -> tuple[float, float]:
    """Return the share of unseen digits that a network reads right before and after training."""
    torch.manual_seed(0)
    model = build(smallest(card).name, inputs=(1, 8, 8), outputs=smoke.classes)
    if smoke.blocks is not None:
        shorten(model, smoke.blocks)
    known = (labels < smoke.classes).nonzero()[:, 0]
    seen, unseen = known[known < SEEN], known[(known >= SEEN) & (known < SEEN + UNSEEN)][:JUDGED]
    if hasattr(model, "initialize"):
        model.initialize(images[seen])
    truth = (labels if judge is None else judge)[unseen]
    before = accuracy(model, images[unseen], truth)
    train(card, model.train(), images[seen], labels[seen], smoke)
    settle(model, images[seen[:SETTLING]])
    return before, accuracy(model, images[unseen], truth)


def shorten(model: nn.Module, blocks: int) -> None:
    """Keep only the first blocks of each stage: a deep network learns too late for a short test."""
    for network in list(model.modules()):
        for name, stage in list(network.named_children()):
            if name.startswith("stage_") and isinstance(stage, nn.Sequential):
                setattr(network, name, stage[:blocks])


def train(
    card: Architecture, model: nn.Module, images: Tensor, labels: Tensor, smoke: Smoke
) -> None:
    """Take the steps by the card's recipe, except for the size of its batches."""
    recipe = Recipe(**asdict(card.recipe))
    optimization = Optimization(model, recipe=recipe, steps=smoke.steps)
    for step in range(smoke.steps):
        chosen = torch.arange(step * smoke.batch, (step + 1) * smoke.batch) % len(images)
        scores = model(images[chosen])
        F.cross_entropy(scores, labels[chosen], label_smoothing=recipe.label_smoothing).backward()
        optimization.step()


@torch.no_grad()
def settle(model: nn.Module, images: Tensor) -> None:
    """Have every batch normalisation keep the mean and variance of these images."""
    norms = [module for module in model.eval().modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.train().momentum = 1.0
    if norms:
        model(images)


@torch.inference_mode()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that are read right."""
    return (model.eval()(images).argmax(1) == labels).double().mean().item()
