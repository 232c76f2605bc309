"""Surfaces cut from real photographs: brickwork and gravel, in colour.

Both photographs, `brick.png` and `gravel.png` beside this file, are 512x512 and grey; `LICENCE.txt` says where they
come from. Training images are cut from the left of a photograph, test images from the right, and no pixel of one is
used by the other.
"""

import functools
import math
import pathlib

import numpy as np
from PIL import Image

from fastrecon_jax.data.demo import canvas, defects

BRICK_DEFECTS = ("crack", "efflorescence", "hole", "spall")
GRAVEL_DEFECTS = ("bolt", "oil", "pebble", "twig")

# Columns of the photographs; the gap between them keeps the interpolation of one side off the other.
COLUMNS = {"train": (0, 252), "test": (260, 512)}

# Grey level of the photograph -> colour.
_BRICK = (
    (0.0, 0.20, 0.32, 0.42, 0.55, 0.8),
    ((40, 26, 22), (84, 48, 40), (146, 80, 62), (160, 98, 78), (170, 160, 146), (214, 206, 192)),
)
_GRAVEL = ((0.0, 0.25, 0.5, 0.75, 1.0), ((18, 17, 17), (74, 69, 64), (134, 128, 119), (190, 185, 175), (240, 236, 228)))


def brick(rng: np.random.Generator, split: str, defect: canvas.Defect | None = None) -> canvas.Photo:
    """A piece of brickwork."""
    grey = _cut("brick", split, rng, side=(165.0, 205.0), turn=3.0)
    image = _coloured(grey, _BRICK, rng, mottled=0.02)
    if defect is None:
        return image
    everywhere = np.ones_like(grey)
    clay = (grey < 0.44).astype(np.float32)
    match defect.kind:
        case "crack":
            return defects.crack(image, defect.rng, everywhere)
        case "efflorescence":
            return _efflorescence(image, defect.rng)
        case "hole":
            return defects.hole(image, defect.rng, everywhere, inside=(0.13, 0.09, 0.08), radius=(4.5, 10.0))
        case _:
            return _spall(image, defect.rng, clay)


def gravel(rng: np.random.Generator, split: str, defect: canvas.Defect | None = None) -> canvas.Photo:
    """A bed of crushed stone."""
    grey = _cut("gravel", split, rng, side=(165.0, 205.0), turn=10.0)
    image = _coloured(grey, _GRAVEL, rng, mottled=0.03)
    if defect is None:
        return image
    everywhere = np.ones_like(grey)
    match defect.kind:
        case "bolt":
            return _bolt(image, defect.rng)
        case "oil":
            return defects.stain(image, defect.rng, everywhere, tint=(0.42, 0.38, 0.33), strength=(0.6, 0.95))
        case "pebble":
            return _pebble(image, defect.rng)
        case _:
            width = (3.0, 5.5)
            return defects.fibre(image, defect.rng, everywhere, colour=(0.45, 0.32, 0.2), width=width, bend=0.5)


@functools.cache
def _photograph(name: str) -> canvas.Plane:
    with Image.open(pathlib.Path(__file__).with_name(f"{name}.png")) as image:
        return np.asarray(image, np.float32) / np.float32(255)


def _cut(name: str, split: str, rng: np.random.Generator, *, side: tuple[float, float], turn: float) -> canvas.Plane:
    """A 256x256 view of the half for `split`: a square of `side` pixels, turned by up to `turn` degrees."""
    first, last = COLUMNS[split]
    half = Image.fromarray(_photograph(name)[:, first:last])
    if rng.random() < 0.5:  # the rows of bricks lean to one side in each half
        half = half.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    width, angle = rng.uniform(*side), math.radians(rng.uniform(-turn, turn))
    reach = width / 2 * (math.cos(angle) + abs(math.sin(angle))) + 2
    x, y = rng.uniform(reach, half.width - reach), rng.uniform(reach, half.height - reach)
    a, b = width / canvas.SIZE * math.cos(angle), width / canvas.SIZE * math.sin(angle)
    middle = canvas.SIZE / 2
    affine = (a, -b, x - (a - b) * middle, b, a, y - (a + b) * middle)
    cut = half.transform((canvas.SIZE, canvas.SIZE), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(cut), 0.0, 1.0)


def _coloured(grey: canvas.Plane, ramp: tuple, rng: np.random.Generator, *, mottled: float) -> canvas.Photo:
    """Grey levels through a colour ramp, with hue that drifts over the surface."""
    levels, colours = ramp
    table = np.asarray(colours, np.float32) / 255
    image = np.stack([np.interp(grey, levels, table[:, i]) for i in range(3)], -1).astype(np.float32)
    warm = mottled * canvas.smooth_noise(rng, 80.0) + rng.normal(0.0, 0.015)
    return image * (1.0 + warm[..., None] * np.asarray((1.0, 0.1, -1.0), np.float32))


