"""Published weights and one's own: found, opened safely, fitted by name, refused in clear words."""

import hashlib
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import assay
from assay.canon.catalog import catalog
from assay.errors import (
    AssayError,
    BadArgumentError,
    DataError,
    MissingExtraError,
    MissingPathError,
)
from assay.models import convert, published, weight_files, weights
from assay.models.build import build
from assay.models.foreign import build_any
from assay.models.preprocessing import Preprocessing

OUTPUTS = 1000


def unsettled(network: nn.Module) -> nn.Module:
    """Return the network in evaluation, with no value at the 0 or 1 it starts from."""
    torch.manual_seed(0)
    for value in network.parameters():
        if value.min() == value.max():
            nn.init.normal_(value, mean=value.flatten()[0].item(), std=0.1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(8, 3, 64, 64))  # fills the statistics of normalisations
    return network.eval()


@pytest.fixture
def published_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a network's weights where torch keeps what it downloads, and let the name say so."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path / "hub"))
    known = published.publication

    def plant(network: nn.Module, save: Callable = save_file) -> Path:
        home = tmp_path / "hub" / "checkpoints"
        home.mkdir(parents=True)
        save(network.state_dict(), home / "new")
        digest = hashlib.sha256((home / "new").read_bytes()).hexdigest()
        file = (home / "new").rename(home / f"net-{digest[:8]}.pth")
        address = f"http://127.0.0.1:9/{file.name}"
        monkeypatch.setattr(
            weights, "publication", lambda *asked: replace(known(*asked), address=address)
        )
        return file

    yield plant
    torch.hub.set_dir(before)


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def same_answers(ours: nn.Module, theirs: nn.Module, transforms: Callable) -> float:
    """Return how far two networks are on photos that each side prepares by itself."""
    torch.manual_seed(1)
    coarse = torch.rand(2, 3, 9, 8) * 255
    photos = nn.functional.interpolate(coarse, (300, 264), mode="bicubic").clamp(0, 255).byte()
    with torch.inference_mode():
        expected = theirs(transforms(photos))
        answers = ours.eval()(ours.pretrained.preprocessing(photos))
    assert difference(expected[:1], expected[1:]) > 1e-3  # else nothing is proved
    return difference(answers, expected)


def test_torchvisions_file_and_preprocessing_give_torchvisions_answers(published_at):
    models = pytest.importorskip("torchvision").models
    theirs = unsettled(models.shufflenet_v2_x0_5())
    file = published_at(theirs, save=torch.save)
    ours = assay.build("shufflenet_v2_x0_5", weights="torchvision")
    transforms = models.ShuffleNet_V2_X0_5_Weights.DEFAULT.transforms()
    assert same_answers(ours, theirs, transforms) < 1e-5
    told = ours.pretrained
    assert (told.source, told.fresh, told.unused) == ("torchvision", (), ())
    assert told.file.name == f"{hashlib.sha256(file.read_bytes()).hexdigest()}.safetensors"
    assert told.sha256 == hashlib.sha256(told.file.read_bytes()).hexdigest()


def test_what_torchvision_does_inside_googlenet_is_part_of_the_preprocessing(published_at):
    models = pytest.importorskip("torchvision").models
    theirs = models.googlenet(init_weights=False, transform_input=True)
    published_at(unsettled(theirs))
    ours = assay.build("googlenet_tv", weights="torchvision")
    assert same_answers(ours, theirs, models.GoogLeNet_Weights.DEFAULT.transforms()) < 1e-4
    assert {name.partition(".")[0] for name in ours.pretrained.unused} == {"aux1", "aux2"}


@pytest.fixture
def on_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a network's weights where the hub's client keeps what it downloads."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", tmp_path)

    def plant(repository: str, network: nn.Module, config: dict | None = None) -> None:
        home = tmp_path / f"models--{repository.replace('/', '--')}"
        (home / "refs").mkdir(parents=True)
        (home / "refs/main").write_text("one")
        (home / "snapshots/one").mkdir(parents=True)
        save_file(network.state_dict(), home / "snapshots/one/model.safetensors")
        if config:
            (home / "snapshots/one/config.json").write_text(json.dumps(config))

    return plant


def test_timms_file_and_preprocessing_give_timms_answers(on_hub):
    timm = pytest.importorskip("timm")
    theirs = unsettled(timm.create_model("mobilenetv1_100"))
    on_hub(theirs.pretrained_cfg["hf_hub_id"], theirs)
    ours = assay.build("mobilenet_v1", weights="timm")
    config = timm.data.resolve_data_config({}, model=theirs)
    resize, crop, _, standardise = timm.data.create_transform(**config).transforms
    prepare = lambda photos: standardise(crop(resize(photos)).float() / 255)  # noqa: E731
    assert same_answers(ours, theirs, prepare) < 1e-5


