"""What several tests share: one tolerance, and features that look like an encoder's."""

import numpy as np


def assert_close(actual, expected, tolerance=1e-5):
    """Largest deviation relative to the largest expected magnitude; the one tolerance helper of the tests."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    scale = max(np.abs(expected).max(), 1e-30)
    error = np.abs(actual - expected).max() / scale
    assert error <= tolerance, f"relative error {error:.1e} is above {tolerance:.0e}"


def correlated_features(rng, *shape, rank=6):
    """Positive, strongly correlated float32 features, as convolutional encoders make them."""
    channels = shape[-1]
    latent = rng.standard_normal((*shape[:-1], rank)) @ rng.standard_normal((rank, channels))
    return np.abs(latent + 0.1 * rng.standard_normal(shape) + 1).astype(np.float32)
