"""VGG: nothing but 3x3 convolutions, with a pool wherever the width grows.

Source: Simonyan and Zisserman, 2014, https://arxiv.org/abs/1409.1556, table 1, column A; batch
normalisation after each convolution as in torchvision's vgg11_bn. Small form: one linear layer
after the convolutions, Liu and Deng, 2015, https://doi.org/10.1109/ACPR.2015.7486599.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.head import ImageHead

STAGES_11 = ((64,), (128,), (256, 256), (512, 512), (512, 512))  # widths between two pools


def classifier(in_channels: int, outputs: int) -> nn.Sequential:
    """Return the three wide linear layers. (B, in_channels, H, W) -> (B, outputs)."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(7),
        nn.Flatten(),
        nn.Linear(in_channels * 7 * 7, 4096), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(4096, outputs),
    )  # fmt: skip


class VGG(nn.Module):
    """Stages of 3x3 convolutions with a pool after each, then a classifier.

    Args:
        stages: Widths of the convolutions of each stage.
        inputs: Shape of one image, (C, H, W).
        outputs: Scores per image.
        small: One linear layer after averaging as classifier, and no pool of a single pixel.

    Shape:
        (B, C, H, W) -> (B, outputs) logits
    """

    def __init__(
        self,
        stages: Sequence[Sequence[int]],
        inputs: tuple[int, ...],
        outputs: int,
        *,
        small: bool,
    ) -> None:
        super().__init__()
        width, side = inputs[0], min(inputs[1:])
        self.features = nn.Sequential()
        for stage in stages:
            for out in stage:
                self.features.append(ConvNormAct(width, out, 3, bias=True))
                width = out
            if side > 1 or not small:
                self.features.append(nn.MaxPool2d(2))
                side //= 2
        self.classifier = ImageHead(width, outputs) if small else classifier(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of images."""
        x = self.features(x)  # (B, 512, H/32, W/32)
        return self.classifier(x)


def vgg11_bn(inputs: tuple[int, ...], outputs: int, *, small: bool = False) -> VGG:
    """Return the network of 11 layers, batch-normalised."""
    return VGG(STAGES_11, inputs, outputs, small=small)
