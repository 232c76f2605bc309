import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.methods import spade
from tests import reference
from tests.helpers import assert_close, correlated_features

score = jax.jit(spade.score, static_argnames="images")
image_score = jax.jit(spade.image_score, static_argnames="images")


def levels(rng, *leading):
    return correlated_features(rng, *leading, 6, 8, 5), correlated_features(rng, *leading, 3, 4, 7)


def to_jax(arrays):
    return tuple(jnp.asarray(array) for array in arrays)


def expected_scores(support, query, images):
    pooled = reference.distances(query[-1].mean((0, 1))[None], support[-1].mean((1, 2)))[0]
    near = pooled.argsort()[:images]
    total = 0
    for bank, level in zip(support, query, strict=True):
        h, w, c = level.shape
        nearest = reference.distances(level.reshape(-1, c), bank[near].reshape(-1, c)).min(1)
        total = total + reference.resize_bilinear(nearest.reshape(h, w), 6, 8)
    return total / len(query), np.sort(pooled)[:images].mean()


@pytest.mark.parametrize("images", [1, 2, 5, 50])
def test_scores_against_numpy(images):
    rng = np.random.default_rng(images)
    support, query = levels(rng, 5), levels(rng)
    state, embedded = spade.fit(to_jax(support)), spade.embed(to_jax(query))
    patches = score(state, embedded, images=images)
    expected = expected_scores(support, query, images)
    assert_close(patches, expected[0])
    assert_close(image_score(state, embedded, patches, images=images), expected[1])


def test_by_hand():
    """Image means 0 and 10; the query's mean 8 is near the second, whose features are 9 and 11."""
    state = spade.fit((jnp.array([[[[0.0], [0.0]]], [[[9.0], [11.0]]]]),))
    query = (jnp.array([[[4.0], [12.0]]]),)
    np.testing.assert_array_equal(score(state, query, images=1), [[5, 1]])
    np.testing.assert_array_equal(score(state, query), [[4, 1]])
    assert image_score(state, query, jnp.zeros((1, 2)), images=1) == 2
    assert image_score(state, query, jnp.zeros((1, 2))) == 5


def test_a_support_image_scores_zero():
    support = levels(np.random.default_rng(7), 3)
    state, query = spade.fit(to_jax(support)), to_jax([level[1] for level in support])
    assert not score(state, query, images=1).any()
    assert image_score(state, query, jnp.zeros((6, 8)), images=1) < 1e-5