def test_a_repository_of_the_hub_says_how_its_images_were_prepared(on_hub):
    timm = pytest.importorskip("timm")
    theirs = unsettled(timm.create_model("mobilenetv1_100"))
    config = {**theirs.pretrained_cfg, "mean": [0.1, 0.2, 0.3], "crop_pct": 1.0}
    on_hub("someone/net", theirs, {"pretrained_cfg": config})
    ours = assay.build("mobilenet_v1", weights="hf:someone/net")
    assert ours.pretrained.preprocessing == Preprocessing(
        mean=(0.1, 0.2, 0.3), std=(0.5,) * 3, size=(224, 224), resize=224, interpolation="bicubic"
    )


@pytest.mark.parametrize("name", ["xception", "swin_t", "googlenet_tv"])
def test_each_weight_has_the_shape_of_the_one_it_is_called_in_the_reference(name: str):
    card, variant = catalog().entry(name)
    pytest.importorskip(variant.reference.partition(":")[0])
    names = published.names_in_reference(card, variant)
    with torch.device("meta"):
        ours = build(name).state_dict()
        theirs = build_any(variant.reference, card.native(variant), variant.outputs).state_dict()
    assert [ours[own].shape for own in names] == [theirs[other].shape for other in names.values()]
    learned = [own for own, value in ours.items() if value.is_floating_point()]
    assert list(names) == learned
    assert len(set(names.values())) == len(learned)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("denselayer1.norm.2.weight", "denselayer1.norm2.weight"),
        ("features.denseblock4.denselayer16.conv.1.weight", None),
    ],
)
def test_names_that_torchvision_has_given_up_are_known(name: str, theirs: str | None):
    expected = theirs or "features.denseblock4.denselayer16.conv1.weight"
    assert list(published.today({name: torch.zeros(1)})) == [expected]


@pytest.fixture(scope="module")
def squeezed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """Return a file under torchvision's names, and the network that it is of."""
    models = pytest.importorskip("torchvision").models
    theirs = unsettled(models.squeezenet1_1())
    file = tmp_path_factory.mktemp("squeezed") / "squeezed.safetensors"
    save_file(theirs.state_dict(), file)
    return file, theirs


def test_a_head_for_other_classes_stays_random_and_is_named(squeezed):
    file, theirs = squeezed
    ours = assay.build("squeezenet1_1", outputs=7, weights=file)
    assert len(ours.pretrained.fresh) == 2
    state = ours.state_dict()
    heads = [tuple(state[name].shape) for name in ours.pretrained.fresh]
    assert heads == [(7, 512, 1, 1), (7,)]
    body = [v for k, v in state.items() if k not in ours.pretrained.fresh]
    assert all(map(torch.equal, body, list(theirs.state_dict().values())))


def test_a_grey_image_is_read_as_if_it_were_shown_in_three_colours(squeezed):
    file, theirs = squeezed
    ours = assay.build("squeezenet1_1", inputs=(1, 96, 96), weights=file).eval()
    torch.manual_seed(0)
    grey = torch.randn(2, 1, 96, 96)
    with torch.inference_mode():
        assert difference(ours(grey), theirs(grey.expand(-1, 3, -1, -1))) < 1e-5


def test_more_channels_get_the_three_in_turn_as_in_timm(squeezed):
    adapt = pytest.importorskip("timm").models.adapt_input_conv
    file, theirs = squeezed
    ours = assay.build("squeezenet1_1", inputs=(5, 96, 96), weights=file)
    first = next(iter(theirs.state_dict().values()))
    assert torch.allclose(next(iter(ours.state_dict().values())), adapt(5, first.clone()))


def test_a_small_image_is_enlarged_for_weights_of_large_ones(published_at):
    models = pytest.importorskip("torchvision").models
    theirs = unsettled(models.shufflenet_v2_x0_5())
    published_at(theirs)
    ours = assay.build("shufflenet_v2_x0_5", inputs=(3, 20, 24), weights="torchvision").eval()
    image = torch.randn(2, 3, 20, 24)
    large = nn.functional.interpolate(image, (64, 64), mode="bilinear")
    with torch.inference_mode():
        assert difference(ours(image), theirs(large)) < 1e-5
    assert ours.pretrained.preprocessing.size == (20, 24)


