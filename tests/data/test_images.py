import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.data import images


def encoded(array, mode=None, kind="PNG", **options):
    buffer = io.BytesIO()
    picture = Image.fromarray(array) if mode is None else Image.fromarray(array).convert(mode)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_colour_is_kept(kind):
    np.testing.assert_array_equal(images.decode(encoded(COLOUR, kind=kind), "x"), COLOUR)


def test_grey_is_repeated():
    np.testing.assert_array_equal(images.decode(encoded(GREY), "x"), np.repeat(GREY[..., None], 3, -1))


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "1", "CMYK"])
def test_other_modes_become_rgb(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    assert np.asarray(images.decode(encoded(GREY, mode, kind), "x")).shape == (3, 4, 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_to_8(kind):
    deep = np.array([[0, 257 * 17, 65535, 257 * 255 - 200]], np.uint16)
    decoded = np.asarray(images.decode(encoded(deep, kind=kind), "x"))
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 17, 255, 254])


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    assert images.decode(encoded(COLOUR, exif=exif), "x").size == (5, 4)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"these are words", "part.png is not an image: allowed are files of .png"),
        (b"", "part.png is not an image"),
        (encoded(COLOUR)[:60], "part.png cannot be decoded, it is damaged"),
        (encoded(GREY.astype(np.float32), kind="TIFF"), "part.png has floating-point pixels"),
    ],
)
def test_unusable_bytes_name_the_file(data, message):
    with pytest.raises(ValueError, match=message):
        images.decode(data, "part.png")


def test_preprocessing_is_pillows_lanczos_and_the_centre():
    source = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    ours = images.preprocess(source, image_size=32, crop_size=20)
    np.testing.assert_array_equal(ours, np.asarray(source.resize((32, 32), Image.Resampling.LANCZOS))[6:26, 6:26])


def test_a_tall_image_is_filtered_along_its_width_first_by_every_version_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    ours = images.preprocess(Image.fromarray(pixels), image_size=32, crop_size=32)
    assert hashlib.sha256(ours.tobytes()).hexdigest()[:16] == "b96d7aceca2d4c70"


def test_preprocessing_equals_the_reference(shared):
    reference = np.load(shared / "reference" / "resnet50_v1_bottle.npz")["images"][0]
    path = shared / "data" / "mvtec_ad" / "bottle" / "test" / "broken_large" / "000.png"
    pixels = images.preprocess(images.decode(path.read_bytes(), "x"), image_size=256, crop_size=224)
    normalised = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.abs(normalised - reference).max() < 1e-5


def test_masks_are_marked_where_above_zero_and_resized_by_the_nearest():
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0] = 1
    decoded = images.decode_mask(encoded(mask), "x")
    resized = images.preprocess_mask(decoded, image_size=8, crop_size=8)
    assert resized[:2, :2].all()
    assert resized.sum() == 4


def test_the_alpha_of_a_mask_marks_nothing():
    assert not np.asarray(images.decode_mask(encoded(np.zeros((3, 3), np.uint8), "LA"), "x")).any()
