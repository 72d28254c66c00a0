"""The later Inceptions are the published ones: a reference's weights give the reference's numbers.

Inception v2 is in neither library: its counts and sizes are those of the paper's table.
"""

import pytest
import torch
from test_networks import Pair, difference, require_agreement
from torch import nn

import assay
from assay.blocks.max_pool import MaxPool2d
from assay.errors import BadArgumentError
from assay.models.vision.inception_resnet_v2 import inception_resnet_v2
from assay.models.vision.inception_v2 import Branches, HalvingPool, bn_inception, inception_v2
from assay.models.vision.inception_v3 import InceptionV3, inception_v3
from assay.models.vision.inception_v4 import inception_v4
from assay.models.vision.xception import xception

DROPOUT = {"inception_v4": 0.2, "inception_resnet_v2": 0.2, "legacy_xception": 0.5}


class InceptionPair(Pair):
    def reference(self) -> nn.Module:
        """Return it with the paper's dropout, no auxiliary classifier, and our order of layers."""
        library = pytest.importorskip(self.library)
        if self.library == "torchvision":
            more = {"aux_logits": False, "init_weights": False}
            return library.models.get_model(self.name, **more)
        model = library.create_model(self.name, drop_rate=DROPOUT[self.name])
        for block in model.modules():  # timm's Xception names a block's shortcut before its branch
            for name in ("skip", "skipbn"):
                if isinstance(layer := getattr(block, name, None), nn.Module):
                    delattr(block, name)
                    setattr(block, name, layer)
        return model


PAIRS = [
    InceptionPair(inception_v3, "torchvision", "inception_v3", side=107),
    InceptionPair(inception_v4, "timm", "inception_v4", side=107),
    InceptionPair(inception_resnet_v2, "timm", "inception_resnet_v2", side=107),
    InceptionPair(xception, "timm", "legacy_xception"),
]
pairs = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.ours.__name__)


@pairs
def test_it_answers_and_learns_as_the_reference_does(pair: Pair, record_property):
    require_agreement(pair, record_property)


def test_inception_v3s_auxiliary_classifier_scores_as_the_references_does():
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(0)
    theirs = models.inception_v3(num_classes=10, aux_logits=True, init_weights=False).eval()
    for layer in theirs.modules():  # torch's own start fades with depth, until only biases differ
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)
    ours = InceptionV3(in_channels=3, outputs=10, auxiliary=True).eval()
    values, names = theirs.state_dict().values(), ours.state_dict()
    ours.load_state_dict(dict(zip(names, values, strict=True)))
    theirs.training = True  # of itself alone: it answers twice, its layers as in eval mode
    images = torch.randn(1, 3, 299, 299)
    with torch.inference_mode():
        expected, answers = theirs(images), ours.forward_all(images)
        last = ours(images)
    assert len(answers) == 2
    assert difference(answers[0], expected.aux_logits) < 1e-4
    assert difference(answers[1], expected.logits) < 1e-4
    assert torch.equal(answers[1], last)


# The table in the appendix of the batch normalisation paper, as printed: channels of the output;
# 1x1; 3x3 reduced, 3x3; double 3x3 reduced, double 3x3; after the pool, None where it is passed on.
TABLE = {
    "3a": (256, 64, 64, 64, 64, 96, 32),
    "3b": (320, 64, 64, 96, 64, 96, 64),
    "3c": (576, 0, 128, 160, 64, 96, None),
    "4a": (576, 224, 64, 96, 96, 128, 128),
    "4b": (576, 192, 96, 128, 96, 128, 128),
    "4c": (576, 160, 128, 160, 128, 160, 128),
    "4d": (576, 96, 128, 192, 160, 192, 128),
    "4e": (1024, 0, 128, 192, 192, 256, None),
    "5a": (1024, 352, 192, 320, 160, 224, 128),
    "5b": (1024, 352, 192, 320, 192, 224, 128),
}
SIDES = [28, 28, 14, 14, 14, 14, 14, 7, 7, 7]  # of what each row returns


def parameters_of_the_table(*, outputs_hold: bool) -> tuple[int, list[int]]:
    """Return those of the modules, and the channels that each returns.

    Where a row's filters do not make the output that it prints, the output or the filters hold.
    """
    total, channels, returned = 0, 192, []
    for out, one, reduce_3, three, reduce_double, double, pooled in TABLE.values():
        filters = one + three + double
        last = out - filters if outputs_hold else pooled
        left = channels if pooled is None else last
        convs = [  # channels in and out, pixels of the kernel
            (channels, one, 1),
            (channels, reduce_3, 1), (reduce_3, three, 9),
            (channels, reduce_double, 1), (reduce_double, double, 9), (double, double, 9),
            (channels, 0 if pooled is None else left, 1),
        ]  # fmt: skip
        total += sum(a * b * pixels + 2 * b for a, b, pixels in convs)  # and a normalisation each
        channels = filters + left
        returned.append(channels)
    return total, returned


