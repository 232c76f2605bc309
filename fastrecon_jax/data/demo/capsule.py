"""A printed two-part capsule of hard gelatin on a pale belt, lined up to a few degrees."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from fastrecon_jax.data.demo import canvas, defects

DEFECTS = ("crack", "dent", "misprint", "speck")

_HALF = 54.0  # pixels from the middle to the centre of each round end
_RADIUS = 34.0
_CAP = (0.6, 0.13, 0.16)
_BODY = (0.86, 0.8, 0.68)
_INK = (0.13, 0.12, 0.16)
_CAP_INK = (0.9, 0.86, 0.82)


class _Shell(NamedTuple):
    along: canvas.Plane  # pixels from the middle, positive on the body
    across: canvas.Plane
    depth: canvas.Plane  # pixels inside the outline
    cap: canvas.Plane  # 1 on the cap, 0 on the body
    angle: float


def paint(rng: np.random.Generator, split: str, defect: canvas.Defect | None = None) -> canvas.Photo:
    """One capsule."""
    del split
    kind = "" if defect is None else defect.kind
    dent = defect.rng if defect is not None and kind == "dent" else None
    shell = _shell(rng)
    cover = canvas.smoothstep(-0.6, 0.6, shell.depth)
    belt = _belt(rng, cover)
    print_at = rng.normal(0.0, (1.2, 1.5))
    ink = _print(shell, print_at, defect.rng if defect is not None and kind == "misprint" else None)
    image = canvas.blend(belt, _gelatin(rng, shell, ink, dent), cover)
    if defect is None or kind in ("dent", "misprint"):
        return image
    inner = canvas.smoothstep(6.0, 8.0, shell.depth)
    if kind == "crack":
        return defects.crack(image, defect.rng, inner, length=52.0, width=(1.6, 2.8))
    return _speck(image, defect.rng, inner)


def _shell(rng: np.random.Generator) -> _Shell:
    x, y = (canvas.SIZE / 2 + rng.normal(0.0, 1.5, 2).clip(-4.0, 4.0)).tolist()
    angle = math.radians(30.0 + rng.normal(0.0, 2.0))
    along, across = canvas.framed(x, y, angle)
    seam = 8.0 + rng.normal(0.0, 1.2)  # how far the cap was pushed on varies
    cap = canvas.smoothstep(0.6, -0.6, along - seam)
    radius = _RADIUS + 1.6 * cap
    beyond = np.maximum(np.abs(along) - _HALF, 0.0)
    return _Shell(along, across, radius - np.hypot(beyond, across), cap, angle)


def _gelatin(
    rng: np.random.Generator, shell: _Shell, ink: canvas.Plane, dent: np.random.Generator | None
) -> canvas.Photo:
    """The glossy shell: a lit round body, a strip light mirrored along it, seam, ring, print."""
    share = np.clip(1.0 - shell.depth / _RADIUS, 0.0, 1.0)
    height = _RADIUS * np.sqrt(1.0 - share**2)
    height = height + 1.2 * shell.cap - 0.7 * np.exp(-(((shell.along + 22.0) / 2.0) ** 2))  # locking ring
    if dent is not None:
        height = height - _dent(dent, shell)
    slope_y, slope_x = np.gradient(height)
    norm = np.sqrt(1.0 + slope_x**2 + slope_y**2)
    light = -2.2 + rng.normal(0.0, 0.12)
    toward = -(math.cos(light) * slope_x + math.sin(light) * slope_y)
    diffuse = np.clip((0.8 + 0.5 * toward) / norm, 0.0, 1.2)
    mirror = np.clip((0.93 + 0.37 * toward) / norm, 0.0, 1.0) ** rng.uniform(38.0, 60.0)
    base = canvas.blend(np.broadcast_to(np.float32(_BODY), (*share.shape, 3)), _CAP, shell.cap)
    base = (
        base
        * (1.0 + 0.02 * canvas.smooth_noise(rng, 30.0))[..., None]
        * np.exp(rng.normal(0.0, 0.015, 3)).astype(np.float32)
    )
    printed = canvas.blend(canvas.blend(base, _INK, ink * (1.0 - shell.cap)), _CAP_INK, ink * shell.cap)
    lit = printed * (0.32 + 0.72 * diffuse)[..., None]
    return np.clip(canvas.blend(lit, (0.98, 0.98, 1.0), np.float32(0.75) * mirror), 0.0, 1.0).astype(np.float32)


def _dent(rng: np.random.Generator, shell: _Shell) -> canvas.Plane:
    """Pixels by which a pressed place lies below the round shell."""
    along, across = rng.uniform(-0.8, 0.8) * _HALF, rng.uniform(-0.55, 0.55) * _RADIUS
    size = rng.uniform(8.0, 15.0)
    distance = np.hypot((shell.along - along) / rng.uniform(1.0, 1.5), shell.across - across) / size
    wobble = 1.0 + 0.12 * canvas.smooth_noise(rng, 20.0)
    return rng.uniform(0.3, 0.6) * size * np.exp(-((distance * wobble) ** 2) * 1.6)


def _print(shell: _Shell, shift: np.ndarray, faulty: np.random.Generator | None) -> canvas.Plane:
    """Opacity of the ink: two lines of text around the capsule, one on each half."""
    card = Image.new("L", (480, 160))
    draw = ImageDraw.Draw(card)
    font = canvas.font(52)
    draw.text((88, 80), "RX 40", 225, font, anchor="mm")
    draw.text((355, 80), "150mg", 225, font, anchor="mm")
    shift, wear = np.asarray(shift, float), 1.0
    smear = np.zeros(2)
    if faulty is not None:
        fault = faulty.integers(3)
        smear = faulty.uniform(4.0, 7.0) * faulty.choice([-1.0, 1.0], 2) * (fault == 0)
        half = faulty.random() < 0.5
        draw.rectangle((0, 0, 215, 160) if half else (215, 0, 480, 160), fill=0) if fault == 1 else None
        wear = canvas.smoothstep(0.6, -0.4, canvas.cloudy_noise(faulty, 22.0)) if fault == 2 else 1.0
    flat = np.asarray(card, np.float32) / 255
    around = np.arcsin(np.clip(shell.across / _RADIUS, -1.0, 1.0)) * _RADIUS  # the print follows the round side

    def stamped(offset: np.ndarray) -> np.ndarray:
        where = [(around - offset[1]) * 3.2 + 80.0, (shell.along - offset[0]) * 3.2 + 220.0]
        return ndimage.map_coordinates(flat, where, order=1, mode="constant")

    ink = stamped(shift)
    if smear.any():
        ink = np.maximum(0.8 * ink, 0.7 * stamped(shift + smear))
    return (0.85 * wear * ink).astype(np.float32)


def _speck(image: canvas.Photo, rng: np.random.Generator, inner: canvas.Plane) -> canvas.Photo:
    """Embedded dirt: one dark grain or several."""
    for _ in range(rng.integers(1, 5)):
        size = rng.uniform(3.0, 6.5)
        depth = defects.blob(rng, canvas.pick(rng, inner), size, rough=0.3)
        alpha = rng.uniform(0.5, 0.9) * canvas.smoothstep(-0.2, 0.5, depth) * inner
        image = canvas.blend(image, image * np.asarray((0.2, 0.16, 0.12), np.float32), alpha.astype(np.float32))
    return image


def _belt(rng: np.random.Generator, cover: canvas.Plane) -> canvas.Photo:
    """A pale blue belt with a fine ribbing and soft shadow."""
    angle = 0.12 + rng.normal(0.0, 0.02)
    across = canvas.framed(rng.uniform(0.0, 9.0), 0.0, angle)[0]
    ribs = 0.018 * np.sin(across * (2.0 * np.pi / 5.0)) + 0.012 * canvas.cloudy_noise(rng, 16.0)
    shadow = canvas.soften(np.roll(cover, (8, 6), (0, 1)), 6.0)
    tone = (1.0 + ribs) * (1.0 - 0.5 * shadow) * rng.uniform(0.94, 1.06)
    return np.clip(tone[..., None] * np.asarray((0.55, 0.64, 0.7)), 0.0, 1.0).astype(np.float32)
