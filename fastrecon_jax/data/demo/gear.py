"""A turned and milled spur gear on a grey mat, seen from above at any angle."""

from typing import NamedTuple

import numpy as np

from fastrecon_jax.data.demo import canvas, defects

DEFECTS = ("broken_tooth", "rust", "scratch", "swarf")

_TEETH = 20
_ROOT, _TIP = 82.0, 97.0  # radii in pixels
_WEB = (35.0, 68.0)  # the recessed ring
_BORE = 17.0
_WINDOWS = 5  # round holes in the web


class _Pose(NamedTuple):
    radius: canvas.Plane
    turned: canvas.Plane  # angle in the gear's own frame
    facing: canvas.Plane  # angle in the image
    turn: float


def paint(rng: np.random.Generator, split: str, defect: canvas.Defect | None = None) -> canvas.Photo:
    """One gear."""
    del split  # rendered parts know no regions to keep apart
    pose = _pose(rng)
    worn = defect if defect is not None and defect.kind == "broken_tooth" else None
    outline = _outline(pose, worn)
    voids = _voids(pose)
    height = _height(pose, outline, voids)
    metal = canvas.smoothstep(-0.6, 0.6, np.minimum(outline, -voids))
    image = canvas.blend(_mat(rng, metal), _steel(rng, pose, height), metal)
    if defect is None or worn is not None:
        return image
    inner = canvas.smoothstep(1.0, 3.0, np.minimum(outline, -voids))
    match defect.kind:
        case "rust":
            return _rust(image, defect.rng, metal, inner)
        case "scratch":
            return defects.scratch(
                image, defect.rng, inner, bare=(0.86, 0.86, 0.84), depth=(0.4, 0.9), width=(1.8, 3.4)
            )
        case _:
            return defects.fibre(image, defect.rng, inner, colour=(0.74, 0.58, 0.32), width=(1.4, 2.4), bend=4.0)


def _pose(rng: np.random.Generator) -> _Pose:
    x, y = (canvas.SIZE / 2 + rng.normal(0.0, 2.5, 2).clip(-6.0, 6.0)).tolist()
    cols, rows = canvas.framed(x, y, 0.0)
    turn = rng.uniform(0.0, 2.0 * np.pi)
    facing = np.arctan2(rows, cols)
    return _Pose(np.hypot(rows, cols), facing - turn, facing, turn)


def _outline(pose: _Pose, worn: canvas.Defect | None) -> canvas.Plane:
    """Pixels to the toothed outline, positive inside; `worn` breaks off some teeth."""
    flank = np.clip(0.05 + 1.7 * np.cos(_TEETH * pose.turned), -1.0, 1.0)
    tip = np.full_like(flank, _TIP) if worn is None else _stumps(pose, worn.rng)
    root = np.minimum(_ROOT, tip)
    edge = (_ROOT + _TIP) / 2 + (_TIP - _ROOT) / 2 * flank
    steep = np.where(np.abs(flank) < 1.0, np.float32(0.5), np.float32(1.0))  # a flank is nearly radial
    return np.minimum((edge - pose.radius) * steep, np.maximum(tip, root) - pose.radius).astype(np.float32)


def _stumps(pose: _Pose, rng: np.random.Generator) -> canvas.Plane:
    """Radius of the tips where one to three neighbouring teeth are broken off, jagged and slanting."""
    which, count = rng.integers(_TEETH), rng.integers(1, 4)
    middle = np.pi * (2.0 * which + count - 1.0) / _TEETH
    off = np.angle(np.exp(1j * (pose.turned - middle)))
    slant = 8.0 * _TEETH * rng.uniform(-0.4, 0.4)
    lost = rng.uniform(0.6, 1.0) * (_TIP - _ROOT) + slant * off + 1.8 * canvas.cloudy_noise(rng, 7.0)
    broken = np.abs(off) < count * np.pi / _TEETH
    return np.where(broken, _TIP - np.clip(lost, 1.0, _TIP - _ROOT + 2.5), _TIP).astype(np.float32)


