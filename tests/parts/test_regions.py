import numpy as np

from fastrecon_jax.data.geometry import Preprocessing, frame
from fastrecon_jax.parts.regions import Region, find

WHOLE = frame(Preprocessing(64, 64), (64, 64))


def map_with(*boxes):
    values = np.zeros((64, 64), np.float32)
    for y, x, height, width, value in boxes:
        values[y : y + height, x : x + width] = value
    return values


def test_a_region_reaches_the_seed_and_extends_to_the_extent():
    values = map_with((10, 20, 4, 6, 2.0), (11, 21, 1, 1, 5.0), (40, 40, 3, 3, 2.0))
    assert find(values, WHOLE, seed=3.0, extent=1.0) == (Region(20, 10, 6, 4, 24, 5.0),)


def test_the_highest_peak_comes_first():
    values = map_with((1, 1, 2, 2, 4.0), (30, 30, 3, 3, 6.0))
    assert [region.peak for region in find(values, WHOLE, seed=3.0, extent=1.0)] == [6.0, 4.0]


def test_neighbours_at_a_corner_are_one_region():
    values = map_with((10, 10, 2, 2, 4.0), (12, 12, 2, 2, 4.0))
    assert find(values, WHOLE, seed=3.0, extent=1.0) == (Region(10, 10, 4, 4, 8, 4.0),)


def test_boxes_are_in_pixels_of_the_photograph():
    centre = frame(Preprocessing(80, 64), (800, 400))
    (region,) = find(map_with((0, 10, 4, 2, 4.0)), centre, seed=3.0, extent=1.0)
    assert region == Region(x=180, y=40, width=20, height=20, area=400, peak=4.0)


def test_a_defective_photograph_has_a_region_even_below_the_seed():
    values = map_with((10, 10, 2, 2, 2.0), (30, 30, 1, 1, 2.5))
    assert find(values, WHOLE, seed=3.0, extent=1.0) == ()
    assert find(values, WHOLE, seed=3.0, extent=1.0, force=True) == (Region(30, 30, 1, 1, 1, 2.5),)
    flat = np.full((64, 64), 2.0, np.float32)
    assert find(flat, WHOLE, seed=3.0, extent=2.5, force=True) == (Region(0, 0, 64, 64, 4096, 2.0),)
