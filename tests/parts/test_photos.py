"""From paths, arrays and Pillow's images to what the encoder sees."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import photos
from tests.parts.helpers import SIZES, picture


class HasArray:
    """An array of another library."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        if self.array is None:
            raise TypeError("it lies on a GPU")
        return self.array


def test_files_arrays_and_pillow_give_the_same_pixels(tmp_path):
    image = picture(0)
    image.save(tmp_path / "x.png")
    array = np.asarray(image)
    sources = [
        tmp_path / "x.png",
        str(tmp_path / "x.png"),
        image,
        array,
        array[:, ::-1][:, ::-1],
        image.convert("RGBA"),
    ]
    sources += [jnp.asarray(array), HasArray(array)]
    read = [photos.load(source, SIZES) for source in sources]
    assert len({one.sha256 for one in read}) == 1
    assert {(one.width, one.height) for one in read} == {(90, 80)}


def test_grey_arrays_of_all_depths():
    grey = np.asarray(picture(0).convert("L"))
    sources = [grey, grey[..., None], grey.astype(np.uint16) * 257, Image.fromarray(grey)]
    assert len({photos.load(source, SIZES).sha256 for source in sources}) == 1
    assert photos.load(grey > 100, SIZES).pixels.max() == 255


def test_exif_rotation_is_applied(tmp_path):
    image, exif = picture(0), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    image.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    turned, upright = (photos.load(tmp_path / f"{name}.png", SIZES) for name in ("turned", "upright"))
    assert (turned.width, turned.height) == (80, 90)
    assert turned.sha256 == upright.sha256


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"the shape \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), r"the shape \(0, 4, 3\)"),
        (np.zeros(4, np.uint8), r"the shape \(4,\)"),
        (np.zeros((4, 4), np.float32), "holds float32: allowed are uint8"),
        (np.zeros((4, 4), np.int64), "holds int64"),
        (Image.fromarray(np.zeros((4, 4), np.float32)), "floating-point pixels"),
        (HasArray(None), "image 0 cannot be read as a NumPy array: it lies on a GPU"),
        ("none.png", "cannot be read: No such file"),
        (".", "cannot be read: Is a directory"),
        ("a\0b.png", "cannot be read: embedded null byte"),
    ],
)
def test_what_is_no_photograph(source, message):
    with pytest.raises(InputError, match=message):
        photos.load(source, SIZES, name=source if isinstance(source, str) else "image 0")


def test_large_images_are_refused_before_they_are_decoded(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "large.png")
    with pytest.raises(InputError, match="20000x20000"):
        photos.load(tmp_path / "large.png", SIZES)
    with pytest.raises(InputError, match="90x80"):
        picture(0).save(tmp_path / "x.png")
        photos.load(tmp_path / "x.png", SIZES._replace(max_pixels=7199))