def _voids(pose: _Pose) -> canvas.Plane:
    """Pixels into the nearest hole: bore with keyway, windows of the web."""
    x, y = pose.radius * np.cos(pose.turned), pose.radius * np.sin(pose.turned)
    keyway = np.minimum(4.0 - np.abs(y), np.minimum(x, _BORE + 5.0 - x))
    void = np.maximum(_BORE - pose.radius, keyway)
    middle = sum(_WEB) / 2
    sector = 2.0 * np.pi / _WINDOWS
    nearest = np.round(pose.turned / sector) * sector - pose.turned
    away = np.hypot(pose.radius * np.cos(nearest) - middle, pose.radius * np.sin(nearest))
    return np.maximum(void, 10.0 - away).astype(np.float32)


def _height(pose: _Pose, outline: canvas.Plane, voids: canvas.Plane) -> canvas.Plane:
    """The surface in pixels: chamfered edges, recessed web."""
    chamfer = np.clip(np.minimum(outline, -voids), -1.0, 2.5)
    ring = np.minimum(pose.radius - _WEB[0], _WEB[1] - pose.radius)
    return (chamfer - 4.0 * canvas.smoothstep(-2.0, 2.5, ring)).astype(np.float32)


def _steel(rng: np.random.Generator, pose: _Pose, height: canvas.Plane) -> canvas.Photo:
    """Turned steel: rings of the tool, and the bow tie of light that they reflect."""
    light = np.pi * 1.25 + rng.normal(0.0, 0.18)
    rings = rng.normal(0.0, 1.0, 160).astype(np.float32)
    groove = np.interp(pose.radius, np.arange(160), rings).astype(np.float32)
    bow = np.exp(-((np.sin(pose.facing - light + 0.06 * groove) / rng.uniform(0.38, 0.5)) ** 2))
    shine = rng.uniform(0.24, 0.34) * bow
    tone = rng.uniform(0.4, 0.47) + shine + 0.014 * groove + 0.012 * canvas.smooth_noise(rng, 25.0)
    tone = tone + 0.13 * canvas.relief(height, light)
    hue = np.asarray((1.0, 0.99, 0.96)) * (1.0 + rng.normal(0.0, 0.01, 3))
    handled = canvas.smoothstep(0.9, 2.2, canvas.cloudy_noise(rng, 40.0))  # finger marks, oil film
    return np.clip((tone - 0.05 * handled)[..., None] * hue, 0.0, 1.0).astype(np.float32)


def _mat(rng: np.random.Generator, metal: canvas.Plane) -> canvas.Photo:
    """The grey mat below, in the shadow of the gear."""
    weave = 0.012 * rng.standard_normal(metal.shape, dtype=np.float32) + 0.01 * canvas.smooth_noise(rng, 3.0)
    base = np.asarray((0.26, 0.29, 0.32)) * rng.uniform(0.85, 1.2)
    shadow = canvas.soften(np.roll(metal, (5, 5), (0, 1)), 4.0)
    return np.clip(base * (1.0 - 0.55 * shadow)[..., None] + weave[..., None], 0.0, 1.0).astype(np.float32)


def _rust(image: canvas.Photo, rng: np.random.Generator, metal: canvas.Plane, inner: canvas.Plane) -> canvas.Photo:
    """Rust: an orange brown bloom that breaks up into specks at its border."""
    size = rng.uniform(9.0, 22.0)
    depth = defects.blob(rng, canvas.pick(rng, inner), size, rough=0.5)
    specks = canvas.smoothstep(0.0, 0.5, depth + 0.4 * canvas.smooth_noise(rng, 3.0))
    hue = np.asarray((0.47, 0.27, 0.14)) * (1.0 + 0.22 * canvas.cloudy_noise(rng, 6.0))[..., None]
    tinted = 0.75 * hue + 0.25 * image * np.asarray((0.9, 0.6, 0.4))
    alpha = rng.uniform(0.35, 0.85) * specks * metal
    return np.clip(canvas.blend(image, tinted.astype(np.float32), alpha.astype(np.float32)), 0.0, 1.0)
