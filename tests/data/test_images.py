import io
import struct
import subprocess
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.data import bit_depth, images, masks
from fastrecon_jax.errors import InputError


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


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PPM", "DIB"])
def test_whatever_the_ending_the_format_is_told_from_the_bytes(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    flat = np.full((5, 4, 3), (200, 100, 50), np.uint8)
    np.testing.assert_array_equal(images.decode(encoded(flat, kind=kind, **options), "part.jpg"), flat)


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "SGI", "JPEG2000", "PDF", "EPS"])
def test_other_formats_are_no_images(kind):
    with pytest.raises(ValueError, match=r"part.png is not an image: allowed are files of .png, .jpg"):
        images.decode(encoded(COLOUR, kind=kind), "part.png")


@pytest.mark.parametrize("read", [images.decode, masks.decode, images.size])
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


@pytest.mark.parametrize("read", [images.decode, masks.decode, images.size])
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
    image = masks.decode(buffer.getvalue(), "part.tif")
    assert image.size == (20_000, 5_000)


def test_the_size_of_a_damaged_image_names_the_file():
    damaged = encoded(np.zeros((300, 300), np.uint8))[:80]
    with pytest.raises(ValueError, match=r"part.png cannot be decoded, it is damaged"):
        images.size(damaged, "part.png")


def exif_block(*entries, tail=b""):
    """An EXIF block with Orientation 6 and other tags (number, type, count, value)."""
    entries = ((0x112, 3, 1, struct.pack("<HH", 6, 0)), *entries)
    packed = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4) + tail


@pytest.mark.parametrize(
    "block",
    [
        exif_block((0x11A, 10, 1, struct.pack("<I", 38)), tail=struct.pack("<ii", -1, 0)),
        exif_block((0x11C, 4, 1, struct.pack("<I", 70000))),
        exif_block((0x8769, 4, 1, struct.pack("<I", 9999))),  # another block beyond the end
        exif_block((0x10F, 2, 99, struct.pack("<I", 9999))),  # a text beyond the end
        exif_block((0x9999, 77, 1, bytes(4))),  # of no type that there is
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_of_exif_only_the_orientation_counts(block, kind):
    data = encoded(COLOUR, kind=kind, exif=block)
    assert images.decode(data, "x").size == images.size(data, "x") == masks.decode(data, "x").size == (5, 4)


@pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0" + bytes(40), b"nonsense" * 9])
def test_exif_that_is_none_turns_nothing(block):
    assert images.decode(encoded(COLOUR, kind="JPEG", exif=block), "x").size == (4, 5)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a surprise"), RecursionError(), struct.error("odd")])
def test_whatever_a_decoder_raises_is_one_error_that_names_the_file(error, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(InputError, match=rf"^part.png cannot be decoded.*{type(error).__name__}"):
        images.decode(encoded(COLOUR), "part.png")


def test_warnings_of_pillow_stay_away_from_the_terminal():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert images.decode(encoded(COLOUR, kind="JPEG", exif=exif_block((0x10F, 2, 99, bytes(4)))), "x").size == (
            5,
            4,
        )


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_pages_and_frames_after_the_first_are_said(kind):
    first, second = (Image.new("RGB", (6, 5), colour) for colour in ("white", "black"))
    buffer = io.BytesIO()
    first.save(buffer, kind, save_all=True, append_images=[second, first])
    read = images.read(buffer.getvalue(), "x")
    assert read.notes == ("pages: the first of 3 is looked at",)
    assert np.asarray(read.image).min() >= 254
    assert images.read(encoded(COLOUR, kind=kind), "x").notes == ()


def sixteen_bits(values, kind="png"):
    """Grey or colour (RGB) of 16 bits."""
    values = np.asarray(values, np.uint16)
    done, data = cv2.imencode(f".{kind}", values[..., ::-1] if values.ndim == 3 else values)
    assert done
    return data.tobytes()


RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("values", [RAMP, np.stack([RAMP, RAMP[::-1], RAMP.T], -1)], ids=["grey", "colour"])
def test_twelve_bits_in_sixteen(values, kind):
    data = sixteen_bits(values, kind)
    assert images.peak(data, "x") == 4095
    read = images.read(data, "x", depth=12)
    expected = np.round(values / 4095 * 255)
    np.testing.assert_array_equal(read.image, expected if values.ndim == 3 else np.repeat(expected[..., None], 3, -1))
    assert read.notes == ()
    assert images.read(data, "x").notes[0].startswith("dark: no value is above")
    read = images.read(data, "x", depth=10)
    assert np.asarray(read.image)[values > 1023].min() == 255
    assert read.notes == ("clipped: 75 % of the values are above 1023, the white of 10 bits, and became white",)


def test_grey_with_alpha_of_sixteen_bits():
    """Which no library at hand writes."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + np.stack([row, np.full_like(row, 65535)], -1).astype(">u2").tobytes() for row in RAMP)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 4, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert images.peak(data, "x") == 4095
    np.testing.assert_array_equal(np.asarray(images.decode(data, "x", depth=12))[..., 0], np.round(RAMP / 4095 * 255))


def test_eight_bits_have_no_peak_whatever_the_depth():
    data = encoded(COLOUR)
    assert images.peak(data, "x") is None
    np.testing.assert_array_equal(images.decode(data, "x", depth=12), COLOUR)


@pytest.mark.parametrize(("values", "message"), [([-5, 70000], "from -5 to 70000"), ([0, 1 << 30], "to 1073741824")])
def test_integers_beyond_16_bits_are_refused(values, message):
    data = encoded(np.array([values], np.int32), kind="TIFF")
    for read in (images.decode, images.peak):
        with pytest.raises(InputError, match=f"part.tif has integers .*{message}: allowed are 0 to 65535"):
            read(data, "part.tif")


def test_integers_of_32_bits_that_fit_are_taken_as_16():
    data = encoded(np.array([[0, 257 * 17, 65535]], np.int32), kind="TIFF")
    np.testing.assert_array_equal(np.asarray(images.decode(data, "x"))[0, :, 0], [0, 17, 255])


@pytest.mark.parametrize(("value", "dark"), [(0, True), (31, True), (32, False)])
def test_a_picture_that_uses_little_of_its_range_is_said(value, dark):
    notes = images.read(encoded(np.full((9, 9, 3), value, np.uint8)), "x").notes
    assert notes == ((f"dark: no value is above {value} of 255",) if dark else ())


@pytest.mark.parametrize(
    ("peaks", "depth"),
    [
        *[((), 16), ((None, None), 16), ((None, 0), 16), ((255,), 8), ((1, None, 1023), 10), ((4095, 100), 12)],
        *[((16383,), 14), ((4096,), 14), ((16384,), 16), ((65535,), 16)],
    ],
)
def test_the_bit_depth_is_the_smallest_that_holds_all(peaks, depth):
    assert bit_depth.choose(peaks) == depth


def test_sixteen_bits_are_scaled_as_ever():
    values = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(bit_depth.to_eight_bits(values, 16), (values.astype(int) + 128) // 257)
