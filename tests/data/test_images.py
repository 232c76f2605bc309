import io
import struct
import subprocess
import zlib

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


@pytest.mark.parametrize("mode", ["RGBA", "P", "PA", "LA", "L", "RGB"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_other_modes_give_their_colours(mode, kind):
    if (mode, kind) != ("PA", "PNG"):  # which PNG does not have
        expected = np.repeat(GREY[..., None], 3, -1)
        np.testing.assert_array_equal(images.decode(encoded(GREY, mode, kind), "x"), expected)


def test_one_bit_is_black_and_white():
    data = encoded(np.array([[0, 255, 0]], np.uint8), "1")
    np.testing.assert_array_equal(np.asarray(images.decode(data, "x"))[0, :, 0], [0, 255, 0])


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted(kind):
    colours = np.zeros((16, 16, 3), np.uint8) + np.array([250, 120, 10], np.uint8)
    decoded = np.asarray(images.decode(encoded(colours, "CMYK", kind), "x"), int)
    assert np.abs(decoded - colours).max() <= 3


@pytest.mark.parametrize("transparency", [None, 0, b"\0\x80\xff"])
def test_the_transparency_of_a_palette_is_dropped(transparency):
    picture = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **({} if transparency is None else {"transparency": transparency}))
    decoded = images.decode(buffer.getvalue(), "x")
    np.testing.assert_array_equal(decoded, [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_to_8(kind):
    deep = np.array([[0, 257 * 17, 65535, 257 * 255 - 200]], np.uint16)
    decoded = np.asarray(images.decode(encoded(deep, kind=kind), "x"))
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 17, 255, 254])


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    for kind in ("PNG", "JPEG", "TIFF"):
        data = encoded(COLOUR, kind=kind, exif=exif)
        assert images.decode(data, "x").size == images.size(data, "x") == (5, 4)
        expected = np.rot90(COLOUR, -1)
        assert kind == "JPEG" or np.array_equal(images.decode(data, "x"), expected)


VIDEO = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(200)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"these are words", "part.png is not an image: allowed are files of .png"),
        (b"", "part.png is not an image"),
        (VIDEO, "part.png is not an image"),
        (b"\x00\x00\x01\xb3\x14\x00\xf0\x13" + bytes(200), "part.png is not an image"),
        (encoded(COLOUR)[:60], "part.png cannot be decoded, it is damaged"),
        (encoded(GREY.astype(np.float32), kind="TIFF"), "part.png has floating-point pixels"),
    ],
)
def test_unusable_bytes_name_the_file(data, message):
    with pytest.raises(ValueError, match=message):
        images.decode(data, "part.png")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PPM", "ICO"])
def test_other_formats_are_no_images(kind):
    with pytest.raises(ValueError, match=r"part.png is not an image: allowed are files of .png, .jpg"):
        images.decode(encoded(COLOUR, kind=kind), "part.png")


@pytest.mark.parametrize("read", [images.decode, images.decode_mask, images.size])
def test_postscript_named_as_an_image_starts_no_program(read, monkeypatch):
    """Pillow would start Ghostscript on it."""
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **options: started.append(arguments))
    with pytest.raises(ValueError, match=r"part.png is not an image"):
        read(POSTSCRIPT, "part.png")
    assert not started


def claiming(side):
    """The beginning of a PNG of any size, as far as a reader looks before it decodes."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">II4s", zlib.crc32(head), 99, b"IDAT")


@pytest.mark.parametrize("read", [images.decode, images.decode_mask, images.size])
def test_too_many_pixels_are_refused_before_they_are_decoded(read, monkeypatch):
    """Pillow's own limit is not asked: it is one of the whole process, and at first a warning only."""
    limit = Image.MAX_IMAGE_PIXELS
    for side in (12_000, 20_000):
        message = f"part.png has {side}x{side} pixels, more than max_pixels=128000000: make it smaller, or raise"
        with pytest.raises(ValueError, match=message):
            read(claiming(side), "part.png")
    assert limit == Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    assert read(encoded(GREY), "part.png", max_pixels=12)
    with pytest.raises(ValueError, match=r"part.png has 4x3 pixels, more than max_pixels=11"):
        read(encoded(GREY), "part.png", max_pixels=11)


def test_a_large_image_is_decoded_without_a_warning_where_it_is_allowed():
    """A TIFF asks for Pillow's limit once more when it is decoded."""
    buffer = io.BytesIO()
    Image.new("1", (20_000, 5_000)).save(buffer, "TIFF", compression="group4")
    image = images.decode_mask(buffer.getvalue(), "part.tif")
    assert image.size == (20_000, 5_000)


def test_the_size_of_a_damaged_image_names_the_file():
    damaged = encoded(np.zeros((300, 300), np.uint8))[:80]
    with pytest.raises(ValueError, match=r"part.png cannot be decoded, it is damaged"):
        images.size(damaged, "part.png")


def test_masks_are_marked_where_above_zero():
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0] = 1
    assert np.argwhere(np.asarray(images.decode_mask(encoded(mask), "x"))).tolist() == [[0, 0]]


def test_the_alpha_of_a_mask_marks_nothing():
    assert not np.asarray(images.decode_mask(encoded(np.zeros((3, 3), np.uint8), "LA"), "x")).any()
