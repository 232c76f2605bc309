import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import linalg
from tests.helpers import assert_close, correlated_features


def projector(V):
    V = np.asarray(V, np.float64)
    return V @ V.T


def true_projector(S, cut=1e-6):
    _, s, vt = np.linalg.svd(S.astype(np.float64), full_matrices=False)
    vt = vt[s > cut * s[0]]
    return vt.T @ vt


def deficient(rng, kind):
    S = correlated_features(rng, 20, 48)
    match kind:
        case "duplicates":
            S[7:14] = S[3]
        case "near duplicates":
            S[9] = S[3] * np.float32(1 + 2e-3)
            S[10] = S[4] + 3e-4 * rng.standard_normal(48).astype(np.float32)
        case "more rows than channels":
            S = correlated_features(rng, 90, 48)
        case "one row":
            S = S[:1]
    return S


@pytest.mark.parametrize("kind", ["plain", "duplicates", "near duplicates", "more rows than channels", "one row"])
def test_basis_spans_the_row_space(kind):
    S = deficient(np.random.default_rng(0), kind)
    V = linalg.row_space_basis(jnp.asarray(S))
    assert V.shape == (48, min(S.shape))
    assert_close(projector(V), true_projector(S), 1e-6)


def test_basis_columns_are_orthonormal_or_zero():
    V = np.asarray(linalg.row_space_basis(jnp.asarray(deficient(np.random.default_rng(1), "duplicates"))), np.float64)
    gram = V.T @ V
    assert_close(gram, np.diag(np.round(np.diag(gram))), 1e-6)
    assert np.diag(gram).sum() == pytest.approx(13, abs=1e-5)


def test_basis_of_zeros_is_zero():
    assert not np.any(linalg.row_space_basis(jnp.zeros((3, 5))))


def test_basis_under_jit_and_vmap():
    S = np.random.default_rng(2).standard_normal((4, 6, 10)).astype(np.float32)
    batched = jax.jit(jax.vmap(linalg.row_space_basis))(S)
    for V, rows in zip(batched, S, strict=True):
        assert_close(projector(V), true_projector(rows), 1e-6)


def moved(S, direction, left, right, t):
    """S + t direction, or (I + t left) S (I + t right), which has the rank of S."""
    if left is None:
        return S + t * direction
    return (np.eye(len(S)) + t * left) @ S @ (np.eye(S.shape[1]) + t * right)


def project(S):
    V = linalg.row_space_basis(S)
    return linalg.matmul(V, V.T)


@pytest.mark.parametrize("kind", ["plain", "duplicates", "more rows than channels"])
def test_basis_derivative_is_that_of_differences_of_the_projector(kind):
    rng = np.random.default_rng(3)
    S = deficient(rng, kind)[:, :24]
    left = right = None
    direction = rng.standard_normal(S.shape)
    if kind == "duplicates":
        left, right = rng.standard_normal((20, 20)), rng.standard_normal((24, 24))
        direction = left @ S + S @ right
    _, tangent = jax.jvp(project, (jnp.asarray(S),), (jnp.asarray(direction, jnp.float32),))
    step = 1e-6
    ahead, behind = (true_projector(moved(S.astype(float), direction, left, right, t)) for t in (step, -step))
    if kind == "more rows than channels":  # the whole space: the projector is the identity and stays so
        assert np.abs(tangent).max() < 1e-4
    else:
        assert_close(tangent, (ahead - behind) / (2 * step), 2e-6)


def loss(S, Q):
    """A function of the projector that is not linear in it."""
    V = linalg.row_space_basis(S)
    return jnp.sum(jnp.square(jnp.square(Q - linalg.matmul(linalg.matmul(Q, V), V.T))))


def true_loss(S, Q):
    return np.square(np.square(Q - Q @ true_projector(S))).sum()


def true_gradient(S, Q):
    """With dP = (I - P) dSᵀ (S⁺)ᵀ + its transpose and the loss's derivative M in P: (S⁺)ᵀ (M + Mᵀ) (I - P)."""
    outside = np.eye(S.shape[1]) - true_projector(S)
    M = -4 * Q.T @ (Q @ outside) ** 3
    return np.linalg.pinv(S, 1e-6).T @ (M + M.T) @ outside


def assert_gradient(S, Q):
    together = jax.jit(jax.vmap(jax.grad(loss), (0, None)))(jnp.stack([S, 2 * S]), jnp.asarray(Q))
    expected = true_gradient(S.astype(float), Q.astype(float))
    assert_close(together[0], expected, 2e-6)
    assert_close(together[1], expected / 2, 2e-6)


