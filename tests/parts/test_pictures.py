"""Pictures of findings: one scale for all, in place, and PNG files that others read."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax import overlay
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import pictures
from fastrecon_jax.parts.engine import Recipe
from fastrecon_jax.parts.inspector import Finding
from fastrecon_jax.parts.palette import palette
from fastrecon_jax.parts.regions import Region

RECIPE = Recipe("", (), "", None, "float32", 256, 224, "", None, "")
GREY = 100
FRAME = np.zeros((256, 512), bool)  # two lines around the inspected centre
FRAME[15:241, 31:481] = True
FRAME[17:239, 33:479] = False


def drawn(anomaly_map, regions=(), *, size=(512, 256), low=1.0, high=3.0, recipe=RECIPE, ignore=None):
    small = pictures.shrink(Image.new("RGB", size, (GREY, GREY, GREY)))
    values = np.asarray(anomaly_map, np.float32)
    finding = Finding("x.png", 1.0, 0.5, "good", tuple(regions), values, reason="", confidence=0.1, missing=None)
    return np.asarray(pictures.draw(small, finding, recipe, size, low=low, high=high, ignore=ignore))


def test_a_value_has_one_colour_in_all_pictures():
    rising = np.tile(np.linspace(0, 4, 224), (224, 1))
    other = np.full((224, 224), 2.5)
    other[100:] = 9.0
    value = np.argmin(np.abs(rising[0] - 2.5))
    x = round((16 + value + 0.5) * 2)
    np.testing.assert_allclose(drawn(rising)[128, x].astype(int), drawn(other)[60, 256].astype(int), atol=3)


@pytest.mark.parametrize("value", [-5.0, 0.0, 1.0])
def test_values_up_to_the_lower_end_leave_the_photograph_as_it_is(value):
    assert np.all(drawn(np.full((224, 224), value))[~FRAME] == GREY)


def test_colours_are_those_of_the_scale_over_the_photograph():
    for value in (1.5, 2.0, 2.6, 3.0, 99.0):
        share = min((value - 1) / 2, 1)
        expected = (1 - 0.7 * share) * GREY + 0.7 * share * overlay.colour(np.full(1, value), low=1.0, high=3.0)[0]
        found = drawn(np.full((224, 224), value))[128, 256]
        np.testing.assert_allclose(found.astype(float), expected, atol=2.5)


def test_the_map_lies_on_the_inspected_centre_in_a_thin_frame():
    changed = np.any(drawn(np.full((224, 224), 9.0)) != GREY, axis=-1)
    expected = np.zeros((256, 512), bool)
    expected[15:241, 31:481] = True
    np.testing.assert_array_equal(changed, expected)
    np.testing.assert_array_equal(np.any(drawn(np.zeros((224, 224))) != GREY, axis=-1), FRAME)


def test_where_all_is_inspected_there_is_no_frame():
    recipe = dataclasses.replace(RECIPE, resize="keep", crop_size=0, shape=(128, 256))
    assert np.all(drawn(np.zeros((128, 256)), recipe=recipe) == GREY)
    changed = np.any(drawn(np.full((128, 256), 9.0), recipe=recipe) != GREY, axis=-1)
    assert changed.all()


def test_a_region_is_framed_and_what_is_ignored_in_it_hatched():
    recipe = dataclasses.replace(RECIPE, resize="keep", crop_size=0, shape=(64, 64), region=(128, 64, 64, 64, 512, 256))
    ignore = np.zeros((64, 64), bool)
    ignore[:, 32:] = True
    changed = np.any(drawn(np.zeros((64, 64)), recipe=recipe, ignore=ignore) != GREY, axis=-1)
    hatched = changed[66:126, 162:190]
    assert 0.1 < hatched.mean() < 0.4
    changed[64:128, 160:192] = False
    expected = np.zeros((256, 512), bool)
    expected[63:129, 127:193] = True
    expected[65:127, 129:160] = False
    expected[64:128, 160:192] = False
    np.testing.assert_array_equal(changed, expected)


def test_boxes_surround_their_regions():
    picture = drawn(np.zeros((224, 224)), [Region(100, 50, 40, 30, 500, 9.0)])
    changed = np.argwhere(np.any(picture != GREY, axis=-1) & ~FRAME)
    assert changed.min(0).tolist() == [47, 97]
    assert changed.max(0).tolist() == [82, 142]
    assert np.all(picture[50:80, 100:140] == GREY)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((900, 900), (640, 640)), ((4000, 1000), (640, 160)), ((3000, 1), (640, 1)), ((9, 7), (9, 7))],
)
def test_the_longer_side_has_at_most_640_pixels(size, expected):
    assert pictures.shrink(Image.new("RGB", size)).size == expected
    assert drawn(np.full((224, 224), 2.0), size=size).shape == (*expected[::-1], 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (40, 61)])
def test_png_files_hold_the_pixels(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    pictures.write(Image.fromarray(pixels), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        assert (opened.format, opened.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(opened), pixels)


def test_a_picture_that_cannot_be_written_names_its_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing/a\.png cannot be written: No such file or directory"):
        pictures.write(Image.new("RGB", (3, 3)), tmp_path / "nothing" / "a.png")


def test_the_table_of_colours_is_that_of_matplotlib():
    np.testing.assert_array_equal(palette(), overlay.colour(np.linspace(0, 1, 256), low=0.0, high=1.0))
