"""How a photograph looks whatever it shows: its brightness, contrast and sharpness."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

_LUMA = np.array([0.299, 0.587, 0.114], np.float32) / 255


class Appearance(NamedTuple):
    """What a lamp, a lens or a camera changes; the last two stay the same when the light alone changes.

    Attributes:
        brightness: mean luma, 0 to 1.
        contrast: standard deviation of the luma, relative to its mean.
        sharpness: root mean square of the differences between neighbouring pixels, relative to that deviation.
    """

    brightness: float
    contrast: float
    sharpness: float


def measure(pixels: UInt8[np.ndarray, "H W 3"]) -> Appearance:
    """The appearance of a preprocessed photograph; zeros where it is black or of one colour."""
    luma = pixels.astype(np.float32) @ _LUMA
    mean, deviation = float(luma.mean()), float(luma.std())
    steps = [float(np.mean(np.square(np.diff(luma, axis=axis)))) if luma.shape[axis] > 1 else 0.0 for axis in (0, 1)]
    contrast = deviation / mean if mean > 0 else 0.0
    return Appearance(mean, contrast, float(np.sqrt(sum(steps) / 2)) / deviation if deviation > 0 else 0.0)


def measure_all(images: Iterable[UInt8[np.ndarray, "H W 3"]]) -> tuple[Appearance, ...]:
    """The appearance of each of several photographs."""
    return tuple(map(measure, images))
