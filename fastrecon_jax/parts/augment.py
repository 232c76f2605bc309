"""Slightly changed copies of a single good photograph, for its calibration."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageEnhance

_SHIFT, _TURN, _SCALE, _LIGHT = 0.02, 2.0, 0.02, 0.1  # sides, degrees, shares of the size and of the brightness


def changed_copies(pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "8 H W 3"]:
    """Copies as another photograph of the same part might be: moved, turned, nearer or farther, darker or lighter.

    Each of the eight has one change: 2 % of the side, 2 degrees, 2 % of the size, or 10 % of the brightness.
    """
    image = Image.fromarray(pixels)
    displaced = [
        moved(pixels, **change)
        for change in (
            {"shift": (_SHIFT, 0.0)},
            {"shift": (-_SHIFT, _SHIFT)},
            {"turn": _TURN},
            {"turn": -_TURN},
            {"scale": 1 + _SCALE},
            {"scale": 1 - _SCALE},
        )
    ]
    lit = [np.asarray(ImageEnhance.Brightness(image).enhance(1 + light)) for light in (-_LIGHT, _LIGHT)]
    return np.stack(displaced + lit)


def moved(
    pixels: UInt8[np.ndarray, "H W 3"],
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    turn: float = 0.0,
    scale: float = 1.0,
    reach: float = 1 / 8,
) -> UInt8[np.ndarray, "H W 3"]:
    """An affine change about the centre; `shift` in sides, `turn` in degrees.

    What moves into the picture, from at most a `reach` of the longer side, is its mirror image.
    """
    height, width, _ = pixels.shape
    # Black edges would score as defects.
    margin = int(max(height, width) * reach)
    padded = Image.fromarray(np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric"))
    # Pillow asks where each output pixel comes from: (x', y') = R (x - c) / scale + c - shift, R a rotation.
    centre = padded.width / 2, padded.height / 2
    cosine, sine = np.cos(np.deg2rad(turn)) / scale, np.sin(np.deg2rad(turn)) / scale
    x = centre[0] - cosine * centre[0] - sine * centre[1] - shift[0] * width
    y = centre[1] + sine * centre[0] - cosine * centre[1] - shift[1] * height
    coefficients = (cosine, sine, x, -sine, cosine, y)
    changed = padded.transform(padded.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    return np.asarray(changed.crop((margin, margin, margin + width, margin + height)))
