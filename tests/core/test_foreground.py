import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from fastrecon_jax.core import foreground
from tests.helpers import assert_close


def image(seed=0, size=(12, 10), channels=24, part=(slice(4, 8), slice(3, 7)), length=30.0):
    """Features of a part before a background: two levels along a random direction, with noise."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal(channels)
    levels = np.zeros(size)
    levels[part] = length
    noise = rng.standard_normal((*size, channels))
    return (levels[..., None] * direction / np.linalg.norm(direction) + noise).astype(np.float32)


def published(features, threshold, *, fill=0.35, border=0.2):
    """The rule in NumPy, scikit-learn and OpenCV."""
    h, w, c = features.shape
    component = PCA(n_components=1, svd_solver="full").fit_transform(features.reshape(h * w, c).astype(np.float64))
    grid = (component > threshold).reshape(h, w)
    middle = grid[int(h * border) : int(h * (1 - border)), int(w * border) : int(w * (1 - border))]
    if middle.sum() <= middle.size * fill:
        grid = (-component > threshold).reshape(h, w)
    kernel = np.ones((3, 3), np.uint8)
    return cv2.morphologyEx(cv2.dilate(grid.astype(np.uint8), kernel), cv2.MORPH_CLOSE, kernel).astype(bool)


@pytest.mark.parametrize("seed", range(4))
def test_the_component_is_that_of_scikit_learn(seed):
    features = image(seed)
    expected = PCA(n_components=1, svd_solver="full").fit_transform(features.reshape(-1, 24).astype(np.float64))
    assert_close(foreground.first_component(jnp.asarray(features)), expected.reshape(12, 10), 1e-4)


@pytest.mark.parametrize("threshold", [0.0, 5.0, 10.0])
@pytest.mark.parametrize("part", [(slice(4, 8), slice(3, 7)), (slice(0, 9), slice(0, 10)), (slice(2, 11), slice(1, 4))])
@pytest.mark.parametrize("seed", range(3))
def test_the_mask_is_that_of_the_published_rule(seed, part, threshold):
    features = image(seed, part=part)
    expected = published(features, threshold)
    expected = expected if expected.any() else ~expected  # an image without a part counts as a whole
    np.testing.assert_array_equal(jax.jit(lambda x: foreground.mask(x, threshold))(jnp.asarray(features)), expected)


def test_a_part_in_the_middle_is_found_whatever_the_sign():
    for sign in (1, -1):
        found = np.asarray(foreground.mask(sign * jnp.asarray(image()), 5.0))
        expected = np.zeros((12, 10), bool)
        expected[3:9, 2:8] = True  # larger by one position
        np.testing.assert_array_equal(found, expected)


def test_gaps_of_one_position_are_closed():
    features = image(part=(slice(2, 10), slice(2, 8)))
    features[5, 4] = image(part=(slice(0, 0), slice(0, 0)))[5, 4]
    assert np.asarray(foreground.mask(jnp.asarray(features), 5.0))[2:10, 2:8].all()


@pytest.mark.parametrize("features", [jnp.ones((6, 6, 4)), jnp.zeros((6, 6, 4)), jnp.asarray(image()) * 1e-3])
def test_an_image_without_a_part_counts_as_a_whole(features):
    assert np.asarray(foreground.mask(features, 10.0)).all()


def test_it_has_no_gradient_and_is_mapped():
    images = jnp.stack([jnp.asarray(image(seed)) for seed in range(3)])
    together = jax.vmap(foreground.mask)(images)
    np.testing.assert_array_equal(together, jnp.stack([foreground.mask(one) for one in images]))
    gradient = jax.grad(lambda x: jnp.sum(x[..., 0] * foreground.mask(x).astype(x.dtype)))(images[0])
    np.testing.assert_array_equal(gradient[..., 0], np.asarray(together[0], np.float32))


def test_the_smallest_grids():
    for size in ((1, 1), (1, 5), (2, 2), (3, 1)):
        assert foreground.mask(jnp.asarray(image(size=size)), 0.0).shape == size
