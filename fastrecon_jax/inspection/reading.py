"""Photographs on their way through an inspection: read and decoded, by threads, ahead of their use."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fastrecon_jax.data.images import Preprocessing
from fastrecon_jax.data.prefetch import prefetch
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection.routing import Choice
from fastrecon_jax.parts import photos, pictures
from fastrecon_jax.parts.photos import Photo


class Order(NamedTuple):
    """A photograph that is to be inspected.

    Attributes:
        path: of the file.
        choice: of the part; None if its looks decide.
        preprocessing: of that part.
    """

    path: Path
    choice: Choice | None
    preprocessing: Preprocessing


class Shot(NamedTuple):
    """A photograph that was read.

    Attributes:
        order: what was to be read.
        size: of the file in bytes, 0 if there is none.
        modified: when the file was last written, in nanoseconds; 0 if there is none.
        photo: preprocessed; None if it cannot be used.
        small: the whole of it, small enough to be looked at; None if that is not wanted.
        seconds: that reading, decoding and preprocessing took.
        error: why it cannot be used; empty if it can.
    """

    order: Order
    size: int
    modified: int
    photo: Photo | None
    small: Image.Image | None
    seconds: float
    error: str


def read(order: Order, *, small: bool = True) -> Shot:
    """Read and decode a photograph.

    Args:
        order: what is to be read.
        small: keep a small copy for a picture too.

    Returns:
        The photograph, or why there is none.
    """
    size, modified = stamp(order.path)
    start = time.perf_counter()
    try:
        image = photos.decode(order.path, str(order.path), order.preprocessing.max_pixels)
        photo = photos.prepare(image, order.preprocessing, name=str(order.path))
    except InputError as error:
        return Shot(order, size, modified, None, None, time.perf_counter() - start, str(error))
    seconds = time.perf_counter() - start
    return Shot(order, size, modified, photo, pictures.shrink(image) if small else None, seconds, "")


def stamp(path: Path) -> tuple[int, int]:
    """What tells whether a file has changed.

    Args:
        path: of the file.

    Returns:
        Its size in bytes and when it was last written, in nanoseconds; zeros if it is not there.
    """
    try:
        facts = os.stat(path)  # noqa: PTH116 (not only paths that pathlib takes)
    except (OSError, ValueError):
        return 0, 0
    return facts.st_size, facts.st_mtime_ns


def stream(orders: Iterable[Order], read: Callable[[Order], Shot], *, ahead: int) -> Iterator[Shot]:
    """Photographs in order.

    Args:
        orders: what is to be read.
        read: reads one.
        ahead: photographs that are kept ready.

    Yields:
        The photographs.
    """
    yield from prefetch(read, orders, buffer_size=ahead)
