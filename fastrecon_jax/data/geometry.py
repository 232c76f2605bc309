"""From a picture to the pixels that the encoder sees, and back: which part of it is resized, and to what."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from fastrecon_jax.data.bit_depth import CONTAINER
from fastrecon_jax.data.images import MAX_PIXELS

KEEP, STRETCH, CROP = RESIZES = ("keep", "stretch", "crop")
STEP, SMALLEST = 16, 32  # the shorter side is a multiple of the one, and at least the other, in pixels


class Cut(NamedTuple):
    """A rectangle in photographs of one size, outside of which nothing is inspected.

    Attributes:
        x: its left edge, in pixels.
        y: its upper edge.
        width: its width.
        height: its height.
        of_width: width of the photographs.
        of_height: their height.
    """

    x: int
    y: int
    width: int
    height: int
    of_width: int
    of_height: int


class Preprocessing(NamedTuple):
    """How a photograph is made fit for the encoder.

    Attributes:
        image_size: side of the square to which it is resized, in pixels.
        crop_size: side of the centre that is kept, at most `image_size`.
        max_pixels: width times height up to which a file is decoded; a small file may claim any size.
        bit_depth: bits that are filled of pixels with more than 8.
        shape: height and width to which it is resized instead, of which nothing is cut off; None for the square.
        cut: the only part of it that is resized; None for all of it.
    """

    image_size: int
    crop_size: int
    max_pixels: int = MAX_PIXELS
    bit_depth: int = CONTAINER
    shape: tuple[int, int] | None = None
    cut: Cut | None = None

    @property
    def resized(self) -> tuple[int, int]:
        """Height and width of what is resized."""
        return self.shape or (self.image_size, self.image_size)

    @property
    def kept(self) -> tuple[int, int]:
        """Height and width of what the encoder sees, and of its map."""
        return self.shape or (self.crop_size, self.crop_size)

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge of what is resized, in pixels of a photograph of (width, height)."""
        if self.cut is None:
            return (0, 0, *size)
        x, y, width, height, *of = self.cut
        (left, right), (top, bottom) = (
            _scaled(start, length, *sides)
            for start, length, *sides in ((x, width, size[0], of[0]), (y, height, size[1], of[1]))
        )
        return left, top, right, bottom


def _scaled(start: int, length: int, side: int, of: int) -> tuple[int, int]:
    """The ends of an interval, of a side `of` pixels long, on a side of another length: at least one pixel of it."""
    first = min(round(start * side / of), side - 1)
    return first, max(round((start + length) * side / of), first + 1)


class Frame(NamedTuple):
    """Where a map lies in its photograph.

    Attributes:
        box: left, upper, right and lower edge of what was resized, in pixels of the photograph.
        resized: height and width to which it was resized.
        kept: height and width of the centre of that, which the map covers.
    """

    box: tuple[int, int, int, int]
    resized: tuple[int, int]
    kept: tuple[int, int]

    @property
    def scale(self) -> tuple[float, float]:
        """How many pixels of the photograph one of the map's is wide and high."""
        left, top, right, bottom = self.box
        return (right - left) / self.resized[1], (bottom - top) / self.resized[0]

    def place(self, column: int, row: int) -> tuple[float, float]:
        """(x, y) in the photograph of a place in the map."""
        (across, down), (rows, columns) = self.scale, margins(self.resized, self.kept)
        return self.box[0] + (column + columns) * across, self.box[1] + (row + rows) * down

    @property
    def inspected(self) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge of the map, in pixels of the photograph."""
        (left, top), (right, bottom) = self.place(0, 0), self.place(self.kept[1], self.kept[0])
        return round(left), round(top), round(right), round(bottom)


def frame(preprocessing: Preprocessing, size: tuple[int, int]) -> Frame:
    """Where the map of a photograph of (width, height) lies in it."""
    return Frame(preprocessing.box(size), preprocessing.resized, preprocessing.kept)


def margins(resized: tuple[int, int], kept: tuple[int, int]) -> tuple[int, int]:
    """How many rows and columns are cut off before the centre."""
    return round((resized[0] - kept[0]) / 2), round((resized[1] - kept[1]) / 2)


def in_proportion(size: tuple[int, int], longest: int, *, step: int = STEP) -> tuple[int, int]:
    """Height and width of a resized picture of (width, height) whose longer side has `longest` pixels.

    The shorter one is the nearest multiple of `step`, at least 32 and at most `longest`.
    """
    shorter = min(step * max(round(longest * min(size) / max(size) / step), -(-SMALLEST // step)), longest)
    shorter = longest if size[0] == size[1] else shorter
    width, height = size
    return (shorter, longest) if width > height else (longest, shorter)


def preprocess(image: Image.Image, preprocessing: Preprocessing) -> UInt8[np.ndarray, "H W 3"]:
    """Resize an RGB picture, or the part of it that is inspected, with Lanczos' filter, and cut out the centre.

    As the published code of FastRecon does it, there to a square of 256 and a centre of 224 pixels.
    """
    height, width = preprocessing.resized
    part = image if preprocessing.cut is None else image.crop(preprocessing.box(image.size))
    # Along the width first, then along the height: Pillow up to 12 does so by itself, Pillow 13 turns the passes round
    # for tall images, and since it rounds to 8 bits between them, other pixels would come out.
    narrowed = part.resize((width, part.height), Image.Resampling.LANCZOS)
    resized = narrowed.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(_centre(resized, preprocessing.kept))


def preprocess_mask(mask: Image.Image, preprocessing: Preprocessing) -> Bool[np.ndarray, "H W"]:
    """The same for a mask from `masks.decode`, with the nearest neighbour; true where it is marked."""
    part = mask if preprocessing.cut is None else mask.crop(preprocessing.box(mask.size))
    resized = part.resize(preprocessing.resized[::-1], Image.Resampling.NEAREST)
    return np.asarray(_centre(resized, preprocessing.kept)) > 0


def _centre(image: Image.Image, kept: tuple[int, int]) -> Image.Image:
    top, left = margins((image.height, image.width), kept)
    return image.crop((left, top, left + kept[1], top + kept[0]))
