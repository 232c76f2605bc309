"""Resizing and cutting of photographs and masks."""

import hashlib

import numpy as np
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
