"""Pictures of findings: the whole photograph, small, with the map and the regions, on one scale for a part."""

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageChops, ImageDraw

from fastrecon_jax import files
from fastrecon_jax.data import geometry
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts.engine import Recipe
from fastrecon_jax.parts.inspector import Finding
from fastrecon_jax.parts.palette import palette

SIDE = 640
OPACITY = 0.7
_LEVELS = 256
_HATCHING = 8  # pixels from one line to the next
# To look for repetitions too takes four times as long and saves a tenth.
_PNG = {"compress_type": zlib.Z_RLE}  # looks for runs alone: a quarter of the default time, and no larger
_JPEG = {"quality": 90, "subsampling": 0}


def shrink(image: Image.Image) -> Image.Image:
    """An RGB photograph with at most 640 pixels on its longer side; one that is small enough is copied as it is."""
    scale = min(1.0, SIDE / max(image.size))
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0) if scale < 1 else image.copy()


def draw(
    small: Image.Image,
    finding: Finding,
    recipe: Recipe,
    size: tuple[int, int],
    *,
    low: float,
    high: float,
    ignore: Bool[np.ndarray, "H W"] | None = None,
) -> Image.Image:
    """The map over the photograph, as opaque as its value is high, and boxes around the regions.

    A thin frame shows the inspected area where it is not all of the photograph, and hatching what of it is ignored.

    Args:
        small: the whole photograph, RGB, of any size, such as `shrink` makes it.
        finding: what was found on it.
        recipe: the part's, for the place of the map in the photograph.
        size: (width, height) of the photograph in which regions are measured, in pixels.
        low: value of the map that is transparent, the same for all photographs of a part.
        high: value that is most opaque.
        ignore: true for pixels of the map that are never scored; None if all are.

    Returns:
        An image of the size of `small`, mode RGB. Equal values have equal colours in all pictures of a part.
    """
    # One byte a pixel: the value between low and high. Through a palette it is the colour, and as it is the opacity.
    area = geometry.frame(recipe.preprocessing, small.size).inspected
    levels = _whole(_levels(finding.map, low=low, high=high), small.size, area)
    colours = levels.convert("P")
    colours.putpalette(palette().tobytes())
    # drawn = photograph + OPACITY * level * (colour - photograph), in Pillow's integers
    drawn = Image.composite(colours.convert("RGB"), small, ImageChops.multiply(levels, _opacity(small.size)))
    if ignore is not None:
        marked = Image.fromarray(ignore.astype(np.uint8) * 255)
        _hatch(drawn, _whole(marked, small.size, area, Image.Resampling.NEAREST))
    if area != (0, 0, *small.size):
        _frame(drawn, area)
    _outline(drawn, finding, (small.width / size[0], small.height / size[1]))
    return drawn


def _levels(anomaly_map: Float[np.ndarray, "H W"], *, low: float, high: float) -> Image.Image:
    scaled = np.clip((anomaly_map - low) / max(high - low, 1e-12), 0, 1)
    return Image.fromarray((scaled * (_LEVELS - 1)).round().astype(np.uint8))


def _whole(
    levels: Image.Image,
    size: tuple[int, int],
    area: tuple[int, int, int, int],
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """The map where the inspected area lies in the whole photograph, zero around it."""
    left, top, right, bottom = area
    whole = Image.new("L", size)
    extent = max(1, right - left), max(1, bottom - top)  # a picture one pixel wide has a map too
    whole.paste(levels.resize(extent, resample), (left, top))
    return whole


def _hatch(image: Image.Image, marked: Image.Image) -> None:
    """Grey diagonals over what is marked, so that the photograph still shows between them."""
    rows, columns = np.indices((image.height, image.width))
    lines = ((rows + columns) % _HATCHING < 2) & (np.asarray(marked) > 0)
    image.paste((150, 150, 150), mask=Image.fromarray(lines.astype(np.uint8) * 255))


def _frame(image: Image.Image, area: tuple[int, int, int, int]) -> None:
    """A line around the inspected area, within the picture: dark on light and light on dark."""
    left, top, right, bottom = area
    pen = ImageDraw.Draw(image)
    pen.rectangle((max(left - 1, 0), max(top - 1, 0), right, bottom), outline=(96, 96, 96))
    pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=(224, 224, 224))


def _opacity(size: tuple[int, int]) -> Image.Image:
    return Image.new("L", size, round(255 * OPACITY))


def _outline(image: Image.Image, finding: Finding, scale: tuple[float, float]) -> None:
    pen = ImageDraw.Draw(image)
    for region in finding.regions:
        x, y = region.x * scale[0], region.y * scale[1]
        right, bottom = x + region.width * scale[0], y + region.height * scale[1]
        # White inside black, outside the region itself: seen on every ground.
        pen.rectangle((x - 3, y - 3, right + 2, bottom + 2), outline="black")
        pen.rectangle((x - 2, y - 2, right + 1, bottom + 1), outline="white", width=2)


def write(image: Image.Image, file: Path) -> None:
    """Write an RGB picture as the PNG or JPEG file that its name ends in; InputError, and no file, if that fails."""
    data = _encoded(image, "PNG", **_PNG) if file.suffix == ".png" else _encoded(image, "JPEG", **_JPEG)
    try:
        file.write_bytes(data)
    except OSError as error:
        _remove(file)
        raise InputError(f"{file} cannot be written: {files.reason(error)}") from None


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, format=kind, **options)
    return encoded.getvalue()


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        return
