"""A soft metric for the features of good parts: lengths and frequent directions count less, none is cut off."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fastrecon_jax.core import linalg

_FLOOR = 1e-6  # of the variance that counts as noise; softened features are at most 1 long


class Whitening(NamedTuple):
    """The metric as a linear map of softened features.

    Attributes:
        radius: length below which the length of a feature counts.
        mean: of the softened features, (c,).
        matrix: A, (c, c), with A Aᵀ = t (C + t I)⁻¹.
    """

    radius: Float[Array, ""]
    mean: Float[Array, " c"]
    matrix: Float[Array, "c c"]


def soften(rows: Float[Array, "*n c"], radius: Float[Array, ""]) -> Float[Array, "*n c"]:
    """The direction of long features, short ones in proportion: x / sqrt(||x||² + radius²); zeros stay zero.

    Args:
        rows: (..., c).
        radius: at least 0; 0 leaves directions alone.

    Returns:
        (..., c), of lengths below 1.
    """
    squared = jnp.sum(jnp.square(rows), axis=-1, keepdims=True) + jnp.square(radius)
    return rows * jax.lax.rsqrt(jnp.where(squared > 0, squared, jnp.ones_like(squared)))


def fit(rows: Float[Array, "n c"], *, soft_length: float, soft_spectrum: float) -> Whitening:
    """The metric of a pool of good features.

    With f the softened features, C their covariance and t = soft_spectrum tr(C) / c, squared distances are

        (f - g)ᵀ t (C + t I)⁻¹ (f - g) = Σ_i t / (λ_i + t) (v_iᵀ (f - g))²:

    a direction v_i in which good features vary by far more than t counts little, one in which they hardly vary fully.
    The hard row space of FastRecon with lam = 0 is the same with weights 0 and 1. These are Wiener's weights for noise
    of variance t, the posterior variance of ridge regression; no decomposition is needed, and they are differentiable
    where eigenvalues coincide: A = sqrt(t) G⁻ᵀ with Cholesky's G Gᵀ = C + t I.

    Args:
        rows: of the pool, (n, c).
        soft_length: radius in root mean squares of the rows' lengths, at least 0.
        soft_spectrum: t in means of the eigenvalues, above 0.

    Returns:
        The metric.

    References:
        Our derivation; Tipping and Bishop, Probabilistic principal component analysis, 1999, for t as a noise floor.
    """
    n, c = rows.shape
    radius = soft_length * linalg.safe_sqrt(jnp.mean(jnp.sum(jnp.square(rows), axis=-1)))
    softened = soften(rows, radius)
    mean = softened.mean(axis=0)
    centred = softened - mean[None]
    covariance = linalg.matmul(centred.T, centred) / n
    noise = soft_spectrum * jnp.trace(covariance) / c + _FLOOR
    factor = jnp.linalg.cholesky(covariance + noise * jnp.eye(c, dtype=rows.dtype))
    inverse = jax.scipy.linalg.solve_triangular(factor, jnp.eye(c, dtype=rows.dtype), lower=True)
    return Whitening(radius, mean, jnp.sqrt(noise) * inverse.T)


def apply(whitening: Whitening, rows: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """Features in coordinates in which the metric is the Euclidean one.

    Args:
        whitening: from `fit`.
        rows: (n, c).

    Returns:
        (n, c).
    """
    return linalg.matmul(soften(rows, whitening.radius) - whitening.mean[None], whitening.matrix)
