"""What the examples share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import assert_close


@pytest.fixture
def common(examples):
    import common

    return common


def test_the_smooth_maximum_lies_between_mean_and_maximum(common):
    scores = jnp.asarray(np.random.default_rng(0).uniform(1, 9, (5, 7)), jnp.float32)
    assert_close(common.smooth_maximum(scores, 1.0), scores.mean())
    assert scores.mean() < common.smooth_maximum(scores, 8.0) < common.smooth_maximum(scores, 32.0) < scores.max()
    assert_close(common.smooth_maximum(1e6 * scores, 16.0), 1e6 * common.smooth_maximum(scores, 16.0))  # no overflow


def test_the_gradient_of_the_smooth_maximum(common):
    scores = jnp.asarray([[3.0, 4.0]])
    gradient = jax.grad(common.smooth_maximum)(scores, 2.0)
    assert_close(common.smooth_maximum(scores, 2.0), np.sqrt(12.5))
    assert_close(gradient, scores / 2 / np.sqrt(12.5))
    assert not jax.grad(common.smooth_maximum)(jnp.zeros((2, 2)), 16.0).any()


def test_floating_images_have_the_scores_of_8_bit_ones(part):
    images = jnp.asarray(part.images.test[:2])
    scores = functools.partial(part.patch_scores, part.encoder, part.state)
    assert_close(scores(images.astype(jnp.float32)), scores(images))


def test_batches_are_padded_and_cut(common):
    numbers = np.arange(11.0, dtype=np.float32)
    assert (common.in_batches(lambda x, y: x + y, numbers, numbers) == 2 * numbers).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shots": 0}, "--shots=0 is not allowed: it must be at least 1"),
        ({"max_images": 1}, "--max_images=1 is not allowed"),
        ({"crop_size": 300}, "--crop_size=300 is not allowed: it must be from 32 to --image_size=256"),
        ({"seed": -1}, "--seed=-1 is not allowed"),
    ],
)
def test_settings_out_of_range_are_refused(common, wrong, message):
    with pytest.raises(ValueError, match=message):
        common.ExampleConfig(**wrong)


def test_an_unknown_category_is_refused(common, data):
    with pytest.raises(ValueError, match="--category=all is not allowed: name one of other, part"):
        common.open_part(common.ExampleConfig(data_dir=str(data)), "all")
