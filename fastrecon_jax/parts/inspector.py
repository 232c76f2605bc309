"""Photographs against a fitted part: score, p-value, verdict, regions."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from fastrecon_jax.composition import Arrays
from fastrecon_jax.parts import calibration, regions
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.part import Part
from fastrecon_jax.parts.photos import Photo
from fastrecon_jax.parts.regions import Frame, Region

GOOD, BORDERLINE, DEFECTIVE = VERDICTS = ("good", "borderline", "defective")


class Finding(NamedTuple):
    """What is found on one photograph.

    Attributes:
        score: of the photograph.
        p_value: probability that a good one scores as high, by the part's calibration.
        verdict: one of `VERDICTS`.
        regions: the highest peak first; of a defective photograph at least one.
        map: anomaly map of the inspected centre, (H, W).
    """

    score: float
    p_value: float
    verdict: str
    regions: tuple[Region, ...]
    map: Float[np.ndarray, "H W"]


class Inspector(NamedTuple):
    """A part ready for inspection.

    Attributes:
        part: fitted.
        engine: of its recipe.
        arrays: weights and state, where the device has them.
    """

    part: Part
    engine: Engine
    arrays: Arrays


def create(part: Part, engine: Engine) -> Inspector:
    """Bring a part to the device.

    Args:
        part: fitted.
        engine: of its recipe.

    Returns:
        The inspector.
    """
    return Inspector(part, engine, Arrays(engine.encoder.params, jax.tree.map(jnp.asarray, part.state)))


def score(
    inspector: Inspector, pixels: UInt8[np.ndarray, "n H W 3"], *, batch_size: int = 8
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n H W"]]:
    """Scores and maps of preprocessed photographs, in batches of one size.

    Args:
        inspector: of the part.
        pixels: RGB, (n, crop_size, crop_size, 3).
        batch_size: photographs at a time; the last ones are padded.

    Returns:
        Scores (n,) and maps (n, crop_size, crop_size).
    """
    scores, maps = [], []
    for start in range(0, len(pixels), batch_size):
        batch = pixels[start : start + batch_size]
        padded = np.pad(batch, ((0, batch_size - len(batch)), (0, 0), (0, 0), (0, 0)), mode="edge")
        found = inspector.engine.inspect(inspector.arrays, jnp.asarray(padded))
        for kept, values in zip((scores, maps), found, strict=True):
            kept.append(np.asarray(values)[: len(batch)])
    return np.concatenate(scores), np.concatenate(maps)


def inspect(inspector: Inspector, photos: Sequence[Photo], *, batch_size: int = 8) -> list[Finding]:
    """Score and judge photographs.

    Args:
        inspector: of the part.
        photos: preprocessed for it; at least one.
        batch_size: photographs at a time; the last ones are padded.

    Returns:
        A finding for each.
    """
    scores, maps = score(inspector, np.stack([photo.pixels for photo in photos]), batch_size=batch_size)
    return [
        judge(inspector.part, float(one), map_, (photo.width, photo.height))
        for photo, one, map_ in zip(photos, scores, maps, strict=True)
    ]


def judge(part: Part, score: float, anomaly_map: Float[np.ndarray, "H W"], size: tuple[int, int]) -> Finding:
    """What a score and a map mean by the part's calibration.

    Args:
        part: fitted.
        score: of the photograph.
        anomaly_map: of its inspected centre, (H, W).
        size: of the photograph, (width, height) in pixels.

    Returns:
        The finding. It is defective above the threshold, borderline above what would be the threshold if the few images
        told everything, else good.
    """
    limits, recipe = part.limits, part.recipe
    verdict = DEFECTIVE if score > limits.threshold else BORDERLINE if score > limits.borderline else GOOD
    frame = Frame(*size, recipe.image_size, recipe.crop_size)
    found = regions.find(anomaly_map, frame, seed=limits.seed, extent=limits.extent, force=verdict == DEFECTIVE)
    return Finding(score, calibration.p_value(limits.scores, score), verdict, found, anomaly_map)
