"""Photographs from files, folders, patterns, arrays or Pillow's images to what the encoder sees."""

import functools
import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fastrecon_jax import files
from fastrecon_jax.data import images
from fastrecon_jax.data.images import Preprocessing
from fastrecon_jax.data.prefetch import prefetch
from fastrecon_jax.errors import InputError

Source: TypeAlias = str | os.PathLike | np.ndarray | Image.Image


class Photo(NamedTuple):
    """A photograph, preprocessed.

    Attributes:
        name: for people: the path, or `image N`.
        sha256: of the preprocessed pixels, in hexadecimal.
        width: of the photograph, in pixels.
        height: likewise.
        pixels: what the encoder sees, RGB, (crop_size, crop_size, 3).
    """

    name: str
    sha256: str
    width: int
    height: int
    pixels: UInt8[np.ndarray, "H W 3"]


def find(patterns: str, flag: str = "images") -> list[Path]:
    """The files that a user means.

    Args:
        patterns: a path, a pattern such as `parts/*.png`, or a folder, whose images are meant; several with commas.
        flag: that they come from, for messages.

    Returns:
        Paths, sorted within each pattern, each once.

    Raises:
        InputError: one of them matches nothing, or a name is not UTF-8.
    """
    parts = [patterns] if files.exists(files.expanded(patterns)) else patterns.split(",")
    found = [path for part in parts for path in _matches(part, flag)]
    for path in found:
        files.text(path)
    return list(dict.fromkeys(found))


def _matches(pattern: str, flag: str) -> list[Path]:
    if not pattern.strip():
        raise InputError(f"--{flag}={pattern} names no image: pass a file, a folder, or a pattern such as 'good/*.png'")
    path = files.expanded(pattern)
    if files.is_dir(path):
        return _not_empty([child for child in files.children(path) if is_image(child)], pattern, flag)
    if files.exists(path):
        return [path]
    matched = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207 (it may be absolute)
    return _not_empty([path for path in matched if not files.is_dir(path)], pattern, flag)


def _not_empty(found: list[Path], pattern: str, flag: str) -> list[Path]:
    if not found:
        allowed = ", ".join(images.ENDINGS)
        raise InputError(f"--{flag}={pattern} matches no image: allowed are files that end in {allowed}")
    return found


def is_image(path: Path) -> bool:
    """Whether a name is that of an image, by its ending.

    Args:
        path: of a file.

    Returns:
        True if it is; hidden files are not.
    """
    return path.suffix.lower() in images.ENDINGS and not path.name.startswith(".")


def shown(path: Path) -> str:
    """A path as rows of results hold it.

    Args:
        path: of an image.

    Returns:
        Its text; bytes that are not UTF-8 as backslashes and numbers.
    """
    try:
        return files.text(path)
    except InputError:
        return os.fsencode(path).decode(errors="backslashreplace")


def load(source: Source, preprocessing: Preprocessing, *, name: str = "") -> Photo:
    """Read, decode and preprocess a photograph.

    Args:
        source: a path; an array (H, W), (H, W, 3) or (H, W, 4) of 8 or 16 bits; or an image of Pillow.
        preprocessing: sizes.
        name: for people; the path by default.

    Returns:
        The photograph.

    Raises:
        InputError: it cannot be read, or it is no image of a kind that is allowed.
    """
    name = name or _name(source)
    return prepare(decode(source, name, preprocessing.max_pixels), preprocessing, name=name)


def prepare(image: Image.Image, preprocessing: Preprocessing, *, name: str) -> Photo:
    """Preprocess a decoded photograph.

    Args:
        image: from `decode`.
        preprocessing: sizes.
        name: for people.

    Returns:
        The photograph.
    """
    pixels = images.preprocess(image, preprocessing)
    return Photo(name, hashlib.sha256(pixels.tobytes()).hexdigest(), *image.size, pixels)


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else "image"


def decode(source: Source, name: str, max_pixels: int = images.MAX_PIXELS) -> Image.Image:
    """Read and decode a photograph.

    Args:
        source: as `load` takes it.
        name: for people.
        max_pixels: width times height up to which it is decoded.

    Returns:
        A Pillow image of mode RGB.

    Raises:
        InputError: it cannot be read, or it is no image of a kind that is allowed.
    """
    if isinstance(source, str | os.PathLike):
        try:
            data = Path(source).read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        return images.decode(data, name, max_pixels=max_pixels)
    if isinstance(source, np.ndarray):
        source = _of_array(source, name)
    if not isinstance(source, Image.Image):
        raise InputError(f"{name} is a {type(source).__name__}: allowed are paths, NumPy arrays and Pillow's images")
    return images.convert(source, name)


def _of_array(array: np.ndarray, name: str) -> Image.Image:
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 1)
    if not (grey or (array.ndim == 3 and array.shape[-1] in (3, 4))) or not array.size:
        raise InputError(f"{name} has the shape {array.shape}: allowed are (H, W), (H, W, 1), (H, W, 3) and (H, W, 4)")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype == np.uint16:
        array = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(f"{name} holds {array.dtype}: allowed are uint8 (0 to 255), uint16 (0 to 65535) and bool")
    return Image.fromarray(array.squeeze(-1) if grey and array.ndim == 3 else array)


def stream(
    paths: Sequence[Path], preprocessing: Preprocessing, *, ahead: int = 16
) -> Iterator[tuple[Path, Photo | InputError]]:
    """Photographs in order, decoded by threads ahead of their use.

    Args:
        paths: of the files.
        preprocessing: sizes.
        ahead: photographs that are kept ready.

    Yields:
        Each path with its photograph, or with the reason why there is none.
    """
    read = functools.partial(_read, preprocessing=preprocessing)
    yield from prefetch(read, paths, buffer_size=ahead)


def _read(path: Path, *, preprocessing: Preprocessing) -> tuple[Path, Photo | InputError]:
    try:
        return path, load(path, preprocessing)
    except InputError as error:
        return path, error
