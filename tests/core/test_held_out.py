import jax
import jax.numpy as jnp
import numpy as np

from fastrecon_jax.core import held_out
from tests import reference
from tests.helpers import assert_close, correlated_features


def by_definition(images, copies):
    """The mean over the images of the difference of the medians of log distances, in float64."""
    gains = []
    for i, image in enumerate(images):
        others = np.concatenate([other for j, other in enumerate(images) if j != i])
        changed = np.concatenate([other for j, other in enumerate(copies) if j != i])
        alone = reference.distances(image, others).min(1)
        together = np.minimum(alone, reference.distances(image, changed).min(1))
        gains.append(np.median(np.log(alone)) - np.median(np.log(together)))
    return np.mean(gains)


def test_the_gain_against_numpy():
    for seed, k in ((0, 2), (1, 5)):
        rng = np.random.default_rng(seed)
        images, copies = correlated_features(rng, k, 15, 6), correlated_features(rng, k, 40, 6)
        expected = by_definition(images, copies)
        assert expected > 0.05
        assert_close(held_out.gain(jnp.asarray(images), jnp.asarray(copies)), expected, 1e-4)


def test_an_images_own_copies_do_not_count():
    """Copies are the images themselves: no other image comes nearer by them."""
    images = jnp.asarray(correlated_features(np.random.default_rng(2), 3, 12, 5))
    assert held_out.gain(images, images) == 0
    # Each image's copies are those of the next image: of three, one of the others is the image itself.
    assert held_out.gain(images, jnp.roll(images, 1, axis=0)) > 5


def test_a_single_image_gains_nothing():
    images, copies = (jnp.asarray(correlated_features(np.random.default_rng(3), 1, n, 5)) for n in (8, 24))
    assert held_out.gain(images, copies) == 0


def test_with_jit_and_in_a_batch():
    rng = np.random.default_rng(4)
    images, copies = (jnp.asarray(correlated_features(rng, 2, 3, n, 6)) for n in (10, 20))
    together = jax.jit(jax.vmap(held_out.gain))(images, copies)
    for i in range(2):
        assert_close(together[i], by_definition(np.asarray(images[i]), np.asarray(copies[i])), 1e-4)
