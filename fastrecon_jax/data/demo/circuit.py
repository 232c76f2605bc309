"""A populated printed circuit board: one design, every board a little different."""

import functools
import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from fastrecon_jax.data.demo import canvas, components, defects

DEFECTS = ("bridge", "missing", "scratch", "shifted")

_OVER = components.OVER
_BOARD = 288  # pixels of the photograph: 16 beyond each edge, for the misalignment
_MASK, _TRACE = (24, 84, 52), (40, 110, 68)
_COPPER, _SILK = (190, 154, 84), (206, 212, 200)
_BLACK, _TAN, _STEEL = (40, 41, 44), (170, 134, 92), (168, 168, 164)

_Part = components.Component

_DESIGN = (
    _Part("ic", 104, 114, 56, 80, _BLACK, "FR94"),
    _Part("can", 206, 72, 66, 28, _STEEL, "16.00"),
    _Part("round", 204, 138, 54, 54, _STEEL),
    _Part("two", 74, 46, 32, 17, _BLACK, "103"),
    _Part("two", 126, 46, 32, 17, _BLACK, "103"),
    _Part("two", 68, 190, 32, 17, _BLACK, "103"),
    _Part("two", 118, 190, 32, 17, _BLACK, "103"),
    _Part("two", 168, 190, 32, 17, _BLACK, "103"),
    _Part("two", 218, 190, 32, 17, _TAN),
    _Part("two", 68, 226, 32, 17, _TAN),
    _Part("two", 118, 226, 32, 17, _TAN),
    _Part("two", 168, 226, 32, 17, _TAN),
    _Part("two", 218, 226, 32, 17, _TAN),
)
_SMALL = tuple(i for i, part in enumerate(_DESIGN) if part.kind in ("two", "can"))
# Corners of the copper traces, drawn as lines three pixels wide.
_TRACES = (
    ((74, 46), (40, 46), (40, 190), (68, 190)),
    ((126, 46), (160, 46), (160, 72), (206, 72)),
    ((206, 72), (206, 138)),
    ((104, 160), (104, 176), (118, 190)),
    ((218, 190), (254, 180), (254, 40), (180, 30), (28, 30)),
    ((28, 226), (254, 226)),
    ((142, 120), (160, 138), (204, 138)),
)
_VIAS = ((40, 118), (160, 60), (254, 110), (160, 160))


def paint(rng: np.random.Generator, split: str, defect: canvas.Defect | None = None) -> canvas.Photo:
    """One board."""
    del split  # rendered parts know no regions to keep apart
    faults = _misplaced(defect) if defect is not None and defect.kind in ("missing", "shifted") else {}
    board = _populated(rng, faults)
    if defect is not None and defect.kind == "bridge":
        _bridge(ImageDraw.Draw(board), defect.rng)
    image = np.asarray(_aligned(board, rng), np.float32) / 255
    image = image * (1.0 + 0.02 * canvas.smooth_noise(rng, 2.5) + 0.02 * canvas.smooth_noise(rng, 40.0))[..., None]
    image = np.clip(image, 0.0, 1.0).astype(np.float32)
    if defect is None or defect.kind != "scratch":
        return image
    return defects.scratch(
        image, defect.rng, np.ones_like(canvas.ROWS), bare=(0.8, 0.72, 0.5), depth=(0.55, 0.95), width=(1.8, 3.4)
    )


def _misplaced(defect: canvas.Defect) -> dict[int, tuple[float, float, float] | None]:
    """Which component is missing (None), or lies off its pads by x, y pixels and degrees."""
    which = int(defect.rng.choice(_SMALL))
    if defect.kind == "missing":
        return {which: None}
    away = defect.rng.uniform(2.5, 5.0) * np.exp(1j * defect.rng.uniform(0.0, 2.0 * np.pi))
    return {which: (away.real, away.imag, defect.rng.choice([-1.0, 1.0]) * defect.rng.uniform(9.0, 28.0))}


