"""From a scene to a photograph: light, exposure, lens, sensor; and the mask of what a defect changed."""

import math

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from fastrecon_jax.data.demo import canvas

# A change below this is lost in the grain of the photographs.
_PERCEPTIBLE = 0.035
# Pixels; smaller islands are single yarns or grains at the fringe of a defect.
_ISLAND = 6


def photograph(scene: canvas.Photo, rng: np.random.Generator) -> UInt8[np.ndarray, "H W 3"]:
    """One exposure: uneven light, exposure and white balance that drift, a slightly soft lens, shot noise."""
    direction = rng.uniform(0.0, 2.0 * math.pi)
    x, y = canvas.COLS / canvas.SIZE - 0.5, canvas.ROWS / canvas.SIZE - 0.5
    across = math.cos(direction) * x + math.sin(direction) * y
    light = 1.0 + rng.uniform(0.0, 0.18) * across + rng.normal(0.0, 0.012) * canvas.smooth_noise(rng, 150.0)
    balance = np.exp(rng.normal(0.0, 0.04) + rng.normal(0.0, 0.012, 3)).astype(np.float32)
    lit = scene * light[..., None] * balance
    soft = rng.uniform(0.35, 0.8)
    lit = ndimage.gaussian_filter(lit, (soft, soft, 0.0), truncate=3.0)
    grain = 0.6 * rng.standard_normal(scene.shape, dtype=np.float32)
    grain += rng.standard_normal((*scene.shape[:2], 1), dtype=np.float32)
    lit += grain * np.sqrt(np.float32(0.00003) + np.float32(0.0001) * np.clip(lit, 0.0, 1.0))
    return np.round(np.clip(lit, 0.0, 1.0) * 255.0).astype(np.uint8)


def changed(clean: canvas.Photo, marred: canvas.Photo) -> Bool[np.ndarray, "H W"]:
    """Where a defect shows: the pixels that differ perceptibly between two renderings of the same scene."""
    differs = np.abs(np.clip(marred, 0.0, 1.0) - np.clip(clean, 0.0, 1.0)).max(-1) > _PERCEPTIBLE
    whole = ndimage.binary_closing(np.pad(differs, 2), np.ones((3, 3)))[2:-2, 2:-2]
    labels, _ = ndimage.label(whole, np.ones((3, 3)))
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return areas[labels] >= _ISLAND
