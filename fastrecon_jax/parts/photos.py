"""A photograph from a file, an array or a Pillow image to the pixels that the encoder sees."""

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

from fastrecon_jax import files
from fastrecon_jax.data import bit_depth, geometry, images
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.images import Decoded
from fastrecon_jax.data.prefetch import prefetch
from fastrecon_jax.errors import InputError


@runtime_checkable
class SupportsArray(Protocol):
    """What NumPy turns into an array: NumPy's own, and those of JAX, PyTorch and others."""

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray: ...


Source: TypeAlias = str | os.PathLike | Image.Image | SupportsArray


_AHEAD = 16  # photographs whose bit depth is looked at in advance


class Photo(NamedTuple):
    """A photograph, preprocessed.

    Attributes:
        name: its path, or what the caller calls it; for people.
        sha256: hash of the preprocessed pixels, in hexadecimal.
        width: width of the photograph itself, in pixels.
        height: its height, in pixels.
        pixels: what the encoder sees, RGB, (H, W, 3).
        notes: what is odd about it, each `KIND: text`, see `images.Decoded`.
    """

    name: str
    sha256: str
    width: int
    height: int
    pixels: UInt8[np.ndarray, "H W 3"]
    notes: tuple[str, ...] = ()


def load(source: Source, preprocessing: Preprocessing, *, name: str = "") -> Photo:
    """Read, decode and preprocess a photograph.

    Args:
        source: a path; an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16 or bool, of NumPy or of
            anything that NumPy can read (JAX, PyTorch); or a Pillow image.
        preprocessing: which part of it is resized, and to what, and bits of the values that are filled.
        name: what messages and results call it; by default the path, or `image`.

    Returns:
        The photograph.

    Raises:
        InputError: it cannot be read, or it is no image of a kind that is allowed.
    """
    name = name or (str(source) if isinstance(source, str | os.PathLike) else "image")
    decoded = read(source, name, preprocessing.max_pixels, preprocessing.bit_depth)
    return prepare(decoded.image, preprocessing, name=name, notes=decoded.notes)


def prepare(image: Image.Image, preprocessing: Preprocessing, *, name: str, notes: tuple[str, ...] = ()) -> Photo:
    """Preprocess a photograph that is decoded, see `decode`."""
    pixels = geometry.preprocess(image, preprocessing)
    return Photo(name, hashlib.sha256(pixels.tobytes()).hexdigest(), *image.size, pixels, notes)


def decode(
    source: Source, name: str, max_pixels: int = images.MAX_PIXELS, depth: int = bit_depth.CONTAINER
) -> Image.Image:
    """A photograph as a Pillow image of mode RGB; InputError names it where it cannot be used, see `load`."""
    return read(source, name, max_pixels, depth).image


def read(source: Source, name: str, max_pixels: int = images.MAX_PIXELS, depth: int = bit_depth.CONTAINER) -> Decoded:
    """The same with what is odd about it; of values with more than 8 bits `depth` bits are filled."""
    if isinstance(source, str | os.PathLike):
        return images.read(_read(source, name), name, max_pixels=max_pixels, depth=depth)
    if isinstance(source, Image.Image):
        return images.convert(source, name, depth=depth)
    if isinstance(source, SupportsArray):
        array = _checked(_as_numpy(source, name), name)
        if array.dtype == np.uint16:
            return images.from_values(array, depth)
        return images.convert(Image.fromarray(array), name)
    raise _refusal(source, name)


def find_bit_depth(sources: Iterable[Source], wanted: str | int, max_pixels: int = images.MAX_PIXELS) -> int:
    """The bit depth that `--bit_depth` means for good photographs: a number, or `auto` for what holds all of them.

    A photograph that cannot be used does not count here: it is named when it is decoded.
    """
    if str(wanted) not in bit_depth.CHOICES:
        raise InputError(f"bit_depth={wanted} is not allowed: allowed are {', '.join(bit_depth.CHOICES)}")
    if str(wanted) != bit_depth.AUTO:
        return int(wanted)
    return bit_depth.choose(prefetch(functools.partial(_peak, max_pixels=max_pixels), sources, buffer_size=_AHEAD))


def _peak(source: Source, *, max_pixels: int) -> int | None:
    """The largest value of a photograph with more than 8 bits; None for others."""
    try:
        if isinstance(source, str | os.PathLike):
            name, place = str(source), files.at(source)
            data = place if isinstance(place, Path) else _read(source, name)  # of a file here the head is enough
            return images.peak(data, name, max_pixels=max_pixels)
        if isinstance(source, Image.Image):
            return images.peak_of(source, "image")
        if isinstance(source, SupportsArray):
            array = _checked(_as_numpy(source, "image"), "image")
            return int(array.max()) if array.dtype == np.uint16 else None
    except InputError:
        pass
    return None


def _refusal(source: Any, name: str) -> InputError:
    return InputError(
        f"{name} is a {type(source).__name__}: allowed are paths, arrays of NumPy, JAX or PyTorch, and Pillow images"
    )


def _read(path: str | os.PathLike, name: str) -> bytes:
    try:
        return files.at(path).read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {files.reason(error)}") from None
    except ValueError as error:  # a zero byte in the name
        raise InputError(f"{name} cannot be read: {error}") from None


def _as_numpy(array: SupportsArray, name: str) -> np.ndarray:
    try:
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # such as a PyTorch tensor on a GPU
        raise InputError(f"{name} cannot be read as a NumPy array: {error}") from None


def _checked(array: np.ndarray, name: str) -> UInt8[np.ndarray, "..."] | UInt16[np.ndarray, "..."]:
    """Grey (H, W) or colour (H, W, 3), without alpha where there are 16 bits."""
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 1)
    if not (grey or (array.ndim == 3 and array.shape[-1] in (3, 4))) or not array.size:
        raise InputError(f"{name} has the shape {array.shape}: allowed are (H, W), (H, W, 1), (H, W, 3) and (H, W, 4)")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype == np.uint16 and not grey:
        array = array[..., :3]
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{name} holds {array.dtype}: allowed are uint8 (0 to 255), uint16 (0 to 65535) and bool")
    return array.squeeze(-1) if grey and array.ndim == 3 else array
