import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import whitening
from tests import reference
from tests.helpers import assert_close, correlated_features


def coordinates(rows, queries, **options):
    metric = whitening.fit(jnp.asarray(rows), **options)
    return np.asarray(whitening.apply(metric, jnp.asarray(queries)))


def distances(x, y):
    return np.square(x[:, None] - y[None]).sum(-1)


@pytest.mark.parametrize("n", [9, 200])  # fewer and more rows than channels
@pytest.mark.parametrize(("soft_length", "soft_spectrum"), [(0.7, 1.0), (0.0, 0.1), (1000.0, 10.0)])
def test_distances_are_those_of_the_formula(n, soft_length, soft_spectrum):
    rng = np.random.default_rng(0)
    rows, queries = correlated_features(rng, n, 24), correlated_features(rng, 7, 24)
    options = {"soft_length": soft_length, "soft_spectrum": soft_spectrum}
    found = distances(*(coordinates(rows, x, **options) for x in (queries, rows)))
    assert_close(found, reference.soft_squared_distances(queries, rows, rows, **options), 1e-4)


def test_by_hand():
    """Two directions of variance 4 and 0 and no softening of lengths: t = 2, weights 2 / (4 + 2) and 1."""
    rows = jnp.array([[2.0, 0.0], [-2.0, 0.0]]) / 1000
    metric = whitening.fit(rows, soft_length=1000.0, soft_spectrum=1.0)
    assert_close(metric.radius, 2.0)
    squares = np.diag(metric.matrix @ metric.matrix.T)
    noise = 0.5e-6 + 1e-6  # the variance of the softened rows is (0.001)²: half of it, and the floor
    assert_close(squares, [noise / (1e-6 + noise), 1.0], 1e-3)


def test_a_small_soft_length_gives_directions_and_a_large_one_the_features():
    x = jnp.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    assert_close(whitening.soften(x, jnp.float32(0)), [[0.6, 0.8], [0.6, 0.8], [0, 0]])
    assert_close(1000 * whitening.soften(x, jnp.float32(1000)), x, 1e-4)


def test_a_large_soft_spectrum_is_the_euclidean_metric():
    rng = np.random.default_rng(1)
    rows, queries = rng.standard_normal((30, 6)).astype(np.float32), rng.standard_normal((5, 6)).astype(np.float32)
    found = distances(*(coordinates(rows, x, soft_length=1000.0, soft_spectrum=1000.0) for x in (queries, rows)))
    expected = distances(queries, rows)
    assert_close(found / found.max(), expected / expected.max(), 1e-2)


def test_frequent_directions_count_less_and_none_is_cut_off():
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((500, 3)).astype(np.float32) * np.array([10, 1, 0.1], np.float32)
    metric = whitening.fit(jnp.asarray(rows), soft_length=1000.0, soft_spectrum=1.0)
    weights = np.diag(metric.matrix @ metric.matrix.T)
    assert 0 < weights[0] < weights[1] < weights[2] <= 1


def test_equal_eigenvalues_have_a_derivative():
    def total(rows):
        return whitening.apply(whitening.fit(rows, soft_length=0.7, soft_spectrum=1.0), rows[:1] + 0.5).sum()

    for rows in (jnp.eye(4), jnp.ones((3, 4)), jnp.zeros((3, 4))):
        assert np.isfinite(jax.grad(total)(rows)).all()
