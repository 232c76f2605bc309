"""Defect regions of an anomaly map, as boxes and areas in the photograph."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from fastrecon_jax.data.geometry import Frame

_NEIGHBOURS = np.ones((3, 3), bool)


class Region(NamedTuple):
    """A defect region, in pixels of the photograph.

    Attributes:
        x: left edge of the box around it.
        y: upper edge of the box.
        width: width of the box.
        height: height of the box.
        area: area of the region itself, in square pixels.
        peak: largest value of the anomaly map in it.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    peak: float


def find(
    anomaly_map: Float[np.ndarray, "H W"], frame: Frame, *, seed: float, extent: float, force: bool = False
) -> tuple[Region, ...]:
    """Connected regions above `extent` everywhere and above `seed` somewhere, the highest peak first.

    With `force` there is always one: that of the largest value, even if it stays below `seed`.
    """
    if force:
        # The next float below the peak, which the comparison below must exceed.
        seed = min(seed, np.nextafter(np.float32(anomaly_map.max()), np.float32(-np.inf)))
    # Hysteresis: pixels above the lower level make regions (of 8 neighbours), of which those with a high peak stay.
    labels, count = ndimage.label(anomaly_map > min(extent, seed), structure=_NEIGHBOURS)
    if not count:
        return ()
    numbers = np.arange(1, count + 1)
    peaks = ndimage.maximum(anomaly_map, labels, numbers)
    areas = ndimage.sum_labels(np.ones_like(labels), labels, numbers)
    boxes = ndimage.find_objects(labels)
    regions = [
        _region(box, float(area), float(value), frame)
        for box, area, value in zip(boxes, areas, peaks, strict=True)
        if value > seed
    ]
    return tuple(sorted(regions, key=lambda region: -region.peak))


def _region(box: tuple[slice, slice], area: float, peak: float, frame: Frame) -> Region:
    rows, columns = box
    across, down = frame.scale
    left, top = map(round, frame.place(columns.start, rows.start))
    right, bottom = map(round, frame.place(columns.stop, rows.stop))
    return Region(left, top, right - left, bottom - top, round(area * across * down), peak)
