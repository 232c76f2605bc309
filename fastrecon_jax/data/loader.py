"""Batches of pixels, decoded in threads while the encoder computes; what the cache holds is not decoded."""

import contextlib
import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from fastrecon_jax.data import feature_cache, samples
from fastrecon_jax.data.feature_cache import Entry, FeatureCache, Stages
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.prefetch import prefetch


class Batch(NamedTuple):
    """Up to b images of one size, in order.

    Attributes:
        images: RGB photographs without cached features, padded by copies of the last to b; None if there are none.
        masks: for every image true for defective pixels.
        cached: for every image the entry that the cache holds, or None.
        keys: for every image the name of its entry in the cache; empty without a cache.
        sizes: for every image the (width, height) of its file, in pixels.
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
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    cache: FeatureCache | None = None,
    threads: int = 0,
) -> Iterator[Batch]:
    """Read, decode and preprocess images in order, about a batch ahead of their use.

    `threads` decode, one a processor by default. InputError where an image cannot be used.
    """
    threads = threads or os.cpu_count() or 1
    load = functools.partial(_load, preprocessing=preprocessing, cache=cache)
    decoded = prefetch(load, chosen, buffer_size=max(batch_size, 2 * threads), threads=threads)
    with contextlib.closing(decoded) as items:
        while batch := list(itertools.islice(items, batch_size)):
            yield _batch(batch, batch_size)


def _load(sample: samples.Sample, *, preprocessing: Preprocessing, cache: FeatureCache | None) -> _Item:
    data = samples.read(sample)
    name = feature_cache.key(cache, data) if cache else ""
    cached = feature_cache.read(cache, name) if cache else None
    picture = samples.load_image(sample, data, preprocessing) if cached is None else None
    size = picture.size if cached is None else cached.size
    mask = samples.load_mask(sample, size, preprocessing)
    return _Item(picture and picture.pixels, mask, cached, name, size)


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
    """Cached stages and the newly encoded ones of `batch.images`, in the order of the images, padded to b by copies."""
    new: Iterable[Stages] = zip(*encoded, strict=True) if encoded else iter(())
    rows = [next(new) if cached is None else cached.stages for cached in batch.cached]
    rows += rows[-1:] * (batch_size - len(rows))
    return tuple(np.stack(stage) for stage in zip(*rows, strict=True))
