"""Decoding: encoded bytes to 8-bit pictures."""

import contextlib
import io
import threading
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from fastrecon_jax.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 128_000_000  # half a gigabyte of memory for each thread that decodes
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")  # for some of the others Pillow starts programs, such as Ghostscript
_OPAQUE = {"RGBA": "RGB", "PA": "RGB", "LA": "L"}
_LARGE = 64_000_000  # pixels from which Pillow's limit must be set aside; it lies at 89 million
_UNLIMITED = threading.Lock()


def decode(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An 8-bit RGB picture of an encoded PNG, JPEG, BMP or TIFF file.

    Grey is repeated, alpha dropped, 16 bits are scaled and the EXIF rotation is applied. InputError names the file
    where the bytes are no image, are damaged, or hold floating-point pixels or more than `max_pixels`.
    """
    image = _open(data, name, max_pixels)
    return _eight_bits(_decoded(image, name), name).convert("RGB")


def convert(image: Image.Image, name: str) -> Image.Image:
    """The same for an image that Pillow has opened, which stays as it is."""
    return _eight_bits(_decoded(image, name), name).convert("RGB")


def decode_mask(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A mask as an 8-bit grey picture, 255 where any channel of the file but alpha is above zero; see `decode`."""
    image = _open(data, name, max_pixels)
    pixels = np.asarray(_without_alpha(_decoded(image, name)))
    marked = pixels.any(axis=-1) if pixels.ndim == 3 else pixels > 0
    return Image.fromarray(marked.astype(np.uint8) * 255)


def size(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height of an encoded image after its EXIF rotation, in pixels; see `decode` for what is refused."""
    image = _open(data, name, max_pixels)
    width, height = _stored_size(image)
    with _named(name):
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return (height, width) if turned else (width, height)


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Before the EXIF rotation, which Pillow applies to the size of a TIFF, and of a TIFF alone."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
    return image.size


def _open(data: bytes, name: str, max_pixels: int) -> Image.Image:
    """An image whose head is read and whose pixels are not."""
    with _named(name), _unlimited():
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    if image.width * image.height > max_pixels:
        raise InputError(
            f"{name} has {image.width}x{image.height} pixels, more than max_pixels={max_pixels}: make it smaller, or "
            "raise max_pixels, at 4 bytes of memory a pixel"
        )
    return image


@contextlib.contextmanager
def _unlimited() -> Iterator[None]:
    """Pillow's limit is one of the whole process, and up to twice its value only a warning: set aside meanwhile."""
    with _UNLIMITED:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decoded(image: Image.Image, name: str) -> Image.Image:
    large = image.width * image.height > _LARGE  # one at a time, then
    with _named(name), _unlimited() if large else contextlib.nullcontext():
        image.load()
        return ImageOps.exif_transpose(image)


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """What Pillow raises for bytes that it cannot read, as one error that names the file."""
    try:
        yield
    except UnidentifiedImageError:
        raise InputError(f"{name} is not an image: allowed are files of {', '.join(ENDINGS)}") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise InputError(f"{name} cannot be decoded, it is damaged or not supported: {error}") from None


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F":
        raise InputError(f"{name} has floating-point pixels: allowed are 8 and 16 bits a channel")
    if image.mode.startswith("I"):  # 16 bits, which Pillow may widen to 32
        sixteen = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        return Image.fromarray(((sixteen + 128) // 257).astype(np.uint8))
    return _without_alpha(image)


def _without_alpha(image: Image.Image) -> Image.Image:
    if image.mode == "P":
        image = image.convert("RGBA")  # a palette may hold transparency
    opaque = _OPAQUE.get(image.mode)
    return image.convert(opaque) if opaque else image
