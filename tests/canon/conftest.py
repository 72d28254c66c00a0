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
departures = ["pads its input"]

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


@pytest.fixture
def sample() -> str:
    return SAMPLE


@pytest.fixture
def write_card(tmp_path: Path):
    """Write the sample with some of its text replaced, under its own file name."""

    def write(name: str = "sample.toml", /, *changes: tuple[str, str]) -> Path:
        text = SAMPLE
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
