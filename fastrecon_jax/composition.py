"""A fitted part as one pure function: photographs in, image scores and anomaly maps out."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, PyTree, UInt8

from fastrecon_jax import detector
from fastrecon_jax.core import resample, scoring
from fastrecon_jax.encoders.registry import Encoder
from fastrecon_jax.methods import Method


class Arrays(NamedTuple):
    """All numbers of a fitted part.

    Attributes:
        params: of the encoder.
        state: of the method, for one support draw (no leading axis).
    """

    params: PyTree[Array]
    state: Any


Inspection = tuple[Float[Array, " b"], Float[Array, "b crop crop"]]


def compose(
    encoder: Encoder,
    method: Method,
    *,
    crop_size: int,
    image_size: int,
    image_score: str = "",
    sigma: float = 4.0,
    height: int,
    width: int,
) -> Callable[[Arrays, UInt8[Array, "b H W 3"]], Inspection]:
    """Preprocessing, encoder, method, image score and map of one fitted part.

    Args:
        encoder: frozen; its own weights are not used, they come with the arrays.
        method: with the settings of the fit.
        crop_size: side of the part of the resized image that is inspected, and of the map, in pixels.
        image_size: side of the resized image, in pixels.
        image_score: how patch scores become one number, see `core.scoring.image_score`; the method's own by default.
        sigma: of the map's Gaussian blur, in pixels.
        height: of the photographs, in pixels.
        width: of the photographs, in pixels.

    Returns:
        (arrays, RGB images (b, height, width, 3), 0 to 255) to (scores (b,), maps (b, crop_size, crop_size)), the same
        as `data.images.preprocess` and the programs of `detector` give. A ValueError says where images are of another
        size.
    """
    of_crops = compose_crops(encoder, method, crop_size=crop_size, image_score=image_score, sigma=sigma)

    def inspect(arrays, images):
        if images.shape[1:] != (height, width, 3):
            raise ValueError(f"images of {images.shape[1:]} are not allowed: the part takes {(height, width, 3)}")
        return of_crops(arrays, resample.resize_and_crop(images, image_size=image_size, crop_size=crop_size))

    return inspect


def compose_crops(
    encoder: Encoder, method: Method, *, crop_size: int, image_score: str = "", sigma: float = 4.0
) -> Callable[[Arrays, UInt8[Array, "b crop crop 3"]], Inspection]:
    """The same behind the preprocessing.

    Args:
        encoder: frozen; its own weights are not used, they come with the arrays.
        method: with the settings of the fit.
        crop_size: side of the preprocessed images and of the map, in pixels.
        image_score: how patch scores become one number, see `core.scoring.image_score`; the method's own by default.
        sigma: of the map's Gaussian blur, in pixels.

    Returns:
        (arrays, RGB images (b, crop_size, crop_size, 3), 0 to 255) to (scores (b,), maps (b, crop_size, crop_size)).
    """
    one = of_stages(method, crop_size=crop_size, image_score=image_score, sigma=sigma)

    def inspect(arrays, crops):
        return jax.vmap(functools.partial(one, arrays.state))(detector.encode(encoder, arrays.params, crops))

    return inspect


def of_stages(
    method: Method, *, crop_size: int, image_score: str = "", sigma: float = 4.0
) -> Callable[[Any, Sequence[Float[Array, "_ _ _"]]], tuple[Float[Array, ""], Float[Array, "crop crop"]]]:
    """The same behind the encoder, of one image.

    Args:
        method: with the settings of the fit.
        crop_size: side of the map, in pixels.
        image_score: how patch scores become one number, see `core.scoring.image_score`; the method's own by default.
        sigma: of the map's Gaussian blur, in pixels.

    Returns:
        (state, stages of one image (h_i, w_i, c_i)) to (score, map (crop_size, crop_size)).
    """
    score = detector.scorer(method, image_score)

    def inspect(state, stages):
        patches, number = score(state, method.embed(stages))
        return number, scoring.anomaly_map(patches, height=crop_size, width=crop_size, sigma=sigma)

    return inspect
