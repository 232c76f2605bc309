"""DifferNet's features: an image at three sizes, averaged over the positions; and fixed rotations of it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fastrecon_jax.core.rotation import rotate
from fastrecon_jax.encoders import Encoder

REDUCTIONS = (1, 2, 4)  # every pixel, every second and every fourth along both axes
_AT_ONCE = 8  # rotations that are encoded together, so that memory does not grow with their number


def angles(count: int) -> Float[Array, " n"]:
    """Angles that divide the full turn.

    Args:
        count: n, at least 1.

    Returns:
        0, 360 / n, 2 · 360 / n, ..., in degrees.
    """
    return jnp.arange(count, dtype=jnp.float32) * (360 / count)


def pooled(encoder: Encoder, images: Float[Array, "b H W 3"]) -> Float[Array, "b d"]:
    """Means over the positions of each stage at each of three sizes.

    Args:
        encoder: frozen.
        images: RGB, (b, H, W, 3), 0 to 255.

    Returns:
        The means of all channels, (b, d): those of the largest size first, and for each size stage by stage.

    References:
        Rudolph et al., Same same but DifferNet, WACV 2021 (arXiv 2008.12577), section 3.1.
    """
    # The nearest pixels, as PyTorch's default reduction takes them: the first of each pair, or of each four.
    sizes = [images[:, ::step, ::step] for step in REDUCTIONS]
    # A transformer takes whole patches alone: what is left of a side behind the last one goes.
    unit = encoder.registration.multiple
    whole = [image[:, : image.shape[1] // unit * unit, : image.shape[2] // unit * unit] for image in sizes]
    stages = [stage for image in whole for stage in encoder(image)]
    return jnp.concatenate([stage.mean(axis=(1, 2)) for stage in stages], axis=-1)


def turned(image: Float[Array, "H W 3"], degrees: Float[Array, " b"]) -> Float[Array, "b H W 3"]:
    """Rotations of an image, nearest pixels, black where nothing of it is.

    Args:
        image: RGB, (H, W, 3), 0 to 255.
        degrees: b angles, against the clock.

    Returns:
        The images, (b, H, W, 3).
    """
    return jax.vmap(lambda angle: rotate(image, angle, order=0))(degrees)


def over_angles(function: Callable[[Float[Array, " b"]], Any], count: int) -> Any:
    """What a function gives for each of the angles, a few of them computed at a time.

    Args:
        function: angles (b,) to arrays whose leading axis is b.
        count: n, number of angles, see `angles`.

    Returns:
        The arrays with a leading axis of n.
    """
    together = max(size for size in range(1, _AT_ONCE + 1) if count % size == 0)
    parts = jax.lax.map(function, angles(count).reshape(-1, together))
    return jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), parts)


def of_rotations(encoder: Encoder, image: Float[Array, "H W 3"], count: int) -> Float[Array, "n d"]:
    """The features of rotations of one image.

    Args:
        encoder: frozen.
        image: RGB, (H, W, 3), 0 to 255.
        count: n, how many rotations, see `angles`.

    Returns:
        The features, (n, d).
    """
    return over_angles(lambda degrees: pooled(encoder, turned(image, degrees)), count)


def sides(side: int) -> tuple[int, ...]:
    """Sides of the images at the three sizes.

    Args:
        side: side of the largest, in pixels.

    Returns:
        One side for each size, the largest first.
    """
    return tuple(-(-side // step) for step in REDUCTIONS)
