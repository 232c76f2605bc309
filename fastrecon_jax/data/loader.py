"""Batches of pixels, decoded in threads while the encoder computes."""

import functools
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Bool, UInt8

from fastrecon_jax.data import samples


class Batch(NamedTuple):
    """Images of one size, the last batch padded with copies of its last image.

    Attributes:
        images: RGB, (b, H, W, 3).
        masks: true for defective pixels, (n, H, W), without padding.
        count: n, how many images are real.
    """

    images: UInt8[np.ndarray, "b H W 3"]
    masks: Bool[np.ndarray, "n H W"]
    count: int


def batches(chosen: Sequence[samples.Sample], *, batch_size: int, image_size: int, crop_size: int) -> Iterator[Batch]:
    """Read, decode and preprocess in order, a few images ahead.

    Args:
        chosen: the images.
        batch_size: b, of every batch.
        image_size: side of the resized image, in pixels.
        crop_size: side of the part that is kept.

    Yields:
        The batches in order.

    Raises:
        InputError: an image cannot be used.
    """
    threads = os.cpu_count() or 1
    ahead = max(batch_size, 2 * threads)
    pixels = (
        grain.MapDataset.source(list(chosen))
        .map(functools.partial(samples.load, image_size=image_size, crop_size=crop_size))
        .to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead))
        .batch(batch_size, drop_remainder=False)
    )
    for images, masks in pixels:
        count = len(images)
        padding = ((0, batch_size - count), (0, 0), (0, 0), (0, 0))
        yield Batch(np.pad(images, padding, mode="edge"), masks, count)
