"""How regions are held against masks."""

import numpy as np
import pytest


@pytest.fixture
def script(load):
    return load("region_table")


def square(top, left, side, shape=(40, 40)):
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_each_defect_is_held_against_the_region_with_the_best_box(script):
    defects = square(2, 2, 4) | square(20, 20, 10) | square(36, 36, 3)  # the last is too small to count
    regions = [square(20, 20, 20) & ~square(20, 20, 2), square(20, 20, 5)]
    missed, best = script.fits(regions, defects)
    assert missed == script.Fit(False, 0.0, 0.0, 0.0)
    assert best.touched
    assert (best.area, best.boxes) == (4.0, 0.25)  # a box around the first region, though it lacks a corner
    assert best.pixels == pytest.approx((100 - 4) / 400)


def test_figures_of_a_table(script):
    found = [script.Fit(True, 2.0, 0.5, 0.4), script.Fit(True, 1.0, 0.7, 0.6), script.Fit(False, 0.0, 0.0, 0.0)]
    figures = script.record(found, [0, 1])
    assert figures["touched"] == pytest.approx(200 / 3)
    assert (figures["area"], figures["boxes"], figures["boxes_touched"]) == (1.5, 0.5, pytest.approx(0.6))
    assert (figures["pixels"], figures["pixels_touched"], figures["on_good"]) == (0.4, 0.5, 0.5)
    assert script.record([script.Fit(False, 0.0, 0.0, 0.0)], [0])["boxes_touched"] == 0


def test_nothing_found_on_a_good_image_and_nothing_missed(script):
    assert script.fits([], np.zeros((40, 40), bool)) == []
    assert script.fits([square(1, 1, 5)], square(1, 1, 5)) == [script.Fit(True, 1.0, 1.0, 1.0)]
