"""A photograph from a file, an array or a Pillow image to the pixels that the encoder sees."""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fastrecon_jax import files
from fastrecon_jax.data import geometry, images
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.errors import InputError


@runtime_checkable
class SupportsArray(Protocol):
    """What NumPy turns into an array: NumPy's own, and those of JAX, PyTorch and others."""

    def __array__(self, *arguments: Any, **options: Any) -> np.ndarray: ...


Source: TypeAlias = str | os.PathLike | Image.Image | SupportsArray


class Photo(NamedTuple):
    """A photograph, preprocessed.

    Attributes:
        name: its path, or what the caller calls it; for people.
        sha256: hash of the preprocessed pixels, in hexadecimal.
        width: width of the photograph itself, in pixels.
        height: its height, in pixels.
        pixels: what the encoder sees, RGB, (crop_size, crop_size, 3).
    """

    name: str
    sha256: str
    width: int
    height: int
    pixels: UInt8[np.ndarray, "H W 3"]


def load(source: Source, preprocessing: Preprocessing, *, name: str = "") -> Photo:
    """Read, decode and preprocess a photograph.

    Args:
        source: a path; an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16 or bool, of NumPy or of
            anything that NumPy can read (JAX, PyTorch); or a Pillow image.
        preprocessing: sides of the resized image and of its centre, in pixels.
        name: what messages and results call it; by default the path, or `image`.

    Returns:
        The photograph.

    Raises:
        InputError: it cannot be read, or it is no image of a kind that is allowed.
    """
    name = name or (str(source) if isinstance(source, str | os.PathLike) else "image")
    return prepare(decode(source, name, preprocessing.max_pixels), preprocessing, name=name)


def prepare(image: Image.Image, preprocessing: Preprocessing, *, name: str) -> Photo:
    """Preprocess a photograph that is decoded, see `decode`."""
    pixels = geometry.preprocess(image, preprocessing)
    return Photo(name, hashlib.sha256(pixels.tobytes()).hexdigest(), *image.size, pixels)


def decode(source: Source, name: str, max_pixels: int = images.MAX_PIXELS) -> Image.Image:
    """A photograph as a Pillow image of mode RGB; InputError names it where it cannot be used, see `load`."""
    if isinstance(source, str | os.PathLike):
        return images.decode(_read(source, name), name, max_pixels=max_pixels)
    if isinstance(source, Image.Image):
        return images.convert(source, name)
    if isinstance(source, SupportsArray):
        return images.convert(_from_array(_as_numpy(source, name), name), name)
    raise InputError(
        f"{name} is a {type(source).__name__}: allowed are paths, arrays of NumPy, JAX or PyTorch, and Pillow images"
    )


def _read(path: str | os.PathLike, name: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {files.reason(error)}") from None
    except ValueError as error:  # a zero byte in the name
        raise InputError(f"{name} cannot be read: {error}") from None


def _as_numpy(array: SupportsArray, name: str) -> np.ndarray:
    try:
        return np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # such as a PyTorch tensor on a GPU
        raise InputError(f"{name} cannot be read as a NumPy array: {error}") from None


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 1)
    if not (grey or (array.ndim == 3 and array.shape[-1] in (3, 4))) or not array.size:
        raise InputError(f"{name} has the shape {array.shape}: allowed are (H, W), (H, W, 1), (H, W, 3) and (H, W, 4)")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        array = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 = 257 * 255, rounded to nearest
    if array.dtype != np.uint8:
        raise InputError(f"{name} holds {array.dtype}: allowed are uint8 (0 to 255), uint16 (0 to 65535) and bool")
    return Image.fromarray(array.squeeze(-1) if grey and array.ndim == 3 else array)
