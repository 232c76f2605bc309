import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import coreset, k_center
from tests import reference
from tests.helpers import correlated_features


@functools.partial(jax.jit, static_argnums=1)
def plain(pool, m, nearest=None):
    return k_center.one_by_one(pool, start(pool) if nearest is None else nearest, m)


@functools.partial(jax.jit, static_argnums=1)
def rounds(pool, m, nearest=None):
    return k_center.in_rounds(pool[None], (start(pool) if nearest is None else nearest)[None], m)[0]


def start(pool):
    return jnp.full((pool.shape[0],), jnp.inf, pool.dtype)


def integers(rng, n, c):
    return rng.integers(0, 3, (n, c)).astype(np.float32)


def repeated(rng, n, c):
    return correlated_features(rng, n // 4, c)[rng.integers(0, n // 4, n)]


POOLS = {
    "random": lambda rng, n, c: rng.standard_normal((n, c)).astype(np.float32),
    "features": correlated_features,
    "integer grid, ties": integers,
    "a line of integers": lambda rng, n, c: (np.arange(n)[:, None] * np.ones((1, c))).astype(np.float32),
    "duplicates": repeated,
    "all rows equal": lambda rng, n, c: np.ones((n, c), np.float32),
    "zeros": lambda rng, n, c: np.zeros((n, c), np.float32),
    "large offset": lambda rng, n, c: (rng.standard_normal((n, c)) + 1e3).astype(np.float32),
    "offset, near ties": lambda rng, n, c: (1e-3 * rng.standard_normal((n, c)) + 1e3).astype(np.float32),
    "far clusters": lambda rng, n, c: (1e4 * rng.integers(0, 3, (n, 1)) + rng.standard_normal((n, c))).astype(
        np.float32
    ),
    "tiny numbers": lambda rng, n, c: (1e-20 * rng.standard_normal((n, c))).astype(np.float32),
    "one far row": lambda rng, n, c: (rng.standard_normal((n, c)) + 1e6 * np.eye(n, 1)).astype(np.float32),
}


@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize(("n", "c", "m"), [(500, 12, 160), (233, 3, 233)])
def test_rounds_take_the_rows_of_the_plain_loop(kind, n, c, m):
    for seed in range(4):
        pool = jnp.asarray(POOLS[kind](np.random.default_rng(seed), n, c))
        np.testing.assert_array_equal(rounds(pool, m), plain(pool, m))


@pytest.mark.parametrize("kind", POOLS)
def test_rounds_from_given_distances(kind):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        pool = jnp.asarray(POOLS[kind](rng, 400, 9))
        for nearest in (rng.random(400) * 20, rng.integers(0, 3, 400) * 1.0, np.zeros(400)):
            nearest = jnp.asarray(nearest, jnp.float32)
            np.testing.assert_array_equal(rounds(pool, 120, nearest), plain(pool, 120, nearest))
        for nearest in (coreset.total_distances(pool), coreset.starting_distances(pool, jax.random.key(seed), 10)):
            np.testing.assert_array_equal(rounds(pool, 120, nearest), plain(pool, 120, nearest))


@pytest.mark.parametrize("kind", ["random", "features"])
def test_rounds_against_float64(kind):
    for seed in range(3):
        pool = POOLS[kind](np.random.default_rng(seed), 700, 40)
        np.testing.assert_array_equal(rounds(jnp.asarray(pool), 300), reference.greedy_k_center(pool, 300))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 2), (7, 1), (24, 24), (49, 48), (300, 1)])
def test_small_pools(n, m):
    pool = jnp.asarray(correlated_features(np.random.default_rng(n), n, 5))
    np.testing.assert_array_equal(rounds(pool, m), plain(pool, m))


def test_when_only_duplicates_are_left_row_0_is_taken_again():
    pool = jnp.asarray(repeated(np.random.default_rng(0), 400, 6))
    chosen = np.asarray(rounds(pool, 200))
    count = len(np.unique(chosen))
    assert count == len(np.unique(np.asarray(pool), axis=0)) < 110
    np.testing.assert_array_equal(chosen[count:], 0)


