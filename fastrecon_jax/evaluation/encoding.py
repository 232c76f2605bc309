"""Images through the encoder, each once: batch by batch, from the cache where it has them."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from fastrecon_jax.data import copies, feature_cache, loader, samples
from fastrecon_jax.data.feature_cache import FeatureCache
from fastrecon_jax.detector import Stages
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.programs import Programs
from fastrecon_jax.runtime import devices


class Encoded(NamedTuple):
    """A batch of images.

    Attributes:
        stages: (b, h_i, w_i, c_i) each, padded behind the last image, split over the devices of the mesh.
        masks: true for defective pixels, (n, H, W).
        count: n, how many images there are.
        passed: how many of them went through the encoder rather than came from the cache.
        seconds: how long the encoder took, without compilation.
    """

    stages: Stages
    masks: Bool[np.ndarray, "n H W"]
    count: int
    passed: int
    seconds: float


def stream(
    programs: Programs, chosen: Sequence[samples.Sample], config: EvalConfig, cache: FeatureCache | None
) -> Iterator[Encoded]:
    """Encode images in order, batch by batch; the next ones are decoded meanwhile.

    InputError where an image or a mask cannot be used, or the cache cannot be written.
    """
    mesh = programs.mesh
    batch_size = devices.rounded(mesh, config.batch_size)
    for batch in loader.batches(chosen, config.preprocessing, batch_size=batch_size, cache=cache):
        stages, seconds, passed = (), 0.0, batch.cached.count(None)
        if batch.images is not None:
            stages, seconds = timed(programs.encode, programs.encoder, devices.put(mesh, batch.images, devices.SPLIT))
        if cache is not None:
            stages = devices.put(mesh, _through_cache(cache, batch, stages, batch_size), devices.SPLIT)
        yield Encoded(stages, batch.masks, batch.count, passed, seconds)


def encode_copies(
    programs: Programs, chosen: Sequence[samples.Sample], config: EvalConfig, kind: str
) -> tuple[Float[np.ndarray, "n m _ _ _"], ...]:
    """The stages of the m copies of one kind of each of n good images; they are made anew each time, never cached."""
    photos = (samples.load_image(sample, samples.read(sample), config.preprocessing).pixels for sample in chosen)
    changed = np.stack([copies.make(pixels, (kind,)) for pixels in photos])
    encode = functools.partial(programs.encode, programs.encoder)
    stages = devices.in_batches(
        encode, changed.reshape(-1, *changed.shape[2:]), over=programs.mesh, batch_size=config.batch_size
    )
    return tuple(stage.reshape(*changed.shape[:2], *stage.shape[1:]) for stage in stages)


def _through_cache(
    cache: FeatureCache, batch: loader.Batch, encoded: Stages, batch_size: int
) -> tuple[Float[np.ndarray, "b _ _ _"], ...]:
    """The stages of a batch, those from the cache among those that were encoded; the latter are written to it."""
    encoded = tuple(np.asarray(stage) for stage in encoded)
    missing = [i for i, cached in enumerate(batch.cached) if cached is None]
    for i, *stages in zip(missing, *encoded, strict=False):
        feature_cache.write(cache, batch.keys[i], feature_cache.Entry(tuple(stages), batch.sizes[i]))
    return loader.merge(batch, encoded, batch_size)


def timed(program: Callable, *arguments: Any) -> tuple[Any, float]:
    """The result of a jitted program, and the seconds that it took without compilation."""
    compiled = program.lower(*arguments).compile()
    start = time.perf_counter()
    result = jax.block_until_ready(compiled(*arguments))
    return result, time.perf_counter() - start
