"""Products at full precision, squared distances and the row space of a matrix."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def matmul(a: Float[Array, "... n c"], b: Float[Array, "c r"]) -> Float[Array, "... n r"]:
    """Matrix product in full float32, even where the platform's default is TF32 or bfloat16.

    Args:
        a: left factors, any number of matrices, (..., n, c).
        b: right factor, a single matrix, (c, r).

    Returns:
        The product, (..., n, r).
    """
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def squared_distances(rows: Float[Array, "n c"], row: Float[Array, " c"]) -> Float[Array, " n"]:
    """Squared Euclidean distance from every row to a single row, computed by differences.

    Args:
        rows: rows to measure from, (n, c).
        row: row to measure to, (c,).

    Returns:
        Squared distances, (n,), in squared units of the rows; exactly 0 for duplicates.
    """
    # Not ||x||² + ||y||² - 2 x·y, which is faster but cancels: near rows would lose most of their digits.
    return jnp.sum(jnp.square(rows - row[None]), axis=1)


def safe_sqrt(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Square root whose derivative at zero is zero instead of infinite.

    Args:
        x: values, at least 0, of any shape.

    Returns:
        The square roots, in the shape of x.
    """
    # The inner `where` is needed as well: the derivative of the branch not taken, 0 · inf, would be NaN.
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, jnp.ones_like(x))), jnp.zeros_like(x))


