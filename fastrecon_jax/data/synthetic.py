"""Defects painted on photographs of good parts, to tune a method where no defective part is available."""

import zlib

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFilter

Pixels = Float[np.ndarray, "H W 3"]
_AREA = 0.003, 0.04  # least and largest area of a stain, as a share of the image


def defective_copies(pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "n H W 3"]:
    """Copies with a piece of another place, a foreign stain, a stain of turned texture, and a scratch: one of each.

    The photograph seeds all random numbers: the same photograph gives the same copies everywhere.

    References:
        Li et al., CutPaste, CVPR 2021; Zavrtanik et al., DRAEM, ICCV 2021, for textures in the masks of smooth noise.
    """
    seed, image = zlib.crc32(pixels.tobytes()), pixels.astype(np.float32)
    copies = (paint(np.random.default_rng([seed, i]), image) for i, paint in enumerate(_PAINTERS))
    return np.stack([np.clip(np.rint(copy), 0, 255).astype(np.uint8) for copy in copies])


def _pasted(rng: np.random.Generator, image: Pixels) -> Pixels:
    """CutPaste: a rectangle of the part, mirrored or turned and a little brighter or darker, pasted somewhere else."""
    side = min(image.shape[:2])
    height, width = (rng.uniform(0.06, 0.22, 2) * side).astype(int)
    top, left = (rng.integers(0, length - side // 4) for length in image.shape[:2])
    piece = image[top : top + height, left : left + width] * rng.uniform(0.8, 1.2)
    piece = piece[::-1] if rng.random() < 0.5 else piece
    piece = np.rot90(piece) if rng.random() < 0.5 else piece
    top, left = (rng.integers(0, length - side // 4) for length in image.shape[:2])
    changed = image.copy()
    changed[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    return changed


def _stained(rng: np.random.Generator, image: Pixels) -> Pixels:
    """A stain of random grain between two random colours."""
    # x (1 - s) + stain s, with the strength s fading out at the stain's edge.
    strength = rng.uniform(0.25, 0.8) * _stain(rng, image.shape[:2])[..., None]
    low, high = rng.uniform(0, 255, (2, 3))
    return (
        image * (1 - strength) + (_noise(rng, image.shape[:2], (16, 32, 56))[..., None] * (high - low) + low) * strength
    )


def _foreign(rng: np.random.Generator, image: Pixels) -> Pixels:
    """A stain of the part's own texture, turned by 180°, moved, and with another contrast and brightness."""
    strength = rng.uniform(0.4, 1.0) * _stain(rng, image.shape[:2])[..., None]
    moved = np.roll(np.rot90(image, 2), tuple(rng.integers(0, image.shape[:2])), (0, 1))
    texture = (moved - moved.mean()) * rng.uniform(0.7, 1.5) + image.mean() * rng.uniform(0.7, 1.3)
    return image * (1 - strength) + texture * strength


def _scratched(rng: np.random.Generator, image: Pixels) -> Pixels:
    """A thin line, lighter or darker than the part underneath."""
    height, width = image.shape[:2]
    line = Image.new("L", (2 * width, 2 * height))  # drawn at twice the size, so that its edges are smooth
    point, angle = rng.uniform(0.2, 1.8, 2) * (width, height), rng.uniform(0, 2 * np.pi)
    points = [tuple(point)]
    for _ in range(rng.integers(3, 10)):
        angle += rng.normal(0, 0.3)  # the line bends a little at each step
        point = point + 0.08 * min(width, height) * np.array([np.cos(angle), np.sin(angle)])
        points.append(tuple(point))
    ImageDraw.Draw(line).line(points, fill=255, width=max(2, round(rng.uniform(0.013, 0.04) * min(width, height))))
    strength = np.asarray(line.resize((width, height), Image.Resampling.BOX), np.float32)[..., None] / 255
    return image + strength * rng.choice([-1, 1]) * rng.uniform(25, 110) * rng.uniform(0.7, 1.3, 3)


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, ...]) -> Float[np.ndarray, "H W"]:
    """Smooth noise, 0 to 1: for each scale, interpolated random values at the corners of `count` cells a side."""
    height, width = size
    total = np.zeros(size, np.float32)
    for count in cells:
        grid = Image.fromarray(rng.random((count + 3, count + 3)).astype(np.float32))
        total += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)) / np.sqrt(count)
    total -= total.min()
    return total / total.max()


def _stain(rng: np.random.Generator, size: tuple[int, int]) -> Float[np.ndarray, "H W"]:
    """A blob with an irregular outline and soft edges, 0 to 1."""
    height, width = size
    area = rng.uniform(*_AREA) * height * width
    y, x = rng.uniform(0.15, 0.85, 2) * size
    rows, columns = np.mgrid[:height, :width]
    # Noise minus the distance from a centre, cut at the level that leaves exactly the wanted area.
    level = _noise(rng, size, (6, 12)) - 0.6 * np.hypot(rows - y, columns - x) / np.sqrt(area / np.pi)
    inside: Bool[np.ndarray, "H W"] = level >= np.sort(level, axis=None)[-max(1, int(area))]
    blurred = Image.fromarray(inside.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(1.0))
    return np.asarray(blurred, np.float32) / 255


_PAINTERS = (_pasted, _stained, _foreign, _scratched)
