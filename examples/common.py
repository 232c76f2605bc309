"""Code that the examples share: settings, the images of a category, and FastRecon fitted on a few of them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Real, UInt8
from matplotlib.figure import Figure

from fastrecon_jax import encoders, files, methods
from fastrecon_jax.command_line.fields import require, setting
from fastrecon_jax.data import datasets, loader, samples
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.detector import Detector
from fastrecon_jax.encoders import Encoder
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import plots
from fastrecon_jax.runtime import compiler, devices

BATCH = 8  # images encoded at a time


@dataclasses.dataclass(frozen=True)
class ExampleConfig:
    """Settings of all examples."""

    dataset: str = setting("", "as for the evaluation; by default folder with --data_dir, else demo")
    data_dir: str = setting("", "directory that holds the categories; by default the demo set")
    shots: int = setting(4, "good images that FastRecon is fitted on")
    max_images: int = setting(60, "at most so many training and test images of a category; 0 for all")
    encoder: str = setting("efficientnet_lite0", "encoder")
    weights: str = setting("", "weights of the encoder, random for tests; by default its pretrained ones")
    stages: tuple[str, ...] = setting((), "encoder stages; by default those of strides 8 and 16")
    image_size: int = setting(256, "side in pixels to which images are resized")
    crop_size: int = setting(224, "side in pixels of the centre that is kept")
    seed: int = setting(0, "seed of all random numbers")
    output_dir: str = setting("results/examples", "directory of the plot")

    def __post_init__(self):
        """Refuse values out of their range, naming the flag."""
        require(self, "shots", self.shots >= 1, "it must be at least 1")
        require(self, "max_images", self.max_images >= 2 or self.max_images == 0, "it must be at least 2, or 0 for all")
        require(self, "image_size", 32 <= self.image_size <= 4096, "it must be from 32 to 4096")
        allowed = 32 <= self.crop_size <= self.image_size
        require(self, "crop_size", allowed, f"it must be from 32 to --image_size={self.image_size}")
        require(self, "seed", self.seed >= 0, "it must be at least 0")


class Images(NamedTuple):
    """The preprocessed images of a category.

    Attributes:
        train: good images, (n, H, W, 3), 0 to 255.
        test: good and defective images, (t, H, W, 3), 0 to 255.
        masks: true for the defective pixels of the test images, (t, H, W).
        defective: true for the defective test images, (t,).
    """

    train: UInt8[np.ndarray, "n H W 3"]
    test: UInt8[np.ndarray, "t H W 3"]
    masks: Bool[np.ndarray, "t H W"]
    defective: Bool[np.ndarray, " t"]


class Part(NamedTuple):
    """FastRecon fitted on the first images of a category.

    Attributes:
        images: images of the category.
        support: images that FastRecon was fitted on, (k, H, W, 3), 0 to 255.
        encoder: encoder with its weights.
        state: state of the fitted method.
        patch_scores: jitted function (encoder, state, images (b, H, W, 3), 0 to 255) -> patch scores (b, h, w),
            differentiable in all arguments if the images are of a floating type.
    """

    images: Images
    support: UInt8[np.ndarray, "k H W 3"]
    encoder: Encoder
    state: Any
    patch_scores: Callable[[Encoder, Any, Real[Array, "b H W 3"]], Float[Array, "b h w"]]


def create_encoder(config: ExampleConfig) -> Encoder:
    """The encoder that the settings name; InputError if there is none, or if its weights cannot be used."""
    return encoders.create(config.encoder, stages=config.stages, weights=config.weights)


def read_images(config: ExampleConfig, category: samples.Category) -> Images:
    """Read and preprocess a category: the first training images and an even choice of the test images.

    Raises an InputError if there are too few images, or if one of them cannot be read.
    """
    samples.check(category, shots=config.shots)
    train = category.train[: max(config.max_images, config.shots) if config.max_images else None]
    test = samples.subset(category.test, config.max_images)
    preprocessing = Preprocessing(config.image_size, config.crop_size)
    batches = list(loader.batches((*train, *test), preprocessing, batch_size=BATCH))
    pixels, masks = (np.concatenate(x) for x in zip(*((b.images[: b.count], b.masks) for b in batches), strict=True))
    n = len(train)
    return Images(pixels[:n], pixels[n:], masks[n:], np.array([sample.defective for sample in test]))


def open_part(config: ExampleConfig, name: str) -> Part:
    """Read a category and fit FastRecon, with the published settings, on its first images.

    Raises an InputError if the category or the encoder cannot be used.
    """
    dataset = datasets.open_dataset(config.dataset, config.data_dir)
    if name not in dataset.categories:
        raise InputError(f"--category={name} is not allowed: name one of {', '.join(dataset.categories)}")
    images = read_images(config, dataset.open_category(name))
    encoder, support = create_encoder(config), images.train[: config.shots]
    detector = Detector(methods.create("fastrecon"), config.crop_size)

    def fit(encoder, images):
        return detector.fit(encoder(images), jax.random.key(config.seed))

    def patch_scores(encoder, state, images):
        # Normalisation, encoder and method together are a differentiable function of the pixels.
        return jax.vmap(lambda stages: detector.score(state, stages).patches)(encoder(images))

    state = compiler.jit(fit)(encoder, jnp.asarray(support))
    return Part(images, support, encoder, state, compiler.jit(patch_scores))


def smooth_maximum(patch_scores: Float[Array, "h w"], power: float) -> Float[Array, ""]:
    """Image score (mean_j s_j^p)^(1/p), whose gradient reaches all large patch scores rather than only the largest.

    Args:
        patch_scores: scores of one image, (h, w), at least 0.
        power: exponent p, at least 1; the limit for large p is the maximum.

    Returns:
        The image score, at most the largest patch score, in units of the patch scores.
    """
    # The scale cancels, in the value and in the gradient, and keeps the power from overflowing.
    largest = jax.lax.stop_gradient(jnp.max(patch_scores))
    positive = largest > 0
    scale = jnp.where(positive, largest, 1.0)
    mean = jnp.mean((patch_scores / scale) ** power)
    return scale * jnp.where(positive, jnp.where(positive, mean, 1.0) ** (1 / power), 0.0)


def in_batches(program: Callable[..., Array], *arrays: np.ndarray) -> np.ndarray:
    """Apply a program to arrays of equal length, batch by batch."""
    return devices.in_batches(lambda batch: program(*batch), arrays, over=None, batch_size=BATCH)


def channels(encoder: Encoder, crop_size: int) -> tuple[int, ...]:
    """Number of channels of each stage, found without computing the stages."""
    images = jax.ShapeDtypeStruct((1, crop_size, crop_size, 3), jnp.float32)
    return tuple(stage.shape[-1] for stage in jax.eval_shape(encoder, images))


def save(figure: Figure, config: ExampleConfig, name: str) -> Path:
    """Write the plot of an example and return its path; InputError if it cannot be written."""
    directory = files.expanded(config.output_dir, "output_dir")
    files.make_directory(directory, f"--output_dir={config.output_dir}")
    plots.save(figure, directory / name)
    return directory / name
