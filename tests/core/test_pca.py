import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import pca
from tests import reference
from tests.helpers import assert_close, correlated_features

fit = jax.jit(pca.fit, static_argnames="explained_variance")
squared_residual = jax.jit(pca.squared_residual)


@pytest.mark.parametrize("shape", [(60, 12), (10, 24)])
@pytest.mark.parametrize("explained", [0.5, 0.9, 0.99, 1.0])
def test_residual_against_numpy(shape, explained):
    rng = np.random.default_rng(0)
    rows, queries = correlated_features(rng, *shape, rank=4), correlated_features(rng, 7, shape[1], rank=4)
    subspace = fit(jnp.asarray(rows), explained_variance=explained)
    expected, count = reference.pca_residual(rows, queries, explained)
    scale = np.square(queries - rows.mean(0)).sum(1).max()
    assert np.abs(squared_residual(subspace, jnp.asarray(queries)) - expected).max() <= 1e-5 * scale
    if explained < 1:
        assert_close(squared_residual(subspace, jnp.asarray(queries)), expected)
        assert subspace.directions == count


def test_by_hand():
    """Variances 50, 8 and 2 along the axes: 0.8 keeps one, 0.9 keeps two."""
    rows = jnp.array([[5.0, 0, 0], [-5, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 1], [0, 0, -1]]) + 3
    query = jnp.array([[4.0, 5.0, 6.0]])  # 1, 2, 3 from the mean
    for explained, directions, expected in ((0.8, 1, 13.0), (0.9, 2, 9.0), (1.0, 3, 0.0)):
        subspace = fit(rows, explained_variance=explained)
        assert subspace.directions == directions
        np.testing.assert_allclose(squared_residual(subspace, query), expected, atol=1e-5)


def test_constant_rows_keep_no_direction():
    subspace = pca.fit(jnp.ones((5, 3)), 0.99)
    assert subspace.directions == 0
    np.testing.assert_array_equal(squared_residual(subspace, jnp.array([[1.0, 1, 1], [2, 1, 3]])), [0, 5])


def total(rows, queries, explained):
    return jnp.sum(jnp.square(pca.squared_residual(pca.fit(rows, explained), queries)))


gradient = jax.jit(jax.grad(total), static_argnums=2)


@pytest.mark.parametrize("shape", [(60, 12), (10, 24)])
@pytest.mark.parametrize("explained", [0.5, 0.99, 1.0])
def test_gradient_in_the_rows_is_that_of_differences_in_float64(shape, explained):
    rng = np.random.default_rng(2)
    rows, queries = correlated_features(rng, *shape), correlated_features(rng, 7, shape[1])
    directions = rng.standard_normal((5, *shape))
    slope = gradient(jnp.asarray(rows), jnp.asarray(queries), explained)

    def difference(direction, step=1e-6):
        residuals = [reference.pca_residual(rows + t * direction, queries, explained)[0] for t in (step, -step)]
        return (np.square(residuals[0]).sum() - np.square(residuals[1]).sum()) / (2 * step)

    slopes = [np.vdot(slope, direction) for direction in directions]
    if explained == 1 and shape[0] > shape[1]:  # the whole space, which leaves nothing
        assert np.abs(slopes).max() < 1e-6
    else:
        assert_close(slopes, [difference(direction) for direction in directions], 2e-6)


def test_gradients_of_a_batch_forward_and_backward_equal_a_loop():
    rows, queries = (jnp.asarray(correlated_features(np.random.default_rng(4), *n, 8)) for n in ((2, 20), (7,)))
    one = lambda rows: total(rows, queries, 0.9)  # noqa: E731
    together = jax.jit(jax.vmap(lambda x: jax.jvp(one, (x,), (jnp.flip(x),))[1]))(rows)
    alone = [jnp.vdot(gradient(x, queries, 0.9), jnp.flip(x)) for x in rows]
    assert_close(together, alone)


@pytest.mark.parametrize("rows", [np.eye(4), np.eye(3, 5).repeat(2, axis=0), np.ones((3, 4)), np.zeros((3, 4))])
def test_gradient_is_finite_where_variances_coincide_at_the_cut(rows):
    assert np.isfinite(gradient(jnp.asarray(rows, jnp.float32), jnp.ones((2, rows.shape[1])), 0.6)).all()


def test_a_second_derivative_in_the_rows_is_refused():
    rows, queries = (jnp.asarray(correlated_features(np.random.default_rng(3), n, 4)) for n in (6, 2))
    mixed = jax.jit(jax.jacfwd(jax.grad(total), 1), static_argnums=2)
    assert mixed(rows, queries, 0.9).shape == (6, 4, 2, 4)
    with pytest.raises(NotImplementedError, match="only once in its rows"):
        jax.hessian(total)(rows, queries, 0.9)


def test_batches_equal_a_loop():
    rows = correlated_features(np.random.default_rng(1), 3, 20, 6)
    together = jax.jit(jax.vmap(lambda x: pca.fit(x, 0.9)))(rows)
    for i in range(3):
        assert_close(together.complement[i], fit(jnp.asarray(rows[i]), explained_variance=0.9).complement)


@pytest.mark.parametrize("explained", [0.0, 1.1, float("nan")])
def test_impossible_shares(explained):
    with pytest.raises(ValueError, match="must be above 0 and at most 1"):
        pca.fit(jnp.ones((3, 2)), explained)
