"""The images of a meta-training in memory, and the order in which its steps see them."""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8
from tqdm import tqdm

from fastrecon_jax.data import bit_depth, samples
from fastrecon_jax.data.prefetch import prefetch
from fastrecon_jax.errors import InputError
from fastrecon_jax.pretraining.config import PretrainConfig

_AHEAD = 16


class Images(NamedTuple):
    """Good training images of several categories.

    Attributes:
        pixels: RGB, behind each other, (n, H, W, 3).
        places: which of them each category has, by its name.
    """

    pixels: UInt8[np.ndarray, "n H W 3"]
    places: Mapping[str, Int[np.ndarray, " m"]]

    def sha256(self, names: Sequence[str]) -> str:
        """Hash of the images of some categories."""
        digest = hashlib.sha256()
        for name in names:
            digest.update(name.encode() + b"\0")
            digest.update(np.ascontiguousarray(self.pixels[self.places[name]]))
        return digest.hexdigest()


def check(categories: Sequence[samples.Category], batch_size: int) -> None:
    """Refuse categories with fewer good training images than a batch."""
    for category in categories:
        if len(category.train) < batch_size:
            raise InputError(
                f"category {category.name} has {len(category.train)} good training images, fewer than a batch: "
                f"--batch_size={batch_size} can be at most {min(len(other.train) for other in categories)} here"
            )


def load(categories: Sequence[samples.Category], config: PretrainConfig, *, progress: bool = True) -> Images:
    """Read and preprocess the good training images; InputError where one cannot be used."""
    pixels, places, count = [], {}, 0
    total = sum(len(category.train) for category in categories)
    with tqdm(total=total, desc="images", unit="image", disable=None if progress else True, leave=False) as bar:
        for category in categories:
            peak = functools.partial(samples.peak, max_pixels=config.max_pixels)
            depth = bit_depth.choose(prefetch(peak, category.train, buffer_size=_AHEAD))
            read = functools.partial(_read, config=config, depth=depth)
            for image in prefetch(read, category.train, buffer_size=_AHEAD):
                pixels.append(image)
                bar.update()
            places[category.name] = np.arange(count, len(pixels))
            count = len(pixels)
    return Images(np.stack(pixels), places)


def _read(sample: samples.Sample, *, config: PretrainConfig, depth: int) -> UInt8[np.ndarray, "H W 3"]:
    return samples.load_image(sample, samples.read(sample), config.preprocessing(depth)).pixels


def order(
    places: Sequence[Int[np.ndarray, " m"]], *, batch_size: int, epochs: int, seed: int
) -> Int[np.ndarray, "steps b"]:
    """Which images each step sees: whole batches of one category, all drawn anew in each epoch.

    Images that fill no batch of their category are left out of an epoch.
    """
    draw, steps = np.random.default_rng(seed), []
    for _ in range(epochs):
        shuffled = [draw.permutation(of_category) for of_category in places]
        whole = [row[: len(row) // batch_size * batch_size].reshape(-1, batch_size) for row in shuffled]
        steps.append(draw.permutation(np.concatenate(whole)))
    return np.concatenate(steps)
