"""The two sets that have a name: digits and fashion-mnist."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from assay.data.encode import fit_images
from assay.data.names import Note, shown
from assay.data.prepare import Options, Raw, Source
from assay.data.split import groups_of
from assay.errors import BadArgumentError, DataError, MissingPathError

NAMES = ("digits", "fashion-mnist")
FASHION = {  # file: sha256 of what it unpacks to
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
FASHION_CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
LARGEST = 60_000_000  # bytes that one file may unpack to


def builtin(name: str, options: Options, *, data_dir: Path | None) -> Source:
    """Return the built-in set of that name.

    Raises:
        BadArgumentError: A task or target was named that images do not have.
        MissingPathError: fashion-mnist is not on this machine and cannot be fetched.
    """
    if options.task not in (None, "image-classification") or options.target is not None:
        raise BadArgumentError(
            f"{name!r} is images with classes of its own. Received task={options.task!r}, "
            f"target={options.target!r}; leave both out."
        )
    return _digits() if name == "digits" else _fashion(data_dir)


def _digits() -> Source:
    table = _digits_file()
    return Source(
        name="digits", where="built in", files=(table,), read=lambda _: _read_digits(table)
    )


def _digits_file() -> Path:
    """Return the table inside scikit-learn, found without importing scikit-learn (2 seconds)."""
    spec = find_spec("sklearn")
    home = Path(spec.origin).parent if spec and spec.origin else Path()
    table = home / "datasets/data/digits.csv.gz"
    if not table.is_file():
        raise MissingPathError(
            f"digits comes with scikit-learn. Its table is not at {shown(table)}; "
            "reinstall scikit-learn."
        )
    return table


def _read_digits(table: Path) -> Raw:
    with gzip.open(table) as file:
        text = file.read(LARGEST)
    rows = np.loadtxt(text.decode("ascii").splitlines(), delimiter=",")
    x = np.rint(rows[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return Raw(
        name="digits",
        source="built in",
        task="image-classification",
        y=rows[:, -1].astype(np.int64),
        classes=tuple("0123456789"),
        content=hashlib.sha256(text).hexdigest(),
        groups=groups_of(x),
        fit=lambda train: fit_images(x, train, range=[0, 16]),
        ids=tuple(f"digit {i}" for i in range(len(x))),
    )


def _fashion(data_dir: Path | None) -> Source:
    files = _fashion_files(data_dir)
    where = str(files[0].parent)
    return Source(
        name="fashion-mnist", where=where, files=files, read=lambda _: _read_fashion(files)
    )


def _fashion_files(data_dir: Path | None) -> tuple[Path, ...]:
    for home in _fashion_homes(data_dir):
        for ending in (".gz", ""):
            files = tuple(home / f"{name}{ending}" for name in FASHION)
            if all(file.is_file() for file in files):
                return files
    if data_dir is not None:
        raise MissingPathError(
            f"`data_dir` must hold the four fashion-mnist files, such as "
            f"train-images-idx3-ubyte.gz. Received {shown(data_dir)!r}; name the folder they are "
            "in, or leave it out."
        )
    return _download(_cache())


def _fashion_homes(data_dir: Path | None) -> Iterator[Path]:
    inside = Path("FashionMNIST/raw")  # torchvision's layout
    if data_dir is not None:
        yield from (data_dir, data_dir / inside, data_dir / "fashion-mnist")
        return
    yield DEBIAN
    yield _cache()
    for home in (Path("data"), Path.home() / ".cache", Path.home() / ".cache/torchvision"):
        yield home / inside


def _cache() -> Path:
    home = os.environ.get("ASSAY_CACHE")
    if home:
        return Path(home) / "fashion-mnist"
    general = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(general) / "assay/fashion-mnist"


def _download(home: Path) -> tuple[Path, ...]:
    """Fetch the four files; each is checked before it gets its name."""
    from urllib.request import urlopen

    files = []
    for name, expected in FASHION.items():
        file = home / f"{name}.gz"
        try:
            with urlopen(f"{FASHION_URL}{name}.gz", timeout=20) as answer:
                packed = answer.read(LARGEST)
            home.mkdir(parents=True, exist_ok=True)
            temporary = file.with_suffix(f".{os.getpid()}")
            temporary.write_bytes(packed)
        except OSError as error:
            raise MissingPathError(
                "fashion-mnist is not on this machine and could not be downloaded "
                f"({shown(error)}); install the Debian package dataset-fashion-mnist, or name the "
                "folder that has its files with --data-dir."
            ) from error
        try:
            _unpack(temporary, expected)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
        files.append(file)
    return tuple(files)


def _unpack(file: Path, expected: str) -> bytes:
    """Return the unpacked bytes of one of the four files, verified."""
    try:
        packed = file.read_bytes()
        if packed[:2] == b"\x1f\x8b":
            packed = zlib.decompressobj(wbits=31).decompress(packed, LARGEST)
    except (OSError, zlib.error) as error:
        raise DataError(
            f"{shown(file)} cannot be read: {shown(error)}; delete it and fetch it again."
        ) from error
    found = hashlib.sha256(packed).hexdigest()
    if found != expected:
        raise DataError(
            f"{shown(file)} must be the published file. Its contents have sha256 {found[:16]}… "
            f"where {expected[:16]}… was expected; delete it and fetch it again."
        )
    return packed


def _read_fashion(files: tuple[Path, ...]) -> Raw:
    raw = [_unpack(file, sha) for file, sha in zip(files, FASHION.values(), strict=True)]
    images = [np.frombuffer(raw[i], np.uint8, offset=16).reshape(-1, 1, 28, 28) for i in (0, 2)]
    labels = [np.frombuffer(raw[i], np.uint8, offset=8) for i in (1, 3)]
    x = np.concatenate(images)
    counts = [len(part) for part in labels]
    return Raw(
        name="fashion-mnist",
        source=str(files[0].parent),
        task="image-classification",
        y=np.concatenate(labels).astype(np.int64),
        classes=FASHION_CLASSES,
        content=hashlib.sha256("".join(FASHION.values()).encode()).hexdigest(),
        groups=groups_of(x),
        fit=lambda train: fit_images(x, train),
        given=np.repeat(np.array([0, 2], np.int8), counts),
        ids=tuple(
            f"{p} {i}" for p, n in zip(("train", "test"), counts, strict=True) for i in range(n)
        ),
        notes=(_OFFICIAL,),
    )


_OFFICIAL: Note = {
    "en": "The published test part is kept; validation is carved from the published train part.",
    "zh": "保留官方测试集；验证集从官方训练集中划出。",
}
