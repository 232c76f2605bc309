"""Convolutions in their forms against XLA's own, and the pieces of the families against what was published."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.encoders.convolution import Convolution
from fastrecon_jax.encoders.families import efficientnet, resnet
from tests.helpers import assert_close


def weights(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32), np.zeros(shape[-1], np.float32)


@pytest.mark.parametrize(("stride", "size"), [(1, 3), (2, 3), (2, 5), (1, 5)])
@pytest.mark.parametrize("shape", [(12, 9), (7, 8)])
def test_depthwise_equals_xlas_grouped_convolution(shape, stride, size):
    rng = np.random.default_rng(size)
    x = jnp.asarray(rng.standard_normal((2, *shape, 6)), jnp.float32)
    kernel, bias = weights(rng, size, size, 1, 6)
    ours = Convolution((kernel, bias), stride=stride, padding="same", depthwise=True)(x)
    theirs = jax.lax.conv_general_dilated(
        x,
        jnp.asarray(kernel),
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=6,
    )
    assert_close(ours, theirs, 1e-6)


@pytest.mark.parametrize(
    ("padding", "size", "expected"),
    [("symmetric", 3, (4, 3)), ("same", 3, (4, 3)), ("none", 2, (4, 3)), ("none", 3, (3, 2))],
)
def test_paddings(padding, size, expected):
    convolution = Convolution(weights(np.random.default_rng(0), size, size, 2, 5), stride=2, padding=padding)
    assert convolution(jnp.zeros((1, 8, 6, 2))).shape == (1, *expected, 5)


def test_patches_are_products_of_squares():
    """A stride as large as the kernel and no padding: the first layer of a transformer."""
    rng = np.random.default_rng(0)
    kernel, bias = weights(rng, 4, 4, 3, 7)
    x = rng.standard_normal((1, 8, 12, 3)).astype(np.float32)
    squares = x.reshape(1, 2, 4, 3, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(1, 2, 3, 48)
    expected = squares.astype(np.float64) @ kernel.reshape(48, 7)
    assert_close(Convolution((kernel, bias), stride=4, padding="none")(jnp.asarray(x)), expected, 1e-5)


def test_an_unknown_padding():
    with pytest.raises(ValueError, match="unknown padding 'valid': allowed are symmetric, same, none"):
        Convolution(weights(np.random.default_rng(0), 1, 1, 1, 1), padding="valid")


def test_max_pool_equals_torchs_padding():
    x = jnp.abs(jnp.asarray(np.random.default_rng(0).standard_normal((1, 7, 6, 2)), jnp.float32))
    theirs = jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    )
    assert_close(resnet.max_pool(x), theirs, 1e-7)


def test_lite_variants_scale_as_published():
    channels = {
        name: [stage.channels for stage in efficientnet.scaled_stages(variant)]
        for name, variant in efficientnet.VARIANTS.items()
    }
    assert channels["efficientnet_lite0"] == [16, 24, 40, 80, 112, 192, 320]
    assert channels["efficientnet_lite2"] == [16, 24, 48, 88, 120, 208, 352]
    blocks = [stage.blocks for stage in efficientnet.scaled_stages(efficientnet.VARIANTS["efficientnet_lite1"])]
    assert blocks == [1, 3, 3, 4, 4, 5, 1]
