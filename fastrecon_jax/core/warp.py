"""Affine changes of a feature map: bilinear samples, with the mirror image of the map around it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fastrecon_jax.core import linalg


def reflected(p: Float[Array, "*shape"], length: int) -> Float[Array, "*shape"]:
    """A coordinate brought into 0..length - 1 by mirrors half a sample outside the first and the last sample.

    Args:
        p: coordinates in samples, of any sign and size; 0 is the first sample.
        length: number of samples, at least 1.

    Returns:
        Coordinates in samples, 0 to length - 1.
    """
    # Mirrors at -1/2 and length - 1/2: a period of twice the length, whose second half runs backwards.
    t = jnp.abs(p + 0.5)
    t = t - 2 * length * jnp.floor(t / (2 * length))  # not jnp.mod, which cannot be written to ONNX
    return jnp.clip(jnp.where(t < length, t, 2 * length - t) - 0.5, 0, length - 1)


def sample(x: Float[Array, "h w c"], rows: Float[Array, "*n"], columns: Float[Array, "*n"]) -> Float[Array, "*n c"]:
    """Bilinear samples of a feature map; places outside of it read its mirror image.

    Args:
        x: feature map, (h, w, c).
        rows: row of each place, in samples.
        columns: likewise.

    Returns:
        Samples, with a last axis for the channels; differentiable in the map and almost everywhere in the places.
    """
    h, w, _ = x.shape
    y, u = reflected(rows, h), reflected(columns, w)
    # The second neighbour may lie outside only where its weight is 0.
    top, left = jnp.floor(y), jnp.floor(u)
    down, right = (y - top)[..., None], (u - left)[..., None]
    i, j = top.astype(jnp.int32), left.astype(jnp.int32)
    below, beside = jnp.minimum(i + 1, h - 1), jnp.minimum(j + 1, w - 1)
    upper = x[i, j] * (1 - right) + x[i, beside] * right
    lower = x[below, j] * (1 - right) + x[below, beside] * right
    return upper * (1 - down) + lower * down


def affine(x: Float[Array, "h w c"], matrix: Float[Array, "2 3"]) -> Float[Array, "h w c"]:
    """A feature map read at A (x, y, 1), where x and y run from -1 to 1 over the width and the height.

    Args:
        x: feature map, (h, w, c).
        matrix: A, in units of half the width (first row) and half the height (second row).

    Returns:
        The changed map, (h, w, c).

    References:
        Jaderberg et al., Spatial transformer networks, NeurIPS 2015, equations 1 and 5.
    """
    h, w, _ = x.shape
    # -1 and 1 are the outer edges of the first and the last sample.
    across = (2 * jnp.arange(w, dtype=jnp.float32) + 1) / w - 1
    down = (2 * jnp.arange(h, dtype=jnp.float32) + 1) / h - 1
    g = matrix[:, 0, None, None] * across[None, None, :] + matrix[:, 1, None, None] * down[None, :, None]
    g = g + matrix[:, 2, None, None]
    return sample(x, ((g[1] + 1) * h - 1) / 2, ((g[0] + 1) * w - 1) / 2)


def rotation_scale(parameters: Float[Array, " 3"]) -> Float[Array, "2 3"]:
    """A = [[a cos t, -sin t, 0], [sin t, b cos t, 0]] of (t, a, b): the scales multiply the cosines alone, as in RegAD.

    Args:
        parameters: angle in radians, and two scales; (0, 1, 1) is the identity.

    Returns:
        A, (2, 3).

    References:
        Huang et al., Registration based few-shot anomaly detection, ECCV 2022.
    """
    angle, a, b = parameters
    cosine, sine, zero = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)
    return jnp.stack([jnp.stack([a * cosine, -sine, zero]), jnp.stack([sine, b * cosine, zero])])


def inverse(matrix: Float[Array, "2 3"]) -> Float[Array, "2 3"]:
    """The matrix that takes an affine change back, in closed form.

    Args:
        matrix: A = [B, t]; where B is singular the result is not finite.

    Returns:
        [B⁻¹, -B⁻¹ t].
    """
    (a, b, _), (c, d, _) = matrix
    back = jnp.stack([jnp.stack([d, -b]), jnp.stack([-c, a])]) / (a * d - b * c)
    return jnp.concatenate([back, -linalg.matmul(back, matrix[:, 2:])], axis=1)


def negative_cosine(p: Float[Array, "h w c"], z: Float[Array, "h w c"]) -> Float[Array, ""]:
    """Minus the cosine between two feature maps, averaged over the positions; no gradient flows through the second.

    Args:
        p: predicted features, (h, w, c).
        z: features that are to be predicted, (h, w, c).

    Returns:
        A scalar, -1 (equal directions) to 1.

    References:
        Chen and He, Exploring simple Siamese representation learning, CVPR 2021, equations 1 and 3.
    """
    p, z = (x.reshape(-1, x.shape[-1]) for x in (p, jax.lax.stop_gradient(z)))
    return -jnp.mean(jnp.sum(linalg.unit_rows(p) * linalg.unit_rows(z), axis=-1))
