"""Changed copies of good photographs, from which methods learn more than the photographs themselves show."""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fastrecon_jax.data import synthetic

Pixels = UInt8[np.ndarray, "H W 3"]
LIGHT = 0.15  # share by which copies are darker and lighter
# Degrees against the clock, and how the corners that nothing of the picture fills are filled.
EIGHTHS = tuple(45.0 * i for i in range(1, 8))  # AnomalyDINO's, whose borders are reflected
THIRTY = tuple(
    345 / 30 * i for i in range(1, 31)
)  # SubspaceAD draws as many angles from 0 to 345; its corners are black
REFLECTED, BLACK = "reflect", "constant"
TURNS = tuple(sign * np.pi * share / 16 for share in (1, 2, 3, 4) for sign in (-1, 1))  # of poses, in radians
SHIFTS = (0.1, 0.05)  # of poses, shares of the height and the width
GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue, ITU-R BT.601


def make(pixels: Pixels, kinds: Sequence[str]) -> UInt8[np.ndarray, "n H W 3"]:
    """The copies of a preprocessed photograph, kind by kind; see `methods.Method.copies` for the kinds."""
    return np.concatenate([_KINDS[kind](pixels) for kind in kinds])


def _light(pixels: Pixels) -> UInt8[np.ndarray, "2 H W 3"]:
    """Darker and lighter, as under another lamp or exposure."""
    scaled = (np.rint(pixels.astype(np.float32) * (1 + change)) for change in (-LIGHT, LIGHT))
    return np.stack([np.clip(copy, 0, 255).astype(np.uint8) for copy in scaled])


def _turns(pixels: Pixels) -> UInt8[np.ndarray, "3 H W 3"]:
    """Turned by 90, 180 and 270 degrees, as a part that lies in any direction, in a frame that does not turn."""
    return np.stack([_centre(np.rot90(pixels, quarters), *pixels.shape[:2]) for quarters in (1, 2, 3)])


def _rotated(pixels: Pixels, *, angles: Sequence[float], corners: str) -> UInt8[np.ndarray, "n H W 3"]:
    """Rotated about the centre, against the clock, in a frame that does not turn; bilinear between pixels."""
    height, width, _ = pixels.shape
    # A square that holds the picture at every angle: Pillow itself fills what lies outside with one colour only.
    side = math.ceil(math.hypot(height, width)) + 4
    pads = [((side - length) // 2, side - length - (side - length) // 2) for length in (height, width)]
    padded = Image.fromarray(np.pad(pixels, (*pads, (0, 0)), mode=corners))
    (top, _), (left, _) = pads
    centre = left + width / 2, top + height / 2
    turned = (np.asarray(padded.rotate(angle, Image.Resampling.BILINEAR, center=centre)) for angle in angles)
    return np.stack([copy[top : top + height, left : left + width] for copy in turned])


def _flip(pixels: Pixels) -> UInt8[np.ndarray, "2 H W 3"]:
    """Mirrored left to right, and upside down."""
    return np.stack([pixels[:, ::-1], pixels[::-1]])


def _poses(pixels: Pixels) -> UInt8[np.ndarray, "18 H W 3"]:
    """Turned, shifted along the diagonals, mirrored, and grey; what moves into the frame is its mirror image."""
    turned = [_affine(pixels, _rotation(angle), (0.0, 0.0)) for angle in TURNS]
    signs = [(down, across) for down in (-1, 1) for across in (-1, 1)]
    shifted = [_affine(pixels, np.eye(2), (down * by, across * by)) for by in SHIFTS for down, across in signs]
    grey = np.rint(pixels.astype(np.float64) @ GREY).astype(np.uint8)
    return np.stack([*turned, *shifted, pixels[:, ::-1], np.stack([grey] * 3, axis=-1)])


def _rotation(angle: float) -> Float[np.ndarray, "2 2"]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _affine(pixels: Pixels, matrix: Float[np.ndarray, "2 2"], shift: tuple[float, float]) -> Pixels:
    """The picture read, bilinearly, at matrix (p - centre) + centre + shift, the shift in shares of the sides."""
    from scipy import ndimage  # not above: it takes a while to import

    sides = np.array(pixels.shape[:2])
    centre = (sides - 1) / 2
    offset = centre - matrix @ centre + np.multiply(shift, sides)
    values = pixels.astype(np.float32)
    changed = [ndimage.affine_transform(values[..., i], matrix, offset, order=1, mode="reflect") for i in range(3)]
    return np.clip(np.rint(np.stack(changed, axis=-1)), 0, 255).astype(np.uint8)


def _centre(pixels: Pixels, height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """The middle of a picture, with its mirror image where it is too small."""
    short = [max(wanted - side, 0) for wanted, side in zip((height, width), pixels.shape[:2], strict=True)]
    pads = [(missing // 2, missing - missing // 2) for missing in short]
    padded = np.pad(pixels, (*pads, (0, 0)), mode="symmetric")
    top, left = (padded.shape[0] - height) // 2, (padded.shape[1] - width) // 2
    return padded[top : top + height, left : left + width]


_KINDS: dict[str, Callable[[Pixels], UInt8[np.ndarray, "n H W 3"]]] = {
    "light": _light,
    "turns": _turns,
    "rot8": functools.partial(_rotated, angles=EIGHTHS, corners=REFLECTED),
    "rot30": functools.partial(_rotated, angles=THIRTY, corners=BLACK),
    "flip": _flip,
    "defective": synthetic.defective_copies,
    "poses": _poses,
}
