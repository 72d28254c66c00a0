"""A card to change, and catalogs made of such cards."""

from pathlib import Path

import pytest

SAMPLE = """
id = "sample-net"
kind = "architecture"
family = "cnn"
tasks = ["image-classification"]
parents = []
paper = { title = "Nets", authors = "Doe et al.", year = 2001, url = "https://example.org/1" }
input = { kind = "image", native = [3, 224, 224], least = [3, 32, 32] }

[small]
upto = 64
how = "stem"
least = [3, 8, 8]
en = "A stem that keeps the size."
zh = "保持尺寸的首层。"

[en]
name = "Sample network"
idea = "One idea."
choose = "When small."
avoid = "When large."

[zh]
name = "示例网络"
idea = "一个想法。"
choose = "小的时候。"
avoid = "大的时候。"

[[departures]]
en = "pads its input"
zh = "填充输入"

[[departures]]
en = "halves early"
zh = "较早减半"

[recipe]
optimizer = "sgd"
lr = 0.1

[search]
lr = { default = 0.1, low = 0.01, high = 1, log = true }

[variants.sample10]
code = "assay.models.vision.sample:sample10"
parameters = 1_000
macs = 2_000
outputs = 1000
reference = "torchvision:sample10"
default = true

[variants.sample20]
code = "assay.models.vision.sample:sample20"
parameters = 3_000
macs = 4_000
outputs = 1000
native = [3, 64, 64]
"""

PART = """
id = "sample-part"
kind = "activation"
parents = []
paper = { title = "Parts", authors = "Roe", year = 1999, url = "https://example.org/2" }
code = "torch.nn:ReLU"
formula = "max(0, x)"
shape.en = "any -> the same"
shape.zh = "任意 -> 相同"

[en]
name = "Sample part"
idea = "One part."
choose = "Inside."
avoid = "Outside."

[zh]
name = "示例部件"
idea = "一个部件。"
choose = "在里面。"
avoid = "在外面。"

[[departures]]
en = "none of note"
zh = "没有重要的不同"
"""


@pytest.fixture
def sample() -> str:
    return SAMPLE


@pytest.fixture
def write_card(tmp_path: Path):
    """Write the sample with some of its text replaced, under its own file name."""
    return lambda name="sample.toml", /, *changes: written(tmp_path / name, SAMPLE, changes)


@pytest.fixture
def write_part(tmp_path: Path):
    """Write the card of a part likewise."""
    return lambda name="part.toml", /, *changes: written(tmp_path / name, PART, changes)


def written(path: Path, text: str, changes: tuple[tuple[str, str], ...]) -> Path:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path
