"""Photographs against a fitted part: score, p-value, verdict and its reason, regions."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, UInt8

from fastrecon_jax.data import geometry
from fastrecon_jax.detector import Inspection
from fastrecon_jax.parts import regions, repeats, verdicts
from fastrecon_jax.parts.engine import Engine, split
from fastrecon_jax.parts.part import Part
from fastrecon_jax.parts.photos import Photo
from fastrecon_jax.parts.regions import Region
from fastrecon_jax.parts.verdicts import BORDERLINE, DEFECTIVE, GOOD, VERDICTS
from fastrecon_jax.runtime import devices

__all__ = ("BORDERLINE", "DEFECTIVE", "GOOD", "VERDICTS", "Finding", "PartInspector")


class Finding(NamedTuple):
    """What is found on one photograph.

    Attributes:
        name: path of the photograph, or `image N`.
        score: image score.
        p_value: probability that a good photograph scores at least as high, by the part's calibration.
        verdict: good, borderline or defective.
        regions: defect regions, the highest peak first; a defective photograph has at least one.
        map: anomaly map of the inspected area, (H, W).
        reason: why the verdict is what it is, where the score alone does not say so; empty otherwise.
        confidence: from 0, surely good, to 1, surely defective; a half at the threshold.
        missing: what it lacks of the good ones, see `Limits`; None where the method cannot tell.
    """

    name: str
    score: float
    p_value: float
    verdict: str
    regions: tuple[Region, ...]
    map: Float[np.ndarray, "H W"]
    reason: str
    confidence: float
    missing: float | None


class PartInspector(NamedTuple):
    """A part ready for inspection.

    Attributes:
        part: the fitted part.
        engine: made from the part's recipe.
        state: the method's state, on the device, or on each of the mesh.
        mesh: devices over which batches are split, on each of which the engine's encoder is; None for one device.
    """

    part: Part
    engine: Engine
    state: Any
    mesh: Mesh | None = None


def create(part: Part, engine: Engine, mesh: Mesh | None = None) -> PartInspector:
    """Bring a part's state to the device, or to each of several."""
    return PartInspector(part, engine, devices.put(mesh, part.state, devices.COPIED), mesh)


def measure(inspector: PartInspector, pixels: UInt8[np.ndarray, "n H W 3"], *, batch_size: int = 8) -> Inspection:
    """Scores, maps and what is missing, of preprocessed photographs, in padded batches of one size."""
    program = split(inspector.engine.inspect, inspector.mesh, 2)
    program = functools.partial(program, inspector.engine.encoder, inspector.state)
    found = devices.in_batches(program, pixels, over=inspector.mesh, batch_size=batch_size)
    return found._replace(missing=None if found.missing is None else np.exp(found.missing))


def score(
    inspector: PartInspector, pixels: UInt8[np.ndarray, "n H W 3"], *, batch_size: int = 8
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n H W"]]:
    """Scores (n,) and maps (n, H, W) alone, see `measure`."""
    found = measure(inspector, pixels, batch_size=batch_size)
    return found.score, found.map


def inspect(
    inspector: PartInspector, photos: Sequence[Photo], *, batch_size: int = 8, before: Sequence[str] = ()
) -> list[Finding]:
    """Score and judge photographs that were preprocessed for the part; at least one.

    `before` names, for each, the picture before it if it is the same; empty otherwise, see `Repeats`.
    """
    found = measure(inspector, np.stack([photo.pixels for photo in photos]), batch_size=batch_size)
    missing = [None] * len(photos) if found.missing is None else found.missing.tolist()
    findings = []
    for i, photo in enumerate(photos):
        size, score = (photo.width, photo.height), float(found.score[i])
        seen = {"known": repeats.known(inspector.part, photo), "before": before[i] if before else ""}
        findings.append(judge(inspector.part, photo.name, score, found.map[i], size, missing=missing[i], **seen))
    return findings


def judge(
    part: Part,
    name: str,
    score: float,
    anomaly_map: Float[np.ndarray, "H W"],
    size: tuple[int, int],
    *,
    missing: float | None = None,
    known: str = "",
    before: str = "",
) -> Finding:
    """What a score and the map of the inspected area mean by the part's calibration, see `verdicts.decide`.

    `size` is (width, height) of the photograph in pixels. `known` names the good photograph of the part that it is,
    `before` the picture before it that is the same.
    """
    limits, recipe = part.limits, part.recipe
    decision = verdicts.decide(limits, score, missing, known=known, before=before)
    frame = geometry.frame(recipe.preprocessing, size)
    force = decision.verdict == DEFECTIVE
    levels = {"seed": limits.seed, "floor": limits.floor, "extent": limits.extent}
    marked = regions.find(anomaly_map, frame, **levels, force=force)
    verdict, reason, p_value, confidence = decision
    return Finding(name, score, p_value, verdict, marked, anomaly_map, reason, confidence, missing)
