"""Batches of pixels, decoded in threads while the encoder computes; what the cache holds is not decoded."""

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Bool, Float, UInt8

from fastrecon_jax.data import feature_cache, images, samples
from fastrecon_jax.data.feature_cache import Entry, FeatureCache, Stages


class Batch(NamedTuple):
    """Up to b images of one size, in order.

    Attributes:
        images: those without cached features, RGB, (b, H, W, 3), padded by copies of the last; None if there are none.
        masks: true for defective pixels, (n, H, W), of all.
        cached: for each image the entry that the cache holds, or None.
        keys: names of the entries in the cache; empty without one.
        sizes: of the files, (width, height) in pixels.
    """

    images: UInt8[np.ndarray, "b H W 3"] | None
    masks: Bool[np.ndarray, "n H W"]
    cached: tuple[Entry | None, ...]
    keys: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """How many images there are, padding not counted."""
        return len(self.cached)


class _Item(NamedTuple):
    image: UInt8[np.ndarray, "H W 3"] | None
    mask: Bool[np.ndarray, "H W"]
    cached: Entry | None
    key: str
    size: tuple[int, int]


def batches(
    chosen: Sequence[samples.Sample],
    *,
    batch_size: int,
    image_size: int,
    crop_size: int,
    cache: FeatureCache | None = None,
    threads: int = 0,
    max_pixels: int = images.MAX_PIXELS,
) -> Iterator[Batch]:
    """Read, decode and preprocess in order, at most a batch ahead.

    Args:
        chosen: the images.
        batch_size: b, of every batch.
        image_size: side of the resized image, in pixels.
        crop_size: side of the part that is kept.
        cache: of features; none by default.
        threads: that decode; one a processor by default.
        max_pixels: of a file up to which it is decoded.

    Yields:
        The batches in order.

    Raises:
        InputError: an image cannot be used.
    """
    threads = threads or os.cpu_count() or 1
    sizes = {"image_size": image_size, "crop_size": crop_size, "max_pixels": max_pixels}
    load = functools.partial(_load, sizes=sizes, cache=cache)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(batch_size, 2 * threads))
    items = iter(grain.MapDataset.source(list(chosen)).map(load).to_iter_dataset(options))
    for _ in range(0, len(chosen), batch_size):
        yield _batch(list(itertools.islice(items, batch_size)), batch_size)


def _load(sample: samples.Sample, *, sizes: dict[str, int], cache: FeatureCache | None) -> _Item:
    data = samples.read(sample)
    name = feature_cache.key(cache, data) if cache else ""
    cached = feature_cache.read(cache, name) if cache else None
    picture = samples.load_image(sample, data, **sizes) if cached is None else None
    size = picture.size if cached is None else cached.size
    return _Item(picture and picture.pixels, samples.load_mask(sample, size, **sizes), cached, name, size)


def _batch(items: Sequence[_Item], batch_size: int) -> Batch:
    new = [item.image for item in items if item.image is not None]
    return Batch(
        images=np.stack(new + new[-1:] * (batch_size - len(new))) if new else None,
        masks=np.stack([item.mask for item in items]),
        cached=tuple(item.cached for item in items),
        keys=tuple(item.key for item in items),
        sizes=tuple(item.size for item in items),
    )


def merge(
    batch: Batch, encoded: Sequence[Float[np.ndarray, "b _ _ _"]], batch_size: int
) -> tuple[Float[np.ndarray, "b _ _ _"], ...]:
    """Cached and newly encoded stages of a batch, in the order of its images, padded.

    Args:
        batch: some of whose images are cached.
        encoded: stages of `batch.images`, (b, h_i, w_i, c_i) each; empty if there are none.
        batch_size: b.

    Returns:
        (b, h_i, w_i, c_i) each; behind the last image copies of it.
    """
    new: Iterable[Stages] = zip(*encoded, strict=True) if encoded else iter(())
    rows = [next(new) if cached is None else cached.stages for cached in batch.cached]
    rows += rows[-1:] * (batch_size - len(rows))
    return tuple(np.stack(stage) for stage in zip(*rows, strict=True))
