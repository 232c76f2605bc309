import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.core import resample
from fastrecon_jax.data import geometry


def pillow(pixels, image_size, crop_size):
    return geometry.preprocess(Image.fromarray(pixels), geometry.Preprocessing(image_size, crop_size))


def ours(pixels, image_size, crop_size):
    return np.asarray(
        resample.resize_and_crop(jnp.asarray(pixels)[None], image_size=image_size, crop_size=crop_size)[0]
    )


def noise(seed, *shape):
    """Hard edges everywhere: overshoots are clipped at both ends."""
    rng = np.random.default_rng(seed)
    extremes, shades = rng.integers(0, 2, (*shape, 3)) * 255, rng.integers(0, 256, (*shape, 3))
    return np.where(rng.random((*shape, 3)) < 0.5, extremes, shades)


SIZES = [
    (300, 300, 64, 56, "down"),
    (40, 40, 64, 56, "up"),
    (64, 64, 64, 56, "equal"),
    (64, 64, 64, 64, "equal and whole"),
    (64, 91, 64, 56, "rows alone"),
    (91, 64, 64, 56, "columns alone"),
    (128, 32, 64, 64, "down and up"),
    (101, 77, 63, 50, "odd, and the centre is between two pixels"),
    (65, 63, 64, 57, "one pixel more and less"),
    (1, 1, 64, 56, "one pixel"),
    (1, 50, 16, 16, "one row"),
    (50, 1, 16, 16, "one column"),
    (3, 3000, 16, 10, "extreme proportions"),
    (2001, 5, 8, 7, "three digits"),
    (90, 70, 1, 1, "to one pixel"),
    (1024, 700, 256, 224, "as published"),
]


@pytest.mark.parametrize(
    ("height", "width", "image_size", "crop_size", "case"), SIZES, ids=[case[-1] for case in SIZES]
)
def test_every_bit_is_pillows(height, width, image_size, crop_size, case):
    for seed in range(2):
        pixels = noise(seed, height, width).astype(np.uint8)
        np.testing.assert_array_equal(ours(pixels, image_size, crop_size), pillow(pixels, image_size, crop_size))


def test_the_order_of_the_passes_is_that_of_pillow_12():
    """Pillow 13 filters this tall image along its height first; square ones always along the width first."""
    pixels = noise(0, 200, 100).astype(np.uint8)
    wide = np.asarray(Image.fromarray(pixels).resize((64, 200), Image.Resampling.LANCZOS))
    whole = np.asarray(Image.fromarray(wide).resize((64, 64), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(ours(pixels, 64, 64), whole)
    square = noise(0, 100, 100).astype(np.uint8)
    np.testing.assert_array_equal(
        ours(square, 64, 64), np.asarray(Image.fromarray(square).resize((64, 64), Image.Resampling.LANCZOS))
    )


def test_every_size_in_a_range_is_exact():
    for size in range(2, 60, 9):
        pixels = noise(size, size, 61 - size).astype(np.uint8)
        np.testing.assert_array_equal(ours(pixels, 20, 18), pillow(pixels, 20, 18))


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_a_flat_image_stays_flat(value):
    assert (ours(np.full((57, 83, 3), value, np.uint8), 32, 28) == value).all()


def test_a_batch_equals_each_image_alone_and_jit_changes_nothing():
    batch = noise(0, 3, 50, 70).astype(np.uint8)
    whole = jax.jit(lambda x: resample.resize_and_crop(x, image_size=32, crop_size=28))(jnp.asarray(batch))
    for one, image in zip(whole, batch, strict=True):
        np.testing.assert_array_equal(one, ours(image, 32, 28))


def test_weights_sum_to_one_in_fixed_point():
    for taps in resample.lanczos_taps(1000, 256):
        assert abs(sum(taps.weights) - 2**22) <= len(taps.weights) / 2


@pytest.mark.parametrize("crop_size", [0, 65])
def test_crops_that_do_not_fit(crop_size):
    with pytest.raises(ValueError, match=f"a crop of {crop_size} is not possible: it must be from 1 to the image size"):
        ours(np.zeros((9, 9, 3), np.uint8), 64, crop_size)


def test_too_strong_a_reduction_is_refused():
    with pytest.raises(ValueError, match="input samples for one output sample are not possible: at most 32896 are"):
        ours(np.zeros((1, 40000, 3), np.uint8), 1, 1)


def test_rectangles_of_a_part_of_the_image():
    pixels = np.random.default_rng(3).integers(0, 256, (61, 90, 3), dtype=np.uint8)
    sizes = {"image_size": (32, 48), "crop_size": (30, 40), "box": (10, 5, 80, 60)}
    ours = resample.resize_and_crop(jnp.asarray(pixels)[None], **sizes)[0]
    part = Image.fromarray(pixels).crop((10, 5, 80, 60)).resize((48, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(ours, np.asarray(part)[1:31, 4:44])