def test_gradient_at_rows_that_almost_repeat():
    """The condition number is 1e6: what float32 rounds off the larger directions would drown the smallest."""
    rng = np.random.default_rng(6)
    S, Q = correlated_features(rng, 20, 48), correlated_features(rng, 7, 48)
    S[10] = S[4] + 3e-5 * rng.standard_normal(48).astype(np.float32)
    assert_gradient(S, Q)


def test_gradient_at_the_size_of_a_category():
    rng = np.random.default_rng(7)
    assert_gradient(correlated_features(rng, 62, 1536, rank=20), correlated_features(rng, 7, 1536, rank=20))


@pytest.mark.parametrize("order", ["forward over reverse", "reverse over reverse"])
def test_second_derivative_is_that_of_differences_in_float64(order):
    rng = np.random.default_rng(8)
    S, Q = rng.standard_normal((5, 12)).astype(np.float32), rng.standard_normal((7, 12)).astype(np.float32)
    one, other = (rng.standard_normal(S.shape).astype(np.float32) for _ in range(2))
    slope = lambda S: jax.grad(loss)(S, jnp.asarray(Q))  # noqa: E731
    if order == "forward over reverse":
        product = jax.jit(lambda: jax.jvp(slope, (jnp.asarray(S),), (jnp.asarray(one),))[1])()
    else:
        product = jax.jit(jax.grad(lambda S: jnp.vdot(slope(S), one)))(jnp.asarray(S))
    gradients = [true_gradient(S + t * one.astype(float), Q.astype(float)) for t in (1e-6, -1e-6)]
    assert_close(product, (gradients[0] - gradients[1]) / 2e-6, 5e-6)
    corners = [a * b * true_loss(S + 1e-4 * (a * one + b * other).astype(float), Q) for a in (1, -1) for b in (1, -1)]
    assert np.vdot(product, other) == pytest.approx(sum(corners) / 4e-8, rel=1e-5)


def test_the_derivative_costs_the_forward_pass_nothing():
    """One decomposition, and no solve."""
    S = jax.ShapeDtypeStruct((5, 12), jnp.float32)
    forward, tangent = (
        str(jax.make_jaxpr(f)(*S_and_more))
        for f, S_and_more in ((project, (S,)), (lambda S, dS: jax.jvp(project, (S,), (dS,)), (S, S)))
    )
    assert forward.count("eigh") == tangent.count("eigh") > 0
    assert "cholesky" not in forward
    assert "cholesky" in tangent


def test_safe_sqrt_has_a_finite_slope_at_zero():
    assert jax.grad(linalg.safe_sqrt)(jnp.float32(0)) == 0
    assert jax.grad(linalg.safe_sqrt)(jnp.float32(4)) == 0.25


def test_squared_distances_are_exactly_zero_for_duplicates():
    rows = jnp.array([[1e3, 1e-3], [3.0, 4.0], [0, 0]])
    assert linalg.squared_distances(rows, rows[0])[0] == 0
    assert linalg.squared_distances(rows, rows[2])[1] == 25


def test_leading_directions_hold_the_length_of_the_rows():
    rows = np.random.default_rng(20).standard_normal((80, 30)) * 0.7 ** np.arange(30)
    V = np.asarray(linalg.leading_directions(jnp.asarray(rows, jnp.float32), 8), np.float64)
    assert_close(V.T @ V, np.eye(8))
    best = np.square(np.linalg.svd(rows, compute_uv=False)[:8]).sum()
    assert np.square(rows @ V).sum() > 0.99 * best


@pytest.mark.parametrize("rank", [3, 7, 12])
def test_leading_directions_outside_the_span_of_few_rows_are_no_rounding(rank):
    """More are asked for than there are: the same for rows that differ in the last digit."""
    rng = np.random.default_rng(21)
    rows = rng.standard_normal((50, rank)) @ rng.standard_normal((rank, 40))
    nearly = rows * (1 + 1e-7 * rng.standard_normal(rows.shape))
    one, other = (linalg.leading_directions(jnp.asarray(x, jnp.float32), 20) for x in (rows, nearly))
    assert_close(one @ one.T, other @ other.T, 1e-4)
    assert_close(rows @ np.asarray(one @ one.T), rows, 1e-2)
