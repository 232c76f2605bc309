import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import neighbours
from tests import reference
from tests.helpers import assert_close, correlated_features

nearest = jax.jit(neighbours.nearest, static_argnames=("count", "block"))
smallest = jax.jit(neighbours.smallest, static_argnames="block")


def arrays(n, m, c, seed=0):
    rng = np.random.default_rng(seed)
    return correlated_features(rng, n, c), correlated_features(rng, m, c)


@pytest.mark.parametrize("block", [1, 7, 50, 1024])
@pytest.mark.parametrize("count", [1, 4])
def test_neighbours_against_numpy_for_any_block(count, block):
    queries, bank = arrays(9, 50, 12)
    found = nearest(jnp.asarray(queries), jnp.asarray(bank), count=count, block=block)
    distances = reference.distances(queries, bank)
    np.testing.assert_array_equal(found.indices, distances.argsort(1)[:, :count])
    assert_close(found.squared, np.sort(distances, 1)[:, :count] ** 2, 1e-6)


@pytest.mark.parametrize(("m", "c"), [(48, 3), (200, 5), (1000, 12), (1025, 2), (2500, 64)])
def test_one_neighbour_by_groups(m, c):
    """Banks that are and are not whole groups and blocks, all wide enough for groups to be used."""
    queries, bank = arrays(33, m, c)
    allowed = np.random.default_rng(5).random(m) < 0.5
    for rows in (np.ones(m, bool), allowed):
        found = nearest(jnp.asarray(queries), jnp.asarray(bank), allowed=jnp.asarray(rows))
        distances = np.where(rows[None], reference.distances(queries, bank), np.inf)
        np.testing.assert_array_equal(found.indices[:, 0], distances.argmin(1))
        assert_close(found.squared[:, 0], distances.min(1) ** 2, 1e-6)


def test_by_hand():
    bank = jnp.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    found = nearest(jnp.array([[3.0, 4.0]]), bank, count=3)
    np.testing.assert_array_equal(found.squared, [[9.0, 16.0, 25.0]])
    np.testing.assert_array_equal(found.indices, [[2, 1, 0]])


def test_duplicates_are_at_distance_zero_and_small_distances_keep_their_digits():
    """Features of length 1e3 whose nearest row is 1e-2 away: the expanded square alone would return noise."""
    rng = np.random.default_rng(1)
    bank = (1e3 + rng.standard_normal((40, 64))).astype(np.float32)
    near = bank[:5] + rng.choice([-1e-2, 1e-2], (5, 64)).astype(np.float32)
    found = nearest(jnp.asarray(np.concatenate([bank[:5], near])), jnp.asarray(bank), block=16)
    np.testing.assert_array_equal(found.indices[:, 0], [*range(5), *range(5)])
    assert not found.squared[:5].any()
    assert_close(found.squared[5:, 0], reference.distances(near, bank).min(1) ** 2, 1e-6)


def test_the_row_chosen_is_nearest_up_to_the_rounding_of_the_search():
    """Each query is in the bank, with another row near it. Too near, that row may be taken, but never a farther one."""
    rng = np.random.default_rng(4)
    rows = np.abs(rng.standard_normal((200, 256))).astype(np.float32)
    for offset in (1e-4, 3e-4, 1e-3, 1e-2):
        bank = np.concatenate([(rows + offset * rng.standard_normal(rows.shape)).astype(np.float32), rows])
        found = nearest(jnp.asarray(rows), jnp.asarray(bank))
        from_mean = np.square(rows - bank.mean(0)).sum(1)
        assert (found.squared[:, 0] <= 1e-6 * from_mean).all()
        assert_close(found.squared[:, 0], np.square(rows - bank[found.indices[:, 0]]).sum(1), 1e-6)
        if offset >= 1e-3:
            assert not found.squared.any()


def test_only_allowed_rows_are_chosen():
    queries, bank = arrays(9, 50, 12)
    allowed = np.random.default_rng(2).random(50) < 0.3
    found = nearest(jnp.asarray(queries), jnp.asarray(bank), allowed=jnp.asarray(allowed), block=16)
    assert_close(found.squared[:, 0], reference.distances(queries, bank[allowed]).min(1) ** 2, 1e-6)


def test_a_constant_bank_is_finite():
    found = nearest(jnp.ones((2, 3)), jnp.ones((5, 3)), count=5, block=2)
    assert not found.squared.any()
    assert sorted(np.asarray(found.indices[0])) == [0, 1, 2, 3, 4]


def test_batches_equal_a_loop():
    rng = np.random.default_rng(3)
    queries, banks = correlated_features(rng, 4, 6, 8), correlated_features(rng, 2, 30, 8)
    one = lambda bank, rows: neighbours.nearest(rows, bank, count=2, block=8)  # noqa: E731
    together = jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))(banks, queries)
    for d in range(2):
        for q in range(4):
            expected = np.sort(reference.distances(queries[q], banks[d]), 1)[:, :2] ** 2
            assert_close(together.squared[d, q], expected, 1e-6)


def test_gradient_is_that_of_the_chosen_distance():
    queries, bank = (jnp.asarray(x) for x in arrays(3, 20, 5))
    total = lambda x, y: nearest(x, y, count=2).squared.sum()  # noqa: E731
    to_queries, to_bank = jax.grad(total, (0, 1))(queries, bank)
    rows = nearest(queries, bank, count=2).indices
    assert_close(to_queries, 2 * (2 * queries - bank[rows].sum(1)))
    assert_close(to_bank.sum(0), -to_queries.sum(0))


