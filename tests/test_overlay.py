import numpy as np

from fastrecon_jax import overlay

IMAGE = np.full((40, 50, 3), 100, np.uint8)


def tile(value):
    return overlay.Tile(IMAGE, np.zeros((40, 50), bool), np.full((40, 50), value), "caption")


def test_one_scale_for_all_tiles():
    dark, bright = (overlay.colour(tile(v).map, low=0.0, high=2.0)[0, 0] for v in (0.0, 2.0))
    assert not np.array_equal(dark, bright)
    np.testing.assert_array_equal(overlay.colour(np.array([5.0]), low=0.0, high=2.0)[0], bright)


def test_where_nothing_is_found_the_image_shows():
    np.testing.assert_array_equal(overlay.overlay(IMAGE, np.full((40, 50), -1.0), low=0.0, high=1.0), IMAGE)


def test_a_flat_map_has_a_colour():
    assert overlay.colour(np.zeros((2, 2)), low=0.0, high=0.0).shape == (2, 2, 3)


def test_the_choice_takes_a_few_of_each_kind_good_ones_last():
    defects = ["good"] * 9 + ["hole"] * 2 + ["crack"] * 7
    chosen = overlay.choose(defects)
    assert [defects[i] for i in chosen] == ["crack"] * 3 + ["hole"] * 2 + ["good"] * 3
    assert len(set(chosen)) == 8


def test_a_sheet_holds_every_tile():
    sheet = overlay.contact_sheet([tile(0.0), tile(1.0), tile(2.0)], low=0.0, high=2.0)
    pixels = np.asarray(sheet)
    assert (pixels == 100).all(-1).sum() >= 3 * IMAGE[..., 0].size
