"""Drawing with arrays: smooth noise, strokes, blending; an image is (H, W, 3) float32, 0 to 1, display brightness."""

import functools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE = 256
ROWS, COLS = np.mgrid[:SIZE, :SIZE].astype(np.float32)

Photo = Float32[np.ndarray, "H W 3"]
Plane = Float32[np.ndarray, "H W"]
Colour = tuple[float, float, float] | Float32[np.ndarray, "3"]


class Defect(NamedTuple):
    """What is wrong with a part, and the random numbers that say how."""

    kind: str
    rng: np.random.Generator


class Path(NamedTuple):
    """A line over the image: points (n, 2) as x, y in pixels."""

    points: np.ndarray

    def moved(self, x: float, y: float) -> "Path":
        """The same line, shifted by x and y pixels."""
        return Path(self.points + np.array([x, y]))


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The typeface that comes with Pillow; reading it is slower than drawing a component."""
    return ImageFont.load_default(size)


def framed(x: float, y: float, angle: float) -> tuple[Plane, Plane]:
    """Coordinates of every pixel in a frame at x, y whose first axis points along `angle`, in pixels."""
    right, down, cos, sin = COLS - x, ROWS - y, math.cos(angle), math.sin(angle)
    return cos * right + sin * down, cos * down - sin * right


def smoothstep(low: float, high: float, value: Plane) -> Plane:
    """0 at `low`, 1 at `high` (which may be the smaller one), a smooth ramp between them."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0, dtype=np.float32)
    return t * t * (3.0 - 2.0 * t)


def blend(image: Photo, colour: Photo | Colour, alpha: Plane) -> Photo:
    """`colour` over `image` with opacity `alpha`."""
    over = np.asarray(colour, np.float32)
    return image + alpha[..., None] * (over - image)


def smooth_noise(rng: np.random.Generator, cell: float) -> Plane:
    """Noise of about zero mean and unit deviation whose bumps are about `cell` pixels wide."""
    count = int(np.ceil(SIZE / cell)) + 3
    coarse = Image.fromarray(rng.standard_normal((count, count), dtype=np.float32))
    shift = rng.uniform(1.0, 2.0, 2)
    box = (shift[0], shift[1], shift[0] + SIZE / cell, shift[1] + SIZE / cell)
    return np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)) * np.float32(1.3)


def cloudy_noise(rng: np.random.Generator, cell: float) -> Plane:
    """Noise with detail at every scale, from `cell` pixels down to an eighth of it."""
    return sum(smooth_noise(rng, cell / 2**i) * np.float32(0.6**i) for i in range(4)) * np.float32(0.8)


def wander(rng: np.random.Generator, start: tuple[float, float], length: float, *, bend: float, jag: float) -> Path:
    """A line of `length` pixels around its middle, `start`.

    `bend` is how much its direction drifts over the whole line, `jag` how much each step of 3 pixels departs from that
    direction, both in radians.
    """
    steps = max(int(length / 3.0), 4)
    drift = np.cumsum(rng.normal(0.0, 1.0, steps)) / np.sqrt(steps)
    angle = rng.uniform(0.0, 2.0 * np.pi) + bend * drift + jag * rng.standard_normal(steps)
    points = np.cumsum(3.0 * np.stack([np.cos(angle), np.sin(angle)], -1), 0)
    return Path(points - points[steps // 2] + np.asarray(start))


def stroke(path: Path, width: float | np.ndarray) -> Plane:
    """Coverage, 0 to 1, of a line `width` pixels wide (one number, or one for each point), with round joints."""
    over = 4  # sub-pixels
    canvas = Image.new("L", (SIZE * over, SIZE * over))
    draw = ImageDraw.Draw(canvas)
    points = (path.points + 0.5) * over
    half = np.broadcast_to(np.asarray(width, float) * over / 2, len(points))
    for a, b, r in zip(points[:-1], points[1:], half[1:], strict=True):
        draw.line([*a, *b], fill=255, width=max(round(2 * r), 1))
        if r > 1:
            draw.ellipse([b[0] - r, b[1] - r, b[0] + r, b[1] + r], fill=255)
    return np.asarray(canvas.reduce(over), np.float32) / np.float32(255)


def pick(rng: np.random.Generator, region: Plane, *, margin: int = 30) -> tuple[float, float]:
    """x, y of a random pixel where `region` is above one half, at least `margin` pixels inside the image."""
    inner = region[margin:-margin, margin:-margin] > 0.5
    row, col = divmod(int(rng.choice(np.flatnonzero(inner))), inner.shape[1])
    return float(col + margin), float(row + margin)


def relief(height: Plane, light: float) -> Plane:
    """Light minus shade on a surface of `height` in pixels, lit from the direction `light` in radians."""
    rows, cols = np.gradient(height)
    return -(math.cos(light) * cols + math.sin(light) * rows)


def soften(plane: Plane, radius: float) -> Plane:
    """`plane` out of focus by about `radius` pixels."""
    levels = Image.fromarray(np.round(plane * 255.0).astype(np.uint8))
    return np.asarray(levels.filter(ImageFilter.GaussianBlur(radius)), np.float32) / np.float32(255)
