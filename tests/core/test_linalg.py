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


@pytest.mark.parametrize("kind", ["plain", "more rows than channels"])
def test_basis_derivative_is_the_projectors(kind):
    rng = np.random.default_rng(3)
    S = deficient(rng, kind)[:, :24]
    direction = rng.standard_normal(S.shape).astype(np.float32)

    def project(S):
        V = linalg.row_space_basis(S)
        return V @ V.T

    _, tangent = jax.jvp(project, (jnp.asarray(S),), (jnp.asarray(direction),))
    step = 1e-6
    difference = (
        true_projector(S + step * direction.astype(float)) - true_projector(S - step * direction.astype(float))
    ) / (2 * step)
    if kind == "plain":
        assert_close(tangent, difference, 2e-5)
    else:  # the whole space: the projector is the identity and stays so
        assert np.abs(tangent).max() < 1e-4


def test_safe_sqrt_has_a_finite_slope_at_zero():
    assert jax.grad(linalg.safe_sqrt)(jnp.float32(0)) == 0
    assert jax.grad(linalg.safe_sqrt)(jnp.float32(4)) == 0.25


def test_squared_distances_are_exactly_zero_for_duplicates():
    rows = jnp.array([[1e3, 1e-3], [3.0, 4.0], [0, 0]])
    assert linalg.squared_distances(rows, rows[0])[0] == 0
    assert linalg.squared_distances(rows, rows[2])[1] == 25