def _populated(rng: np.random.Generator, faults: dict[int, tuple[float, float, float] | None]) -> Image.Image:
    """The board with its components, each where the machine put it, and their shadows."""
    board = _bare().copy()
    parts = Image.new("RGBA", board.size)
    for index, part in enumerate(_DESIGN):
        place = rng.normal(0.0, (0.5, 0.5, 1.0))
        face = components.face(part, tone=math.exp(rng.normal(0.0, 0.05)), lot=int(rng.integers(1000, 9999)))
        if index in faults and faults[index] is None:
            continue
        x, y, turn = place + np.asarray(faults.get(index, (0.0, 0.0, 0.0)))
        turned = face.rotate(turn, Image.Resampling.BILINEAR, expand=True)
        corner = (round((part.x + x) * _OVER - turned.width / 2), round((part.y + y) * _OVER - turned.height / 2))
        parts.alpha_composite(turned, corner)
    cover = parts.getchannel("A")
    shadow = ImageChops.offset(cover, 3, 4).filter(ImageFilter.BoxBlur(3)).point(lambda level: level * 0.6)
    board.paste((6, 18, 12), (0, 0), shadow)
    board.paste(parts, (0, 0), cover)
    return board


def _aligned(board: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The board as the fixture holds it: off by a pixel or two and half a degree."""
    turn = np.deg2rad(np.clip(rng.normal(0.0, 0.4), -1.0, 1.0))
    x, y = _BOARD * _OVER / 2 + _OVER * rng.normal(0.0, 0.8, 2).clip(-2.0, 2.0)
    size, middle = canvas.SIZE * _OVER, canvas.SIZE * _OVER / 2
    a, b = math.cos(turn), math.sin(turn)
    affine = (a, -b, x - (a - b) * middle, b, a, y - (a + b) * middle)
    return board.transform((size, size), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR).reduce(_OVER)


def _bridge(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """A drop of solder that joins two neighbouring pins."""
    part = _DESIGN[0]
    pins, step = components.pins(part), components.pin_step(part)
    x, y = pins[rng.integers(len(pins) - 2)]
    x, y = (x + rng.uniform(-1.5, 1.5)) * _OVER, (y + step / 2) * _OVER
    w, h = rng.uniform(3.0, 5.0) * _OVER, (step / 2 + rng.uniform(0.5, 2.2)) * _OVER
    draw.ellipse([x - w, y - h, x + w, y + h], fill=(150, 154, 158))
    draw.ellipse([x - 0.8 * w, y - 0.85 * h, x + 0.5 * w, y + 0.5 * h], fill=(192, 196, 200))
    draw.ellipse([x - 0.5 * w, y - 0.6 * h, x, y], fill=(236, 238, 240))


@functools.cache
def _bare() -> Image.Image:
    """Solder mask, traces, vias, pads and silk screen."""
    board = Image.new("RGB", (_BOARD * _OVER, _BOARD * _OVER), _MASK)
    draw = ImageDraw.Draw(board)
    for trace in _TRACES:
        draw.line([(x * _OVER, y * _OVER) for x, y in trace], _TRACE, 3 * _OVER, joint="curve")
    for x, y in _VIAS:
        draw.ellipse(components.corners(x, y, 4.0, 4.0), fill=_COPPER)
        draw.ellipse(components.corners(x, y, 2.0, 2.0), fill=(20, 34, 26))
    for part in _DESIGN:
        _footprint(draw, part)
    draw.text((200 * _OVER, 258 * _OVER), "FR-JAX REV B", _SILK, canvas.font(16), anchor="mm")
    return board


def _footprint(draw: ImageDraw.ImageDraw, part: _Part) -> None:
    w, h = part.width / 2, part.height / 2
    if part.kind == "ic":
        for x, y in components.pins(part):
            components.box(draw, x, y, 5.5, 2.6, _COPPER)
        return
    if part.kind == "round":
        draw.ellipse(components.corners(part.x, part.y, w + 3, h + 3), outline=_SILK, width=_OVER)
        return
    components.box(draw, part.x, part.y, w + 4.5, h + 4.5, _SILK)
    components.box(draw, part.x, part.y, w + 3.5, h + 3.5, _MASK)
    for sign in (-1.0, 1.0):
        if w > h:
            components.box(draw, part.x + sign * (w - 1.0), part.y, 4.0, h + 1.0, _COPPER)
        else:
            components.box(draw, part.x, part.y + sign * (h - 1.0), w + 1.0, 4.0, _COPPER)