@pytest.mark.parametrize("count", [0, 4])
def test_impossible_counts(count):
    with pytest.raises(ValueError, match=f"{count} neighbours are not possible: the bank has 3 rows"):
        neighbours.nearest(jnp.ones((1, 2)), jnp.ones((3, 2)), count=count)


def test_memory_does_not_grow_with_the_bank():
    def temporary(m):
        rows, bank = jax.ShapeDtypeStruct((64, 16), jnp.float32), jax.ShapeDtypeStruct((m, 16), jnp.float32)
        return jax.jit(neighbours.nearest).lower(rows, bank).compile().memory_analysis().temp_size_in_bytes

    assert temporary(100_000) < 1.1 * temporary(10_000) + 100_000 * 2  # the mask of allowed rows is one byte each


@pytest.mark.parametrize("m", [1, 15, 16, 17, 32, 50])
@pytest.mark.parametrize("block", [1, 7, 16, 1024])
def test_the_smallest_distance_against_numpy_for_any_block(m, block):
    """Banks smaller than a block, as large, larger, and of several whole blocks."""
    queries, bank = arrays(9, m, 12, seed=m)
    found = smallest(jnp.asarray(queries), jnp.asarray(bank), block=block)
    assert_close(found, reference.distances(queries, bank).min(1) ** 2, 1e-5)


def test_the_smallest_distance_is_rounded_as_said():
    """Not below 0, and within 1e-6 of the squared distances from the bank's mean, however far the origin is."""
    rng = np.random.default_rng(6)
    bank = (100 + rng.standard_normal((300, 64))).astype(np.float32)
    queries = np.concatenate([bank[:20], (100 + 3 * rng.standard_normal((20, 64))).astype(np.float32)])
    found = np.asarray(smallest(jnp.asarray(queries), jnp.asarray(bank), block=64))
    exact = reference.distances(queries, bank) ** 2
    mean = bank.astype(np.float64).mean(0)
    rounding = np.square(queries - mean).sum(1) + np.square(bank - mean).sum(1)[exact.argmin(1)]
    assert (found >= 0).all()
    assert (np.abs(found - exact.min(1)) <= 1e-6 * rounding).all()


@pytest.mark.parametrize("block", [1, 7, 20, 1024])
def test_the_gradient_of_the_smallest_distance_is_that_of_the_nearest(block):
    queries, bank = (jnp.asarray(x) for x in arrays(8, 20, 5, seed=7))
    weights = jnp.arange(1.0, 9.0)
    actual = jax.grad(lambda x, y: (weights * smallest(x, y, block=block)).sum(), (0, 1))(queries, bank)
    expected = jax.grad(lambda x, y: (weights * nearest(x, y).squared[:, 0]).sum(), (0, 1))(queries, bank)
    for one, other in zip(actual, expected, strict=True):
        assert_close(one, other, 1e-5)


def test_the_smallest_distance_of_a_constant_bank_is_zero_with_finite_gradients():
    ones = jnp.ones((5, 3))
    assert not smallest(ones[:2], ones, block=2).any()
    assert all(np.isfinite(x).all() for x in jax.grad(lambda x, y: smallest(x, y).sum(), (0, 1))(ones[:2], ones))


def test_smallest_distances_in_batches_equal_a_loop():
    rng = np.random.default_rng(8)
    queries, banks = correlated_features(rng, 4, 6, 8), correlated_features(rng, 2, 30, 8)
    one = lambda bank, rows: neighbours.smallest(rows, bank, block=8)  # noqa: E731
    together = jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))(banks, queries)
    for d in range(2):
        for q in range(4):
            assert_close(together[d, q], reference.distances(queries[q], banks[d]).min(1) ** 2, 1e-5)


def test_the_smallest_distance_keeps_one_block_of_distances():
    def temporary(m, n):
        rows, bank = jax.ShapeDtypeStruct((n, 16), jnp.float32), jax.ShapeDtypeStruct((m, 16), jnp.float32)
        return jax.jit(neighbours.smallest).lower(rows, bank).compile().memory_analysis().temp_size_in_bytes

    # Of the bank there are two copies and the lengths of the rows, whatever the number of queries.
    for n in (64, 640):
        assert temporary(100_000, n) < temporary(10_000, n) + 90_000 * 4 * (2 * 16 + 2)


def test_noise_is_added_to_squares_in_units_of_the_banks_spread():
    bank = jnp.asarray([[3.0, 1.0], [-3.0, 1.0]])  # 3 from their mean
    noise = neighbours.rounding_noise(bank, 0.5)
    assert_close(noise, 1.5**2)
    assert_close(neighbours.log_distance(jnp.asarray([4.0, 0.0]), noise), np.log([2.5, 1.5]))
    assert_close(neighbours.log_distance(jnp.asarray([4.0, 0.0])), [np.log(2.0), np.log(neighbours.FLOOR) / 2])
    assert neighbours.rounding_noise(jnp.ones((5, 3)), 0.5) == 0
    assert neighbours.rounding_noise(bank, 0.0) == 0


def test_no_gradient_flows_through_the_noise():
    bank = jnp.asarray([[3.0, 1.0], [-3.0, 1.0]])
    assert not jax.grad(lambda x: neighbours.rounding_noise(x, 0.5))(bank).any()
