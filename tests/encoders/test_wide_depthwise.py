"""The gradient that is written out equals the one of XLA's own convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.encoders import convolution
from fastrecon_jax.encoders.wide_depthwise import wide_depthwise
from tests.helpers import assert_close


@pytest.mark.parametrize(("size", "height", "width"), [(7, 9, 12), (7, 2, 3), (5, 1, 8)])
def test_outputs_and_gradients(size, height, width):
    rng = np.random.default_rng(0)
    x, out = (jnp.asarray(rng.standard_normal((2, height, width, 6)), jnp.float32) for _ in range(2))
    kernel = jnp.asarray(rng.standard_normal((size, size, 1, 6)), jnp.float32)

    def single(x, kernel):
        return convolution.single(x, kernel, 1, convolution.symmetric(height, width, size, 1))

    expected, of_single = jax.vjp(single, x, kernel)
    actual, of_ours = jax.vjp(wide_depthwise, x, kernel)
    assert_close(actual, expected)
    for ours, theirs in zip(of_ours(out), of_single(out), strict=True):
        assert_close(ours, theirs)
