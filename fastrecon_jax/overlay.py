"""Pictures of anomaly maps, with a single colour scale for a whole sheet, so that good parts stay dark."""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

COLOURS = "turbo"  # matplotlib's name of the colour map
_GAP, _CAPTION, _FONT = 4, 18, 13  # space between pictures, height of a caption and size of its font, in pixels


class Tile(NamedTuple):
    """The pictures of one image on a contact sheet.

    Attributes:
        image: RGB image, (H, W, 3), 0 to 255.
        mask: true for defective pixels, (H, W).
        map: anomaly map of the image, (H, W).
        caption: text printed above the pictures.
    """

    image: UInt8[np.ndarray, "H W 3"]
    mask: Bool[np.ndarray, "H W"]
    map: Float[np.ndarray, "H W"]
    caption: str


def colour(anomaly_map: Float[np.ndarray, "*shape"], *, low: float, high: float) -> UInt8[np.ndarray, "*shape 3"]:
    """RGB colours of an anomaly map on a scale from `low` to `high`; values outside are clipped."""
    scaled = np.clip((anomaly_map - low) / max(high - low, 1e-12), 0, 1)
    return (matplotlib.colormaps[COLOURS](scaled)[..., :3] * 255).round().astype(np.uint8)


def overlay(
    image: UInt8[np.ndarray, "H W 3"], anomaly_map: Float[np.ndarray, "H W"], *, low: float, high: float
) -> UInt8[np.ndarray, "H W 3"]:
    """The image under its anomaly map, which is transparent up to `low` and most opaque from `high` on."""
    opacity = 0.7 * np.clip((anomaly_map - low) / max(high - low, 1e-12), 0, 1)[..., None]
    blended = (1 - opacity) * image + opacity * colour(anomaly_map, low=low, high=high)
    return blended.round().astype(np.uint8)


def choose(defects: Sequence[str], *, each: int = 3) -> list[int]:
    """Indices of images to show: at most `each` of every kind of defect, evenly spread, with good images last."""
    kinds = sorted(set(defects), key=lambda kind: (kind == "good", kind))
    chosen = []
    for kind in kinds:
        members = [i for i, defect in enumerate(defects) if defect == kind]
        count = min(each, len(members))
        chosen += [members[i * len(members) // count] for i in range(count)]
    return chosen


def contact_sheet(tiles: Sequence[Tile], *, low: float, high: float) -> Image.Image:
    """Image, mask, map and overlay of each tile, two tiles in a row, above a colour bar from `low` to `high`."""
    panels = [_panel(tile, low=low, high=high) for tile in tiles]
    width, height = panels[0].size
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + 3 * _GAP + _CAPTION), "white")
    for i, panel in enumerate(panels):
        sheet.paste(panel, (_GAP + i % columns * (width + _GAP), _GAP + i // columns * (height + _GAP)))
    _draw_scale(sheet, low=low, high=high)
    return sheet


def _panel(tile: Tile, *, low: float, high: float) -> Image.Image:
    mask = np.repeat(tile.mask[..., None], 3, axis=-1).astype(np.uint8) * 255
    pictures = (
        tile.image,
        mask,
        colour(tile.map, low=low, high=high),
        overlay(tile.image, tile.map, low=low, high=high),
    )
    height, width, _ = tile.image.shape
    panel = Image.new("RGB", (4 * width + 3 * _GAP, height + _CAPTION), "white")
    ImageDraw.Draw(panel).text((0, 1), tile.caption, fill="black", font=ImageFont.load_default(_FONT))
    for i, picture in enumerate(pictures):
        panel.paste(Image.fromarray(picture), (i * (width + _GAP), _CAPTION))
    return panel


def _draw_scale(sheet: Image.Image, *, low: float, high: float) -> None:
    font, margin = ImageFont.load_default(_FONT), 70
    bar = colour(np.tile(np.linspace(0, 1, sheet.width - 2 * margin), (_CAPTION - 4, 1)), low=0.0, high=1.0)
    top = sheet.height - _CAPTION - _GAP
    sheet.paste(Image.fromarray(bar), (margin, top + 2))
    draw = ImageDraw.Draw(sheet)
    draw.text((margin - _GAP, top), f"{low:.3g}", fill="black", font=font, anchor="ra")
    draw.text((sheet.width - margin + _GAP, top), f"{high:.3g}", fill="black", font=font)
