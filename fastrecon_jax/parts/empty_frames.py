"""Frames that show no part, or half of one, made from photographs of good parts: none of them may pass as good."""

import numpy as np
from jaxtyping import UInt8

_TILES = 8  # tiles along a side of the frame
_HALVES = ("left", "right", "upper", "lower")


def make(good: UInt8[np.ndarray, "k H W 3"]) -> dict[str, UInt8[np.ndarray, "H W 3"]]:
    """Frames by name, from the pixels of at least one good photograph.

    `white`, `black`, `grey` and `mean colour` are plain; `background` is, too, in the median colour of the rim of all
    photographs. `border` repeats the upper left corner of the first one, `background tiles` the tiles along its rim.
    `left half` to `lower half` lack that half of the first one, where the background's colour stands instead.
    """
    _, height, width, _ = good.shape
    first, background = good[0], _background(good)
    plain = {"white": 255, "black": 0, "grey": 128, "mean colour": good.mean((0, 1, 2)), "background": background}
    frames = {name: _plain(colour, height, width) for name, colour in plain.items()}
    side = max(height // _TILES, 1)
    frames["border"] = _repeated(first[:side, :side], height, width)
    frames["background tiles"] = _of_rim(first)
    return frames | {f"{name} half": _without(first, name, background) for name in _HALVES}


def _plain(colour: object, height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
    return np.broadcast_to(np.rint(np.asarray(colour)), (height, width, 3)).astype(np.uint8)


def _background(good: UInt8[np.ndarray, "k H W 3"]) -> UInt8[np.ndarray, "3"]:
    """The median colour, channel by channel, of the outermost 64th of the photographs on each side."""
    _, height, width, _ = good.shape
    thick = max(min(height, width) // 64, 1)
    rim = np.ones((height, width), bool)
    rim[thick : height - thick, thick : width - thick] = False
    return np.rint(np.median(good[:, rim], axis=(0, 1))).astype(np.uint8)


def _repeated(tile: UInt8[np.ndarray, "h w 3"], height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
    repeats = (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1)
    return np.tile(tile, repeats)[:height, :width]


def _of_rim(photograph: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """The photograph, its inner tiles replaced by those along its rim, one after the other."""
    sides = [-(-size // _TILES) for size in photograph.shape[:2]]
    # The last tile along each axis ends where the photograph does.
    tops, lefts = (
        [min(i * side, n - side) for i in range(_TILES)] for side, n in zip(sides, photograph.shape, strict=False)
    )
    grid = [(i, j) for i in range(_TILES) for j in range(_TILES)]
    rim = [(i, j) for i, j in grid if {i, j} & {0, _TILES - 1}]
    frame = photograph.copy()

    def tile(i: int, j: int) -> tuple[slice, slice]:
        return slice(tops[i], tops[i] + sides[0]), slice(lefts[j], lefts[j] + sides[1])

    for number, inner in enumerate(sorted(set(grid) - set(rim))):
        frame[tile(*inner)] = photograph[tile(*rim[number % len(rim)])]
    # Tiles overlap where their side does not divide the photograph's: the rim stays as it is.
    for place in rim:
        frame[tile(*place)] = photograph[tile(*place)]
    return frame


def _without(
    photograph: UInt8[np.ndarray, "H W 3"], half: str, colour: UInt8[np.ndarray, "3"]
) -> UInt8[np.ndarray, "H W 3"]:
    height, width, _ = photograph.shape
    rows, columns = {
        "left": (slice(None), slice(0, width // 2)),
        "right": (slice(None), slice(width // 2, None)),
        "upper": (slice(0, height // 2), slice(None)),
        "lower": (slice(height // 2, None), slice(None)),
    }[half]
    frame = photograph.copy()
    frame[rows, columns] = colour
    return frame