def test_weights_with_positions_keep_their_native_size():
    card, variant = catalog().entry("vit_tiny")
    assert weights.full_size(card, variant, (3, 96, 72)).inputs == (3, 224, 224)
    assert weights.full_size(card, variant, (3, 224, 224)) is None
    card, variant = catalog().entry("resnet18")
    assert weights.full_size(card, variant, (3, 96, 72)) is None
    assert weights.full_size(card, variant, (3, 30, 72)).inputs == (3, 64, 72)


def test_the_slope_of_timms_darknet_comes_with_its_weights():
    timm = pytest.importorskip("timm")
    _, variant = catalog().entry("darknet53")
    with torch.device("meta"):
        ours, theirs = build("darknet53"), timm.create_model("darknet53")
    weights.follow_reference(variant, ours)
    slopes = [
        {m.negative_slope for m in net.modules() if isinstance(m, nn.LeakyReLU)}
        for net in (ours, theirs)
    ]
    assert slopes[0] == slopes[1]


def test_weights_of_ours_load_by_name_in_any_order(tmp_path: Path):
    first = assay.build("lenet5", inputs=(1, 8, 8), outputs=8)  # behind what enlarges its images
    turned = OrderedDict(reversed(first.state_dict().items()))
    save_file(turned, tmp_path / "ours.safetensors")
    again = assay.build(
        "lenet5", inputs=(1, 8, 8), outputs=8, weights=tmp_path / "ours.safetensors"
    )
    assert again.pretrained.fresh == ()
    assert again.pretrained.preprocessing is None
    for name, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    other = assay.build(
        "lenet5", inputs=(1, 8, 8), outputs=3, weights=tmp_path / "ours.safetensors"
    )
    assert len(other.pretrained.fresh) == 2


def test_weights_of_a_network_on_several_devices_load(squeezed, tmp_path: Path):
    file, theirs = squeezed
    spread = {f"module.{name}": value for name, value in theirs.state_dict().items()}
    save_file(spread, tmp_path / "spread.safetensors")
    ours, alone = (
        assay.build("squeezenet1_1", weights=f) for f in (tmp_path / "spread.safetensors", file)
    )
    assert all(map(torch.equal, ours.state_dict().values(), alone.state_dict().values()))


def test_an_address_is_downloaded_once(squeezed, tmp_path: Path):
    moved = tmp_path / "there.safetensors"
    moved.write_bytes(squeezed[0].read_bytes())
    address = moved.as_uri()
    first = assay.build("squeezenet1_1", weights=address)
    moved.unlink()
    again = assay.build("squeezenet1_1", weights=address)
    assert first.pretrained == again.pretrained
    assert list(first.pretrained.file.parent.glob(".*")) == []


def refusal(name: str, **asked: object) -> tuple[type, str]:
    with pytest.raises(AssayError) as caught:
        assay.build(name, **asked)
    return type(caught.value), str(caught.value)


def test_weights_of_another_variant_are_named_key_by_key(squeezed):
    file, theirs = squeezed
    kind, text = refusal("squeezenet1_0", weights=file)
    assert kind is DataError
    models = pytest.importorskip("torchvision").models
    own, other = models.squeezenet1_0().state_dict(), theirs.state_dict()
    missing = [name for name in own if name not in other]
    unknown = [name for name in load_file(file) if name not in own]
    shapes = [
        f"{name} {tuple(other[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in other and own[name].shape != other[name].shape
    ]
    assert min(map(len, (missing, unknown, shapes))) > 0
    assert max(map(len, (missing, unknown, shapes))) > 10
    assert text == (
        "squeezenet1_0 (inputs=(3, 224, 224), outputs=1000) reads weights of its own names and "
        f"shapes, or torchvision:squeezenet1_0's. {str(file)!r} does not fit: "
        f"{told('missing', missing)}; {told('not its own', unknown)}; "
        f"{told('of another shape', shapes)}; it fits squeezenet1_1, build that."
    )


def told(what: str, names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{what} {len(names)}: {', '.join(names[:10])}{more}"


def test_what_lacks_one_key_of_ours_says_which(tmp_path: Path):
    state = assay.build("lenet5").state_dict()
    name, _ = state.popitem()
    save_file(state, tmp_path / "short.safetensors")
    assert refusal("lenet5", weights=tmp_path / "short.safetensors") == (
        DataError,
        "lenet5 (inputs=(1, 32, 32), outputs=10) reads weights of its own names and shapes. "
        f"{str(tmp_path / 'short.safetensors')!r} does not fit: missing 1: {name}; "
        "give a file of this network.",
    )


class Code:
    def __reduce__(self):
        return (os.system, ("touch /nowhere",))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>not here</html>", "is a web page"),
        (b"\n <html>", "is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "is a pointer of Git LFS, not the file itself",
        ),
        (b"12345678901234567890", "is neither, it begins with b'12345678'"),
    ],
)
def test_a_file_that_is_no_weights_says_what_it_is(tmp_path: Path, content: bytes, says: str):
    file = tmp_path / "net.pth"
    file.write_bytes(content)
    assert refusal("lenet5", weights=file) == (
        DataError,
        "lenet5 (inputs=(1, 32, 32), outputs=10): Weights are a safetensors or .pth file. "
        f"{str(file)!r} {says}; download it again, or name another file.",
    )


