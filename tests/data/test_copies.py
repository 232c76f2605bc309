import cv2
import numpy as np
import pytest

from fastrecon_jax import methods
from fastrecon_jax.data import copies, synthetic


def photo(seed=0, side=24):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", methods.COPIES)
def test_as_many_as_methods_are_told(kind):
    made = copies.make(photo(side=64), (kind,))
    assert (made.shape, made.dtype) == ((methods.COPIES[kind], 64, 64, 3), np.uint8)


def test_light_is_darker_and_lighter_and_stays_in_range():
    pixels = np.full((4, 4, 3), 100, np.uint8)
    pixels[0], pixels[1] = 250, 0
    darker, lighter = copies.make(pixels, ("light",))
    for made, factor in ((darker, 1 - copies.LIGHT), (lighter, 1 + copies.LIGHT)):
        assert (made[2:] == round(100 * factor)).all()
        assert (made[0] == min(round(250 * factor), 255)).all()
        assert not made[1].any()
    assert (darker[0] < pixels[0]).all() and (lighter[0] == 255).all()


def test_values_are_rounded_not_cut():
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    for made, factor in zip(copies.make(pixels, ("light",)), (1 - copies.LIGHT, 1 + copies.LIGHT), strict=True):
        exact = np.minimum(pixels * np.float64(factor), 255)
        assert np.abs(made - exact).max() <= 0.5 + 1e-4


def test_turns_are_by_90_180_and_270_degrees():
    pixels = photo()
    once, twice, thrice = copies.make(pixels, ("turns",))
    np.testing.assert_array_equal(once, pixels.transpose(1, 0, 2)[::-1])  # against the clock: the top goes to the left
    np.testing.assert_array_equal(twice, pixels[::-1, ::-1])
    np.testing.assert_array_equal(thrice, pixels.transpose(1, 0, 2)[:, ::-1])


def test_kinds_follow_each_other():
    pixels = photo(side=64)
    kinds = ("turns", "defective", "light")
    expected = np.concatenate([copies.make(pixels, (kind,)) for kind in kinds])
    np.testing.assert_array_equal(copies.make(pixels, kinds), expected)
    np.testing.assert_array_equal(expected[3:7], synthetic.defective_copies(pixels))


def test_the_same_photograph_has_the_same_copies_and_stays_as_it_is():
    pixels, kinds = photo(3, side=64), tuple(methods.COPIES)
    first = copies.make(pixels, kinds)
    np.testing.assert_array_equal(pixels, photo(3, side=64))
    np.testing.assert_array_equal(copies.make(pixels, kinds), first)


def test_turns_of_a_rectangle_lie_in_its_frame():
    pixels = photo(side=24)[:16]
    once, twice, thrice = copies.make(pixels, ("turns",))
    assert once.shape == pixels.shape
    np.testing.assert_array_equal(twice, pixels[::-1, ::-1])
    # The middle 16 of 24 columns became the rows, and 16 rows the columns, with mirror images of 4 on either side.
    turned = np.rot90(pixels)
    np.testing.assert_array_equal(once[:, 4:20], turned[4:20])
    np.testing.assert_array_equal(once[:, :4], turned[4:20, 3::-1])
    np.testing.assert_array_equal(thrice, np.rot90(pixels, 3)[4:20][:, [3, 2, 1, 0, *range(16), 15, 14, 13, 12]])


@pytest.mark.parametrize("kind", methods.COPIES)
def test_copies_have_the_shape_of_a_rectangle(kind):
    assert copies.make(photo(side=64)[:, :48], (kind,)).shape[1:] == (64, 48, 3)


def wheel(side=65):
    """Rings and a spot: what a rotation does to them is known."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    rings = 120 + 60 * np.cos(np.hypot(x, y) / 4)
    rings[np.hypot(x - 20, y) < 4] = 255
    return np.repeat(rings[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize(("kind", "angles"), [("rot8", copies.EIGHTHS), ("rot30", copies.THIRTY)])
def test_rotations_move_a_spot_along_its_circle(kind, angles):
    made = copies.make(wheel(), (kind,))
    assert len(made) == len(angles) == methods.COPIES[kind]
    y, x = np.mgrid[:65, :65] - 32.0
    for copy, angle in zip(made, angles, strict=True):
        spot = (copy[..., 0] > 225) & (np.hypot(x, y) < 26)
        turn = np.deg2rad(angle)  # against the clock, rows count downwards
        np.testing.assert_allclose([x[spot].mean(), y[spot].mean()], [20 * np.cos(turn), -20 * np.sin(turn)], atol=0.6)


@pytest.mark.parametrize("shape", [(24, 24), (16, 24), (15, 24), (25, 18)])
def test_rotations_by_quarters_are_exact_and_corners_are_filled(shape):
    pixels = photo(side=25)[: shape[0], : shape[1]] // 2 + 100
    rotated = copies.make(pixels, ("rot8",))
    np.testing.assert_array_equal(rotated[3], pixels[::-1, ::-1])
    if shape[0] == shape[1]:
        np.testing.assert_array_equal(rotated[1], np.rot90(pixels))
    assert rotated.min() >= 100  # mirror images, no black corner
    black = copies.make(pixels, ("rot30",))
    assert all(not copy[0, 0].any() for copy in black[:4])  # up to 46 degrees
    assert black[:, shape[0] // 2, shape[1] // 2].min() >= 100


def test_rotations_equal_opencv():
    """AnomalyDINO's rotation, about the centre between the pixels; OpenCV interpolates with 5 bits."""
    pixels = wheel(side=65)[:50]
    for copy, angle in zip(copies.make(pixels, ("rot8",)), copies.EIGHTHS, strict=True):
        matrix = cv2.getRotationMatrix2D((32, 24.5), angle, 1.0)
        expected = cv2.warpAffine(pixels, matrix, (65, 50), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        assert np.abs(copy.astype(int) - expected).max() <= 4


def test_flips_mirror_left_to_right_and_upside_down():
    pixels = photo()
    across, down = copies.make(pixels, ("flip",))
    np.testing.assert_array_equal(across, pixels[:, ::-1])
    np.testing.assert_array_equal(down, pixels[::-1])


def test_poses_are_turned_shifted_mirrored_and_grey():
    pixels = photo(side=40)
    made = copies.make(pixels, ("poses",))
    np.testing.assert_array_equal(made[16], pixels[:, ::-1])
    grey = pixels.astype(np.float64) @ (0.299, 0.587, 0.114)
    assert (np.ptp(made[17], axis=-1) == 0).all() and np.abs(made[17] - grey[..., None]).max() <= 0.5 + 1e-9
    # A tenth of 40 pixels up and to the left, with the mirror image of the first four rows and columns.
    expected = np.pad(pixels, ((4, 0), (4, 0), (0, 0)), mode="symmetric")[:40, :40]
    np.testing.assert_array_equal(made[8], expected)


def test_turned_poses_come_back_with_the_opposite_angle():
    y, x = np.mgrid[:48, :48]
    pixels = np.stack([128 + 60 * np.sin(x / 6), 128 + 60 * np.cos(y / 7), x + y], axis=-1).astype(np.uint8)
    for i in range(0, 8, 2):
        there = copies.make(pixels, ("poses",))[i]
        back = copies.make(there, ("poses",))[i + 1]
        assert np.abs(back.astype(int) - pixels)[16:-16, 16:-16].max() <= 4
        assert np.abs(there.astype(int) - pixels)[16:-16, 16:-16].max() > 8
