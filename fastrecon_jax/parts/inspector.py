"""Photographs against a fitted part: score, p-value, verdict, regions."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from fastrecon_jax.parts import calibration, regions
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.part import Part
from fastrecon_jax.parts.photos import Photo
from fastrecon_jax.parts.regions import Frame, Region
from fastrecon_jax.runtime import devices

GOOD, BORDERLINE, DEFECTIVE = VERDICTS = ("good", "borderline", "defective")


class Finding(NamedTuple):
    """What is found on one photograph.

    Attributes:
        name: path of the photograph, or `image N`.
        score: image score.
        p_value: probability that a good photograph scores at least as high, by the part's calibration.
        verdict: good, borderline or defective.
        regions: defect regions, the highest peak first; a defective photograph has at least one.
        map: anomaly map of the inspected centre, (H, W).
    """

    name: str
    score: float
    p_value: float
    verdict: str
    regions: tuple[Region, ...]
    map: Float[np.ndarray, "H W"]


class PartInspector(NamedTuple):
    """A part ready for inspection.

    Attributes:
        part: the fitted part.
        engine: made from the part's recipe.
        state: the method's state, on the device.
    """

    part: Part
    engine: Engine
    state: Any


def create(part: Part, engine: Engine) -> PartInspector:
    """Bring a part's state to the device."""
    return PartInspector(part, engine, jax.tree.map(jnp.asarray, part.state))


def score(
    inspector: PartInspector, pixels: UInt8[np.ndarray, "n H W 3"], *, batch_size: int = 8
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n H W"]]:
    """Scores (n,) and maps (n, crop_size, crop_size) of preprocessed photographs, in padded batches of one size."""
    program = functools.partial(inspector.engine.inspect, inspector.engine.encoder, inspector.state)
    scores, maps = devices.in_batches(program, pixels, over=None, batch_size=batch_size)
    return scores, maps


def inspect(inspector: PartInspector, photos: Sequence[Photo], *, batch_size: int = 8) -> list[Finding]:
    """Score and judge photographs that were preprocessed for the part; at least one."""
    scores, maps = score(inspector, np.stack([photo.pixels for photo in photos]), batch_size=batch_size)
    return [
        judge(inspector.part, photo.name, float(number), anomaly_map, (photo.width, photo.height))
        for photo, number, anomaly_map in zip(photos, scores, maps, strict=True)
    ]


def judge(part: Part, name: str, score: float, anomaly_map: Float[np.ndarray, "H W"], size: tuple[int, int]) -> Finding:
    """What a score and the map of the inspected centre mean by the part's calibration.

    `size` is (width, height) of the photograph in pixels. The verdict is defective above the threshold, borderline
    above what would be the threshold if the few good images told everything, and good below.
    """
    limits, recipe = part.limits, part.recipe
    verdict = DEFECTIVE if score > limits.threshold else BORDERLINE if score > limits.borderline else GOOD
    frame = Frame(*size, recipe.image_size, recipe.crop_size)
    marked = regions.find(anomaly_map, frame, seed=limits.seed, extent=limits.extent, force=verdict == DEFECTIVE)
    return Finding(name, score, calibration.p_value(limits.scores, score), verdict, marked, anomaly_map)
