"""Defects of a given size, painted on photographs of good parts, to see how small a defect a part still finds."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

Colours = Float[np.ndarray, "H W 3"]
Mask = Float[np.ndarray, "H W"]
_FINER = 4  # masks are drawn so many times larger, so that their edges are smooth
_MARGIN = 0.1  # share of the side along the rim in which no defect is centred
_DIFFERENT = 30.0  # levels from the rim's colour, root mean square, beyond which a pixel belongs to the part
_LEAST = 0.05  # share of pixels below which the part cannot be told from the ground
_TINT = 0.75, 1.0, 1.2  # factors of the three channels, in any order


def paint(
    kind: str, image: UInt8[np.ndarray, "H W 3"], size: float, place: tuple[int, int], rng: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """A copy with one defect of a kind of `KINDS`, `size` pixels across, centred at `place` (row, column)."""
    changed = KINDS[kind](image.astype(np.float32), size, place, rng)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def places(image: UInt8[np.ndarray, "H W 3"], count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Places on the part, away from the rim: where the photograph differs from the median colour of its rim.

    Anywhere away from the rim, if nearly nothing differs, as of a texture that fills the picture.
    """
    height, width, _ = image.shape
    inner = np.zeros((height, width), bool)
    down, across = (round(_MARGIN * side) for side in (height, width))
    inner[down : height - down, across : width - across] = True
    allowed = inner & _on_the_part(image)
    rows, columns = np.nonzero(allowed if allowed.sum() >= _LEAST * inner.sum() else inner)
    chosen = rng.integers(0, len(rows), count)
    return [(int(rows[i]), int(columns[i])) for i in chosen]


def _on_the_part(image: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
    return np.sqrt(np.mean(np.square(image - _rim(image)), axis=-1)) > _DIFFERENT


def _rim(image: UInt8[np.ndarray, "H W 3"] | Colours) -> Float[np.ndarray, "3"]:
    """The median colour of the outermost pixels."""
    edges = (image[0], image[-1], image[:, 0], image[:, -1])
    return np.median(np.concatenate(edges), axis=0).astype(np.float32)


def _blob(image: Colours, size: float, place: tuple[int, int], rng: np.random.Generator) -> Colours:
    """A foreign stain with an irregular outline, three quarters opaque, of a colour unlike that underneath."""
    strength = 0.75 * _outline(image, size, place, rng)[..., None]
    under = _under(image, strength)
    # Of several random colours the one farthest from what lies underneath.
    colours = rng.uniform(0, 255, (8, 3)).astype(np.float32)
    colour = colours[np.argmax(np.sum(np.square(colours - under), axis=1))]
    return image * (1 - strength) + colour * strength


def _scratch(image: Colours, size: float, place: tuple[int, int], rng: np.random.Generator) -> Colours:
    """A straight line of this length, a twelfth as wide and at least one pixel, lighter on dark and darker on light."""
    angle = rng.uniform(0, np.pi)
    half = size / 2 * np.array([np.cos(angle), np.sin(angle)])  # across, down
    centre = np.array([place[1] + 0.5, place[0] + 0.5])
    ends = [tuple((centre + sign * half) * _FINER) for sign in (-1, 1)]
    wide = max(1, round(max(1.0, size / 12) * _FINER))
    strength = _drawn(image, lambda pen: pen.line(ends, fill=255, width=wide))[..., None]
    return image + strength * (70.0 if _under(image, strength).mean() < 128 else -70.0)


def _missing(image: Colours, size: float, place: tuple[int, int], rng: np.random.Generator) -> Colours:
    """A piece that is not there: the colour of the picture's rim shows, or black where that is no different."""
    strength = _outline(image, size, place, rng)[..., None]
    rim = _rim(image)
    ground = np.sqrt(np.mean(np.square(_under(image, strength) - rim))) > _DIFFERENT / 2  # it may cover ground, too
    return image * (1 - strength) + (rim if ground else np.zeros(3, np.float32)) * strength


def _discoloured(image: Colours, size: float, place: tuple[int, int], rng: np.random.Generator) -> Colours:
    """A tint with soft edges: one channel a quarter darker and one a fifth lighter, the texture as it was."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    distance = np.hypot(rows - place[0], columns - place[1]) / max(size / 2, 0.5)
    strength = np.clip(1.5 - distance, 0, 1)[..., None].astype(np.float32)  # a half at the edge of the given size
    return image * (1 + strength * (rng.permutation(_TINT).astype(np.float32) - 1))


def _outline(image: Colours, size: float, place: tuple[int, int], rng: np.random.Generator) -> Mask:
    """A closed curve about as wide as `size`, its radius changed by two waves."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    phases = rng.uniform(0, 2 * np.pi, 2)
    radii = size / 2 * (1 + 0.15 * np.sin(2 * angles + phases[0]) + 0.1 * np.sin(3 * angles + phases[1]))
    across, down = place[1] + 0.5 + radii * np.cos(angles), place[0] + 0.5 + radii * np.sin(angles)
    points = [(x * _FINER, y * _FINER) for x, y in zip(across, down, strict=True)]
    return _drawn(image, lambda pen: pen.polygon(points, fill=255))


def _drawn(image: Colours, draw: Callable[[ImageDraw.ImageDraw], object]) -> Mask:
    height, width, _ = image.shape
    mask = Image.new("L", (width * _FINER, height * _FINER))
    draw(ImageDraw.Draw(mask))
    return np.asarray(mask.resize((width, height), Image.Resampling.BOX), np.float32) / 255


def _under(image: Colours, strength: Float[np.ndarray, "H W 1"]) -> Float[np.ndarray, "3"]:
    """The mean colour that a mask covers."""
    return (image * strength).sum((0, 1)) / max(float(strength.sum()), 1e-6)


KINDS: dict[str, Callable[[Colours, float, tuple[int, int], np.random.Generator], Colours]] = {
    "blob": _blob,
    "scratch": _scratch,
    "missing piece": _missing,
    "discoloration": _discoloured,
}
