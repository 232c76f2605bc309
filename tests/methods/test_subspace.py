import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.methods import subspace
from tests import reference
from tests.helpers import assert_close, correlated_features

fit = jax.jit(subspace.fit, static_argnames="explained_variance")
score = jax.jit(subspace.score)


@pytest.mark.parametrize("shots", [1, 4])
@pytest.mark.parametrize("explained", [0.8, 0.99])
def test_scores_against_numpy(shots, explained):
    rng = np.random.default_rng(shots)
    support, query = correlated_features(rng, shots, 4, 5, 24), correlated_features(rng, 4, 5, 24)
    state = fit(jnp.asarray(support), explained_variance=explained)
    expected, count = reference.pca_residual(support.reshape(-1, 24), query.reshape(-1, 24), explained)
    assert state.subspace.directions == count
    assert_close(score(state, jnp.asarray(query)), expected.reshape(4, 5))


def test_what_the_support_spans_scores_nothing():
    rng = np.random.default_rng(2)
    support = correlated_features(rng, 3, 4, 5, 100)
    state = fit(jnp.asarray(support), explained_variance=1.0)
    within = 0.5 * (support[0] + support[2])
    outside = within + rng.standard_normal(within.shape).astype(np.float32)
    inner, outer = (score(state, jnp.asarray(query)) for query in (within, outside))
    assert inner.max() < 1e-6 * outer.min()


def test_the_image_score_is_the_mean_of_the_largest_hundredth():
    state = fit(jnp.ones((1, 2, 2, 3)))
    patches = jnp.arange(200.0).reshape(10, 20)
    assert subspace.image_score(state, jnp.ones((10, 20, 3)), patches) == 198.5
