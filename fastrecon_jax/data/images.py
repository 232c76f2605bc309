"""Decoding: encoded bytes to pictures of 8 bits."""

import contextlib
import io
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt16
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from fastrecon_jax.data import bit_depth, deep_colour
from fastrecon_jax.data.picture_files import ENDINGS
from fastrecon_jax.errors import InputError

MAX_PIXELS = 128_000_000  # half a gigabyte of memory for each thread that decodes
# Decoded in memory by Pillow itself and old, much-tested libraries. For others Pillow starts programs, such as
# Ghostscript, or its decoders fail on damaged files in ways of their own (AVIF, QOI, BLP, DDS).
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM")
_WITH_PAGES = ("TIFF", "GIF", "WEBP", "PNG", "MPO")
_OPAQUE = {"RGBA": "RGB", "RGBX": "RGB", "RGBa": "RGB", "PA": "RGB", "LA": "L", "La": "L"}
_LARGE = 64_000_000  # pixels from which Pillow's limit must be set aside; it lies at 89 million
_DARK = 8  # a picture whose largest value is below this part of white uses little of its range
_FEW = 32  # rows and columns of pixels that are looked at first
_UNLIMITED = threading.Lock()
_PILLOW = re.compile(r"PIL\.")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
PAGES, CLIPPED, DARK = "pages", "clipped", "dark"  # the kinds of notes


class Decoded(NamedTuple):
    """A picture, and what is odd about it.

    Attributes:
        image: 8-bit RGB.
        notes: for people, each begins with its kind and a colon: `pages: the first of 3 is looked at`.
    """

    image: Image.Image
    notes: tuple[str, ...] = ()


def read(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, depth: int = bit_depth.CONTAINER) -> Decoded:
    """An 8-bit RGB picture of an encoded PNG, JPEG, BMP, TIFF, WebP, GIF or PPM file, and what is odd about it.

    Grey is repeated, alpha dropped and the EXIF rotation applied; of several pages or frames the first is taken, and
    of values with more than 8 bits `depth` bits. InputError names the file where the bytes are no image, are damaged,
    or hold floating-point pixels, values beyond 16 bits or more than `max_pixels`.
    """
    image = _open(data, name, max_pixels)
    if depth != bit_depth.CONTAINER and deep_colour.holds(image):
        decoded = from_values(_deep_colour(data, name, max_pixels), depth)
    else:
        decoded = _convert(image, name, depth)
    pages = _pages(data, name, max_pixels) if image.format in _WITH_PAGES else 1
    note = (f"{PAGES}: the first of {pages} is looked at",) if pages > 1 else ()
    return decoded._replace(notes=(*note, *decoded.notes))


def decode(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, depth: int = bit_depth.CONTAINER) -> Image.Image:
    """The picture alone; see `read`."""
    return read(data, name, max_pixels=max_pixels, depth=depth).image


def convert(image: Image.Image, name: str, *, depth: int = bit_depth.CONTAINER) -> Decoded:
    """The same for an image that Pillow has opened, which stays as it is."""
    return _convert(image, name, depth)