def _efflorescence(image: canvas.Photo, rng: np.random.Generator) -> canvas.Photo:
    """White salts on the face of the bricks."""
    depth = defects.blob(rng, canvas.pick(rng, image[..., 0], margin=60), rng.uniform(22.0, 42.0), rough=0.5)
    patchy = canvas.smoothstep(-0.6, 1.0, canvas.cloudy_noise(rng, 18.0))
    alpha = rng.uniform(0.35, 0.7) * canvas.smoothstep(-0.1, 0.6, depth) * patchy
    return canvas.blend(image, (0.82, 0.8, 0.77), alpha.astype(np.float32))


def _spall(image: canvas.Photo, rng: np.random.Generator, clay: canvas.Plane) -> canvas.Photo:
    """The face of a brick flaked off: a paler rough patch, a few pixels deep."""
    size = rng.uniform(9.0, 17.0)
    depth = defects.blob(rng, canvas.pick(rng, clay), size, rough=0.4) * np.float32(size)
    rough = np.clip(-depth, -3.0, 0.0) + 0.6 * canvas.cloudy_noise(rng, 7.0) * (depth > 0)
    flake = np.asarray((0.68, 0.4, 0.3), np.float32) * np.float32(rng.uniform(0.85, 1.15))
    cut = canvas.blend(
        image, np.broadcast_to(flake, image.shape), canvas.smoothstep(-0.5, 1.0, depth) * np.float32(0.85)
    )
    return np.clip(cut + np.float32(0.13) * canvas.relief(rough, np.pi * 1.25)[..., None], 0.0, 1.0)


def _pebble(image: canvas.Photo, rng: np.random.Generator) -> canvas.Photo:
    """A river pebble among the crushed stones: round, smooth, of another colour."""
    size = rng.uniform(10.0, 17.0)
    centre = canvas.pick(rng, np.ones_like(canvas.ROWS))
    depth = defects.blob(rng, centre, size, rough=0.03)
    dome = np.sqrt(np.clip(depth, 0.0, 1.0) * (2.0 - np.clip(depth, 0.0, 1.0))) * np.float32(size)
    hue = np.asarray([(0.56, 0.42, 0.34), (0.5, 0.52, 0.5), (0.66, 0.61, 0.5)][rng.integers(3)], np.float32)
    light = 0.86 + 0.22 * canvas.relief(dome, np.pi * 1.3) + 0.05 * canvas.cloudy_noise(rng, 9.0)
    shadow = defects.blob(rng, (centre[0] + 2.5, centre[1] + 3.5), size * 1.12, rough=0.05)
    grounded = canvas.blend(image, image * 0.35, np.float32(0.8) * canvas.smoothstep(-0.1, 0.15, shadow))
    stone = np.clip(hue * light[..., None], 0.0, 1.0).astype(np.float32)
    return canvas.blend(grounded, stone, canvas.smoothstep(-0.5 / size, 0.8 / size, depth))


def _bolt(image: canvas.Photo, rng: np.random.Generator) -> canvas.Photo:
    """A lost machine bolt: hexagonal head and threaded shank, lying flat."""
    x, y = canvas.pick(rng, np.ones_like(canvas.ROWS), margin=55)
    angle, scale = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.7, 1.1)
    u, v = (axis / scale for axis in canvas.framed(x, y, angle))
    thread = np.sin(2.4 * u + 0.5 * v)
    head = np.minimum(5.0 - np.abs(u + 17.0), 10.0 - np.abs(v))
    shank = np.minimum(18.0 - np.abs(u - 4.0), 4.6 + 0.5 * thread - np.abs(v))
    facets = np.select([v < -5.0, v < 5.0], [0.62, 0.46], 0.28)
    barrel = 0.16 + 0.4 * np.sqrt(np.clip(1.0 - ((v + 1.0) / 6.5) ** 2, 0.0, 1.0)) + 0.09 * thread
    steel = np.where(head > 0.0, facets, barrel) * rng.uniform(0.75, 1.1) + 0.03 * canvas.cloudy_noise(rng, 10.0)
    bolt = np.clip(steel[..., None] * np.asarray((1.0, 0.97, 0.92)), 0.0, 1.0).astype(np.float32)
    cover = canvas.smoothstep(-0.5, 0.5, np.maximum(head, shank))
    shadow = np.float32(0.6) * np.roll(cover, (round(3 * scale), round(2 * scale)), (0, 1))
    return canvas.blend(canvas.blend(image, image * 0.35, shadow), bolt, cover)
