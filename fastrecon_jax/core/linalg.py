"""Products at full precision, squared distances and the row space of a matrix."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def matmul(a: Float[Array, "... n c"], b: Float[Array, "c r"]) -> Float[Array, "... n r"]:
    """Matrix product in full float32, also where the platform's default is TF32 or bfloat16.

    Args:
        a: matrices, (..., n, c).
        b: one matrix, (c, r).

    Returns:
        The product, (..., n, r).
    """
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def squared_distances(rows: Float[Array, "n c"], row: Float[Array, " c"]) -> Float[Array, " n"]:
    """Squared Euclidean distance of every row to one row, by differences: exact zeros for duplicates.

    Args:
        rows: (n, c).
        row: (c,).

    Returns:
        (n,), in squared units of the rows.
    """
    return jnp.sum(jnp.square(rows - row[None]), axis=1)


def safe_sqrt(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Square root whose derivative at zero is zero instead of infinite.

    Args:
        x: values of at least 0.

    Returns:
        The roots, of the same shape.
    """
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, jnp.ones_like(x))), jnp.zeros_like(x))


def unit_rows(rows: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """Rows divided by their norm; zero rows stay zero, and their derivative too.

    Args:
        rows: (n, c).

    Returns:
        (n, c).
    """
    norm = safe_sqrt(jnp.sum(jnp.square(rows), axis=1, keepdims=True))
    return rows / jnp.where(norm > 0, norm, jnp.ones_like(norm))


def after(x: Float[Array, "*shape"], result: Float[Array, "..."]) -> Float[Array, "*shape"]:
    """The same array, but not before another one is there.

    On a CPU, XLA (jax 0.10.2) may wait forever where it calls LAPACK for two matrices of one program side by side; a
    barrier does not keep them apart, a sum does.

    Args:
        x: any array.
        result: of what must be finished first, not empty.

    Returns:
        x.
    """
    return x + 0 * jax.lax.stop_gradient(result).ravel()[0].astype(x.dtype)


def leading_directions(rows: Float[Array, "n c"], count: int) -> Float[Array, "c r"]:
    """Orthonormal directions in which rows are longest, about the leading right singular vectors, by power iteration.

    Args:
        rows: (n, c). The directions are for searching: nothing is differentiated.
        count: r, at most c; static.

    Returns:
        (c, r), in no order.

    References:
        Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 2011, algorithm 4.4.
    """
    rows = jax.lax.stop_gradient(rows)
    gram = matmul(rows.T, rows)
    start = jax.random.normal(jax.random.key(0), (rows.shape[1], count), rows.dtype)
    return jax.lax.fori_loop(0, _POWERS, lambda _, V: jnp.linalg.qr(matmul(gram, V))[0], start)


_POWERS = 4
RANK_TOLERANCE = 1e-6


@jax.custom_jvp
def row_space_basis(S: Float[Array, "m c"]) -> Float[Array, "c r"]:
    """Orthonormal basis V of the row space of S, so that V Vᵀ projects on it; r = min(m, c).

    Directions whose singular value is at most `RANK_TOLERANCE` of the largest are dropped: their columns are zero,
    which keeps the shape static and V Vᵀ right for duplicate rows, m > c and S = 0. The decomposition runs in float64
    whatever the global setting, because float32 loses the directions that separate nearly equal rows.

    The derivative is that of the projector, dV = (I - V Vᵀ) dSᵀ (S⁺)ᵀ V: it is defined where singular values coincide,
    and exact for every function of V Vᵀ; so are the second and higher ones. It holds the rank fixed: at a
    rank-deficient S, where the projector is not continuous, it is the derivative along changes that keep the rank.

    Args:
        S: coreset rows, (m, c), float32.

    Returns:
        V, (c, r), float32; its nonzero columns are orthonormal to float32 rounding.
    """
    with jax.enable_x64(True):
        return right_singular_vectors(S.astype(jnp.float64))[1].astype(S.dtype)


@row_space_basis.defjvp
def _row_space_basis_jvp(primals, tangents):
    factors, change = jax.jvp(_factors, primals, tangents)
    return factors.V, change.V


def right_singular_vectors(S: Float[Array, "m c"]) -> tuple[Float[Array, " r"], Float[Array, "c r"]]:
    """Squared singular values and right singular vectors by the smaller Gram matrix, r = min(m, c); best in float64.

    Args:
        S: (m, c).

    Returns:
        The squares, ascending, (r,), and V, (c, r), whose columns are zero where the singular value is at most
        `RANK_TOLERANCE` of the largest; the others are orthonormal.
    """
    m, c = S.shape
    eigenvalues, U = jnp.linalg.eigh(matmul(S, S.T) if m <= c else matmul(S.T, S))
    kept = eigenvalues > RANK_TOLERANCE**2 * eigenvalues[-1]
    if m > c:
        return eigenvalues, U * kept[None].astype(U.dtype)
    V = matmul(S.T, U) * jnp.where(kept, jax.lax.rsqrt(jnp.where(kept, eigenvalues, 1.0)), 0.0)[None]
    # Columns of small singular values lie in the row space, orthogonal only to 1e-4.
    return eigenvalues, _orthonormal(V)


def _orthonormal(V: Float[Array, "n r"]) -> Float[Array, "n r"]:
    """One Newton-Schulz step: columns that are orthonormal to e become so to e²; zero columns stay zero."""
    return 1.5 * V - 0.5 * matmul(V, matmul(V.T, V))


class _Factors(NamedTuple):
    """What the derivatives of the row space need; columns of dropped directions are zero.

    Attributes:
        V: orthonormal basis of the row space, (c, r).
        U: orthonormal basis of the column space, (m, r).
        W: (S⁺)ᵀ V, (m, r).
    """

    V: Float[Array, "c r"]
    U: Float[Array, "m r"]
    W: Float[Array, "m r"]


@jax.custom_jvp
def _factors(S: Float[Array, "m c"]) -> _Factors:
    """The factors, computed in float64. Only derivatives ask for them, and their own are made of them again."""
    with jax.enable_x64(True):
        S64 = S.astype(jnp.float64)
        _, V = right_singular_vectors(S64)
        SV = matmul(S64, V)
        squares = jnp.sum(jnp.square(SV), axis=0)
        squares = jnp.where(squares > 0, squares, 1.0)
        gram = matmul(SV.T, SV) + jnp.diag(jnp.all(V == 0, axis=0).astype(V.dtype))
        W = jax.scipy.linalg.solve(gram, SV.T, assume_a="pos").T
        U = _orthonormal(SV * jax.lax.rsqrt(squares)[None])
        return _Factors(*(x.astype(S.dtype) for x in (V, U, W)))


@_factors.defjvp
def _factors_jvp(primals, tangents):
    """With S⁺ = V Wᵀ, and both bases moving at right angles to themselves, VᵀdV = 0 and UᵀdU = 0.

    dV = (I - V Vᵀ) dSᵀ W,  dU = (I - U Uᵀ) dS V WᵀU,  dW = (I - U Uᵀ) dS V WᵀW - W (dS V)ᵀ W.

    The products run in the type of S: transposed outside the float64 context, they could not keep float64.
    """
    (S,), (dS,) = primals, tangents
    V, U, W = factors = _factors(S)
    across, along = matmul(dS.T, W), matmul(dS, V)
    dV = across - matmul(V, matmul(V.T, across))
    outside = along - matmul(U, matmul(U.T, along))
    dU = matmul(outside, matmul(W.T, U))
    dW = matmul(outside, matmul(W.T, W)) - matmul(W, matmul(along.T, W))
    return factors, _Factors(dV, dU, dW)
