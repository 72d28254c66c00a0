"""ZFNet: AlexNet with a finer first look, which pictures of its features had asked for.

Source: Zeiler and Fergus, 2013, https://arxiv.org/abs/1311.2901, figure 3.
"""

from torch import nn

from assay.blocks.max_pool import MaxPool2d
from assay.models.vision.alexnet import LINEAR, MAP, AlexNet, response_norm


def zfnet(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> AlexNet:
    """Return the published network; `small` changes nothing."""
    features = nn.Sequential(
        nn.Conv2d(inputs[0], 96, 7, 2, 1), nn.ReLU(), MaxPool2d(3, 2, 1), response_norm(),
        nn.Conv2d(96, 256, 5, 2), nn.ReLU(), MaxPool2d(3, 2, 1), response_norm(),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), MaxPool2d(3, 2),
    )  # fmt: skip
    classifier = nn.Sequential(
        nn.Linear(256 * MAP * MAP, LINEAR), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(LINEAR, LINEAR), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(LINEAR, outputs),
    )  # fmt: skip
    return AlexNet(features, classifier)
