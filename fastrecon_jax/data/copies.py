"""Changed copies of good photographs, from which methods learn more than the photographs themselves show."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8

from fastrecon_jax.data import synthetic

Pixels = UInt8[np.ndarray, "H W 3"]
LIGHT = 0.15  # share by which copies are darker and lighter


def make(pixels: Pixels, kinds: Sequence[str]) -> UInt8[np.ndarray, "n H W 3"]:
    """The copies of a preprocessed photograph, kind by kind; see `methods.Method.copies` for the kinds."""
    return np.concatenate([_KINDS[kind](pixels) for kind in kinds])


def _light(pixels: Pixels) -> UInt8[np.ndarray, "2 H W 3"]:
    """Darker and lighter, as under another lamp or exposure."""
    scaled = (np.rint(pixels.astype(np.float32) * (1 + change)) for change in (-LIGHT, LIGHT))
    return np.stack([np.clip(copy, 0, 255).astype(np.uint8) for copy in scaled])


def _turns(pixels: Pixels) -> UInt8[np.ndarray, "3 H W 3"]:
    """Turned by 90, 180 and 270 degrees, as a part that lies in any direction; photographs are square here."""
    return np.stack([np.rot90(pixels, quarters) for quarters in (1, 2, 3)])


_KINDS: dict[str, Callable[[Pixels], UInt8[np.ndarray, "n H W 3"]]] = {
    "light": _light,
    "turns": _turns,
    "defective": synthetic.defective_copies,
}
