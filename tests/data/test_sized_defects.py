"""Painted defects of a given size: as large as asked, where asked, and nowhere else."""

import numpy as np
import pytest

from fastrecon_jax.data import sized_defects
from fastrecon_jax.data.sized_defects import KINDS

PLACE = (50, 70)


def ground(seed=0):
    """A light square on a dark ground, neither square nor plain."""
    image = np.random.default_rng(seed).integers(30, 40, (100, 140, 3), dtype=np.uint8)
    image[20:80, 30:110] += 150
    return image


def changed(kind, size, place=PLACE, seed=1):
    image = ground()
    painted = sized_defects.paint(kind, image, size, place, np.random.default_rng(seed))
    assert painted.dtype == np.uint8 and painted.shape == image.shape
    return np.abs(painted.astype(int) - image).max(-1) > 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [4.0, 12.0, 30.0])
def test_a_defect_is_as_large_as_asked_and_where_it_should_be(kind, size):
    rows, columns = np.nonzero(changed(kind, size))
    extent = max(np.hypot(rows - r, columns - c).max() for r, c in zip(rows, columns, strict=True)) + 1
    assert 0.5 * size <= extent <= 1.6 * size + 2
    assert abs(rows.mean() - PLACE[0]) < 2 and abs(columns.mean() - PLACE[1]) < 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_defect_changes_more(kind):
    counts = [changed(kind, size).sum() for size in (3.0, 8.0, 20.0)]
    assert 0 < counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_paints_the_same(kind):
    np.testing.assert_array_equal(changed(kind, 9.0), changed(kind, 9.0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [(0, 0), (99, 139)])
def test_a_defect_at_the_rim_is_cut_off(kind, place):
    assert changed(kind, 20.0, place).any()


def test_what_is_missing_shows_the_ground_or_black():
    rng, inside = np.random.default_rng(0), (slice(48, 53), slice(68, 73))
    painted = sized_defects.paint("missing piece", ground(), 20.0, PLACE, rng)
    assert np.abs(painted[inside].astype(int) - 34).max() <= 3
    texture = np.random.default_rng(0).integers(100, 110, (100, 140, 3), dtype=np.uint8)
    assert sized_defects.paint("missing piece", texture, 20.0, PLACE, rng)[inside].max() == 0


def test_places_are_on_the_part_or_anywhere_inside_a_texture():
    rng = np.random.default_rng(0)
    assert all(20 <= row < 80 and 30 <= column < 110 for row, column in sized_defects.places(ground(), 50, rng))
    texture = np.random.default_rng(0).integers(100, 110, (100, 140, 3), dtype=np.uint8)
    found = sized_defects.places(texture, 200, rng)
    assert all(10 <= row < 90 and 14 <= column < 126 for row, column in found)
    assert min(column for _, column in found) < 30


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 40, 3)])
def test_tiny_pictures(shape):
    image = np.full(shape, 90, np.uint8)
    (place,) = sized_defects.places(image, 1, np.random.default_rng(0))
    for kind in KINDS:
        assert sized_defects.paint(kind, image, 1.0, place, np.random.default_rng(0)).shape == shape
