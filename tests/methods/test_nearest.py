import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.methods import nearest
from tests.helpers import assert_close, correlated_features


@pytest.mark.parametrize("shots", [1, 4])
def test_scores_against_numpy(shots):
    rng = np.random.default_rng(shots)
    support, query = correlated_features(rng, shots, 4, 5, 24), correlated_features(rng, 4, 5, 24)
    x, y = (a.reshape(-1, 24).astype(np.float64) for a in (query, support))
    cosine = (x @ y.T) / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(y, axis=1)[None]
    actual = nearest.score(nearest.fit(jnp.asarray(support)), jnp.asarray(query))
    assert_close(actual, (1 - cosine).min(1).reshape(4, 5))


def test_by_hand():
    """Length does not count; 45 degrees are 1 - cos 45; the opposite is 2, a right angle 1; zeros are halfway."""
    state = nearest.fit(jnp.array([[[[1.0, 0.0]]]]))
    query = jnp.array([[[5.0, 0], [2, 2], [-3, 0], [0, 1], [0, 0]]])
    assert_close(nearest.score(state, query), [[0, 1 - np.sqrt(0.5), 2, 1, 0.5]])


def test_small_angles_keep_their_digits():
    """An angle of 1e-4 is at 5e-9, below the rounding of a cosine in float32."""
    state = nearest.fit(jnp.array([[[[1.0, 0.0]]]]))
    assert_close(nearest.score(state, jnp.array([[[1.0, 1e-4]]])), [[5e-9]])


def test_the_image_score_is_the_mean_of_the_largest_hundredth():
    state = nearest.fit(jnp.ones((1, 2, 2, 3)))
    patches = jnp.arange(200.0).reshape(10, 20)
    assert nearest.image_score(state, jnp.ones((10, 20, 3)), patches) == 198.5
