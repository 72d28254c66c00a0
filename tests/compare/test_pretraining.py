"""`assay compare --pretrained`: who takes part, what is told, and a winner that still predicts."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from torch import nn

from assay.cli import main
from assay.compare import pretraining
from assay.compare.candidates import candidate, resolve
from assay.compare.pretraining import TUNES, left_out
from assay.compare.request import Request
from assay.compare.study import Study
from assay.errors import AssayError, BadArgumentError
from assay.models import published, weights
from assay.models.build import build
from assay.models.foreign import build_any
from assay.models.preprocessing import Preprocessing
from assay.models.published import Publication
from assay.ship.load import load

TASK = "image-classification"
HAVE = ("squeezenet1_1", "shufflenet_v2_x0_5")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return random weights of two networks, as if torchvision had published them."""
    folder = tmp_path_factory.mktemp("published")
    for name in HAVE:
        save_file(build(name).state_dict(), folder / name)
    return {name: folder / name for name in HAVE}


@pytest.fixture(autouse=True)
def _only_these_are_published(monkeypatch: pytest.MonkeyPatch, files: dict[str, Path]):
    known = published.publication

    def publication(variant, library: str) -> Publication:
        if variant.name not in files:
            return known(variant, library)
        prepare = Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3, size=(224, 224), resize=256)
        return Planted(address=str(files[variant.name]), preprocessing=prepare)

    monkeypatch.setattr(weights, "publication", publication)


class Planted(Publication):
    def file(self) -> Path:
        return Path(self.address)


def test_a_named_network_starts_from_its_references_weights_and_says_so():
    found = candidate("shufflenet_v2_x0_5", (1, 20, 70), TASK, "head")
    assert (found.name, found.tune) == ("shufflenet_v2_x0_5-pretrained", "head")
    assert found.adaptation == {
        "en": "It starts from torchvision's weights, and images are standardised as theirs were. "
        "Only the head learns; the statistics of normalisations follow the data. Images are "
        "brought from 20×70 to 64×70, a size that the published weights suit.",
        "zh": "从 torchvision 公开的权重开始训练，图像按其方式标准化。"
        "只训练输出层；归一化的统计量随数据更新。"
        "图像由 20×70 缩放到 64×70，以适合公开权重。",
    }
    again = candidate("shufflenet_v2_x0_5-pretrained", (1, 20, 70), TASK)
    assert (again.name, again.tune, again.weights) == (found.name, "full", found.weights)
    colour = candidate("shufflenet_v2_x0_5", (3, 20, 70), TASK, "head")
    assert colour.weights != found.weights


def test_the_words_name_the_rates_and_parts_that_the_engine_has():
    from assay.learners.fine_tuning import BODY_RATE, PARTS

    assert (BODY_RATE, PARTS) == (0.1, 4)
    assert "a tenth of its rate" in TUNES["full"]["en"]
    assert "each fifth of the run a quarter" in TUNES["gradual"]["en"]


def refusal(*asked: object, **options: object) -> str:
    with pytest.raises(AssayError) as caught:
        resolve(*asked, task=TASK, inputs=(1, 8, 8), **options)
    return str(caught.value)


def test_a_network_that_is_named_but_has_no_weights_is_refused():
    assert refusal(["squeezenet1_1", "lenet5"], None, pretrained="full") == (
        "`pretrained` needs networks whose weights torchvision or timm publishes. Received lenet5, "
        "which has no reference there; leave it out."
    )
    assert refusal(["timm:resnet10t"], None, pretrained="full") == (
        "Published weights are loaded into whole networks of the canon. Received "
        "'timm:resnet10t'; leave it out, or compare without --pretrained."
    )
    assert refusal(["resnet18-without-shortcut"], None, pretrained="full") == (
        "Published weights are loaded into whole networks of the canon. Received "
        "'resnet18-without-shortcut'; leave it out, or compare without --pretrained."
    )


def test_proposals_without_weights_are_left_out_with_a_note():
    proposed = resolve(None, None, task=TASK, inputs=(1, 8, 8))
    lenet = candidate("lenet5", (1, 8, 8), TASK)
    squeezed = candidate("squeezenet1_1", (1, 8, 8), TASK)
    found = pretraining.start_those_that_can([lenet, squeezed], (1, 8, 8), "full")
    assert [c.name for c in found] == ["squeezenet1_1-pretrained"]
    assert left_out([lenet, squeezed], found) == {
        "en": "Left out, because no published weights could be had for them: lenet5.",
        "zh": "以下网络没有可用的公开权重，未参加比较：lenet5。",
    }
    assert left_out([squeezed], found) is None
    assert proposed


def test_when_none_has_weights_the_first_reason_is_told():
    lenet = candidate("lenet5", (1, 8, 8), TASK)
    with pytest.raises(BadArgumentError) as caught:
        pretraining.start_those_that_can([lenet], (1, 8, 8), "full")
    assert str(caught.value) == (
        "`pretrained` needs candidates with published weights that are here or can be downloaded. "
        "Received none such among 1; the first: `pretrained` needs networks whose weights "
        "torchvision or timm publishes. Received lenet5, which has no reference there; "
        "leave it out."
    )


def test_the_command_line_knows_the_four_modes():
    assert Request(data="digits", pretrained="head").command() == (
        "assay compare digits --pretrained head"
    )
    with pytest.raises(BadArgumentError) as caught:
        Request(data="digits", pretrained="gradul")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "`pretrained` must be one of full, head, frozen, gradual. Received pretrained='gradul'. "
        "Did you mean 'gradual'?"
    )


def test_a_study_of_pretrained_networks_ends_with_a_winner_that_predicts(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 30)
    images = random.integers(0, 80, (90, 1, 12, 12)) + 80 * labels[:, None, None, None]
    np.savez(tmp_path / "squares.npz", x=images.astype(np.uint8), y=labels)
    words = ["compare", str(tmp_path / "squares.npz"), "--models", "squeezenet1_1"]
    words += [
        "--pretrained",
        "--seeds",
        "1",
        "--budget",
        "12steps",
        "--no-autotune",
        "--no-baselines",
    ]
    words += ["--workers", "0", "--store", str(tmp_path / "store"), "--json"]
    main(words)
    told = json.loads(capsys.readouterr().out)
    (only,) = told["candidates"]
    assert only["name"] == "squeezenet1_1-pretrained"
    assert only["cost"]["parameters"] > 0
    record = json.loads(next((tmp_path / "store").rglob("record.json")).read_text())
    assert record["status"] == "finished"
    assert record["spec"]["candidate"]["tune"] == "full"
    assert len(record["spec"]["candidate"]["weights"]) == 64
    winner = load(told["id"], store=tmp_path / "store")
    assert winner.artifact.card["id"] == "squeezenet"
    predicted = winner.predict(images[:5].astype(np.uint8))
    assert len(predicted) == 5
    study = Study.again(told["id"], store=str(tmp_path / "store"), workers=0)
    assert study.run().trials_run == 0


def test_the_form_that_weights_fit_is_never_the_small_one():
    small = build("shufflenet_v2_x0_5", inputs=(1, 8, 8), outputs=3)
    started = build_any("shufflenet_v2_x0_5-pretrained", (1, 8, 8), 3)
    assert not any(isinstance(m, nn.MaxPool2d) for m in small.modules())
    assert any(isinstance(m, nn.MaxPool2d) for m in started.modules())
