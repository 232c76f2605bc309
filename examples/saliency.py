"""Saliency: which pixels a score comes from, by the gradient through method, encoder and normalisation.

    python examples/saliency.py --category=circuit

The anomaly map has one number for every 8x8 pixels, the gradient of the score one for each pixel. Multiplied by the
pixel's difference from the good parts, it is the pixel's contribution to the score, to first order.
"""

import dataclasses
import sys
from collections.abc import Callable
from typing import NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from matplotlib.figure import Figure
from tqdm import tqdm

from fastrecon_jax import metrics, overlay
from fastrecon_jax.command_line import flags
from fastrecon_jax.command_line.fields import require, setting
from fastrecon_jax.core import linalg, scoring
from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import compilation_cache, compiler


@dataclasses.dataclass(frozen=True)
class SaliencyConfig(common.ExampleConfig):
    """Settings of the example."""

    category: str = setting("circuit", "category")
    power: float = setting(16.0, "power of the mean that stands for the largest patch score, at least 1")
    sigma: float = setting(2.0, "standard deviation of the blur of the saliency, in pixels")

    def __post_init__(self):
        """Refuse values out of their range, naming the flag."""
        super().__post_init__()
        require(self, "power", 1 <= self.power <= 1000, "it must be from 1 to 1000")
        require(self, "sigma", 0 <= self.sigma <= self.crop_size / 8, "it must be from 0 to an eighth of the crop")


class Maps(NamedTuple):
    """The maps that are compared, at the size of the images.

    Attributes:
        anomaly: patch scores, resized and blurred, (b, H, W).
        difference: difference of the pixels from those of the good images, without the gradient, (b, H, W).
        saliency: gradient times difference, (b, H, W).
        both: geometric mean of anomaly map and saliency, (b, H, W).
    """

    anomaly: Float[Array, "b H W"]
    difference: Float[Array, "b H W"]
    saliency: Float[Array, "b H W"]
    both: Float[Array, "b H W"]


def nearest_pixels(support: UInt8[Array, "k H W 3"], image: UInt8[Array, "H W 3"]) -> Float[Array, "H W 3"]:
    """The pixel nearest in colour among the good images, at each position.

    Args:
        support: RGB images of good parts, (k, H, W, 3), 0 to 255.
        image: RGB image to compare with them, (H, W, 3), 0 to 255.

    Returns:
        The nearest pixels, (H, W, 3), 0 to 255.
    """
    candidates = support.astype(jnp.float32)
    distances = jnp.abs(candidates - image.astype(jnp.float32)[None]).sum(axis=-1)
    return jnp.take_along_axis(candidates, distances.argmin(axis=0)[None, :, :, None], axis=0)[0]


def attribute(gradient: Float[Array, "H W 3"], difference: Float[Array, "H W 3"], sigma: float) -> Float[Array, "H W"]:
    """Contribution of each pixel to the score, |Σ_c g_c d_c|, blurred.

    Args:
        gradient: gradient of the score with respect to the image, g, (H, W, 3).
        difference: difference of the image from the good images, d, (H, W, 3).
        sigma: standard deviation of the blur, in pixels, at least 0.

    Returns:
        Contributions, (H, W), in units of the score.
    """
    shares = jnp.abs((gradient * difference).sum(axis=-1))
    vertical, horizontal = (scoring.gaussian_matrix(n, sigma) for n in shares.shape)
    return linalg.matmul(linalg.matmul(vertical, shares), horizontal.T)


