"""Harmless changes of a good photograph, by how much: moved, turned, darker or lighter, blurred."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from fastrecon_jax.parts import augment

Pixels = UInt8[np.ndarray, "H W 3"]
_REACH = 1 / 4  # of the mirrored margin that large turns need
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1))


class Change(NamedTuple):
    """A change that a part should forgive up to some amount.

    Attributes:
        name: what is done, such as `shift`.
        unit: in what the amounts are measured.
        amounts: from the least to the largest, 0 among them.
        apply: a photograph and an amount to the copies that stand for it.
    """

    name: str
    unit: str
    amounts: tuple[float, ...]
    apply: Callable[[Pixels, float], list[Pixels]]


def _shift(pixels: Pixels, amount: float) -> list[Pixels]:
    height, width, _ = pixels.shape
    steps = [(amount * across / width, amount * down / height) for across, down in _DIRECTIONS]
    return [augment.moved(pixels, shift=step) for step in (steps if amount else steps[:1])]


def _turn(pixels: Pixels, amount: float) -> list[Pixels]:
    return [augment.moved(pixels, turn=amount, reach=_REACH)]


def _light(pixels: Pixels, amount: float) -> list[Pixels]:
    return [np.clip(np.rint(pixels.astype(np.float32) * (1 + amount / 100)), 0, 255).astype(np.uint8)]


def _blur(pixels: Pixels, amount: float) -> list[Pixels]:
    return [np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(amount)))]


def _both(*amounts: float) -> tuple[float, ...]:
    return (*(-x for x in amounts[::-1]), 0.0, *amounts)


CHANGES = (
    Change("shift", "pixels", (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0), _shift),
    Change("turn", "degrees", _both(0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0), _turn),
    Change("light", "percent", _both(3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0), _light),
    Change("blur", "pixels", (0.0, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0), _blur),
)