def unit_rows(rows: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """Rows divided by their Euclidean norm; zero rows stay zero, with a finite derivative.

    Args:
        rows: rows to normalise, (n, c).

    Returns:
        Rows of length 1 or 0, (n, c).
    """
    norm = safe_sqrt(jnp.sum(jnp.square(rows), axis=1, keepdims=True))
    return rows / jnp.where(norm > 0, norm, jnp.ones_like(norm))


def after(x: Float[Array, "*shape"], result: Float[Array, "..."]) -> Float[Array, "*shape"]:
    """The same array, but available only once another one has been computed.

    On a CPU, XLA (jax 0.10.2) may deadlock where one program calls LAPACK for two matrices at the same time. An
    optimisation barrier does not keep the calls apart, a sum does.

    Args:
        x: any array.
        result: array that must be computed first, of any shape with at least one entry.

    Returns:
        x, unchanged.
    """
    # XLA does not fold 0 · y to 0 for floating-point y, which may be NaN or infinite.
    return x + 0 * jax.lax.stop_gradient(result).ravel()[0].astype(x.dtype)


def leading_directions(rows: Float[Array, "n c"], count: int) -> Float[Array, "c r"]:
    """Orthonormal directions in which rows are longest: approximate leading right singular vectors by power iteration.

    Args:
        rows: rows whose directions are wanted, (n, c). The choice is taken as given, so no gradient flows.
        count: number of directions, r, at most c; static.

    Returns:
        Directions as columns, (c, r), in no particular order. Where the rows span fewer than r, the rest are arbitrary,
        but the same for rows that differ by rounding.

    References:
        Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 2011, algorithm 4.4.
    """
    rows = jax.lax.stop_gradient(rows)
    gram, c = matmul(rows.T, rows), rows.shape[1]
    # G + e I has the directions of G. Outside the span of the rows it keeps those of V, which rounding would make else.
    gram += _SHIFT * jnp.trace(gram) / c * jnp.eye(c, dtype=rows.dtype)
    # Subspace iteration, V ← qr((RowsᵀRows + e I) V). A fixed key: the same rows always give the same directions.
    start = jax.random.normal(jax.random.key(0), (c, count), rows.dtype)
    return jax.lax.fori_loop(0, _POWERS, lambda _, V: jnp.linalg.qr(matmul(gram, V))[0], start)


_POWERS = 4  # iterations of `leading_directions`
_SHIFT = 0.1  # what is added to all eigenvalues there, as a share of their mean
RANK_TOLERANCE = 1e-6  # share of the largest singular value at or below which a direction counts as absent


@jax.custom_jvp
def row_space_basis(S: Float[Array, "m c"]) -> Float[Array, "c r"]:
    """Orthonormal basis V of the row space of S, so that V Vᵀ projects onto it; r = min(m, c).

    Directions whose singular value is at most `RANK_TOLERANCE` of the largest are dropped: their columns are zero. This
    keeps the shape static, and V Vᵀ correct for duplicate rows, m > c and S = 0. The decomposition runs in float64
    whatever the global setting, because float32 loses the directions that separate nearly equal rows.

    The derivative is dV = (I - V Vᵀ) dSᵀ (S⁺)ᵀ V, that of the projector. It exists where singular values coincide, and
    is exact for every function of V Vᵀ, as are the second and higher derivatives. The rank is held fixed: at a
    rank-deficient S, where the projector is not continuous, it is the derivative along changes that keep the rank.

    Args:
        S: matrix whose row space is wanted, for instance the coreset rows, (m, c), float32.

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
    """Squared singular values and right singular vectors from the smaller Gram matrix, r = min(m, c).

    Args:
        S: matrix to decompose, (m, c), best in float64: the Gram matrix squares its condition number.

    Returns:
        Squared singular values, ascending, (r,), and right singular vectors V, (c, r). Columns of V are zero where the
        singular value is at most `RANK_TOLERANCE` of the largest; the others are orthonormal.
    """
    m, c = S.shape
    # S Sᵀ = U Σ² Uᵀ if that is the smaller one; otherwise SᵀS = V Σ² Vᵀ, and the eigenvectors are V already.
    eigenvalues, U = jnp.linalg.eigh(matmul(S, S.T) if m <= c else matmul(S.T, S))
    # The eigenvalues ascend. They are squared singular values, so the tolerance is squared as well.
    kept = eigenvalues > RANK_TOLERANCE**2 * eigenvalues[-1]
    if m > c:
        return eigenvalues, U * kept[None].astype(U.dtype)
    # V = Sᵀ U Σ⁻¹. The inner `where` replaces eigenvalues of 0, or below 0 by rounding, before the root.
    V = matmul(S.T, U) * jnp.where(kept, jax.lax.rsqrt(jnp.where(kept, eigenvalues, 1.0)), 0.0)[None]
    # Columns with small singular values lie in the row space, but are orthogonal only to about 1e-4.
    return eigenvalues, _orthonormal(V)


def _orthonormal(V: Float[Array, "n r"]) -> Float[Array, "n r"]:
    """One Newton-Schulz step: columns that are orthonormal up to e become so up to e²; zero columns stay zero."""
    return 1.5 * V - 0.5 * matmul(V, matmul(V.T, V))


class _Factors(NamedTuple):
    """What the derivatives of the row space need; columns that belong to dropped directions are zero.

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
    """The factors, computed in float64. Only derivatives need them; their own derivatives reuse the same factors."""
    with jax.enable_x64(True):
        S64 = S.astype(jnp.float64)
        _, V = right_singular_vectors(S64)
        # S V = U Σ: the squared column lengths are the squared singular values.
        SV = matmul(S64, V)
        squares = jnp.sum(jnp.square(SV), axis=0)
        squares = jnp.where(squares > 0, squares, 1.0)
        # W = (S⁺)ᵀ V = S V (Vᵀ SᵀS V)⁻¹; a 1 on the diagonal stands in for each dropped direction.
        gram = matmul(SV.T, SV) + jnp.diag(jnp.all(V == 0, axis=0).astype(V.dtype))
        W = jax.scipy.linalg.solve(gram, SV.T, assume_a="pos").T
        U = _orthonormal(SV * jax.lax.rsqrt(squares)[None])
        return _Factors(*(x.astype(S.dtype) for x in (V, U, W)))


@_factors.defjvp
def _factors_jvp(primals, tangents):
    """Derivatives with S⁺ = V Wᵀ, where each basis moves orthogonally to itself: VᵀdV = 0 and UᵀdU = 0.

    dV = (I - V Vᵀ) dSᵀ W,  dU = (I - U Uᵀ) dS V WᵀU,  dW = (I - U Uᵀ) dS V WᵀW - W (dS V)ᵀ W.

    The products run in the type of S, since JAX transposes them outside the float64 context.
    """
    (S,), (dS,) = primals, tangents
    V, U, W = factors = _factors(S)
    across, along = matmul(dS.T, W), matmul(dS, V)
    # The projections (I - V Vᵀ) and (I - U Uᵀ) are applied as differences: no (c, c) or (m, m) matrix is formed.
    dV = across - matmul(V, matmul(V.T, across))
    outside = along - matmul(U, matmul(U.T, along))
    dU = matmul(outside, matmul(W.T, U))
    dW = matmul(outside, matmul(W.T, W)) - matmul(W, matmul(along.T, W))
    return factors, _Factors(dV, dU, dW)
