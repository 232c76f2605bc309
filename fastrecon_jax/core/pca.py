"""Principal component analysis, kept as the projector on the directions it drops."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fastrecon_jax.core import linalg


class Subspace(NamedTuple):
    """An affine subspace through its mean and the projector on its orthogonal complement.

    Attributes:
        mean: mean of the rows, (c,).
        complement: I - V Vᵀ, (c, c), with V the kept directions; its shape does not depend on their number.
        directions: number of kept directions, ().
    """

    mean: Float[Array, " c"]
    complement: Float[Array, "c c"]
    directions: Int[Array, ""]


def fit(rows: Float[Array, "n c"], explained_variance: float) -> Subspace:
    """The fewest principal directions whose share of the variance is at least `explained_variance`.

    The decomposition runs in float64 whatever the global setting, on the smaller of the Gram matrices (n, n) and
    (c, c). Directions below the rank tolerance of `linalg` are never kept: constant rows keep none.

    Differentiable once in the rows, with the number of directions held fixed. With v_i the kept and v_j the other
    directions, λ their variances and C = XᵀX for the centred rows X, the projector P = V Vᵀ changes by

        dP = Σ_ij (v_jᵀ dC v_i) / (λ_i - λ_j) (v_j v_iᵀ + v_i v_jᵀ),

    which contains no differences of variances among the kept directions, or among the others. Where a kept and another
    variance coincide, to within `RANK_TOLERANCE`² of the largest, P is not unique and has no derivative: such a pair is
    left out of the sum.

    Args:
        rows: features to analyse, (n, c), float32.
        explained_variance: share of the variance that the kept directions explain at least, in (0, 1].

    Returns:
        The subspace, float32.

    Raises:
        ValueError: the share is not in (0, 1].
        NotImplementedError: the result is differentiated twice.
    """
    if not 0 < explained_variance <= 1:
        raise ValueError(f"explained variance {explained_variance} is not allowed: it must be above 0 and at most 1")
    complement, directions = _complement(rows, explained_variance)
    return Subspace(rows.mean(axis=0), complement, directions.astype(jnp.int32))


class _Spectrum(NamedTuple):
    """Principal directions of the centred rows X, the largest variance first; r = min(n, c).

    Attributes:
        variances: squared singular values of X, (r,): variances not divided by n.
        V: directions as columns, (c, r); columns below the rank tolerance are zero.
        kept: true for the directions that the subspace keeps, (r,); these come first.
    """

    variances: Float[Array, " r"]
    V: Float[Array, "c r"]
    kept: Bool[Array, " r"]


def _centred(rows: Float[Array, "n c"]) -> Float[Array, "n c"]:
    # In float64 before the mean is subtracted: the difference of nearly equal float32 rows would keep few digits.
    rows = rows.astype(jnp.float64)
    return rows - rows.mean(axis=0)[None]


def _spectrum(X: Float[Array, "n c"], explained_variance: float) -> _Spectrum:
    variances, V = linalg.right_singular_vectors(X)
    # Rounding may leave a variance slightly below 0.
    variances, V = jnp.maximum(variances[::-1], 0.0), V[:, ::-1]
    # A direction is kept if the directions before it explain less than the share: the fewest that reach it.
    before = jnp.cumsum(variances) - variances
    nonzero = variances > linalg.RANK_TOLERANCE**2 * variances[0]
    return _Spectrum(variances, V, nonzero & (before < explained_variance * variances.sum()))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _complement(rows: Float[Array, "n c"], explained_variance: float) -> tuple[Float[Array, "c c"], Float[Array, ""]]:
    """I - P and the number of directions, as a floating-point number."""
    with jax.enable_x64(True):
        return _leave(_spectrum(_centred(rows), explained_variance), rows.dtype)


def _leave(spectrum: _Spectrum, dtype: jnp.dtype) -> tuple[Float[Array, "c c"], Float[Array, ""]]:
    # Dropped columns become zeros instead of being cut off, because their number is not static.
    kept = spectrum.V * spectrum.kept[None].astype(spectrum.V.dtype)
    complement = jnp.eye(kept.shape[0]) - linalg.matmul(kept, kept.T)
    return complement.astype(dtype), spectrum.kept.sum().astype(dtype)


@_complement.defjvp
def _complement_jvp(explained_variance, primals, tangents):
    """The sum of `fit` in two parts: pairs of directions in V through VᵀdC V, and pairs with directions outside V.

    Outside V, that is, orthogonal to all rows, λ_j = 0. As in `linalg`, the factors are computed in float64, and the
    products with the tangent in the type of the rows.
    """
    (rows,), (change,) = _differentiated_once(primals), tangents
    with jax.enable_x64(True):
        X = _centred(rows)
        variances, V, kept = spectrum = _spectrum(X, explained_variance)
        XV = linalg.matmul(X, V)
        # 1 / |λ_i - λ_j| for pairs on both sides of the cut, 0 for all others. |·| makes the matrix symmetric, so that
        # i may be the kept direction or the other one.
        gaps = jnp.abs(variances[:, None] - variances[None])
        apart = (kept[:, None] != kept[None]) & (gaps > linalg.RANK_TOLERANCE**2 * variances[0])
        between = jnp.where(apart, 1 / jnp.where(apart, gaps, 1.0), 0.0)
        # X v_i / λ_i for the kept directions: the gap to a direction outside V is λ_i itself.
        beyond = XV * jnp.where(kept, 1 / jnp.where(kept, variances, 1.0), 0.0)[None]
        V, XV, between, beyond = (x.astype(rows.dtype) for x in (V, XV, between, beyond))
        complement, directions = _leave(spectrum, rows.dtype)
    # dC = dXᵀX + XᵀdX. One of the two terms is computed, the other is its transpose, added in the last line. The mean
    # of dX does not matter, because the columns of X sum to 0.
    along = linalg.matmul(change, V)
    inside = linalg.matmul(along.T, XV)
    outside = linalg.matmul(change.T, beyond) - linalg.matmul(V, linalg.matmul(along.T, beyond))
    # dP = half + halfᵀ, and the complement is I - P.
    half = linalg.matmul(linalg.matmul(V, between * inside) + outside, V.T)
    return (complement, directions), (-half - half.T, jnp.zeros_like(directions))


@jax.custom_jvp
def _differentiated_once(x):
    return x


@_differentiated_once.defjvp
def _refuse(primals, tangents):
    raise NotImplementedError("the truncated principal component analysis can be differentiated only once in its rows")


def squared_residual(subspace: Subspace, x: Float[Array, "*n m c"]) -> Float[Array, "*n m"]:
    """Squared distance from the subspace, ||(x - mean) (I - V Vᵀ)||².

    Args:
        subspace: what `fit` returned.
        x: features, (..., m, c).

    Returns:
        Squared distances, (..., m), in squared units of x.
    """
    # The residual is formed before it is squared: ||x||² - ||x V||² would cancel for features close to the subspace.
    centred = x - jnp.broadcast_to(subspace.mean, x.shape)
    return jnp.sum(jnp.square(linalg.matmul(centred, subspace.complement)), axis=-1)