def peak(source: Path | bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> int | None:
    """The largest value of an image, a file or its bytes, with more than 8 bits; None for others.

    Of these only the head is read. See `read` for what is refused.
    """
    with named(name), source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as opened:
        with _unlimited():
            image = Image.open(opened, formats=_FORMATS)
        if not (image.mode.startswith("I") or deep_colour.holds(image)):
            return None
        opened.seek(0)
        data = opened.read()
    image = _open(data, name, max_pixels)
    return int(_deep_colour(data, name, max_pixels).max()) if deep_colour.holds(image) else peak_of(image, name)


def peak_of(image: Image.Image, name: str) -> int | None:
    """The same of an image that Pillow has opened."""
    return int(values.max()) if (values := _values(image, name)) is not None else None


def from_values(values: UInt16[np.ndarray, "H W"] | UInt16[np.ndarray, "H W 3"], depth: int) -> Decoded:
    """A picture of values with more than 8 bits, of which `depth` are filled; grey is repeated."""
    white = bit_depth.white(depth)
    image = Image.fromarray(bit_depth.to_eight_bits(values, depth)).convert("RGB")
    above = float(np.mean(values > white)) if depth != bit_depth.CONTAINER else 0.0
    share = f"{100 * above:.2g} % of the values are above {white}, the white of {depth} bits, and became white"
    return Decoded(image, ((f"{CLIPPED}: {share}",) if above else ()) + _dark(int(values.max()), white))


def size(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Width and height of an encoded image after its EXIF rotation, in pixels; see `read` for what is refused."""
    image = _open(data, name, max_pixels)
    with named(name):
        if image.format == "PNG" and "exif" not in image.info:
            image.load()  # the block may stand behind the pixels
        width, height = _stored_size(image)
        return (height, width) if _orientation(image) >= 5 else (width, height)


def open_upright(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """An image in the mode of its file, decoded and turned as EXIF says; see `read` for what is refused."""
    return _decoded(_open(data, name, max_pixels), name)


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Before the EXIF rotation, which Pillow applies to the size of a TIFF, and of a TIFF alone."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
    return image.size


def _orientation(image: Image.Image) -> int:
    """The orientation alone: other tags may be damaged, and Pillow's `exif_transpose` would write them anew."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 (whatever the block is, the pixels are not worse for it)
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _open(data: bytes, name: str, max_pixels: int) -> Image.Image:
    """An image whose head is read and whose pixels are not."""
    with named(name), _unlimited():
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    if image.width * image.height > max_pixels:
        raise InputError(
            f"{name} has {image.width}x{image.height} pixels, more than max_pixels={max_pixels}: make it smaller, or "
            "raise max_pixels, at 4 bytes of memory a pixel"
        )
    return image


def _pages(data: bytes, name: str, max_pixels: int) -> int:
    """Number of pages or frames; 1 where what follows the first is so damaged that it cannot be told."""
    with contextlib.suppress(Exception):
        return getattr(_open(data, name, max_pixels), "n_frames", 1)
    return 1


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
    with named(name), _unlimited() if large else contextlib.nullcontext():
        image.load()
        method = _UPRIGHT.get(_orientation(image))
        return image if method is None else image.transpose(method)


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Whatever a decoder raises for the bytes of one image, as one error that names the file."""
    _silence()
    try:
        yield
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(f"{name} is not an image: allowed are files of {', '.join(ENDINGS)}") from None
    except Exception as error:  # noqa: BLE001 (decoders raise what comes to their mind, and the line must go on)
        reason = f"{error}" if isinstance(error, OSError | SyntaxError | ValueError) else repr(error)
        raise InputError(f"{name} cannot be decoded, it is damaged or not supported: {reason}") from None


def _silence() -> None:
    """Keep Pillow's warnings from the terminal; what they mean for the pixels is said in notes and errors."""
    if not any(action == "ignore" and module == _PILLOW for action, _, _, module, _ in warnings.filters):
        warnings.filterwarnings("ignore", module=_PILLOW.pattern)
        logging.getLogger("PIL.TiffImagePlugin").setLevel(logging.CRITICAL)


def _convert(image: Image.Image, name: str, depth: int) -> Decoded:
    if (values := _values(image, name)) is not None:
        return from_values(values, depth)
    with named(name):
        picture = without_alpha(_decoded(image, name)).convert("RGB")
        return Decoded(picture, _too_dark(picture))


def _too_dark(picture: Image.Image) -> tuple[str, ...]:
    """Whether an 8-bit picture is dark: a few of its pixels nearly always show that it is not, else all of them."""
    few = picture.resize((_FEW, _FEW), Image.Resampling.NEAREST)
    return _peak_is_dark(few) and _peak_is_dark(picture)


def _peak_is_dark(picture: Image.Image) -> tuple[str, ...]:
    return _dark(max(high for _, high in picture.getextrema()), 255)


def _values(image: Image.Image, name: str) -> UInt16[np.ndarray, "H W"] | None:
    """The values of an image with 16 bits, which Pillow may widen to 32; None where there are 8."""
    if image.mode == "F":
        raise InputError(f"{name} has floating-point pixels: allowed are 8 and 16 bits a channel")
    if not image.mode.startswith("I"):
        return None
    with named(name):
        values = np.asarray(_decoded(image, name)).astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > bit_depth.white(bit_depth.CONTAINER):
        raise InputError(f"{name} has integers from {low} to {high}: allowed are 0 to 65535, scale it to 16 bits")
    return values.astype(np.uint16)


def _deep_colour(data: bytes, name: str, max_pixels: int) -> UInt16[np.ndarray, "H W"] | UInt16[np.ndarray, "H W 3"]:
    """The values of colour with 16 bits a channel, for which `deep_colour.holds`."""
    upper, lower = _open(data, name, max_pixels), deep_colour.swap(_open(data, name, max_pixels))
    grey = deep_colour.is_grey(upper)
    with named(name):
        return deep_colour.join(*(np.asarray(_decoded(image, name)) for image in (upper, lower)), grey=grey)


def _dark(peak: int, white: int) -> tuple[str, ...]:
    return (f"{DARK}: no value is above {peak} of {white}",) if _DARK * peak <= white else ()


def without_alpha(image: Image.Image) -> Image.Image:
    """An image without its alpha, a palette as the colours that it means."""
    if image.mode == "P":
        image = image.convert("RGBA")  # a palette may hold transparency
    opaque = _OPAQUE.get(image.mode)
    return image.convert(opaque) if opaque else image
