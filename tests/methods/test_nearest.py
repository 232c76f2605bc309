import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods, testing
from fastrecon_jax.core import linalg
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import nearest
from tests import reference
from tests.helpers import assert_close, correlated_features

THINNED = methods.create("nearest", {"coreset_ratio": 0.3})


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


def test_the_whole_bank_is_kept_as_it_is_by_default():
    support = jnp.asarray(correlated_features(np.random.default_rng(5), 2, 4, 5, 24))
    method = methods.create("nearest")
    state = method.fit(support, None)
    np.testing.assert_array_equal(state.bank, linalg.unit_rows(support.reshape(40, 24)))
    np.testing.assert_array_equal(nearest.fit(support, coreset_ratio=1.0).bank, state.bank)
    assert (method.note, method.rows(40), method.order_matters) == ("", 40, False)


def test_the_thinned_bank_against_numpy():
    """Greedy k-center among directions: the lengths of the features have no say."""
    support = correlated_features(np.random.default_rng(6), 2, 6, 6, 12)
    rows = support.reshape(72, 12).astype(np.float64)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    bank = THINNED.fit(jnp.asarray(support), None).bank
    assert_close(bank, unit[reference.greedy_k_center(unit, 21)])
    stretched = support * np.random.default_rng(7).uniform(0.1, 10, (2, 6, 6, 1)).astype(np.float32)
    assert_close(THINNED.fit(jnp.asarray(stretched), None).bank, bank)


def test_a_thinned_bank_by_hand():
    """Of 0, 10, 90 and 180 degrees half are kept: the first, and the one opposite to it."""
    support = jnp.array([[[[2.0, 0], [np.cos(np.pi / 18), np.sin(np.pi / 18)]], [[0, 1], [-3, 0]]]])
    state = nearest.fit(support, coreset_ratio=0.5)
    np.testing.assert_array_equal(state.bank, [[1, 0], [-1, 0]])
    assert_close(nearest.score(state, support[0]), [[0, 1 - np.cos(np.pi / 18)], [1, 0]])


def test_a_thinned_bank_is_told():
    assert (THINNED.note, THINNED.rows(1000), THINNED.rows(1), THINNED.order_matters) == ("coreset 0.3", 300, 1, True)


@pytest.mark.parametrize("value", [0.0, -0.5, 1.5, float("nan")])
def test_ratios_out_of_range(value):
    with pytest.raises(InputError, match=f"--coreset_ratio={value} is not allowed: it must be a number above 0 and at"):
        nearest.Settings(coreset_ratio=value)
    with pytest.raises(ValueError, match="coreset ratio"):
        nearest.fit(jnp.ones((1, 2, 2, 3)), coreset_ratio=value)


def part_before_a_background(seed, background):
    """A part of 6 x 6 positions in the middle of 12 x 12, before a background of one direction."""
    rng = np.random.default_rng(seed)
    features = 0.1 * rng.standard_normal((12, 12, 12)).astype(np.float32)
    features[..., background] += 3.0
    features[3:9, 3:9] += np.where(np.arange(12) == 0, 20.0, 0.0).astype(np.float32)
    return features


def test_the_background_is_neither_kept_nor_scored():
    support, query = part_before_a_background(0, 3), part_before_a_background(1, 7)  # on another background
    masked = methods.create("nearest", {"foreground": 5.0})
    state = masked.fit(jnp.asarray(support)[None], None)
    scores = np.asarray(masked.score(state, jnp.asarray(query)))
    inside = np.zeros((12, 12), bool)
    inside[2:10, 2:10] = True  # larger than the part by one position
    assert not scores[~inside].any()
    np.testing.assert_array_equal(
        np.unique(state.bank, axis=0), np.unique(linalg.unit_rows(jnp.asarray(support[inside])), axis=0)
    )
    plain = np.asarray(nearest.score(nearest.fit(jnp.asarray(support)[None]), jnp.asarray(query)))
    assert plain[~inside].min() > 0.3  # the other background
    assert scores[3:9, 3:9].max() < 0.1
    assert masked.note == "foreground above 5"


def test_a_thinned_bank_of_the_foreground_holds_no_row_twice():
    masked = methods.create("nearest", {"foreground": 0.0, "coreset_ratio": 0.21})
    bank = np.asarray(masked.fit(jnp.asarray(part_before_a_background(0, 3))[None], None).bank)
    assert len(np.unique(bank, axis=0)) == len(bank) == 30


@pytest.mark.parametrize("name", ["nearest", "subspace"])
def test_features_are_taken_as_they_are_without_pooling(name):
    rng = np.random.default_rng(0)
    stages = [jnp.asarray(rng.standard_normal((side, side, 3)), jnp.float32) for side in (4, 2)]
    method = methods.create(name, {"pooling": False})
    np.testing.assert_array_equal(method.embed(stages)[..., :3], stages[0])
    assert "not pooled" in method.note


def test_thresholds_out_of_range():
    for value in (-1.0, float("nan")):
        with pytest.raises(InputError, match=r"--foreground=.* is not allowed: it must be a number at least 0"):
            nearest.Settings(foreground=value)


@pytest.mark.parametrize("method", [THINNED, methods.create("nearest", {"foreground": 0.0, "pooling": False})])
@pytest.mark.parametrize("check", testing.METHOD_CHECKS, ids=lambda check: check.__name__)
def test_its_settings_keep_the_contract(check, method):
    check(method)
