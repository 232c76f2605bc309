"""Woven cloth: a twill of indigo warp and pale weft, thread by thread."""

import math
from typing import NamedTuple

import numpy as np

from fastrecon_jax.data.demo import canvas, defects

DEFECTS = ("hole", "mispick", "oil", "slub")

_PITCH = 6.4  # pixels from thread to thread
_COUNT = 80  # threads each way that one image may need
_WARP = (0.2, 0.27, 0.42)
_WEFT = (0.62, 0.63, 0.62)


class _Weave(NamedTuple):
    warp: canvas.Plane  # position across the warp threads, in threads
    weft: canvas.Plane


def paint(rng: np.random.Generator, split: str, defect: canvas.Defect | None = None) -> canvas.Photo:
    """One piece of cloth."""
    del split
    weave = _lay(rng)
    threads = rng.standard_normal((2, _COUNT), dtype=np.float32)
    fault = None if defect is None or defect.kind not in ("mispick", "slub") else defect
    image = _woven(rng, weave, threads, fault)
    if defect is None or fault is not None:
        return image
    everywhere = np.ones_like(weave.warp)
    if defect.kind == "oil":
        return defects.stain(image, defect.rng, everywhere, tint=(0.55, 0.5, 0.42), strength=(0.55, 0.95))
    return _hole(image, defect.rng, weave)


def _lay(rng: np.random.Generator) -> _Weave:
    """Where the threads run: almost straight, turned a little, the pitch breathing over the cloth."""
    angle = math.radians(rng.normal(0.0, 2.5))
    across, down = canvas.framed(canvas.SIZE / 2, canvas.SIZE / 2, angle)
    pitch = _PITCH * math.exp(rng.normal(0.0, 0.02))
    warp, weft = across / pitch, down / pitch
    start = (_COUNT / 2 + rng.uniform(0.0, 4.0, 2)).tolist()
    warp = warp + 0.55 * canvas.smooth_noise(rng, 110.0) + 0.07 * canvas.smooth_noise(rng, 18.0) + start[0]
    weft = weft + 0.55 * canvas.smooth_noise(rng, 110.0) + 0.07 * canvas.smooth_noise(rng, 18.0) + start[1]
    return _Weave(warp, weft)


def _woven(rng: np.random.Generator, weave: _Weave, threads: np.ndarray, fault: canvas.Defect | None) -> canvas.Photo:
    """The cloth, lit from above: each thread a round strand, dipping where it goes under."""
    warp, weft = weave
    i = np.floor(warp).astype(np.int32)
    j, across, sunk = _picks(weave, fault)
    on_top = (((i + j) % 4) < 2) | sunk  # the warp
    # A float of the twill spans two threads; its crown is halfway between the ends.
    crown = np.cos(np.pi * ((np.where(on_top, weft + i, warp + j + 2.0) % 4.0) / 2.0 - 0.5)).clip(0.0, 1.0)
    off = np.where(on_top, warp - i - 0.5, across)
    strand = np.sqrt(np.clip(1.0 - (1.85 * off) ** 2, 0.0, 1.0))
    ply = 0.06 * np.sin(2.0 * np.pi * np.where(on_top, weft * 1.5 + warp, warp * 1.5 - weft))
    light = np.where(sunk, 0.84, 1.0) * (0.34 + 0.7 * strand) * (0.78 + 0.28 * crown) + ply - 0.16 * off
    shade = 0.06 * np.where(on_top, threads[0][i % _COUNT], threads[1][j % _COUNT])
    fuzz = 0.03 * canvas.smooth_noise(rng, 2.0) + 0.02 * canvas.cloudy_noise(rng, 50.0)
    dye = np.where(on_top[..., None], np.float32(_WARP), np.float32(_WEFT))
    return np.clip(dye * (light * (1.0 + shade + fuzz))[..., None], 0.0, 1.0).astype(np.float32)


def _picks(weave: _Weave, fault: canvas.Defect | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of the weft thread at each pixel, position across it (-0.5 to 0.5), and whether it failed to surface."""
    warp, weft = weave
    j = np.floor(weft).astype(np.int32)
    across, sunk = weft - j - 0.5, np.zeros(warp.shape, bool)
    if fault is None:
        return j, across, sunk
    row, middle = fault.rng.integers(29, 55), fault.rng.uniform(34.0, 50.0)
    if fault.kind == "mispick":
        return j, across, (j == row) & (np.abs(warp - middle) < fault.rng.uniform(4.0, 11.0))
    # A slub is spun too thick for a stretch, and covers its neighbours.
    half = 0.5 + fault.rng.uniform(0.4, 0.9) * np.exp(-(((warp - middle) / fault.rng.uniform(2.5, 6.0)) ** 2))
    offset = weft - row - 0.5
    thick = (np.abs(offset) < half) & (half > 0.55)
    return np.where(thick, np.int32(row), j), np.where(thick, offset / (2.0 * half), across), sunk


def _hole(image: canvas.Photo, rng: np.random.Generator, weave: _Weave) -> canvas.Photo:
    """A torn hole: dark inside, loose ends of threads across its border."""
    size = rng.uniform(5.0, 13.0)
    depth = defects.blob(rng, canvas.pick(rng, np.ones_like(weave.warp)), size, rough=0.25)
    ends = 0.3 * np.sin(weave.warp * 2.0 * np.pi) + 0.3 * np.sin(weave.weft * 2.0 * np.pi)
    torn = canvas.smoothstep(-0.1, 0.25, depth + 0.35 * ends * (depth < 0.4))
    shade = canvas.smoothstep(-0.5, 0.1, depth) * np.float32(0.25)
    frayed = canvas.blend(image, image * 0.6, shade)
    below = np.asarray((0.1, 0.09, 0.09)) * (1.0 + 0.2 * canvas.cloudy_noise(rng, 5.0))[..., None]
    return canvas.blend(frayed, below.astype(np.float32), np.float32(0.95) * torn)
