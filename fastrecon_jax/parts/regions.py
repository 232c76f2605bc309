"""Defect regions of an anomaly map, as boxes and areas in the photograph."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage

_NEIGHBOURS = np.ones((3, 3), bool)


class Region(NamedTuple):
    """A defect, in pixels of the photograph.

    Attributes:
        x: left edge of its box.
        y: upper edge.
        width: of the box.
        height: of the box.
        area: of the region itself, in square pixels.
        peak: largest value of the map in it.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    peak: float


class Frame(NamedTuple):
    """Where a map lies in its photograph.

    Attributes:
        width: of the photograph, in pixels.
        height: likewise.
        image_size: side to which it was resized.
        crop_size: side of the centre that the map covers.
    """

    width: int
    height: int
    image_size: int
    crop_size: int


def find(
    anomaly_map: Float[np.ndarray, "H W"], frame: Frame, *, seed: float, extent: float, force: bool = False
) -> tuple[Region, ...]:
    """Connected regions (8 neighbours) above `extent` whose peak is above `seed`.

    Args:
        anomaly_map: (crop_size, crop_size).
        frame: of the photograph.
        seed: value that a region must exceed somewhere.
        extent: value that it exceeds everywhere.
        force: give the region of the largest value even if it stays below `seed`.

    Returns:
        The regions, the highest peak first.
    """
    peak = float(anomaly_map.max())
    if force:
        seed = min(seed, np.nextafter(np.float32(peak), np.float32(-np.inf)))
    labels, count = ndimage.label(anomaly_map > min(extent, seed), structure=_NEIGHBOURS)
    if not count:
        return ()
    numbers = np.arange(1, count + 1)
    peaks = ndimage.maximum(anomaly_map, labels, numbers)
    areas = ndimage.sum_labels(np.ones_like(labels), labels, numbers)
    boxes = ndimage.find_objects(labels)
    found = [
        _region(box, float(area), float(value), frame)
        for box, area, value in zip(boxes, areas, peaks, strict=True)
        if value > seed
    ]
    return tuple(sorted(found, key=lambda region: -region.peak))


def _region(box: tuple[slice, slice], area: float, peak: float, frame: Frame) -> Region:
    rows, columns = box
    margin = round((frame.image_size - frame.crop_size) / 2)
    across, down = frame.width / frame.image_size, frame.height / frame.image_size
    left, right = (round((x + margin) * across) for x in (columns.start, columns.stop))
    top, bottom = (round((y + margin) * down) for y in (rows.start, rows.stop))
    return Region(left, top, right - left, bottom - top, round(area * across * down), peak)
