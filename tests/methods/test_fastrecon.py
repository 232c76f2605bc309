import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from fastrecon_jax.core import features, scoring
from fastrecon_jax.methods import fastrecon
from tests import reference
from tests.helpers import assert_close, correlated_features

KEY = jax.random.key(0)


def fit_and_score(support, query, **options):
    return fastrecon.score(fastrecon.fit(jnp.asarray(support), KEY, **options), jnp.asarray(query))


def expected_scores(support, query, lam, ratio):
    pool = support.reshape(-1, support.shape[-1])
    S = pool[reference.greedy_k_center(pool, max(1, int(ratio * len(pool))))]
    mu = support.astype(np.float64).mean(0).reshape(-1, support.shape[-1])
    return reference.residual(query.reshape(mu.shape), S, mu, lam).reshape(query.shape[:2])


@pytest.mark.parametrize("lam", [0.0, 2.0])
@pytest.mark.parametrize("shots", [1, 4])
def test_scores_against_numpy(shots, lam):
    rng = np.random.default_rng(shots)
    support, query = correlated_features(rng, shots, 6, 5, 24), correlated_features(rng, 6, 5, 24)
    actual = fit_and_score(support, query, lam=lam, coreset_ratio=0.1)
    assert_close(actual, expected_scores(support, query, lam, 0.1))


@pytest.mark.parametrize("case", ["constant", "zero", "duplicates", "whole pool"])
def test_degenerate_supports_give_finite_scores(case):
    support = correlated_features(np.random.default_rng(0), 2, 4, 4, 8)
    if case in ("constant", "zero"):
        support[:] = case == "constant"
    if case == "duplicates":
        support[1] = support[0]
    query = correlated_features(np.random.default_rng(1), 4, 4, 8)
    assert np.isfinite(fit_and_score(support, query, coreset_ratio=1.0)).all()
    total = lambda s, q: fit_and_score(s, q, coreset_ratio=1.0).sum()  # noqa: E731
    slope = jax.grad(total, (0, 1))(jnp.asarray(support), jnp.asarray(query))
    assert all(np.isfinite(g).all() for g in slope)


@pytest.mark.parametrize("argument", ["support", "query"])
def test_the_gradient_from_the_map_to_the_stages_is_that_of_differences_in_float64(argument):
    rng = np.random.default_rng(5)
    shapes = ((6, 4, 10), (3, 2, 14))
    arrays = {
        "support": [correlated_features(rng, 2, *shape) for shape in shapes],
        "query": [correlated_features(rng, *shape) for shape in shapes],
    }
    directions = [rng.standard_normal(x.shape) for x in arrays[argument]]
    weights = rng.standard_normal((24, 16))

    def total(stages):
        moved = jax.tree.map(jnp.asarray, arrays) | {argument: stages}
        pooled, one = jax.vmap(features.combine)(moved["support"]), features.combine(moved["query"])
        state = fastrecon.fit(pooled, KEY, coreset_ratio=0.2)
        anomaly_map = scoring.anomaly_map(fastrecon.score(state, one), height=24, width=16)
        return jnp.vdot(anomaly_map, weights.astype(np.float32))

    def true_total(t):
        stages = [x + t * direction for x, direction in zip(arrays[argument], directions, strict=True)]
        moved = arrays | {argument: stages}
        pooled = np.stack([combine([stage[i] for stage in moved["support"]]) for i in range(2)])
        patches = expected_scores(pooled, combine(moved["query"]), 2.0, 0.2)
        resized = cv2.resize(patches, (16, 24), interpolation=cv2.INTER_LINEAR)
        return np.vdot(ndimage.gaussian_filter(resized, sigma=4), weights)

    slopes = jax.jit(jax.grad(total))([jnp.asarray(x) for x in arrays[argument]])
    slope = sum(np.vdot(a, b) for a, b in zip(slopes, directions, strict=True))
    assert slope == pytest.approx((true_total(1e-6) - true_total(-1e-6)) / 2e-6, rel=1e-4)


def combine(stages):
    fine, coarse = (reference.local_pool(stage) for stage in stages)
    return np.concatenate([fine, coarse.repeat(2, 0).repeat(2, 1)], axis=-1)


def test_draws_and_queries_are_batched_without_changing_a_score():
    rng = np.random.default_rng(2)
    supports, queries = correlated_features(rng, 3, 2, 4, 4, 8), correlated_features(rng, 5, 4, 4, 8)
    states = jax.vmap(lambda s: fastrecon.fit(s, KEY, coreset_ratio=0.2))(supports)
    score = jax.jit(jax.vmap(jax.vmap(fastrecon.score, (None, 0)), (0, None)))
    together = score(states, queries)
    for d, support in enumerate(supports):
        for q, query in enumerate(queries):
            assert_close(together[d, q], expected_scores(support, query, 2.0, 0.2))


def test_more_of_the_pool_explains_more():
    rng = np.random.default_rng(3)
    support, query = correlated_features(rng, 2, 6, 6, 40), correlated_features(rng, 6, 6, 40)
    few, many = (fit_and_score(support, query, lam=0.0, coreset_ratio=ratio) for ratio in (0.05, 0.3))
    assert (many <= few + 1e-5).all()


def test_projection_is_used_and_needs_the_key():
    support = jnp.asarray(correlated_features(np.random.default_rng(4), 2, 6, 6, 16))
    chosen = [fastrecon.fit(support, jax.random.key(s), coreset_ratio=0.2, projection=3).coreset for s in (0, 0, 1)]
    assert jnp.array_equal(chosen[0], chosen[1])
    assert not jnp.array_equal(chosen[0], chosen[2])
    assert chosen[0][0] == 0
