"""Frames without the part, from photographs of good parts."""

import numpy as np
import pytest

from fastrecon_jax.parts import empty_frames

PLAIN = ("white", "black", "grey", "mean colour", "background")
HALVES = ("left half", "right half", "upper half", "lower half")


@pytest.fixture(params=[(36, 36), (40, 64), (33, 32)])
def good(request):
    """Two photographs of noise with a rim of one colour."""
    height, width = request.param
    pixels = np.random.default_rng(0).integers(0, 255, (2, height, width, 3), dtype=np.uint8)
    pixels[:, [0, -1]] = pixels[:, :, [0, -1]] = (10, 20, 30)
    return pixels


def test_names_and_shapes(good):
    frames = empty_frames.make(good)
    assert list(frames) == [*PLAIN, "border", "background tiles", *HALVES]
    assert all((frame.shape, frame.dtype) == (good.shape[1:], np.uint8) for frame in frames.values())


def test_plain_frames_have_one_colour(good):
    frames = empty_frames.make(good)
    colours = {name: np.unique(frames[name].reshape(-1, 3), axis=0) for name in PLAIN}
    assert all(len(colour) == 1 for colour in colours.values())
    np.testing.assert_array_equal(colours["mean colour"][0], np.rint(good.mean((0, 1, 2))))
    np.testing.assert_array_equal(colours["background"][0], (10, 20, 30))


def test_tiles_are_those_of_the_rim(good):
    """The middle of the photograph, which nothing on its rim looks like, is gone."""
    marked = good.copy()
    height, width = good.shape[1:3]
    marked[:, height // 4 : -(height // 4), width // 4 : -(width // 4)] = 255  # the noise stays below
    frames = empty_frames.make(marked)
    side = height // 8
    np.testing.assert_array_equal(frames["border"][side : 2 * side, :side], good[0, :side, :side])
    for name in ("border", "background tiles"):
        assert (frames[name] < 255).all(axis=-1).all()
    np.testing.assert_array_equal(frames["background tiles"][[0, -1]], good[0, [0, -1]])


def test_halves_have_the_background_and_the_other_half(good):
    frames = empty_frames.make(good)
    middle = good.shape[2] // 2
    np.testing.assert_array_equal(frames["left half"][:, middle:], good[0, :, middle:])
    assert (frames["left half"][:, :middle] == (10, 20, 30)).all()
    together = np.where((frames["upper half"] == good[0]), frames["upper half"], frames["lower half"])
    np.testing.assert_array_equal(together, good[0])


def test_photographs_stay_as_they_are(good):
    before = good.copy()
    empty_frames.make(good)
    np.testing.assert_array_equal(good, before)
