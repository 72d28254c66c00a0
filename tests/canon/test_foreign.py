"""Networks from elsewhere: built, checked, and refused in one sentence."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch
from torch import nn

from assay.canon.catalog import catalog, code_digest
from assay.errors import AssayError, BadArgumentError, MissingExtraError, MissingPathError
from assay.models import foreign
from assay.models.foreign import build_any, foreign_adaptation, foreign_digest, origin

NETS = '''
import torch
from torch import nn
from neighbour import WIDTH


class Ours(nn.Module):
    """Takes what Assay calls things."""

    def __init__(self, inputs, outputs, depth=1):
        super().__init__()
        size = 1
        for side in inputs:
            size *= side
        self.linear = nn.Linear(size, outputs)

    def forward(self, x):
        return self.linear(x.flatten(1))


class Theirs(nn.Module):
    """Takes what torch calls things."""

    def __init__(self, in_channels=3, *, num_classes=1000):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, WIDTH, 3, padding=1)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.head = nn.LazyLinear(num_classes)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).mean((2, 3)))


class Fixed(nn.Module):
    """Takes nothing."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        return self.linear(x.flatten(1))


class Strict(Fixed):
    def forward(self, x):
        if x.shape[1:] != (1, 8, 8):
            raise ValueError("images must be 8x8")
        return super().forward(x)


class Sequence(Ours):
    def __init__(self, in_channels, outputs):
        super().__init__((in_channels,), outputs)

    def forward(self, x):
        return self.linear(x.mean(1))


class Pair(Ours):
    def forward(self, x):
        return super().forward(x), None


class Needy(nn.Module):
    def __init__(self, inputs, width, heads):
        super().__init__()


class Broken(nn.Module):
    def __init__(self):
        raise ValueError("no weights today.\\nsecond line")


class Greedy(nn.Module):
    def __init__(self):
        raise MemoryError


class Asked(Ours):
    def __init__(self, inputs, outputs, task):
        super().__init__(inputs, outputs)
        self.task = task


def not_a_network():
    return 3


