"""Saliency: the gradient of the image score in the pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import metrics
from tests.helpers import assert_close


@pytest.fixture
def saliency(examples):
    import saliency

    return saliency


def test_the_nearest_pixel_of_the_support(saliency):
    support = jnp.asarray([[[[0, 0, 0], [9, 9, 9]]], [[[200, 200, 200], [5, 5, 5]]]], jnp.uint8)
    nearest = saliency.nearest_pixels(support, jnp.asarray([[[180, 190, 255], [8, 8, 8]]], jnp.uint8))
    assert nearest.tolist() == [[[200, 200, 200], [9, 9, 9]]]


def test_attribution_is_the_size_of_gradient_times_difference(saliency):
    gradient = jnp.asarray([[[1.0, 2.0, -3.0], [0.0, 0.0, 0.0]]])
    difference = jnp.asarray([[[4.0, 0.0, 5.0], [1.0, 1.0, 1.0]]])
    assert_close(saliency.attribute(gradient, difference, 0.0), np.array([[11.0, 0.0]]))


def test_saliency_lies_on_the_changed_pixels(saliency, part):
    maps = saliency.compute(part, 16.0, 1.0)
    masks = part.images.masks
    assert all(np.isfinite(kind).all() and kind.shape == masks.shape for kind in maps)
    found = {name: metrics.pixel_metrics(masks, kind) for name, kind in maps._asdict().items()}
    assert found["saliency"]["pixel_auroc"] > 0.97
    assert found["saliency"]["pixel_ap"] > found["anomaly"]["pixel_ap"]  # sharper than the map
    for kind, mask in zip(maps.saliency[part.images.defective], masks[part.images.defective], strict=True):
        assert kind[mask].mean() > 10 * kind[~mask].mean()


def test_the_gradient_is_the_slope_of_the_score(saliency, part):
    import common

    def score(image):
        return common.smooth_maximum(part.patch_scores(part.encoder, part.state, image[None])[0], 16.0)

    image = jnp.asarray(part.images.test[part.images.defective][0], jnp.float32)
    gradient = jax.jit(jax.grad(score))(image)
    direction = jnp.sign(gradient)
    compiled = jax.jit(score)
    slope = (compiled(image + 0.002 * direction) - compiled(image - 0.002 * direction)) / 0.004
    assert_close(jnp.vdot(gradient, direction), slope, tolerance=1e-2)


def test_settings_out_of_range_are_refused(saliency):
    with pytest.raises(ValueError, match=r"--power=0\.5 is not allowed: it must be from 1 to 1000"):
        saliency.SaliencyConfig(power=0.5)
