"""Axial rotary positions: queries and keys turned by angles that grow with the row and the column of a patch."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

BASE = 100.0  # the longest period, in halves of an image's side


class Rotation(NamedTuple):
    """Cosine and sine of the angle of each token in each of the d channels of a head, (n, d), float32."""

    cosine: Float[Array, "n d"]
    sine: Float[Array, "n d"]


def periods(size: int) -> Float[np.ndarray, " p"]:
    """λ_i = 100^(i / p), in which coordinates from -1 to 1 are measured.

    Args:
        size: channels of a head, d; there are p = d / 4 periods.

    Returns:
        (p,), float32.
    """
    count = size // 4
    return (BASE ** (np.arange(count) / count)).astype(np.float32)


def rotation(lengths: Float[Array, " p"], height: int, width: int, *, before: int) -> Rotation:
    """The angles of all tokens: 2π [y / λ, x / λ], twice over the channels; none for tokens without a place.

    Args:
        lengths: periods λ, (p,).
        height: rows of patches.
        width: columns of patches.
        before: tokens before the patches, which are not turned.

    Returns:
        For before + height * width tokens of 4 p channels a head.

    References:
        Su et al., RoFormer, 2021; in two axes: Siméoni et al., DINOv3, 2025.
    """
    # Centres of the patches, each axis from -1 to 1 by itself.
    rows, columns = (2 * (jnp.arange(side, dtype=jnp.float32) + 0.5) / side - 1 for side in (height, width))
    down, right = (2 * math.pi * axis[:, None] / lengths.astype(jnp.float32)[None] for axis in (rows, columns))
    shape = (height, width, lengths.shape[0])
    both = [jnp.broadcast_to(down[:, None], shape), jnp.broadcast_to(right[None], shape)]
    angles = jnp.concatenate(both * 2, axis=-1).reshape(height * width, -1)
    still = jnp.zeros((before, angles.shape[1]), jnp.float32)
    angles = jnp.concatenate([still, angles])
    return Rotation(jnp.cos(angles), jnp.sin(angles))


def rotate(x: Float[Array, "b g n d"], by: Rotation) -> Float[Array, "b g n d"]:
    """Turn: x cos φ + [-x₂, x₁] sin φ, with x₁ and x₂ the halves of the channels, in float32.

    Args:
        x: queries or keys, (b, heads, n, d).
        by: the angles.

    Returns:
        (b, heads, n, d), float32.
    """
    x = x.astype(jnp.float32)
    first, second = jnp.split(x, 2, axis=-1)
    turned = jnp.concatenate([-second, first], axis=-1)
    return x * jax.lax.expand_dims(by.cosine, (0, 1)) + turned * jax.lax.expand_dims(by.sine, (0, 1))
