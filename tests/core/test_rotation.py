"""Rotations against numpy's quarter turns and scipy's spline of order 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from fastrecon_jax.core.rotation import rotate

IMAGE = np.random.default_rng(0).random((12, 12, 2)).astype(np.float32)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3, -1])
def test_quarter_turns_are_those_of_numpy(order, quarters):
    turned = rotate(jnp.asarray(IMAGE), jnp.float32(90 * quarters), order=order)
    # Where rounding puts an edge outside of the image, bilinear samples lose up to its share.
    np.testing.assert_allclose(turned, np.rot90(IMAGE, quarters), atol=1e-5)


@pytest.mark.parametrize("degrees", [17.0, -123.5])
def test_other_turns_are_those_of_scipy(degrees):
    smooth = ndimage.gaussian_filter(np.random.default_rng(1).random((41, 33)), 2).astype(np.float32)
    turned = rotate(jnp.asarray(smooth)[..., None], jnp.float32(degrees), order=1)[..., 0]
    expected = ndimage.rotate(smooth, degrees, reshape=False, order=1, mode="grid-constant")
    np.testing.assert_allclose(turned, expected, atol=1e-4)


def test_a_turn_and_back_is_the_middle_of_the_image():
    smooth = ndimage.gaussian_filter(np.random.default_rng(1).random((40, 40, 1)), (4, 4, 0)).astype(np.float32)
    there = rotate(jnp.asarray(smooth), jnp.float32(30), order=1)
    np.testing.assert_allclose(rotate(there, jnp.float32(-30), order=1)[12:28, 12:28], smooth[12:28, 12:28], atol=5e-3)


def test_corners_are_black_and_gradients_stay_inside():
    ones = jnp.ones((16, 16, 1))
    turned = rotate(ones, jnp.float32(45), order=0)
    assert turned[0, 0, 0] == 0
    assert turned[8, 8, 0] == 1
    gradient = jax.grad(lambda x: rotate(x, jnp.float32(45), order=0).sum())(ones)
    assert np.isfinite(gradient).all()
    assert gradient.sum() == turned.sum()
