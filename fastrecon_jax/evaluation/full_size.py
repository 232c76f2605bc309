"""Anomaly maps at the size of the photographs, one at a time."""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from fastrecon_jax.data import geometry, images, samples
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.prefetch import prefetch

_AHEAD = 8  # photographs whose masks are decoded in advance


class Marked(NamedTuple):
    """A test image at its own size.

    Attributes:
        sample: the photograph.
        scores: its anomaly map.
        mask: true for defective pixels.
    """

    sample: samples.Sample
    scores: Float[np.ndarray, "H W"]
    mask: Bool[np.ndarray, "H W"]


def enlarged(
    scores: Float[np.ndarray, "h w"], preprocessing: Preprocessing, size: tuple[int, int], *, outside: float
) -> Float[np.ndarray, "H W"]:
    """A map on its photograph of (width, height), enlarged bilinearly; `outside` where the photograph was cut off."""
    left, top, right, bottom = geometry.frame(preprocessing, size).inspected
    whole = np.full(size[::-1], outside, np.float32)
    inside = Image.fromarray(scores.astype(np.float32)).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    whole[top:bottom, left:right] = np.asarray(inside)
    return whole


def maps(
    chosen: Sequence[samples.Sample], scores: Float[np.ndarray, "n h w"], preprocessing: Preprocessing, outside: float
) -> Iterator[tuple[samples.Sample, Float[np.ndarray, "H W"]]]:
    """The maps of photographs at their own size, in order; InputError where a photograph cannot be read."""
    size = functools.partial(_size, max_pixels=preprocessing.max_pixels)
    sizes = prefetch(size, chosen, buffer_size=_AHEAD)
    for sample, own, of_sample in zip(chosen, scores, sizes, strict=True):
        yield sample, enlarged(own, preprocessing, of_sample, outside=outside)


def marked(
    chosen: Sequence[samples.Sample], scores: Float[np.ndarray, "n h w"], preprocessing: Preprocessing, outside: float
) -> Iterator[Marked]:
    """The maps and masks of test images at their own size; InputError where an image or a mask cannot be read."""
    masks = prefetch(functools.partial(_mask, max_pixels=preprocessing.max_pixels), chosen, buffer_size=_AHEAD)
    for sample, own, mask in zip(chosen, scores, masks, strict=True):
        height, width = mask.shape
        yield Marked(sample, enlarged(own, preprocessing, (width, height), outside=outside), mask)


def _size(sample: samples.Sample, max_pixels: int) -> tuple[int, int]:
    return images.size(samples.read(sample), sample.path, max_pixels=max_pixels)


def _mask(sample: samples.Sample, max_pixels: int) -> Bool[np.ndarray, "H W"]:
    return samples.whole_mask(sample, _size(sample, max_pixels), max_pixels)
