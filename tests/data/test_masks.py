"""Masks as annotation tools store them: what of them is marked."""

import io

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.data import masks

MARKED = np.zeros((40, 50), bool)
MARKED[8:20, 16:33] = True


def stored(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def marked(picture, kind="PNG", **options):
    return np.asarray(masks.decode(stored(picture, kind, **options), "x")) > 0


def grey(value, kind=np.uint8):
    return Image.fromarray((MARKED * value).astype(kind))


def coloured(colour, ground=(0, 0, 0)):
    return Image.fromarray(np.where(MARKED[..., None], np.uint8(colour), np.uint8(ground)).astype(np.uint8))


def palette(colours):
    picture = Image.fromarray(MARKED.astype(np.uint8))
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette([part for colour in colours for part in colour])
    return picture


def transparent(mode, colour):
    picture = Image.new(mode, (50, 40), colour)
    picture.putalpha(grey(255))
    return picture


@pytest.mark.parametrize("value", [1, 2, 20, 100, 128, 200, 255])
def test_any_value_alone_marks(value):
    np.testing.assert_array_equal(marked(grey(value)), MARKED)


@pytest.mark.parametrize(
    "picture",
    [
        *(grey(value, np.uint16) for value in (1, 255, 4095, 65535)),
        *(grey(value, np.int32) for value in (1, 255, 70000)),
        *(coloured(colour) for colour in ((255, 0, 0), (0, 0, 128), (64, 0, 0), (255, 255, 255))),
        *(coloured((255, 0, 0)).convert(mode) for mode in ("RGBA", "P")),
        coloured((255, 255, 255)).convert("1"),
        palette([(0, 0, 0), (128, 0, 0)]),
        palette([(0, 0, 0), (1, 1, 1)]),
        transparent("RGBA", (255, 255, 255)),
        transparent("RGBA", (0, 0, 0)),
        transparent("RGB", (255, 0, 0)).convert("RGBA"),
        transparent("L", 0),
    ],
)
def test_what_tools_write(picture):
    kind = "TIFF" if picture.mode == "I" else "PNG"
    np.testing.assert_array_equal(marked(picture, kind), MARKED)


@pytest.mark.parametrize("value", [1.0, 255.0, 0.5])
def test_floating_point_masks(value):
    np.testing.assert_array_equal(marked(grey(value, np.float32), "TIFF"), MARKED)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_the_noise_of_lossy_formats_marks_nothing(mode, kind):
    picture = grey(255).convert(mode)
    data = stored(picture, kind, quality=60)
    assert (np.asarray(Image.open(io.BytesIO(data)).convert("L"))[~MARKED] > 0).any()  # there is some
    assert np.mean(marked(picture, kind, quality=60) != MARKED) < 0.01


def test_labels_mark_all_of_them():
    labels = MARKED.astype(np.uint8)
    labels[30:, 40:] = 7
    np.testing.assert_array_equal(marked(Image.fromarray(labels)), labels > 0)
    colours = np.array([(0, 0, 0), (128, 0, 0), (0, 0, 0), (0, 0, 0)] + [(0, 0, 0)] * 3 + [(64, 0, 0)], np.uint8)
    np.testing.assert_array_equal(marked(Image.fromarray(colours[labels])), labels > 0)


def test_a_palette_means_its_colours_whatever_their_order():
    np.testing.assert_array_equal(marked(palette([(255, 255, 255), (0, 0, 0)])), ~MARKED)


def test_soft_edges_end_at_half():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    np.testing.assert_array_equal(marked(Image.fromarray(ramp)), ramp > 127)


def test_alpha_that_is_the_same_everywhere_marks_nothing():
    assert not marked(Image.new("LA", (5, 4), (0, 255))).any()
    np.testing.assert_array_equal(marked(coloured((255, 255, 255)).convert("RGBA")), MARKED)


def test_the_share_that_is_marked():
    assert masks.share(masks.decode(stored(grey(255)), "x")) == pytest.approx(MARKED.mean())
