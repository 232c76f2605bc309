import numpy as np
from scipy import ndimage

from fastrecon_jax.data.geometry import Preprocessing, frame
from fastrecon_jax.parts.regions import Region, find, masks

WHOLE = frame(Preprocessing(64, 64), (64, 64))


def map_with(*boxes):
    values = np.zeros((64, 64), np.float32)
    for y, x, height, width, value in boxes:
        values[y : y + height, x : x + width] = value
    return values


def hill(centre, height, width, *, sides=(64, 64)):
    rows, columns = np.indices(sides)
    squared = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
    return (height * np.exp(-squared / (2 * width**2))).astype(np.float32)


def radius(mask):
    return np.sqrt(mask.sum() / np.pi)


def test_a_region_ends_where_the_map_has_come_down_most_of_the_way():
    """A Gaussian hill is at 0.4 of its height at sqrt(2 log 2.5) widths, however high it is."""
    for height in (2.5, 10.0, 1e4):
        (mask,) = masks(0.5 + hill((30, 30), height, 6.0), seed=2.0, floor=0.5)
        assert abs(radius(mask) - 6 * np.sqrt(2 * np.log(2.5))) < 0.3


def test_a_region_reaches_the_seed():
    values = map_with((10, 20, 4, 6, 2.0), (11, 21, 1, 1, 4.0), (40, 40, 3, 3, 2.0))
    assert find(values, WHOLE, seed=3.0, floor=0.0) == (Region(20, 10, 6, 4, 24, 4.0),)
    values = map_with((10, 20, 4, 6, 2.0), (11, 21, 1, 1, 6.0))
    assert find(values, WHOLE, seed=3.0, floor=0.0) == (Region(21, 11, 1, 1, 1, 6.0),)
    assert find(values, WHOLE, seed=3.0, floor=-1.0) == (Region(20, 10, 6, 4, 24, 6.0),)


def test_the_highest_peak_comes_first():
    values = map_with((1, 1, 2, 2, 4.0), (30, 30, 3, 3, 6.0))
    for extent in (None, 1.0):
        assert [region.peak for region in find(values, WHOLE, seed=3.0, floor=0.0, extent=extent)] == [6.0, 4.0]


def test_neighbours_at_a_corner_are_one_region():
    values = map_with((10, 10, 2, 2, 4.0), (12, 12, 2, 2, 4.0))
    for extent in (None, 1.0):
        assert find(values, WHOLE, seed=3.0, floor=0.0, extent=extent) == (Region(10, 10, 4, 4, 8, 4.0),)


def test_a_weak_defect_beside_a_strong_one_is_a_region_of_its_own():
    """At the level of the weak one both are joined: it ends where the saddle is."""
    values = hill((32, 16), 10.0, 5.0) + hill((32, 34), 5.0, 5.0)
    strong, weak = masks(values, seed=2.0, floor=0.0)
    assert strong[32, 16] and weak[32, 34] and not (strong & weak).any()
    assert (values > 2.1)[32, 16:34].all()  # what 0.4 of the weak one joins
    assert 4 < radius(weak) < radius(strong) + 2


def test_a_bump_on_a_slope_is_no_region():
    values = hill((32, 24), 10.0, 8.0) + hill((32, 40), 1.0, 2.0)
    assert ndimage.maximum_filter(values, 5)[32, 40] == values[32, 38:43].max()
    (mask,) = masks(values, seed=1.0, floor=0.0)
    assert mask[32, 24]


def test_a_broad_defect_with_an_uneven_map_is_one_region():
    rng = np.random.default_rng(0)
    plateau = ndimage.gaussian_filter(map_with((8, 8, 48, 48, 10.0)) + rng.normal(0, 1.0, (64, 64)), 3)
    (mask,) = masks(plateau.astype(np.float32), seed=3.0, floor=0.0)
    assert np.abs(np.array(np.nonzero(mask)).max(1) - 55).max() <= 2


def test_regions_never_overlap_and_each_is_one_piece_above_the_seed_somewhere():
    rng = np.random.default_rng(1)
    for _ in range(5):
        values = np.abs(ndimage.gaussian_filter(rng.standard_normal((64, 64)), 3)).astype(np.float32)
        seed = float(np.quantile(values, 0.9))
        found = masks(values, seed=seed, floor=0.0)
        assert len(found) > 3
        assert sum(mask.astype(int) for mask in found).max() == 1
        assert all(values[mask].max() > seed for mask in found)
        assert all(ndimage.label(mask, np.ones((3, 3)))[1] == 1 for mask in found)
        assert found[0][np.unravel_index(values.argmax(), values.shape)]


def test_boxes_are_in_pixels_of_the_photograph():
    centre = frame(Preprocessing(80, 64), (800, 400))
    for extent in (None, 1.0):
        (region,) = find(map_with((0, 10, 4, 2, 4.0)), centre, seed=3.0, floor=0.0, extent=extent)
        assert region == Region(x=180, y=40, width=20, height=20, area=400, peak=4.0)


def test_a_defective_photograph_has_a_region_even_below_the_seed():
    values = map_with((10, 10, 2, 2, 2.0), (30, 30, 1, 1, 2.5))
    flat = np.full((64, 64), 2.0, np.float32)
    for extent in (None, 1.0):
        known = {"seed": 3.0, "floor": 0.0, "extent": extent}
        assert find(values, WHOLE, **known) == ()
        assert find(values, WHOLE, **known, force=True) == (Region(30, 30, 1, 1, 1, 2.5),)
    for floor, extent in ((0.0, None), (2.0, None), (9.0, None), (0.0, 2.5)):  # below what good maps have, too
        found = find(flat, WHOLE, seed=10.0, floor=floor, extent=extent, force=True)
        assert found == (Region(0, 0, 64, 64, 4096, 2.0),)


def test_regions_of_older_parts_end_at_one_value():
    values = map_with((10, 20, 4, 6, 2.0), (11, 21, 1, 1, 50.0), (40, 40, 3, 3, 2.0))
    assert find(values, WHOLE, seed=3.0, floor=0.0, extent=1.0) == (Region(20, 10, 6, 4, 24, 50.0),)
