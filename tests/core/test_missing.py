import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import missing, neighbours
from tests import reference
from tests.helpers import assert_close, correlated_features


@pytest.mark.parametrize(
    ("size", "taken", "rows", "columns"),
    [
        ((4, 6), (2, 3), [1, 3], [1, 3, 5]),
        ((14, 14), (7, 7), [1, 3, 5, 7, 9, 11, 13], [1, 3, 5, 7, 9, 11, 13]),
        ((7, 5), (3, 2), [1, 3, 5], [1, 3]),
        ((3, 9), (3, 1), [0, 1, 2], [4]),
        ((28, 28), (3, 4), [4, 14, 23], [3, 10, 17, 24]),
    ],
)
def test_positions_are_the_middles_of_equal_parts(size, taken, rows, columns):
    image = jnp.asarray(np.random.default_rng(0).standard_normal((*size, 3)), jnp.float32)
    expected = np.stack([image[i, j] for i in rows for j in columns])
    np.testing.assert_array_equal(missing.spread(image, *taken), expected)


def test_all_positions_are_the_image_itself():
    image = jnp.asarray(np.random.default_rng(1).standard_normal((5, 7, 2)), jnp.float32)
    np.testing.assert_array_equal(missing.spread(image, 5, 7), image.reshape(35, 2))


def log_distances(views, query):
    """Of the features of good images, (k, n, c), to those of a query, (q, c)."""
    query = neighbours.centred(query)
    flat = neighbours.centred(views.reshape(-1, views.shape[-1]), query.origin)
    return missing.log_distances(flat, query, len(views))


def test_distances_to_the_query_against_numpy():
    rng = np.random.default_rng(2)
    views, query = correlated_features(rng, 3, 10, 8), correlated_features(rng, 25, 8)
    actual = log_distances(jnp.asarray(views), jnp.asarray(query))
    expected = [np.log(reference.distances(view, query).min(1)) for view in views]
    assert_close(actual, expected)


def test_what_the_query_has_is_at_the_floor():
    query = jnp.asarray([[1.0, 0.0], [0.0, 2.0]])
    views = jnp.asarray([[[1.0, 0.0], [4.0, 0.0]]])
    assert_close(log_distances(views, query), [[np.log(neighbours.FLOOR) / 2, np.log(3.0)]])


def test_the_likest_image_is_that_with_the_smallest_maximum():
    """The second has the larger mean, but lacks no single feature as much."""
    distances = jnp.asarray([[0.0, 0.0, 5.0], [3.0, 4.0, 3.0], [9.0, 9.0, 9.0]])
    np.testing.assert_array_equal(missing.of_likest(distances), [3.0, 4.0, 3.0])


@pytest.mark.parametrize("k", [1, 2, 7])
def test_the_maximum_is_the_directed_hausdorff_distance_of_the_nearest_image(k):
    rng = np.random.default_rng(k)
    views, query = correlated_features(rng, k, 12, 6), correlated_features(rng, 20, 6)
    own = missing.of_likest(log_distances(jnp.asarray(views), jnp.asarray(query)))
    lacking = np.stack([reference.distances(view, query).min(1) for view in views])
    assert_close(own, np.log(lacking[lacking.max(1).argmin()]))
    assert_close(jnp.exp(own.max()), min(row.max() for row in lacking))


def test_gradients_are_finite_and_flow_to_the_likest_image_alone():
    rng = np.random.default_rng(3)
    views, query = (jnp.asarray(correlated_features(rng, *shape)) for shape in ((3, 6, 5), (9, 5)))
    views = views.at[1, 0].set(query[4])  # a distance of 0

    def total(views, query):
        return missing.of_likest(log_distances(views, query)).sum()

    to_views, to_query = jax.grad(total, (0, 1))(views, query)
    assert np.isfinite(to_views).all() and np.isfinite(to_query).all()
    lacking = np.stack([reference.distances(np.asarray(view), np.asarray(query)).min(1) for view in views])
    likest = lacking.max(1).argmin()
    assert np.any(to_views[likest])
    assert not np.any(np.delete(np.asarray(to_views), likest, axis=0))
    # A query that is the likest image itself: all distances are 0.
    same = views[:1]
    assert all(not np.any(gradient) for gradient in jax.grad(total, (0, 1))(same, same[0]))