def test_a_safetensors_file_that_is_cut_short_is_refused(squeezed, tmp_path: Path):
    file = tmp_path / "cut.safetensors"
    file.write_bytes(squeezed[0].read_bytes()[:-1000])
    kind, text = refusal("squeezenet1_1", weights=file)
    assert kind is DataError
    assert text.startswith(
        "squeezenet1_1 (inputs=(3, 224, 224), outputs=1000): Weights are a whole safetensors file. "
        f"{str(file)!r} is cut short or damaged ("
    )
    assert text.endswith("); download it again.")


def test_a_pth_file_that_asks_for_more_than_its_size_explains_is_refused(tmp_path: Path):
    file = tmp_path / "net.pth"
    torch.save({"a": torch.zeros(1).expand(4 * 10**8)}, file)
    before = set(weight_files.cache().glob("*"))
    assert refusal("lenet5", weights=file) == (
        DataError,
        "lenet5 (inputs=(1, 32, 32), outputs=10): Weights are a file of tensors and nothing else. "
        f"{str(file)!r} is refused: it needs more than the 1.0 GiB that a file of its size may "
        "take; get it again, or as safetensors.",
    )
    assert set(weight_files.cache().glob("*")) - before == set()


def test_a_pth_file_that_asks_to_run_code_is_refused(tmp_path: Path, monkeypatch, capsys):
    torch.save({"a": Code()}, tmp_path / "net.pth")
    monkeypatch.setattr(convert, "_limit", lambda *_: None)  # of this process: it goes on
    convert.main(str(tmp_path / "net.pth"), str(tmp_path / "net.safetensors"))
    why = "it asks to run posix.system when opened, which is never done"
    assert json.loads(capsys.readouterr().out) == {"refused": why}
    assert not (tmp_path / "net.safetensors").exists()


def test_a_pth_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "net.pth"
    torch.save({"a": torch.ones(2)}, file)
    kept = weight_files.cache() / f"{weight_files.sha256(file)}.safetensors"
    kept.parent.mkdir(parents=True, exist_ok=True)
    save_file({"a": torch.ones(2)}, kept)
    monkeypatch.setattr(weight_files.subprocess, "run", None)
    assert weight_files.as_safetensors(file) == kept


def test_a_conversion_that_is_stopped_leaves_nothing(tmp_path: Path, monkeypatch):
    file = tmp_path / "net.pth"
    torch.save({"b": torch.ones(2)}, file)
    monkeypatch.setattr(weight_files, "PATIENCE", 0.01)
    before = set(weight_files.cache().glob("*"))
    kind, text = refusal("lenet5", weights=file)
    assert (kind, "went wrong (TimeoutExpired)" in text) == (DataError, True)
    assert set(weight_files.cache().glob("*")) == before


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model"])
def test_weights_are_found_where_training_scripts_put_them(key: str | None):
    tied = torch.arange(6.0)
    inner = {"a": tied[:4], "b": tied[2:]}
    found = convert.tensors_of(inner if key is None else {"epoch": 3, key: inner, "best": 0.5})
    assert {name: value.tolist() for name, value in found.items()} == {
        "a": [0, 1, 2, 3],
        "b": [2, 3, 4, 5],
    }
    assert found["a"].untyped_storage().nbytes() == 16


@pytest.mark.parametrize("held", [[torch.ones(1)], {"epoch": 3}, 7])
def test_a_pth_file_without_weights_says_so(held: object):
    with pytest.raises(ValueError, match=f"^it holds a {type(held).__name__} without tensors$"):
        convert.tensors_of(held)


def test_a_file_that_is_not_there_is_named():
    assert refusal("lenet5", weights="nowhere.pth") == (
        MissingPathError,
        "`weights` must be 'torchvision', 'timm', a file, a folder, an address or hf:REPO. "
        "Received 'nowhere.pth', and there is no such file; correct the path.",
    )


