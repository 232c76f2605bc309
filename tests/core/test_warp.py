import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from fastrecon_jax.core import warp
from tests.helpers import assert_close


def smooth(h, w, channels=2):
    y, x = np.mgrid[:h, :w]
    return np.stack([np.sin(x / 4 + i) + np.cos(y / 5 - i) for i in range(channels)], -1).astype(np.float32)


def test_sampling_against_scipy_far_outside_too():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 5, 3)).astype(np.float32)
    rows, columns = (rng.uniform(-20, 25, (4, 6)).astype(np.float32) for _ in range(2))
    expected = np.stack(
        [ndimage.map_coordinates(x[..., c], [rows, columns], order=1, mode="reflect") for c in range(3)], -1
    )
    assert_close(warp.sample(jnp.asarray(x), jnp.asarray(rows), jnp.asarray(columns)), expected, 1e-5)


def test_reflection_by_hand():
    p = jnp.array([-0.5, -1.0, -3.0, 0.0, 2.0, 2.5, 3.0, 5.0, 6.0])
    assert_close(warp.reflected(p, 3), np.array([0, 0, 2, 0, 2, 2, 2, 0, 0]), 1e-6)


def test_zero_angle_and_scales_of_one_are_the_identity():
    x = smooth(6, 9)
    assert_close(warp.affine(jnp.asarray(x), warp.rotation_scale(jnp.array([0.0, 1.0, 1.0]))), x, 1e-6)


def test_a_quarter_turn_of_a_square_is_exact():
    x = smooth(8, 8)
    turned = warp.affine(jnp.asarray(x), warp.rotation_scale(jnp.array([np.pi / 2, 1.0, 1.0], jnp.float32)))
    assert_close(turned, np.rot90(x, 1), 1e-5)


@pytest.mark.parametrize("parameters", [(0.3, 1.0, 1.0), (-0.2, 1.1, 0.9), (1.2, 0.7, 1.3)])
def test_the_inverse_of_a_matrix_against_numpy(parameters):
    matrix = np.array(warp.rotation_scale(jnp.array(parameters, jnp.float32)))
    matrix[:, 2] = 0.1, -0.3
    expected = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    assert_close(warp.inverse(jnp.asarray(matrix)), expected, 1e-5)


def test_inverse_after_forward_is_the_identity_inside():
    x = smooth(48, 48)
    matrix = warp.rotation_scale(jnp.array([0.2, 1.05, 0.95]))
    back = warp.affine(warp.affine(jnp.asarray(x), matrix), warp.inverse(matrix))
    # Linear interpolation errs by at most an eighth of the second derivative,
    # which is at most 1/16 and 1/25 along the axes; twice.
    assert np.abs(back - x)[14:-14, 14:-14].max() < 2 / 8 * (1 / 16 + 1 / 25)


def test_a_turned_texture_is_brought_back_by_descent():
    # Waves long enough that the turn by 12 degrees lies in the basin of the right one.
    x = smooth(32, 32, 3)
    turn = jnp.array([np.deg2rad(12.0), 1.0, 1.0], jnp.float32)
    turned = warp.affine(jnp.asarray(x), warp.rotation_scale(turn))

    def loss(angle):
        matrix = warp.rotation_scale(jnp.stack([angle, jnp.ones_like(angle), jnp.ones_like(angle)]))
        inside = slice(8, -8)
        return jnp.mean(jnp.square(warp.affine(turned, matrix) - x)[inside, inside])

    def step(angle, _):
        return angle - 0.1 * jax.grad(loss)(angle), None

    angle, _ = jax.lax.scan(step, jnp.float32(0), length=50)
    assert abs(np.rad2deg(float(angle)) + 12) < 2


def test_the_cosine_against_numpy_and_by_hand():
    rng = np.random.default_rng(1)
    p, z = (rng.standard_normal((3, 4, 5)).astype(np.float32) for _ in range(2))
    cosines = (p * z).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(z, axis=-1)
    assert_close(warp.negative_cosine(jnp.asarray(p), jnp.asarray(z)), -cosines.mean(), 1e-5)
    assert_close(warp.negative_cosine(jnp.asarray(p), jnp.asarray(3 * p)), -1.0, 1e-6)


def test_no_gradient_flows_through_the_stopped_branch():
    rng = np.random.default_rng(2)
    p, z = (jnp.asarray(rng.standard_normal((3, 4, 5)), jnp.float32) for _ in range(2))
    by_p, by_z = jax.grad(warp.negative_cosine, argnums=(0, 1))(p, z)
    assert np.abs(by_p).max() > 0
    np.testing.assert_array_equal(by_z, 0)
