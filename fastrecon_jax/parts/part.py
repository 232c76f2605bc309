"""What a fitted and calibrated part is."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, PyTree, UInt8

from fastrecon_jax.parts.appearance import Appearance
from fastrecon_jax.parts.engine import Recipe
from fastrecon_jax.parts.limits import Limits


class GoodPhoto(NamedTuple):
    """A good photograph that a part was fitted on.

    Attributes:
        name: its path, or what the caller called it.
        sha256: hash of its preprocessed pixels.
        width: width of the photograph, in pixels.
        height: its height, in pixels.
        score: image score by a model that had not seen it; by the part itself if there is no other photograph.
    """

    name: str
    sha256: str
    width: int
    height: int
    score: float


class Part(NamedTuple):
    """A fitted part; its file holds the same.

    Attributes:
        name: name of the part.
        recipe: encoder, method and sizes: all that decides scores beside the photographs.
        state: the method's state, a tree of arrays.
        stages: stages of the k good photographs, (k, h_i, w_i, c_i) each, so that more can be added; empty if left out.
        pixels: what the encoder saw of them, (k, H, W, 3), 0 to 255, of which an extension makes copies and
            frames without the part; None if left out.
        good: the k photographs.
        limits: thresholds and calibration, from their held-out scores.
        appearance: how each of them looks; None in parts of files before format 6.
        ignore: true for pixels of the map that are never scored, (H, W); None if all are.
    """

    name: str
    recipe: Recipe
    state: PyTree[np.ndarray]
    stages: tuple[Float[np.ndarray, "k _ _ _"], ...]
    pixels: UInt8[np.ndarray, "k H W 3"] | None
    good: tuple[GoodPhoto, ...]
    limits: Limits
    appearance: tuple[Appearance, ...] | None = None
    ignore: Bool[np.ndarray, "H W"] | None = None
