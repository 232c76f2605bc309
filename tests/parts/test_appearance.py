"""Brightness, contrast and sharpness of photographs."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fastrecon_jax.parts import appearance
from tests.helpers import assert_close
from tests.parts.helpers import photo, picture


def changed(change):
    return appearance.measure(np.asarray(change(picture(0)), np.uint8))


BEFORE = changed(lambda image: image)


def test_less_light_changes_the_brightness_alone():
    after = changed(lambda image: np.rint(0.9 * np.asarray(image, np.float32)))
    assert after.brightness / BEFORE.brightness == pytest.approx(0.9, abs=0.002)
    assert_close(after[1:], BEFORE[1:], 0.01)


def test_blur_changes_the_sharpness_most():
    after = changed(lambda image: image.filter(ImageFilter.GaussianBlur(1.5)))
    assert after.sharpness < 0.7 * BEFORE.sharpness
    assert_close(after[:2], BEFORE[:2], 0.05)


def test_haze_changes_the_contrast():
    after = changed(lambda image: Image.blend(image, Image.new("RGB", image.size, (90, 90, 90)), 0.3))
    assert after.contrast < 0.8 * BEFORE.contrast


def test_by_hand():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[:, 1] = 255  # mean and deviation 1/2; differences 0 down and 1 across, root of their mean square sqrt(1/2)
    assert_close(appearance.measure(pixels), (0.5, 1.0, 2 * np.sqrt(0.5)), 1e-6)


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("size", [(4, 4), (1, 5), (1, 1)])
def test_plain_pictures_have_numbers(level, size):
    plain = appearance.measure(np.full((*size, 3), level, np.uint8))
    assert_close(plain, (level / 255, 0, 0), 1e-5)


def test_several_are_measured_in_order():
    pixels = np.stack([photo(seed).pixels for seed in range(2)])
    assert appearance.measure_all(pixels) == tuple(appearance.measure(one) for one in pixels)
