"""Principal component analysis as what it leaves over."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fastrecon_jax.core import linalg


class Subspace(NamedTuple):
    """An affine subspace through its mean and the projector on its orthogonal complement.

    Attributes:
        mean: (c,).
        complement: I - V Vᵀ, (c, c), with V the kept directions: the same shape whatever their number.
        directions: how many were kept, ().
    """

    mean: Float[Array, " c"]
    complement: Float[Array, "c c"]
    directions: Int[Array, ""]


def fit(rows: Float[Array, "n c"], explained_variance: float) -> Subspace:
    """The fewest principal directions whose share of the variance is at least `explained_variance`.

    The decomposition runs in float64 whatever the global setting, by the smaller of the Gram matrices (n, n) and
    (c, c). Directions below the rank tolerance of `linalg` are never kept: constant rows keep none. Differentiable in
    the mean; the directions are held fixed.

    Args:
        rows: (n, c), float32.
        explained_variance: share of the variance, in (0, 1].

    Returns:
        Mean and complement, float32.

    Raises:
        ValueError: the share is not in (0, 1].
    """
    if not 0 < explained_variance <= 1:
        raise ValueError(f"explained variance {explained_variance} is not allowed: it must be above 0 and at most 1")
    with jax.enable_x64(True):
        X = jax.lax.stop_gradient(rows).astype(jnp.float64)
        variances, V = linalg.right_singular_vectors(X - X.mean(axis=0)[None])
        variances, V = jnp.maximum(variances[::-1], 0.0), V[:, ::-1]
        before = jnp.cumsum(variances) - variances
        nonzero = variances > linalg.RANK_TOLERANCE**2 * variances[0]
        kept = nonzero & (before < explained_variance * variances.sum())
        V = V * kept[None].astype(V.dtype)
        complement = (jnp.eye(X.shape[1]) - linalg.matmul(V, V.T)).astype(rows.dtype)
        directions = kept.sum().astype(jnp.int32)
    return Subspace(rows.mean(axis=0), complement, directions)


def squared_residual(subspace: Subspace, x: Float[Array, "*n m c"]) -> Float[Array, "*n m"]:
    """Squared distance from the subspace, ||(x - mean) (I - V Vᵀ)||².

    Args:
        subspace: from `fit`.
        x: (..., m, c).

    Returns:
        (..., m), in squared units of x.
    """
    centred = x - jnp.broadcast_to(subspace.mean, x.shape)
    return jnp.sum(jnp.square(linalg.matmul(centred, subspace.complement)), axis=-1)
