"""A soft metric for features of good parts: directions in which they vary much count less, but none is cut off."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fastrecon_jax.core import linalg

_FLOOR = 1e-6  # added to the noise variance, so that it is above 0; softened features are at most 1 long


class Whitening(NamedTuple):
    """The metric, as a linear map of softened features.

    Attributes:
        radius: length around which features stop counting by their length, see `soften`.
        mean: mean of the softened features, (c,).
        matrix: A, (c, c), with A Aᵀ = t (C + t I)⁻¹; (c, r) where distances are taken in r directions alone.
    """

    radius: Float[Array, ""]
    mean: Float[Array, " c"]
    matrix: Float[Array, "c r"]


def soften(rows: Float[Array, "*n c"], radius: Float[Array, ""]) -> Float[Array, "*n c"]:
    """Bring long features to length 1 and short ones near x / radius: x / sqrt(||x||² + radius²); zeros stay zero.

    Args:
        rows: features, (..., c).
        radius: length at which the two cases meet, in units of the features, at least 0; 0 keeps directions alone.

    Returns:
        Softened features, (..., c), of length below 1, or exactly 1 for a radius of 0.
    """
    squared = jnp.sum(jnp.square(rows), axis=-1, keepdims=True) + jnp.square(radius)
    # Only a zero row with radius 0 has a square of 0; dividing by 1 keeps it, and its derivative finite.
    return rows * jax.lax.rsqrt(jnp.where(squared > 0, squared, jnp.ones_like(squared)))


def fit(rows: Float[Array, "n c"], *, soft_length: float, soft_spectrum: float) -> Whitening:
    """Fit the metric to the variation of good features.

    With softened features f and g, C the pool's covariance and t = soft_spectrum tr(C) / c, squared distances are

        (f - g)ᵀ t (C + t I)⁻¹ (f - g) = Σ_i t / (λ_i + t) (v_iᵀ (f - g))².

    A direction v_i in which good features vary by far more than t counts little, and a direction in which they hardly
    vary counts fully. FastRecon with lam = 0 is the hard case, with weights 0 and 1. The weights are those of a Wiener
    filter for noise of variance t, or the posterior variance of ridge regression.

    Args:
        rows: features of good parts, (n, c).
        soft_length: radius of the softening, as a multiple of the root mean square of the rows' lengths, at least 0.
        soft_spectrum: noise variance t, as a multiple of the mean eigenvalue of C, above 0.

    Returns:
        The metric.

    References:
        Our derivation; Tipping and Bishop, Probabilistic principal component analysis, 1999, for t as a noise floor.
    """
    n, c = rows.shape
    # Relative to the pool itself, so that the settings do not depend on the encoder's scale.
    radius = soft_length * linalg.safe_sqrt(jnp.mean(jnp.sum(jnp.square(rows), axis=-1)))
    softened = soften(rows, radius)
    mean = softened.mean(axis=0)
    centred = softened - mean[None]
    covariance = linalg.matmul(centred.T, centred) / n
    # t; the floor keeps C + t I invertible where all features are equal.
    noise = soft_spectrum * jnp.trace(covariance) / c + _FLOOR
    # A = sqrt(t) G⁻ᵀ with Cholesky's G Gᵀ = C + t I. Unlike an eigendecomposition it is differentiable where
    # eigenvalues coincide.
    factor = jnp.linalg.cholesky(covariance + noise * jnp.eye(c, dtype=rows.dtype))
    inverse = jax.scipy.linalg.solve_triangular(factor, jnp.eye(c, dtype=rows.dtype), lower=True)
    return Whitening(radius, mean, jnp.sqrt(noise) * inverse.T)


def apply(whitening: Whitening, rows: Float[Array, "n c"]) -> Float[Array, "n r"]:
    """Features in coordinates in which Euclidean distances are distances of the metric.

    Args:
        whitening: what `fit` returned.
        rows: features as the encoder gives them, not softened, (n, c).

    Returns:
        Transformed features, (n, r), without unit.
    """
    # (f - mean)ᵀ A: the mean cancels in every distance, and keeps the numbers near zero.
    return linalg.matmul(soften(rows, whitening.radius) - whitening.mean[None], whitening.matrix)
