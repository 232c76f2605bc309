"""Damage that any surface can take: each function paints one onto an image and returns the new image.

`region` says where the damage may lie (above one half) and clips it there.
"""

import numpy as np

from fastrecon_jax.data.demo import canvas


def scratch(
    image: canvas.Photo,
    rng: np.random.Generator,
    region: canvas.Plane,
    *,
    bare: canvas.Colour,
    depth: tuple[float, float],
    width: tuple[float, float],
) -> canvas.Photo:
    """A scratch somewhere in the region: a thin dark line that thins out at its ends, with a bright burr on one side.

    The burr has the colour of the bare material below. `depth` is the least and largest opacity, `width` the least and
    largest width in pixels.
    """
    path = canvas.wander(rng, canvas.pick(rng, region), rng.uniform(35.0, 95.0), bend=0.5, jag=0.05)
    wide = rng.uniform(*width) * _taper(len(path.points)) * rng.uniform(0.6, 1.2, len(path.points))
    strength = rng.uniform(*depth)
    side = rng.choice([-1.0, 1.0])
    core = canvas.stroke(path, wide) * region
    burr = canvas.stroke(path.moved(0.9 * side, 0.9), 0.8 * wide) * region
    lifted = canvas.blend(image, bare, np.float32(strength) * burr)
    return canvas.blend(lifted, image * 0.3, np.float32(strength) * core)


def crack(
    image: canvas.Photo,
    rng: np.random.Generator,
    region: canvas.Plane,
    *,
    length: float = 90.0,
    width: tuple[float, float] = (1.3, 2.6),
) -> canvas.Photo:
    """A crack: a jagged dark line with one branch, and a lit lower lip."""
    path = canvas.wander(rng, canvas.pick(rng, region), length * rng.uniform(0.6, 1.2), bend=0.8, jag=0.55)
    joint = path.points[rng.integers(len(path.points) // 3, 2 * len(path.points) // 3)]
    branch = canvas.wander(rng, (joint[0], joint[1]), length * rng.uniform(0.3, 0.5), bend=0.8, jag=0.55)
    half = canvas.Path(branch.points[len(branch.points) // 2 :])
    widest = rng.uniform(*width)
    gap = np.zeros(image.shape[:2], np.float32)
    lip = np.zeros(image.shape[:2], np.float32)
    for line, share in ((path, 1.0), (half, 0.7)):
        wide = widest * share * _taper(len(line.points)) * rng.uniform(0.6, 1.3, len(line.points))
        gap = np.maximum(gap, canvas.stroke(line, wide))
        lip = np.maximum(lip, canvas.stroke(line.moved(0.7, 1.1), wide))
    lit = canvas.blend(image, np.minimum(image * 1.2 + 0.06, 1.0), np.float32(0.7) * lip * region)
    return canvas.blend(lit, image * 0.22, np.float32(rng.uniform(0.7, 0.95)) * gap * region)


def stain(
    image: canvas.Photo,
    rng: np.random.Generator,
    region: canvas.Plane,
    *,
    tint: canvas.Colour,
    strength: tuple[float, float],
    radius: tuple[float, float] = (14.0, 34.0),
) -> canvas.Photo:
    """A stain somewhere in the region: an irregular soft patch that multiplies the surface by `tint`.

    A tint above 1 brightens. The stain is stronger at its dried rim. `strength` is the least and largest opacity,
    `radius` the least and largest radius in pixels.
    """
    depth = blob(rng, canvas.pick(rng, region), rng.uniform(*radius), rough=0.35)
    body = canvas.smoothstep(0.0, 0.3, depth)
    rim = body * canvas.smoothstep(0.55, 0.1, depth)
    mottle = 1.0 + 0.2 * canvas.cloudy_noise(rng, 14.0)
    alpha = np.clip(rng.uniform(*strength) * (0.8 * body + 0.3 * rim) * mottle, 0.0, 1.0) * region
    return canvas.blend(image, np.minimum(image * np.asarray(tint, np.float32), 1.0), alpha.astype(np.float32))


def hole(
    image: canvas.Photo,
    rng: np.random.Generator,
    region: canvas.Plane,
    *,
    inside: canvas.Colour,
    radius: tuple[float, float] = (5.0, 13.0),
) -> canvas.Photo:
    """A hole or chip: ragged, `inside` at its bottom, its upper left wall in shadow, its lower right lip lit."""
    size = rng.uniform(*radius)
    depth = blob(rng, canvas.pick(rng, region), size, rough=0.3) * np.float32(size)
    body = canvas.smoothstep(-0.5, 0.8, depth) * region
    shade = canvas.relief(np.clip(-depth, -4.0, 1.0), np.pi * 1.25)
    floor = np.asarray(inside, np.float32) * (1.0 + 0.18 * canvas.cloudy_noise(rng, 6.0))[..., None]
    cut = canvas.blend(image, floor.astype(np.float32), body)
    return np.clip(cut + np.float32(0.16) * (shade * region)[..., None], 0.0, 1.0)


def fibre(
    image: canvas.Photo,
    rng: np.random.Generator,
    region: canvas.Plane,
    *,
    colour: canvas.Colour,
    width: tuple[float, float],
    bend: float = 2.6,
) -> canvas.Photo:
    """A thread, hair or swarf on the surface: a curled round line with its shadow."""
    path = canvas.wander(rng, canvas.pick(rng, region, margin=50), rng.uniform(40.0, 90.0), bend=bend, jag=0.06)
    wide = rng.uniform(*width)
    shadow = canvas.stroke(path.moved(1.5, 2.0), wide + 1.0)
    shine = canvas.stroke(path.moved(-0.2 * wide, -0.2 * wide), 0.4 * wide)
    laid = canvas.blend(image, image * 0.45, np.float32(0.6) * shadow)
    laid = canvas.blend(laid, np.asarray(colour, np.float32) * 0.85, np.float32(0.95) * canvas.stroke(path, wide))
    return canvas.blend(laid, np.minimum(np.asarray(colour, np.float32) * 1.3 + 0.08, 1.0), np.float32(0.7) * shine)


def blob(rng: np.random.Generator, centre: tuple[float, float], radius: float, *, rough: float) -> canvas.Plane:
    """A ragged round patch: 1 at its middle, 0 at its edge, negative outside, in units of `radius`."""
    angle, squeeze = rng.uniform(0.0, np.pi), rng.uniform(1.0, 1.5)
    along, across = canvas.framed(*centre, angle)
    distance = np.hypot(along / squeeze, across * squeeze) / radius
    return 1.0 - distance + rough * canvas.cloudy_noise(rng, max(radius * 1.2, 4.0))


def _taper(count: int) -> np.ndarray:
    return 0.35 + 0.65 * np.sin(np.linspace(0.0, np.pi, count)) ** 0.6