@pytest.mark.parametrize(
    ("build", "outputs_hold", "first"),
    [(inception_v2, True, 3 * 8 * 49 + 24 * 64), (bn_inception, False, 3 * 64 * 49)],
)
def test_inception_v2_is_the_papers_table(build, outputs_hold: bool, first: int):
    with torch.device("meta"):
        model = build((3, 224, 224), 1000)
    modules, channels = parameters_of_the_table(outputs_hold=outputs_hold)
    stem = first + 2 * 64 + 64 * 64 + 2 * 64 + 64 * 192 * 9 + 2 * 192
    head = channels[-1] * 1000 + 1000
    assert sum(p.numel() for p in model.parameters()) == stem + modules + head

    seen = []
    for row in model.stages:
        row.register_forward_hook(lambda _, __, y: seen.append((y.shape[1], *y.shape[2:])))
    model(torch.empty(2, 3, 224, 224, device="meta"))
    assert seen == [(c, side, side) for c, side in zip(channels, SIDES, strict=True)]
    assert (channels == [row[0] for row in TABLE.values()]) == outputs_hold


def test_inception_v2_averages_before_each_1x1_but_the_last():
    pools = [type(row.branches[3][0]) for row in inception_v2_on_meta() if len(row.branches) == 4]
    assert pools == [nn.AvgPool2d] * 7 + [MaxPool2d]


def inception_v2_on_meta() -> list[Branches]:
    with torch.device("meta"):
        return list(inception_v2((3, 224, 224), 1000).stages)


@pytest.mark.parametrize(("side", "greatest"), [(6, [2.0, 4.0, 5.0]), (5, [1.0, 3.0, 4.0])])
def test_the_halving_pool_pads_an_even_side_at_its_end_alone(side: int, greatest: list[float]):
    ramp = torch.arange(float(side)).expand(1, 1, side, side)
    assert HalvingPool()(ramp)[0, 0, 0].tolist() == greatest
    assert HalvingPool()(ramp.mT)[0, 0, :, 0].tolist() == greatest


@pytest.mark.parametrize(("build", "left"), [(inception_v2, 8), (xception, 2)])
def test_the_small_form_of_a_32_pixel_image_leaves_more_than_a_pixel(build, left: int):
    with torch.device("meta"):
        model, seen = build((1, 32, 32), 10, small=True), []
    model.head.register_forward_pre_hook(lambda _, x: seen.append(tuple(x[0].shape[2:])))
    model(torch.empty(2, 1, 32, 32, device="meta"))
    assert seen == [(left, left)]


@pytest.mark.parametrize("build", [inception_v3, inception_v4, inception_resnet_v2])
def test_75_pixels_are_the_least_that_leave_one(build):
    with torch.device("meta"):
        model, seen = build((3, 75, 75), 10), []
        model.head.register_forward_pre_hook(lambda _, x: seen.append(tuple(x[0].shape[2:])))
        model.eval()(torch.empty(1, 3, 75, 75))
        with pytest.raises(RuntimeError):
            model(torch.empty(1, 3, 74, 74))
    assert seen == [(1, 1)]


NAMES = ["inception_v2", "inception_v3", "inception_v4", "inception_resnet_v2", "xception"]


@pytest.mark.parametrize("name", NAMES)
def test_what_no_inception_can_read_or_score_is_named(name: str):
    with pytest.raises(BadArgumentError) as caught:
        assay.build(name, inputs=(8, 75), outputs=10)
    assert str(caught.value) == (
        f"{name} reads images (C, H, W). Received inputs=(8, 75); choose another entry: "
        "`assay list` shows all."
    )
    with pytest.raises(BadArgumentError) as caught:
        assay.build(name, inputs=(0, 75, 75), outputs=10)
    assert str(caught.value) == (
        "`inputs` must be the shape of one example: (F,), (T, F) or (C, H, W), each at least 1. "
        "Received inputs=(0, 75, 75); leave out the batch."
    )
    with pytest.raises(BadArgumentError) as caught:
        assay.build(name, outputs=0)
    assert str(caught.value) == (
        "`outputs` must be a whole number of at least 1. Received outputs=0; "
        "give the number of classes, or 1 for regression."
    )


@pytest.mark.parametrize("name", NAMES[1:4])
def test_an_image_too_small_for_the_strides_is_enlarged_to_the_least(name: str):
    with torch.device("meta"):
        model = assay.build(name, inputs=(1, 28, 90), outputs=10)
        enlarge = model[0]
    assert enlarge.size == (75, 90)
