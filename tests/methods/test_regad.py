import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods
from fastrecon_jax.methods import padim, regad
from tests.helpers import assert_close

fit, score = jax.jit(regad.fit), jax.jit(regad.score)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("k", "channels"), [(1, 30), (2, 50), (2, 7)])
def test_scores_are_those_of_the_direct_form_in_float64(k, channels):
    support, copies, query = random(k, 3, 2, channels), random(k, 21, 3, 2, channels, seed=1), random(3, 2, channels)
    state = fit(support, jax.random.key(0), copies)
    pool = np.concatenate([support, copies.reshape(-1, 3, 2, channels)]).astype(np.float64)
    expected = np.zeros((3, 2))
    for position in np.ndindex(3, 2):
        x = pool[:, *position]
        covariance = np.cov(x, rowvar=False) + 0.01 * np.eye(channels)
        difference = query[position] - x.mean(axis=0)
        expected[position] = np.sqrt(difference @ np.linalg.inv(covariance) @ difference)
    assert_close(score(state, jnp.asarray(query)), expected, 1e-4)


def test_rows_of_positions_are_padims_gaussians_of_all_channels():
    support, copies = random(1, 4, 3, 9), random(1, 21, 4, 3, 9, seed=1)
    state = fit(support, jax.random.key(0), copies)
    together = padim.gaussians(jnp.concatenate([support, copies[0]]))
    query = random(4, 3, 9, seed=2)
    assert_close(score(state, query), padim.distances(query - together[0], *together[1:]), 1e-5)


def test_a_planted_anomaly_is_found_where_it_is():
    support, copies = random(2, 8, 8, 12), random(2, 21, 8, 8, 12, seed=1)
    query = random(8, 8, 12, seed=2)
    query[5, 2] += 6
    scores = score(fit(support, jax.random.key(0), copies), query)
    assert np.unravel_index(np.argmax(scores), scores.shape) == (5, 2)


def test_each_image_counts_22_times_and_the_note_says_that_nothing_was_meta_trained():
    method = methods.create("regad")
    assert method.note == "21 copies, not meta-trained"
    assert 1 + methods.number_of_copies(method.copies) == 22


def test_further_copies_count_as_its_own_do():
    method = methods.with_copies(methods.create("regad"), ("light", "turns"))
    assert method.copies == ("poses", "turns", "light") and method.rows(9) is None
    support, copies = (jnp.asarray(random(*shape)) for shape in ((1, 4, 3, 9), (1, 23, 4, 3, 9)))
    state = method.fit(support, jax.random.key(0), copies)
    assert state.above.shape[-1] == 24
