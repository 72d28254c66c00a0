"""Small networks that differ little, for the recorded grid: close races are what matters."""

import math

from torch import Tensor, nn


class Convolutional(nn.Sequential):
    """Blocks of 3x3 convolution, optional batch norm, ReLU and 2x2 pooling, then one linear layer.

    Args:
        inputs: (C, H, W).
        outputs: Classes.
        width: Channels of the first block; each later one has twice as many.
        depth: Blocks.
        norm: Whether there is batch normalisation.
    """

    def __init__(
        self, inputs: tuple[int, ...], outputs: int, *, width: int, depth: int, norm: bool
    ) -> None:
        channels, side, layers = inputs[0], inputs[1], []
        for block in range(depth):
            wider = width * 2**block
            layers += [nn.Conv2d(channels, wider, 3, padding=1)]
            layers += [nn.BatchNorm2d(wider)] if norm else []
            layers += [nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
            channels, side = wider, -(-side // 2)
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels * side**2, outputs))


class Perceptron(nn.Sequential):
    """Linear layers with ReLU and dropout between them.

    Args:
        inputs: Of any shape; flattened.
        outputs: Classes.
        widths: Of the hidden layers.
        dropout: Share of hidden values set to 0 in training.
    """

    def __init__(
        self, inputs: tuple[int, ...], outputs: int, *, widths: tuple[int, ...], dropout: float
    ) -> None:
        size, layers = math.prod(inputs), [nn.Flatten()]
        for width in widths:
            layers += [nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout)]
            size = width
        super().__init__(*layers, nn.Linear(size, outputs))


def _named(name: str, kind: type[nn.Module], **options: object) -> type[nn.Module]:
    """Return a class of its own, as `file.py:Class` asks for one."""

    def __init__(self: nn.Module, inputs: tuple[int, ...], outputs: int) -> None:  # noqa: N807
        kind.__init__(self, inputs, outputs, **options)

    return type(name, (kind,), {"__init__": __init__, "forward": _forward, "__module__": __name__})


def _forward(self: nn.Sequential, x: Tensor) -> Tensor:
    return nn.Sequential.forward(self, x)


Conv8 = _named("Conv8", Convolutional, width=8, depth=2, norm=False)
Conv8Norm = _named("Conv8Norm", Convolutional, width=8, depth=2, norm=True)
Conv12 = _named("Conv12", Convolutional, width=12, depth=2, norm=False)
Conv16 = _named("Conv16", Convolutional, width=16, depth=2, norm=False)
Conv16Norm = _named("Conv16Norm", Convolutional, width=16, depth=2, norm=True)
Conv8Deep = _named("Conv8Deep", Convolutional, width=8, depth=3, norm=True)

Dense16 = _named("Dense16", Perceptron, widths=(16,), dropout=0.0)
Dense64 = _named("Dense64", Perceptron, widths=(64,), dropout=0.0)
Dense64Dropped = _named("Dense64Dropped", Perceptron, widths=(64,), dropout=0.5)
Dense256 = _named("Dense256", Perceptron, widths=(256,), dropout=0.0)
Dense256Dropped = _named("Dense256Dropped", Perceptron, widths=(256,), dropout=0.5)
Dense16Twice = _named("Dense16Twice", Perceptron, widths=(16, 16), dropout=0.0)
Dense64Twice = _named("Dense64Twice", Perceptron, widths=(64, 64), dropout=0.0)
Dense64Thrice = _named("Dense64Thrice", Perceptron, widths=(64, 64, 64), dropout=0.2)