def test_without_a_network_one_sentence_says_what_to_do():
    kind, text = refusal("lenet5", weights="http://127.0.0.1:9/net.pth")
    mark = hashlib.sha256(b"http://127.0.0.1:9/net.pth").hexdigest()[:16]
    file = weight_files.cache() / "downloads" / f"{mark}-net.pth"
    assert (kind, text) == (
        MissingPathError,
        f"{mark}-net.pth is not on this machine and could not be downloaded from "
        "http://127.0.0.1:9/net.pth ([Errno 111] Connection refused); check the address and the "
        f"network, or put the file at {file}.",
    )
    assert list(file.parent.glob(".*")) == []


def test_a_repository_that_cannot_be_reached_says_what_to_do(on_hub, monkeypatch):
    import huggingface_hub

    def fail(*_: str) -> None:
        raise ConnectionError("no route\nat all")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    assert refusal("lenet5", weights="hf:someone/net") == (
        MissingPathError,
        "model.safetensors of hf:someone/net is not on this machine and could not be downloaded "
        "(ConnectionError); check the name and the network, or give a file.",
    )


def test_a_published_file_whose_hash_is_not_in_its_name_is_refused(published_at):
    pytest.importorskip("torchvision")
    file = published_at(nn.Linear(1, 1))
    digest = file.stem.removeprefix("net-")
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\0")
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    assert refusal("resnet18", weights="torchvision") == (
        DataError,
        f"The sha256 of {file.name} must begin with {digest}. {str(file)!r} has {found[:16]}…: "
        "cut short or another file; delete it and fetch it again.",
    )


@pytest.mark.parametrize(
    ("name", "library", "says"),
    [
        (
            "resnet18",
            "timm",
            "`weights` may be 'timm' for an entry whose reference is there. Received resnet18: its "
            "reference is torchvision:resnet18; give 'torchvision'.",
        ),
        (
            "lenet5",
            "torchvision",
            "`weights` may be 'torchvision' for an entry whose reference is there. Received "
            "lenet5: it has none; give a file, or hf:REPO.",
        ),
        (
            "mixer_s16",
            "timm",
            "`weights` must be published to be loaded. Received 'timm' for mixer_s16, and timm has "
            "none for mixer_s16_224; give a file, or hf:REPO.",
        ),
        (
            "resnet18-without-shortcut",
            "torchvision",
            "`weights` are of a whole network. Received weights='torchvision' for "
            "resnet18-without-shortcut; leave one of the two out.",
        ),
    ],
)
def test_a_library_without_such_weights_says_which_has_them(name: str, library: str, says: str):
    pytest.importorskip(library)
    assert refusal(name, weights=library) == (BadArgumentError, says)


def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert refusal("resnet18", weights="torchvision") == (
        MissingExtraError,
        "Weights of torchvision need torchvision, which is not installed: "
        "pip install 'assay[torchvision]'.",
    )


@pytest.mark.parametrize("images", [torch.zeros(3, 8, 8), torch.zeros(1, 8, 8).byte()])
def test_preprocessing_refuses_what_it_cannot_prepare(images: torch.Tensor):
    prepare = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3, size=(8, 8), resize=8)
    with pytest.raises(BadArgumentError) as caught:
        prepare(images)
    assert str(caught.value) == (
        f"Preprocessing reads uint8 images (..., 3, H, W). Received {images.dtype} of shape "
        f"{tuple(images.shape)}; give pixels as stored."
    )


@pytest.mark.parametrize("shape", [(3, 300, 200), (3, 200, 300), (3, 64, 64), (3, 256, 256)])
def test_preprocessing_is_torchvisions_bit_for_bit(shape: tuple[int, ...]):
    pytest.importorskip("torchvision")
    from torchvision.transforms._presets import ImageClassification

    torch.manual_seed(0)
    image = torch.randint(0, 256, shape, dtype=torch.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    theirs = ImageClassification(crop_size=96, resize_size=112, mean=mean, std=std)
    ours = Preprocessing(mean=mean, std=std, size=(96, 96), resize=112)
    assert torch.equal(ours(image), theirs(image))
    assert torch.equal(ours(torch.stack([image] * 2))[1], theirs(image))


def test_preprocessing_of_an_oblong_shape_covers_it_and_averages_for_grey():
    prepare = Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.2, 0.3, 0.4), size=(80, 80), resize=100)
    oblong = prepare.of_shape((1, 40, 60))
    assert (oblong.size, oblong.resize) == ((40, 60), 50)
    assert oblong.mean == pytest.approx((0.2,))
    assert oblong.std == pytest.approx((0.3,))
    image = torch.randint(0, 256, (2, 1, 90, 70), dtype=torch.uint8)
    assert oblong(image).shape == (2, 1, 40, 60)
