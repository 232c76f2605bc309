import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import features
from tests import reference
from tests.helpers import assert_close


def test_local_pool_against_numpy():
    stage = np.random.default_rng(0).standard_normal((7, 5, 3)).astype(np.float32)
    assert_close(features.local_pool(jnp.asarray(stage)), reference.local_pool(stage), 1e-6)


def test_local_pool_by_hand():
    pooled = features.local_pool(jnp.ones((3, 3, 1)))[..., 0]
    assert_close(pooled, np.array([[4, 6, 4], [6, 9, 6], [4, 6, 4]]) / 9, 1e-6)


def test_nearest_repeats_where_it_divides():
    stage = jnp.arange(4.0).reshape(2, 2, 1)
    np.testing.assert_array_equal(
        features.resize_nearest(stage, 4, 4)[..., 0], [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    )


def test_nearest_reads_the_floor_where_it_does_not_divide():
    np.testing.assert_array_equal(
        features.resize_nearest(jnp.arange(3.0).reshape(3, 1, 1), 5, 1).ravel(), [0, 0, 1, 1, 2]
    )


def test_combine_under_jit_and_vmap_equals_a_loop():
    rng = np.random.default_rng(1)
    fine, coarse = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 8, 6, 4), (3, 4, 3, 5)))
    together = jax.jit(jax.vmap(lambda *stages: features.combine(stages)))(fine, coarse)
    assert together.shape == (3, 8, 6, 9)
    for one, a, b in zip(together, fine, coarse, strict=True):
        assert_close(one[..., :4], reference.local_pool(a), 1e-6)
        assert_close(one[..., 4:], reference.local_pool(b).repeat(2, 0).repeat(2, 1), 1e-6)


def test_combine_gives_float32_for_bfloat16_stages():
    assert features.combine([jnp.ones((2, 2, 1), jnp.bfloat16)]).dtype == jnp.float32


@pytest.mark.parametrize(("length", "size"), [(12, 4), (13, 4), (9, 7), (5, 12), (4608, 1024), (360, 1024)])
def test_adaptive_weights_against_numpy(length, size):
    x = np.random.default_rng(length).standard_normal((2, length)).astype(np.float32)
    expected = [reference.adaptive_mean(row.astype(np.float64), size) for row in x]
    assert_close(x.astype(np.float64) @ np.asarray(features.adaptive_weights(length, size)), expected, 1e-6)


def test_adaptive_weights_by_hand():
    assert_close(features.adaptive_weights(2, 3), [[1, 0.5, 0], [0, 0.5, 1]])
    assert_close(jnp.array([1.0, 2, 3, 4, 5]) @ features.adaptive_weights(5, 3), [1.5, 3, 4.5])


def test_patch_mean_with_a_bin_for_each_entry_is_the_patch():
    patches = features.patch_mean(jnp.array([[[1.0, 10], [2, 20]], [[3, 30], [4, 40]]]), 18, 18)
    one, last = np.array([0, 0, 0, 0, 1, 2, 0, 3, 4]), np.array([1, 2, 0, 3, 4, 0, 0, 0, 0])
    np.testing.assert_array_equal(patches[0, 0], np.concatenate([one, 10 * one]))
    np.testing.assert_array_equal(patches[1, 1], np.concatenate([last, 10 * last]))


@pytest.mark.parametrize(("channels", "bins", "size"), [(8, 16, 8), (5, 64, 32), (12, 30, 10), (7, 9, 3), (6, 4, 2)])
def test_patch_mean_against_numpy(channels, bins, size):
    stage = np.random.default_rng(channels).standard_normal((4, 3, channels)).astype(np.float32)
    once = reference.patchcore_embed([stage], bins)
    assert_close(features.patch_mean(jnp.asarray(stage), bins, size), once.reshape(4, 3, size, -1).mean(-1), 1e-6)


def test_patch_means_of_many_images_never_hold_the_patches():
    def temporary(images):
        stages = jax.ShapeDtypeStruct((images, 28, 28, 128), jnp.float32)
        average = jax.jit(jax.vmap(lambda stage: features.patch_mean(stage, 256, 128)))
        return average.lower(stages).compile().memory_analysis().temp_size_in_bytes

    result = 28 * 28 * 128 * 4
    assert temporary(9) - temporary(1) < 8 * 4 * result  # the patches alone would be nine times the result


@pytest.mark.parametrize("size", [(8, 10), (5, 5), (4, 5), (2, 3)])
def test_resize_bilinear_against_numpy(size):
    stage = np.random.default_rng(0).standard_normal((4, 5, 3)).astype(np.float32)
    assert_close(features.resize_bilinear(jnp.asarray(stage), *size), reference.resize_bilinear(stage, *size), 1e-6)
