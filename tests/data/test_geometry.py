"""Resizing and cutting of photographs and masks."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.data import geometry, images
from fastrecon_jax.data.geometry import Preprocessing


def test_preprocessing_is_pillows_lanczos_and_the_centre():
    source = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    ours = geometry.preprocess(source, Preprocessing(32, 20))
    np.testing.assert_array_equal(ours, np.asarray(source.resize((32, 32), Image.Resampling.LANCZOS))[6:26, 6:26])


def test_a_tall_image_is_filtered_along_its_width_first_by_every_version_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    ours = geometry.preprocess(Image.fromarray(pixels), Preprocessing(32, 32))
    assert hashlib.sha256(ours.tobytes()).hexdigest()[:16] == "b96d7aceca2d4c70"


def test_preprocessing_equals_the_reference(shared):
    reference = np.load(shared / "reference" / "resnet50_v1_bottle.npz")["images"][0]
    path = shared / "data" / "mvtec_ad" / "bottle" / "test" / "broken_large" / "000.png"
    pixels = geometry.preprocess(images.decode(path.read_bytes(), "x"), Preprocessing(256, 224))
    normalised = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.abs(normalised - reference).max() < 1e-5


def test_masks_are_resized_by_the_nearest():
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0] = 255
    resized = geometry.preprocess_mask(Image.fromarray(mask), Preprocessing(8, 8))
    assert resized[:2, :2].all()
    assert resized.sum() == 4


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((900, 900), (256, 256)),
        ((1200, 900), (192, 256)),
        ((900, 1200), (256, 192)),
        ((1920, 1080), (144, 256)),
        ((1000, 990), (256, 256)),
        ((5000, 10), (32, 256)),
    ],
)
def test_proportions_are_kept_in_steps_of_16_pixels(size, expected):
    assert geometry.in_proportion(size, 256) == expected


def test_the_shorter_side_is_never_the_longer_one():
    assert geometry.in_proportion((300, 299), 250) == (250, 250)
    assert geometry.in_proportion((300, 300), 250) == (250, 250)


def test_a_shape_is_filled_without_a_cut():
    source = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    ours = geometry.preprocess(source, Preprocessing(48, 0, shape=(32, 48)))
    np.testing.assert_array_equal(ours, np.asarray(source.resize((48, 32), Image.Resampling.LANCZOS)))


def test_a_cut_is_scaled_to_photographs_of_other_sizes():
    cut = Preprocessing(32, 32, cut=geometry.Cut(10, 20, 30, 10, 100, 50))
    assert cut.box((100, 50)) == (10, 20, 40, 30)
    assert cut.box((200, 50)) == (20, 20, 80, 30)
    assert cut.box((1, 1)) == (0, 0, 1, 1)
    whole = np.arange(5000, dtype=np.uint32).reshape(50, 100).astype(np.uint8)
    source = Image.fromarray(np.stack([whole] * 3, axis=-1))
    part = source.crop((10, 20, 40, 30))
    np.testing.assert_array_equal(geometry.preprocess(source, cut), geometry.preprocess(part, Preprocessing(32, 32)))


def test_places_of_the_map_lie_in_the_photograph():
    centre = geometry.frame(Preprocessing(256, 224), (512, 1024))
    assert centre.inspected == (32, 64, 480, 960)
    assert centre.place(0, 10) == (32, 104)
    cut = Preprocessing(64, 0, shape=(32, 64), cut=geometry.Cut(100, 50, 64, 64, 400, 400))
    assert geometry.frame(cut, (800, 400)).inspected == (200, 50, 328, 114)
    assert geometry.frame(cut, (400, 400)).place(32, 16) == (132, 82)
