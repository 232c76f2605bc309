"""Defect regions of an anomaly map, as boxes and areas in the photograph."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from fastrecon_jax.data.geometry import Frame

OUTLINE = 0.4  # share of the way from good maps to its peak above which a region lies
DISTINCT = 0.25  # share of that way by which a second peak must rise above the saddle to be a region of its own
_LEVELS = 8  # tried between the two for the lowest at which it touches no other
_NEIGHBOURS = np.ones((3, 3), bool)

Mask = Bool[np.ndarray, "H W"]


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
    anomaly_map: Float[np.ndarray, "H W"],
    frame: Frame,
    *,
    seed: float,
    floor: float,
    extent: float | None = None,
    force: bool = False,
) -> tuple[Region, ...]:
    """Regions of the map that are above `seed` somewhere, the highest peak first; see `masks` for where they end."""
    found = masks(anomaly_map, seed=seed, floor=floor, extent=extent, force=force)
    regions = [_region(_box(mask), float(mask.sum()), float(anomaly_map[mask].max()), frame) for mask in found]
    return tuple(sorted(regions, key=lambda region: -region.peak))


def masks(
    anomaly_map: Float[np.ndarray, "H W"],
    *,
    seed: float,
    floor: float,
    extent: float | None = None,
    force: bool = False,
    outline: float = OUTLINE,
) -> list[Mask]:
    """The pixels of each region. With `force` there is always one: that of the largest value, even if below `seed`.

    A region ends where the map has come down to the share `outline` of the way from `floor`, what good maps have, to
    its peak: a strong defect has a wide halo, from the encoder's fields of view and the blur, and a weak one has none.
    With `extent`, which parts of older formats have, all end at that one value instead.
    """
    if force:
        # The next float below the peak, which the comparison below must exceed.
        seed = min(seed, float(np.nextafter(np.float32(anomaly_map.max()), np.float32(-np.inf))))
    if extent is not None:
        # Hysteresis: pixels above the lower level make regions (of 8 neighbours), of which those with a high peak stay.
        return [mask for mask in _connected(anomaly_map > min(extent, seed)) if anomaly_map[mask].max() > seed]
    return list(_around_peaks(anomaly_map, seed, floor, outline))


def _around_peaks(anomaly_map: Float[np.ndarray, "H W"], seed: float, floor: float, outline: float) -> Iterator[Mask]:
    """One peak after the other, the highest first; lower ones inside of a region, or on its slope, belong to it."""
    taken, several = np.zeros(anomaly_map.shape, bool), False
    for peak in _peaks(anomaly_map, seed):
        value = anomaly_map[peak]
        below = np.nextafter(value, np.float32(-np.inf))
        lowest, highest = (min(floor + share * (value - floor), below) for share in (outline, 1 - DISTINCT))
        # It must be a hill of its own: at this level it is not yet joined to what was found before.
        if several and (taken[peak] or (taken & _around(peak, anomaly_map > highest)).any()):
            continue
        # Down its slopes until there, or until it would be joined: defects that lie side by side stay apart.
        for level in np.linspace(lowest, highest, _LEVELS):
            mask = _around(peak, anomaly_map > level)
            if not (taken & mask).any():
                break
        taken, several = taken | mask, True
        yield mask


def _peaks(anomaly_map: Float[np.ndarray, "H W"], seed: float) -> list[tuple[int, int]]:
    """Local maxima above `seed`, the highest first."""
    above = anomaly_map > seed
    if not above.any():  # most good images have none
        return []
    from scipy import ndimage  # not above: it takes a while to import

    # The filter sees no more than what is above and the pixels around it.
    near = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in _box(above))
    highest = above[near] & (ndimage.maximum_filter(anomaly_map[near], footprint=_NEIGHBOURS) == anomaly_map[near])
    rows, columns = (found + side.start for found, side in zip(np.nonzero(highest), near, strict=True))
    order = np.argsort(-anomaly_map[rows, columns], kind="stable")
    return [(int(rows[i]), int(columns[i])) for i in order]


def _connected(inside: Mask) -> Iterator[Mask]:
    from scipy import ndimage  # not above: it takes a while to import

    labels, count = ndimage.label(inside, structure=_NEIGHBOURS)
    return (labels == number for number in range(1, count + 1))


def _around(pixel: tuple[int, int], inside: Mask) -> Mask:
    """The pixels that are connected to one of them."""
    from scipy import ndimage  # not above: it takes a while to import

    labels, count = ndimage.label(inside, structure=_NEIGHBOURS)
    return inside if count == 1 else labels == labels[pixel]


def _box(mask: Mask) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _region(box: tuple[slice, slice], area: float, peak: float, frame: Frame) -> Region:
    rows, columns = box
    across, down = frame.scale
    left, top = map(round, frame.place(columns.start, rows.start))
    right, bottom = map(round, frame.place(columns.stop, rows.stop))
    return Region(left, top, right - left, bottom - top, round(area * across * down), peak)