def test_draws_and_draws_of_draws_equal_a_loop():
    rng = np.random.default_rng(1)
    pools = jnp.asarray(np.stack([POOLS[kind](rng, 300, 8) for kind in POOLS]))
    expected = np.stack([plain(pool, 90) for pool in pools])
    by_draw = jax.vmap(lambda pool: k_center.in_rounds(pool[None], start(pool)[None], 90)[0])
    np.testing.assert_array_equal(jax.jit(by_draw)(pools), expected)
    nested = jax.jit(jax.vmap(by_draw))(pools.reshape(2, -1, *pools.shape[1:]))
    np.testing.assert_array_equal(nested.reshape(expected.shape), expected)
    nearest = jnp.asarray(rng.random((3, 300)), jnp.float32)
    of_one = jax.vmap(lambda bounds: k_center.in_rounds(pools[:1], bounds[None], 90)[0])
    np.testing.assert_array_equal(of_one(nearest), [plain(pools[0], 90, one) for one in nearest])


def test_bounds_hold_whatever_the_offset():
    rng = np.random.default_rng(2)
    for offset in (0.0, 1.0, 1e3):
        x, y = (rng.standard_normal((64, 1536)).astype(np.float32) + np.float32(offset) for _ in range(2))
        y[:32] = x[:32] + np.float32(1e-3) * y[:32]
        lower, upper = map(np.asarray, k_center._limits(jnp.asarray(x) - offset, jnp.asarray(y) - offset))
        exact = np.square(x.astype(np.float64)[:, None] - y.astype(np.float64)[None]).sum(-1)
        assert (lower <= exact * (1 - 1e-4)).all()
        assert (upper >= exact * (1 + 1e-4)).all()
        assert (upper - lower <= 4e-3 * 1536).all()


LARGE = (1024, 512, 520)


def test_large_pools_go_in_rounds_and_small_ones_do_not():
    assert k_center.pays(*LARGE)
    assert k_center.pays(6272, 1536, 62)
    assert k_center.pays(156_800, 1536, 1568)
    assert not k_center.pays(784, 1536, 7)
    assert not k_center.pays(1568, 128, 156)


def test_the_public_function_takes_the_same_rows_and_can_be_differentiated_through():
    n, c, m = LARGE
    pool = jnp.asarray(correlated_features(np.random.default_rng(3), n, c))
    chosen = plain(pool, m)

    def total(pool):
        return jnp.sum(jnp.square(pool[coreset.greedy_k_center(pool, m)]))

    np.testing.assert_array_equal(jax.jit(coreset.greedy_k_center, static_argnums=1)(pool, m), chosen)
    expected = jnp.zeros_like(pool).at[chosen].add(2 * pool[chosen])
    np.testing.assert_array_equal(jax.jit(jax.grad(total))(pool), expected)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.grad(total)))(pool[None])[0], expected)


def test_it_lowers_for_every_platform():
    pools = jax.ShapeDtypeStruct((2, *LARGE[:2]), jnp.float32)
    choose = jax.jit(jax.vmap(functools.partial(coreset.greedy_k_center, m=LARGE[2])))
    exported = jax.export.export(choose, platforms=("cpu", "cuda", "tpu"))(pools)
    assert exported.platforms == ("cpu", "cuda", "tpu")


def test_memory_is_a_tenth_of_the_pools():
    for d, n, m in ((1, 6272, 62), (5, 6272, 627), (1, 156_800, 15_680)):
        pools = jax.ShapeDtypeStruct((d, n, 1536), jnp.float32)
        choose = jax.jit(jax.vmap(functools.partial(coreset.greedy_k_center, m=m)))
        assert choose.lower(pools).compile().memory_analysis().temp_size_in_bytes < 0.1 * d * n * 1536 * 4