def mapper(part: common.Part, power: float, sigma: float) -> Callable[..., Maps]:
    """The program that makes the maps of a batch.

    Args:
        part: FastRecon fitted on the category.
        power: exponent of the smooth maximum, at least 1.
        sigma: standard deviation of the blur of the saliency, in pixels, at least 0.

    Returns:
        The program (encoder, state, support (k, H, W, 3), images (b, H, W, 3)) -> maps.
    """

    def total(images, encoder, state):
        patches = part.patch_scores(encoder, state, images)
        # The images are independent, so the gradient of the sum holds the gradient of each.
        return jax.vmap(lambda image: common.smooth_maximum(image, power))(patches).sum(), patches

    def image_maps(image, patches, gradient, support):
        height, width, _ = image.shape
        anomaly = scoring.anomaly_map(patches, height=height, width=width)
        difference = image.astype(jnp.float32) - nearest_pixels(support, image)
        alone = attribute(jnp.ones_like(gradient), jnp.abs(difference), sigma)
        saliency = attribute(gradient, difference, sigma)
        return Maps(anomaly, alone, saliency, linalg.safe_sqrt(anomaly * saliency))

    def maps(encoder, state, support, images):
        gradients, patches = jax.grad(total, has_aux=True)(images.astype(jnp.float32), encoder, state)
        return jax.vmap(image_maps, (0, 0, 0, None))(images, patches, gradients, support)

    return compiler.jit(maps)


def compute(part: common.Part, power: float, sigma: float) -> Maps:
    """The maps of all test images, as NumPy arrays (t, H, W)."""
    program, test, support = mapper(part, power, sigma), part.images.test, jnp.asarray(part.support)
    # The last image fills up the last batch, so that one program serves all batches.
    padded = np.concatenate([test, np.repeat(test[-1:], -len(test) % common.BATCH, axis=0)])
    starts = tqdm(range(0, len(test), common.BATCH), desc="saliency", disable=None, leave=False)
    batches = [program(part.encoder, part.state, support, jnp.asarray(padded[i : i + common.BATCH])) for i in starts]
    return Maps(*(np.concatenate(kind)[: len(test)] for kind in zip(*batches, strict=True)))


def draw(part: common.Part, maps: Maps, chosen: list[int]) -> Figure:
    """Image, mask and three of the maps of the chosen test images, with a common scale for each kind of map."""
    figure = Figure(figsize=(10, 2 * len(chosen) + 0.3), layout="constrained")
    columns = {"anomaly map": maps.anomaly, "saliency": maps.saliency, "geometric mean": maps.both}
    for axes, i in zip(figure.subplots(len(chosen), 2 + len(columns), squeeze=False), chosen, strict=True):
        axes[0].imshow(part.images.test[i])
        axes[1].imshow(part.images.masks[i], cmap="gray", vmin=0, vmax=1)
        for panel, kind in zip(axes[2:], columns.values(), strict=True):
            low, high = np.quantile(kind, (0.5, 0.999))
            panel.imshow(overlay.colour(kind[i], low=float(low), high=float(high)))
    for panel in figure.axes:
        panel.set_axis_off()
    for panel, title in zip(figure.axes, ("image", "mask", *columns), strict=False):
        panel.set_title(title, fontsize="medium")
    return figure


def main() -> None:
    """Measure the maps on the test images and draw some."""
    config = flags.read(SaliencyConfig)
    compilation_cache.enable()
    part = common.open_part(config, config.category)
    if not part.images.masks[part.images.defective].any():
        raise InputError(f"category {config.category} has no masks: they are needed to measure the maps")
    maps = compute(part, config.power, config.sigma)
    chosen = np.flatnonzero(part.images.defective)
    chosen = [*(int(i) for i in chosen[:: -(-len(chosen) // 3)]), int(np.argmin(part.images.defective))]
    path = common.save(draw(part, maps, chosen), config, f"saliency_{config.category}.png")
    for name, kind in maps._asdict().items():
        figures = metrics.pixel_metrics(part.images.masks, kind)
        auroc, ap = 100 * figures["pixel_auroc"], 100 * figures["pixel_ap"]
        sys.stdout.write(f"{config.category}, {name}: pixel AUROC {auroc:.1f} %, AP {ap:.1f} %\n")
    sys.stdout.write(f"plot in {path}\n")


if __name__ == "__main__":
    flags.define(SaliencyConfig)
    flags.run(main)
