"""Colour with 16 bits a channel, of which Pillow keeps the upper byte: read once for it, and once for the lower."""

import sys

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

_GREY = "LA;16B"
# How Pillow unpacks the upper byte of a channel, and how it would unpack the lower one: as if the bytes were swapped.
_OTHER_BYTE = {
    f"{channels};16{order}": f"{channels};16{swapped}"
    for channels in ("RGB", "RGBA", "RGBX")
    for order, swapped in (("B", "L"), ("L", "B"), ("N", "B" if sys.byteorder == "little" else "L"))
} | {_GREY: "RGBA"}  # two bytes of grey and two of alpha


def holds(image: Image.Image) -> bool:
    """Whether an image, opened and not loaded, has colour or alpha with 16 bits a channel."""
    return _kind(image) in _OTHER_BYTE


def swap(image: Image.Image) -> Image.Image:
    """Have an image for which `holds` is true read the lower bytes when it is loaded."""
    kind = _OTHER_BYTE[_kind(image)]
    image.tile = [
        tile._replace(args=kind if isinstance(tile.args, str) else (kind, *tile.args[1:])) for tile in image.tile
    ]
    return image


def join(
    upper: UInt8[np.ndarray, "H W c"], lower: UInt8[np.ndarray, "H W c"], *, grey: bool
) -> UInt16[np.ndarray, "H W"] | UInt16[np.ndarray, "H W 3"]:
    """The 16-bit values, without alpha; of grey with alpha `lower` holds both bytes."""
    if grey:
        upper, lower = lower[..., 0], lower[..., 1]
    else:
        upper, lower = upper[..., :3], lower[..., :3]
    return (upper.astype(np.uint16) << 8) | lower


def is_grey(image: Image.Image) -> bool:
    """Whether such an image is grey with alpha."""
    return _kind(image) == _GREY


def _kind(image: Image.Image) -> str:
    """How Pillow is about to unpack an image's pixels; empty if it says nothing, or not the same for all of them."""
    arguments = [tile[3] for tile in getattr(image, "tile", ())]
    kinds = {first[0] if isinstance(first, tuple) and first else first for first in arguments}
    kind = kinds.pop() if len(kinds) == 1 else None
    return kind if isinstance(kind, str) else ""
