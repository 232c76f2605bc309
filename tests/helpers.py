"""What several tests share: one tolerance, and features that look like an encoder's."""

import jax.numpy as jnp
import numpy as np

from fastrecon_jax.data import copies


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


def encoded_copies(encode, images, method):
    """Stages (k, n, h_i, w_i, c_i) of the copies of k images that a method asks for; () if it asks for none."""
    if not method.copies:
        return ()
    changed = np.stack([copies.make(image, method.copies) for image in np.asarray(images)])
    stages = encode(jnp.asarray(changed.reshape(-1, *changed.shape[2:])))
    return tuple(stage.reshape(*changed.shape[:2], *stage.shape[1:]) for stage in stages)
