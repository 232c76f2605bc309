import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from fastrecon_jax.core import scoring
from tests.helpers import assert_close


@pytest.mark.parametrize(
    ("source", "target"), [((28, 28), (224, 224)), ((7, 5), (31, 64)), ((16, 16), (8, 8)), ((1, 1), (9, 9))]
)
def test_map_equals_opencv_and_scipy(source, target):
    patch_scores = np.random.default_rng(0).uniform(0, 30, source).astype(np.float32)
    resized = cv2.resize(patch_scores.astype(np.float64), target[::-1], interpolation=cv2.INTER_LINEAR)
    expected = ndimage.gaussian_filter(resized, sigma=4)
    assert_close(scoring.anomaly_map(jnp.asarray(patch_scores), height=target[0], width=target[1]), expected, 1e-6)


def test_without_blur_it_is_the_resize():
    patch_scores = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = cv2.resize(patch_scores, (16, 12), interpolation=cv2.INTER_LINEAR)
    assert_close(scoring.anomaly_map(jnp.asarray(patch_scores), height=12, width=16, sigma=0.0), expected, 1e-6)


def test_a_constant_stays_constant():
    assert_close(scoring.anomaly_map(jnp.full((4, 4), 3.0), height=20, width=10), np.full((20, 10), 3.0), 1e-6)


def test_maps_of_a_batch_equal_a_loop():
    batch = np.random.default_rng(1).standard_normal((3, 5, 5)).astype(np.float32)
    one = lambda s: scoring.anomaly_map(s, height=15, width=15)  # noqa: E731
    assert_close(jax.jit(jax.vmap(one))(batch), np.stack([one(s) for s in jnp.asarray(batch)]), 1e-6)


def test_image_scores_by_hand():
    patch_scores = jnp.arange(300.0).reshape(15, 20)
    assert scoring.image_score(patch_scores, "max") == 299
    assert scoring.image_score(patch_scores, "top1p") == 298
    assert scoring.image_score(jnp.array([[1.0, 5.0]]), "top1p") == 5


def test_unknown_image_score():
    with pytest.raises(ValueError, match="unknown image score 'mean': allowed are max, or topXp for the mean"):
        scoring.image_score(jnp.ones((2, 2)), "mean")


@pytest.mark.parametrize(
    ("kind", "count"),
    [("top0.2p", 4), ("top1p", 20), ("top0.29p", 5), ("top29p", 580), ("top100p", 2000), ("top1.0p", 20)],
)
def test_the_mean_of_the_largest_share(kind, count):
    scores = np.random.default_rng(0).permutation(2000).astype(np.float32).reshape(40, 50)
    assert_close(scoring.image_score(jnp.asarray(scores), kind), np.arange(2000)[-count:].mean(), 1e-6)


def test_a_share_below_one_score_is_the_largest():
    scores = jnp.arange(12.0).reshape(3, 4)
    assert scoring.image_score(scores, "top0.2p") == scoring.image_score(scores, "max") == 11


@pytest.mark.parametrize(
    "kind", ["", "top0p", "top0.0p", "top100.1p", "top-1p", "top1e1p", "topp", "top.5p", "top1", "top١p"]
)
def test_what_names_no_image_score(kind):
    assert not scoring.is_image_score(kind)
    with pytest.raises(ValueError, match="unknown image score"):
        scoring.image_score(jnp.ones((2, 2)), kind)


def test_a_position_is_covered_where_any_part_of_it_is_marked():
    mask = np.zeros((10, 12), bool)
    mask[4, 3] = True
    expected = np.zeros((5, 3), bool)
    expected[2, 0] = True
    np.testing.assert_array_equal(scoring.covered(jnp.asarray(mask), 5, 3), expected)
    # Of 10 rows in 4 positions the third begins in the middle of none: row 4 belongs to the second alone.
    np.testing.assert_array_equal(scoring.covered(jnp.asarray(mask), 4, 1)[:, 0], [False, True, False, False])
    mask[5] = True
    np.testing.assert_array_equal(scoring.covered(jnp.asarray(mask), 3, 1)[:, 0], [False, True, False])
    np.testing.assert_array_equal(scoring.covered(jnp.asarray(mask), 10, 12), mask)
