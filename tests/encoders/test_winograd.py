"""Winograd's form against the definition, in float64 and in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.encoders import winograd


@pytest.mark.parametrize("m", [2, 4])
def test_the_transforms_are_exact(m):
    A, G, B = winograd.matrices(m)
    rng = np.random.default_rng(m)
    signal, kernel = rng.standard_normal(m + 2), rng.standard_normal(3)
    expected = [signal[i : i + 3] @ kernel for i in range(m)]
    np.testing.assert_allclose(A @ ((G @ kernel) * (B @ signal)), expected, rtol=0, atol=1e-14)


def test_the_known_matrices_of_f_2_3():
    A, G, B = winograd.matrices(2)
    # Lavin and Gray's up to the signs that cancel between B and G.
    np.testing.assert_array_equal(A, [[1, 1, 1, 0], [0, 1, -1, 1]])
    np.testing.assert_array_equal(np.abs(G), [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 1]])
    np.testing.assert_array_equal(np.abs(B), [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]])


@pytest.mark.parametrize(("m", "tolerance"), [(2, 2e-6), (4, 2e-5)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 5), (1, 4, 4), (3, 14, 13), (1, 8, 7)])
def test_it_is_the_convolution(m, tolerance, shape):
    rng = np.random.default_rng(sum(shape))
    x = rng.standard_normal((*shape, 24)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 24, 10)).astype(np.float32)
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    _, h, w = shape
    expected = sum(
        padded[:, i : i + h, j : j + w] @ kernel[i, j].astype(np.float64) for i in range(3) for j in range(3)
    )
    actual = winograd.convolve(jnp.asarray(x), jnp.asarray(winograd.transform(kernel, m)))
    assert actual.shape == expected.shape and actual.dtype == jnp.float32
    assert np.max(np.abs(actual - expected)) < tolerance * np.max(np.abs(expected))


def test_zeros_stay_zeros():
    transformed = jnp.asarray(winograd.transform(np.ones((3, 3, 2, 2), np.float32), 4))
    assert not jax.jit(winograd.convolve)(jnp.zeros((1, 6, 6, 2)), transformed).any()
