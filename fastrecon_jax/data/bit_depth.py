"""How many bits of a pixel a camera fills: many write 10, 12 or 14 of them into files of 16."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8, UInt16

AUTO = "auto"
CONTAINER = 16  # of files and arrays with more than 8 bits: all their values are used
DEPTHS = (8, 10, 12, 14, CONTAINER)
CHOICES = (AUTO, *map(str, DEPTHS))


def white(depth: int) -> int:
    """The value that means white."""
    return (1 << depth) - 1


def choose(peaks: Iterable[int | None]) -> int:
    """The smallest depth that holds the largest values of all images; None stands for one of 8 bits, which fits any.

    16 where nothing has more than 8 bits, or all that has is black.
    """
    peak = max((peak for peak in peaks if peak), default=0)
    return next(depth for depth in DEPTHS if white(depth) >= peak) if peak else CONTAINER


def to_eight_bits(values: UInt16[np.ndarray, "*shape"], depth: int) -> UInt8[np.ndarray, "*shape"]:
    """Values from 0 to `white(depth)` as 0 to 255, rounded to the nearest; those above are white."""
    top = white(depth)
    clipped = np.minimum(values, top).astype(np.uint32)
    return ((clipped * 255 + top // 2) // top).astype(np.uint8)
