import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import scoring
from fastrecon_jax.methods import padim
from tests import reference
from tests.helpers import assert_close, correlated_features

KEY = jax.random.key(0)
fit = jax.jit(padim.fit, static_argnames="channels")
score = jax.jit(padim.score)


def fit_and_score(support, query, **options):
    state = fit(jnp.asarray(support), KEY, **options)
    return state, score(state, jnp.asarray(query))


def expected_scores(state, support, query):
    return reference.mahalanobis(support[..., state.channels], query[..., state.channels])


@pytest.mark.parametrize("shots", [1, 2, 4, 30])
def test_scores_against_the_dense_inverse_in_numpy(shots):
    """30 images are more than the 20 channels; the identity holds for any number."""
    rng = np.random.default_rng(shots)
    support, query = correlated_features(rng, shots, 3, 4, 24), correlated_features(rng, 3, 4, 24)
    state, scores = fit_and_score(support, query, channels=20)
    assert_close(scores, expected_scores(state, support, query))


@pytest.mark.parametrize("scale", [0.01, 1, 30, 1000])
def test_scores_stay_accurate_where_the_covariance_dwarfs_epsilon(scale):
    """Queries between the support images, where all but 1e-9 of the squared deviation cancels."""
    rng = np.random.default_rng(5)
    support = (scale * rng.standard_normal((4, 3, 4, 24))).astype(np.float32)
    query = (0.3 * support[0] + 0.7 * support[1]).astype(np.float32)
    state, scores = fit_and_score(support, query, channels=24)
    assert_close(scores, expected_scores(state, support, query), 1e-4 if scale == 1000 else 1e-6)


def test_by_hand():
    """Two images, 1 and 3 in one channel: mean 2, variance 2; one position, the other channel constant."""
    support = jnp.array([[[[1.0, 5]]], [[[3.0, 5]]]])
    state = fit(support, KEY)
    along, across = (score(state, jnp.array([[x]])) for x in ([4.0, 5.0], [2.0, 6.0]))
    assert_close(along, [[2 / np.sqrt(2.01)]])
    assert_close(across, [[1 / np.sqrt(0.01)]])


def test_one_image_is_a_scaled_distance():
    rng = np.random.default_rng(6)
    support, query = correlated_features(rng, 1, 3, 4, 8), correlated_features(rng, 3, 4, 8)
    _, scores = fit_and_score(support, query)
    assert_close(scores, 10 * np.linalg.norm(query - support[0], axis=-1))


@pytest.mark.parametrize(
    ("channels", "asked", "kept"),
    [(448, 0, 100), (1792, 0, 550), (1536, 0, 550), (152, 0, 100), (64, 0, 64), (9, 20, 9)],
)
def test_number_of_channels(channels, asked, kept):
    assert padim.dimensions(channels, asked) == kept


def test_channels_are_drawn_without_replacement_from_the_key():
    support = jnp.ones((1, 1, 1, 200))
    drawn = [np.asarray(fit(support, jax.random.key(seed)).channels) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert set(drawn[0]) != set(drawn[2])
    assert all(len(set(channels)) == 100 for channels in drawn)


def test_the_image_score_is_the_maximum_of_the_map():
    patches = jnp.asarray(np.random.default_rng(7).random((5, 5)), jnp.float32)
    state = fit(jnp.ones((1, 5, 5, 3)), KEY)
    expected = scoring.anomaly_map(patches, height=40, width=40).max()
    assert padim.image_score(state, jnp.ones((5, 5, 3)), patches, map_size=40) == expected


def test_stages_are_repeated_but_not_pooled():
    embedded = padim.embed([jnp.arange(16.0).reshape(4, 4, 1), jnp.arange(4.0).reshape(2, 2, 1)])
    np.testing.assert_array_equal(embedded[3], [[12, 2], [13, 2], [14, 3], [15, 3]])
