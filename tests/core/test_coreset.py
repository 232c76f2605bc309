import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import coreset
from tests import reference
from tests.helpers import correlated_features


def test_indices_against_numpy():
    pool = correlated_features(np.random.default_rng(0), 300, 24)
    np.testing.assert_array_equal(coreset.greedy_k_center(jnp.asarray(pool), 40), reference.greedy_k_center(pool, 40))


def test_by_hand():
    pool = jnp.array([[0.0], [1.0], [10.0], [4.0]])
    np.testing.assert_array_equal(coreset.greedy_k_center(pool, 4), [0, 2, 3, 1])


def test_batches_equal_a_loop():
    pools = np.random.default_rng(1).standard_normal((3, 50, 4)).astype(np.float32)
    together = jax.jit(jax.vmap(lambda pool: coreset.greedy_k_center(pool, 9)))(pools)
    for indices, pool in zip(together, pools, strict=True):
        np.testing.assert_array_equal(indices, reference.greedy_k_center(pool, 9))


def test_the_covering_radius_falls_with_every_row():
    pool = np.random.default_rng(2).standard_normal((80, 5))
    chosen = np.asarray(coreset.greedy_k_center(jnp.asarray(pool, jnp.float32), 20))
    distance = np.linalg.norm(pool[:, None] - pool[chosen][None], axis=-1)
    radii = [distance[:, : i + 1].min(1).max() for i in range(20)]
    assert radii == sorted(radii, reverse=True)


def test_when_only_duplicates_are_left_row_0_is_taken_again():
    pool = jnp.array([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])
    np.testing.assert_array_equal(coreset.greedy_k_center(pool, 3), [0, 1, 0])


@pytest.mark.parametrize("m", [0, 5])
def test_impossible_sizes(m):
    with pytest.raises(ValueError, match=f"coreset of {m} rows is not possible: the pool has 4"):
        coreset.greedy_k_center(jnp.ones((4, 2)), m)


@pytest.mark.parametrize(
    ("rows", "ratio", "m"), [(1568, 0.01, 15), (3136, 0.01, 31), (6272, 0.01, 62), (10, 0.01, 1), (7, 1.0, 7)]
)
def test_size(rows, ratio, m):
    assert coreset.size(rows, ratio) == m


@pytest.mark.parametrize("ratio", [0.0, -1.0, 1.01, float("nan")])
def test_size_refuses_other_ratios(ratio):
    with pytest.raises(ValueError, match="must be above 0 and at most 1"):
        coreset.size(10, ratio)


def test_projection_keeps_distances_in_the_mean_and_is_sparse():
    R = np.asarray(coreset.sparse_projection(jax.random.key(0), 400, 3000))
    x = np.random.default_rng(3).standard_normal((200, 400))
    ratio = np.square(x @ R).sum(1) / np.square(x).sum(1)
    assert abs(ratio.mean() - 1) < 0.02
    assert abs((R != 0).mean() - 0.05) < 0.002


def test_given_distances_choose_the_first_row_and_bound_the_later_ones():
    pool = np.random.default_rng(4).standard_normal((60, 5)).astype(np.float32)
    start = np.random.default_rng(5).random(60).astype(np.float32) + 1
    chosen = coreset.greedy_k_center(jnp.asarray(pool), 20, jnp.asarray(start) ** 2)
    np.testing.assert_array_equal(chosen, reference.greedy_k_center_from(pool, 20, start.astype(np.float64)))


def test_starting_distances_are_means_over_random_rows():
    pool = np.random.default_rng(6).standard_normal((30, 4)).astype(np.float32)
    to_all = reference.distances(pool, pool)
    every = coreset.starting_distances(jnp.asarray(pool), jax.random.key(0), 99)
    np.testing.assert_allclose(every, to_all.mean(1) ** 2, rtol=1e-5)
    drawn = {int(coreset.starting_distances(jnp.asarray(pool), jax.random.key(s), 1).argmin()) for s in range(200)}
    assert drawn == set(range(30))


def test_total_distances_equal_the_sum_over_the_matrix():
    pool = np.random.default_rng(7).standard_normal((30, 4)).astype(np.float32)
    expected = np.square(reference.distances(pool, pool)).sum(1)
    np.testing.assert_allclose(coreset.total_distances(jnp.asarray(pool)), expected, rtol=1e-5)


def test_linear_projection_is_uniform():
    R = np.asarray(coreset.linear_projection(jax.random.key(0), 400, 500))
    assert R.shape == (400, 500)
    assert 0.0499 < np.abs(R).max() <= 0.05
    assert abs(R.mean()) < 1e-3
    assert abs(R.var() * 3 * 400 - 1) < 0.01
