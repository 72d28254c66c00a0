"""AlexNet: LeNet's plan made large, with rectified units and dropout so that it can be trained.

Source: Krizhevsky, Sutskever and Hinton, 2012, https://doi.org/10.1145/3065386, figure 2; the one
column is Krizhevsky, 2014, https://arxiv.org/abs/1404.5997, as torchvision builds it.
"""

from functools import partial

from torch import Tensor, nn

from assay.blocks.max_pool import MaxPool2d

relu = partial(nn.ReLU, inplace=True)  # what it reads, nothing else does
LINEAR = 4096  # units of the two hidden linear layers
MAP = 6  # side of the feature map that the classifier reads


class AlexNet(nn.Module):
    """Five convolutions with three pools between, then three linear layers.

    Args:
        features: From image to feature map.
        classifier: From the feature map, averaged to 6x6, to scores.

    Shape:
        (B, C, H, W) -> (B, outputs) logits
    """

    def __init__(self, features: nn.Sequential, classifier: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.pool = nn.AdaptiveAvgPool2d(MAP)
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 256, 6, 6) of a native image
        return self.classifier(self.pool(x).flatten(1))


def response_norm() -> nn.LocalResponseNorm:
    """Return the paper's normalisation over five neighbouring channels (section 3.3)."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)  # torch divides alpha by 5


def alexnet(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> AlexNet:
    """Return the network in one column; `small` changes nothing."""
    features = nn.Sequential(
        nn.Conv2d(inputs[0], 64, 11, 4, 2), relu(), MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), relu(), MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), relu(),
        nn.Conv2d(384, 256, 3, padding=1), relu(),
        nn.Conv2d(256, 256, 3, padding=1), relu(), MaxPool2d(3, 2),
    )  # fmt: skip
    classifier = nn.Sequential(
        nn.Dropout(0.5), nn.Linear(256 * MAP * MAP, LINEAR), relu(),
        nn.Dropout(0.5), nn.Linear(LINEAR, LINEAR), relu(),
        nn.Linear(LINEAR, outputs),
    )  # fmt: skip
    return AlexNet(features, classifier)


def alexnet_2012(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> AlexNet:
    """Return the published network, whose halves stood on two GPUs; `small` changes nothing.

    A convolution of two groups is one whose halves did not look at each other's channels.
    """
    features = nn.Sequential(
        nn.Conv2d(inputs[0], 96, 11, 4, 2), relu(), response_norm(), MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), relu(), response_norm(), MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), relu(),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), relu(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), relu(), MaxPool2d(3, 2),
    )  # fmt: skip
    classifier = nn.Sequential(
        nn.Linear(256 * MAP * MAP, LINEAR), relu(), nn.Dropout(0.5),
        nn.Linear(LINEAR, LINEAR), relu(), nn.Dropout(0.5),
        nn.Linear(LINEAR, outputs),
    )  # fmt: skip
    return AlexNet(features, classifier)
