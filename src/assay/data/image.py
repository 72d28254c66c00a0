"""One image file: opened with limits, decoded, brought to the data set's mode and size."""

from __future__ import annotations

import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from assay.data.names import shown

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
PIXELS = 89_478_485  # more than this in one image is refused, as Pillow warns there
BYTES = 256 * 2**20  # of one file
DECODING = (  # what Pillow's decoders raise on damaged bytes
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ArithmeticError,
    MemoryError,
    NotImplementedError,
    AttributeError,
    struct.error,
    zlib.error,
)
GRAY = ("1", "L", "LA", "I;16", "I;16L", "I;16B", "I")


class UnreadableError(Exception):
    """Why one image cannot be used; gathered into one DataError for the whole folder."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an image file says of itself before it is decoded."""

    size: tuple[int, int]  # height, width, as it is to be seen
    gray: bool
    animated: bool


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings around a pool of threads; the limits are checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def open_image(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file of bearable size; a pipe or device is never opened.

    Raises:
        UnreadableError: It is not regular, empty, too large, or cannot be read.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableError("not a regular file")
        if not facts.st_size:
            raise UnreadableError("0 bytes")
        if facts.st_size > BYTES:
            raise UnreadableError(f"{facts.st_size:,} bytes; the limit is {BYTES:,}")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UnreadableError(error.strerror or "cannot be read") from error


def header(data: BinaryIO) -> Header:
    """Return what the file declares, without decoding its pixels.

    Raises:
        UnreadableError: It is not an image of FORMATS, or declares too many pixels.
    """
    with _opened(data) as image:
        height, width = image.height, image.width
        looked = image.format != "PNG" or "exif" in image.info  # else Pillow decodes it to look
        if looked and image.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # stored on its side
            height, width = width, height
        animated = getattr(image, "n_frames", 1) > 1
        return Header(size=(height, width), gray=image.mode in GRAY, animated=animated)


def decode(data: BinaryIO, *, mode: str, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels as uint8.

    Args:
        data: The file.
        mode: "L" or "RGB".
        size: Height and width.

    Shape:
        -> (C, H, W)

    Raises:
        UnreadableError: It cannot be decoded to its end.
    """
    from PIL import ImageOps

    with _opened(data) as image:
        image.load()
        return pixels(ImageOps.exif_transpose(image), mode=mode, size=size)


def pixels(image: Image, *, mode: str, size: tuple[int, int]) -> np.ndarray:
    """Return a decoded image as uint8 in that mode and size: transparency becomes white.

    Shape:
        -> (C, H, W)
    """
    from PIL.Image import Resampling

    flat = _flat(image).convert(mode)
    height, width = size
    if flat.size != (width, height):
        flat = flat.resize((width, height), Resampling.BILINEAR)
    array = np.asarray(flat)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _flat(image: Image) -> Image:
    """Return the image without transparency, in eight bits a channel."""
    from PIL import Image as Images

    if image.mode.startswith("I;16"):
        return Images.fromarray((np.asarray(image).astype(np.uint16) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise UnreadableError("pixels of 32 bits have no fixed range; save it with 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        whole = image.convert("RGBA")
        white = Images.new("RGBA", whole.size, (255, 255, 255, 255))
        return Images.alpha_composite(white, whole)
    return image


@contextmanager
def _opened(data: BinaryIO) -> Iterator[Image]:
    """Open an image of FORMATS; whatever the decoder raises becomes UnreadableError."""
    from PIL import Image as Images
    from PIL import UnidentifiedImageError

    try:
        with Images.open(data, formats=FORMATS) as image:
            if image.width * image.height > PIXELS:
                raise UnreadableError(
                    f"{image.width:,} x {image.height:,} pixels; the limit is {PIXELS:,}"
                )
            yield image
    except UnidentifiedImageError as error:
        raise UnreadableError(f"not an image of {', '.join(FORMATS)}") from error
    except Images.DecompressionBombError as error:
        raise UnreadableError(f"more pixels than the limit of {PIXELS:,}") from error
    except DECODING as error:
        raise UnreadableError(f"truncated or corrupt: {shown(error, most=80)}") from error