NUMBER = 3
'''


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("WIDTH = 4\n")
    path = tmp_path / "nets.py"
    path.write_text(NETS)
    yield path
    sys.modules.pop("neighbour", None)


def refusal(name: str, inputs: tuple[int, ...] = (1, 8, 8), outputs: int = 10) -> tuple[type, str]:
    with pytest.raises(AssayError) as caught:
        build_any(name, inputs, outputs)
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("name", "where", "local"),
    [
        ("resnet18", "canon", "resnet18"),
        ("timm:resnet10t", "timm", "resnet10t"),
        ("torchvision:vgg11", "torchvision", "vgg11"),
        ("a/net.py:Net", "file", "a/net.py:Net"),
        ("net.py", "file", "net.py"),
        ("timm", "canon", "timm"),
        ("hf:bert", "canon", "hf:bert"),
    ],
)
def test_a_name_says_where_it_comes_from(name: str, where: str, local: str):
    assert origin(name) == (where, local)


def test_a_canon_name_is_built_like_build_does():
    assert build_any("softmax_regression", (13,), 3)(torch.zeros(2, 13)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("Ours", (13,), 3),
        ("Ours", (24, 6), 5),
        ("Theirs", (1, 8, 8), 10),
        ("Fixed", (1, 8, 8), 10),
        ("Sequence", (24, 6), 4),
    ],
)
def test_a_class_in_a_file_is_called_with_what_it_takes(
    nets: Path, name: str, inputs: tuple[int, ...], outputs: int
):
    model = build_any(f"{nets}:{name}", inputs, outputs)
    scores = model(torch.randn(2, *inputs))
    scores.square().sum().backward()  # also when the first forward pass made the weights
    assert scores.shape == (2, outputs)
    assert all(module.training for module in model.modules())


def test_a_file_leaves_nothing_behind(nets: Path):
    before = list(sys.path)
    build_any(f"{nets}:Fixed", (1, 8, 8), 10)
    assert sys.path == before
    assert not [path for path in nets.parent.rglob("*.pyc") if path.stem.startswith("nets")]


def test_an_edited_file_is_read_again(nets: Path):
    build_any(f"{nets}:Fixed", (1, 8, 8), 10)
    nets.write_text(NETS.replace("nn.Linear(64, 10)", "nn.Linear(64, 20)"))
    assert build_any(f"{nets}:Fixed", (1, 8, 8), 20).linear.out_features == 20


def test_a_network_of_a_file_is_told_the_task(nets: Path):
    model = build_any(f"{nets}:Asked", (6, 3), 2, "sequence-classification")
    assert model.task == "sequence-classification"


def test_checking_a_network_leaves_its_statistics_alone(nets: Path):
    model = build_any(f"{nets}:Theirs", (1, 8, 8), 10)
    assert model.norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("name", "inputs", "says"),
    [
        (
            "Strict",
            (1, 28, 28),
            "{}:Strict does not accept the shape. Received inputs=(1, 28, 28), outputs=10; it says "
            "ValueError: images must be 8x8.",
        ),
        (
            "Pair",
            (1, 8, 8),
            "{}:Pair must answer two examples of shape (1, 8, 8) with scores of shape (2, 10). "
            "Received tuple; change its last layer.",
        ),
        (
            "Needy",
            (1, 8, 8),
            "{}:Needy must be callable with no more than inputs, outputs, in_channels, "
            "num_classes, task. It also requires width, heads; give these a default.",
        ),
        (
            "Broken",
            (1, 8, 8),
            "{}:Broken could not be built. Received inputs=(1, 8, 8), outputs=10; it says "
            "ValueError: no weights today.",
        ),
        ("not_a_network", (1, 8, 8), "{}:not_a_network must make a torch.nn.Module. Received int."),
        (
            "NUMBER",
            (1, 8, 8),
            "{} has no class 'NUMBER'. Name one as path/to/file.py:Class.",
        ),
        (
            "Fixd",
            (1, 8, 8),
            "{} has no class 'Fixd'. Did you mean 'Fixed'? Name one as path/to/file.py:Class.",
        ),
    ],
)
def test_a_class_that_cannot_take_part_says_why(
    nets: Path, name: str, inputs: tuple[int, ...], says: str
):
    assert refusal(f"{nets}:{name}", inputs) == (BadArgumentError, says.format(nets))


def test_scores_of_the_wrong_width_are_named(nets: Path):
    assert refusal(f"{nets}:Fixed", outputs=3) == (
        BadArgumentError,
        f"{nets}:Fixed must answer two examples of shape (1, 8, 8) with scores of shape (2, 3). "
        "Received (2, 10); change its last layer.",
    )


def test_running_out_of_memory_is_not_blamed_on_the_shape(nets: Path):
    with pytest.raises(MemoryError):
        build_any(f"{nets}:Greedy", (1, 8, 8), 10)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("class Net(:\n", "SyntaxError: invalid syntax ({}, line 1)"),
        ("import no_such_thing\n", "ModuleNotFoundError: No module named 'no_such_thing'"),
    ],
)
def test_a_file_that_does_not_run_says_why(tmp_path: Path, source: str, says: str):
    path = tmp_path / "bad.py"
    path.write_text(source)
    assert refusal(f"{path}:Net") == (
        BadArgumentError,
        f"{path}:Net could not be built. Received inputs=(1, 8, 8), outputs=10; it says "
        f"{says.format(path.name)}.",
    )


def test_a_missing_file_is_named():
    assert refusal("nowhere/net.py:Net") == (
        MissingPathError,
        "There is no file 'nowhere/net.py'; correct the path of 'nowhere/net.py:Net'.",
    )


@pytest.mark.parametrize("name", ["net.py", "net.py:"])
def test_a_file_without_class_is_named(name: str):
    assert refusal(name) == (
        BadArgumentError,
        f"A file must be followed by its class, path/to/file.py:Class. Received {name!r}.",
    )


def test_a_timm_network_is_built_for_shape_and_classes():
    pytest.importorskip("timm")
    model = build_any("timm:test_resnet", (1, 32, 32), 7)
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_torchvision_network_reads_any_number_of_channels(channels: int):
    models = pytest.importorskip("torchvision").models
    model = build_any("torchvision:mobilenet_v3_small", (channels, 32, 32), 7)
    assert model(torch.zeros(2, channels, 32, 32)).shape == (2, 7)
    theirs = models.mobilenet_v3_small(num_classes=7).state_dict()
    ours = model.state_dict()
    assert list(ours) == list(theirs)
    different = [key for key in ours if ours[key].shape != theirs[key].shape]
    assert different == ([] if channels == 3 else ["features.0.0.weight"])


def test_swapping_the_first_convolution_keeps_everything_but_the_channels():
    network = nn.Sequential(nn.Conv2d(3, 8, (5, 3), 2, (2, 1), dilation=2, bias=False))
    before = str(network)
    foreign._swap_first_convolution(network, 4)
    assert str(network) == before.replace("Conv2d(3,", "Conv2d(4,")


def test_a_network_without_colour_convolution_cannot_be_swapped():
    with pytest.raises(BadArgumentError) as caught:
        foreign._swap_first_convolution(nn.Sequential(nn.Linear(3, 3)), 1)
    assert str(caught.value) == (
        "This network has no convolution that reads 3 channels, so it cannot be made to read 1; "
        "give colour images or choose another network."
    )


def test_a_torchvision_network_with_side_answers_gives_one_while_training():
    pytest.importorskip("torchvision")
    model = build_any("torchvision:googlenet", (3, 64, 64), 7)
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 7)


@pytest.mark.parametrize(
    ("library", "name", "near"),
    [("timm", "resnet10x", "resnet10t"), ("torchvision", "resnet8l", "resnet18")],
)
def test_an_unknown_name_of_a_library_is_answered_with_the_nearest(
    library: str, name: str, near: str
):
    pytest.importorskip(library)
    kind, text = refusal(f"{library}:{name}", (3, 32, 32))
    assert kind.__name__ == "UnknownNameError"
    assert text.startswith(
        f"Unknown name '{library}:{name}'. Did you mean '{library}:{near}'? "
        f"{library}'s `list_models()` shows all "
    )
    assert text.rpartition(" ")[2].rstrip(".").isdigit()


@pytest.mark.parametrize("name", ["timm:test_resnet", "torchvision:resnet18"])
def test_a_library_network_reads_images_only(name: str):
    assert refusal(name, (24, 6)) == (
        BadArgumentError,
        f"{name} reads images (C, H, W). Received inputs=(24, 6); choose another network.",
    )


def test_an_image_too_small_for_a_library_network_is_refused_in_one_line():
    pytest.importorskip("torchvision")
    kind, text = refusal("torchvision:vgg11", (3, 8, 8))
    assert kind is BadArgumentError
    assert text.startswith(
        "torchvision:vgg11 does not accept the shape. Received inputs=(3, 8, 8), outputs=10; "
        "it says RuntimeError: "
    )
    assert "\n" not in text


@pytest.mark.parametrize("extra", ["timm", "torchvision"])
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    extra: str, monkeypatch: pytest.MonkeyPatch
):
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(foreign.metadata, "version", missing)
    says = f"{extra}:NAME needs {extra}, which is not installed: pip install 'assay[{extra}]'."
    assert refusal(f"{extra}:resnet18", (3, 32, 32)) == (MissingExtraError, says)
    with pytest.raises(MissingExtraError) as caught:
        foreign_digest(f"{extra}:resnet18")
    assert str(caught.value) == says


def test_a_library_built_for_another_torch_is_named(monkeypatch: pytest.MonkeyPatch):
    def fail(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(foreign, "import_module", fail)
    assert refusal("torchvision:resnet18", (3, 32, 32)) == (
        MissingExtraError,
        "torchvision is installed but cannot be imported (RuntimeError); install one that fits "
        "this torch: pip install --upgrade 'assay[torchvision]'.",
    )


def test_a_canon_digest_is_that_of_the_cards_code():
    card = catalog().find("resnet18")[0]
    assert foreign_digest("resnet18") == code_digest(card)


def test_a_files_digest_changes_with_its_bytes_and_its_class_only(nets: Path, tmp_path: Path):
    copy = tmp_path / "copy.py"
    copy.write_bytes(nets.read_bytes())
    before = foreign_digest(f"{nets}:Ours")
    assert foreign_digest(f"{copy}:Ours") == before
    assert foreign_digest(f"{nets}:Theirs") != before
    copy.write_text(NETS + "\n")
    assert foreign_digest(f"{copy}:Ours") != before


def test_a_librarys_digest_changes_with_its_version(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(foreign.metadata, "version", lambda name: "1")
    first = foreign_digest("timm:a")
    assert foreign_digest("timm:b") != first
    monkeypatch.setattr(foreign.metadata, "version", lambda name: "2")
    assert foreign_digest("timm:a") != first


def test_a_swapped_convolution_is_reported_in_both_languages():
    assert foreign_adaptation("torchvision:resnet18", (1, 8, 8)) == {
        "en": "Its first convolution is replaced by one that reads 1 channels, not 3.",
        "zh": "首个卷积层换成读取 1 个通道的卷积，而不是 3 个。",
    }
    assert foreign_adaptation("torchvision:resnet18", (3, 8, 8)) == {}
    assert foreign_adaptation("timm:resnet18", (1, 8, 8)) == {}


def test_digests_and_adaptations_need_no_torch(nets: Path):
    code = (
        "import sys; from assay.models.foreign import foreign_adaptation, foreign_digest\n"
        f"foreign_digest({str(nets) + ':Ours'!r}), foreign_digest('resnet18')\n"
        "foreign_adaptation('torchvision:resnet18', (1, 8, 8)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
