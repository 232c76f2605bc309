"""A fitted and calibrated part: from its good photographs, and from more of them."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree, UInt8

from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import augment, calibration
from fastrecon_jax.parts import warnings as doubts
from fastrecon_jax.parts.calibration import Calibration
from fastrecon_jax.detector import Stages
from fastrecon_jax.parts.engine import Engine, Recipe
from fastrecon_jax.parts.photos import Photo
from fastrecon_jax.runtime import devices

BATCH = 8
_EXTENT = 0.999  # share of the pixels of held-out good maps below the level where a region ends


class Good(NamedTuple):
    """A good photograph that a part was fitted on.

    Attributes:
        name: for people.
        sha256: of its preprocessed pixels.
        width: of the photograph, in pixels.
        height: likewise.
        score: of a model that had not seen it; of the part itself if there is no other photograph.
    """

    name: str
    sha256: str
    width: int
    height: int
    score: float


class Limits(NamedTuple):
    """What the scores and maps of good photographs tell about those to come.

    Attributes:
        rate: false positives that were asked for, a share of the good photographs.
        scores: calibration of the image scores.
        peaks: calibration of the largest values of the maps.
        threshold: score above which a photograph is defective.
        borderline: score from which it is borderline.
        seed: value of the map that a defect region reaches.
        extent: value of the map down to which it extends.
        floor: median of the maps of good photographs, the first colour of every picture.
        ceiling: the last colour of every picture.
    """

    rate: float
    scores: Calibration
    peaks: Calibration
    threshold: float
    borderline: float
    seed: float
    extent: float
    floor: float
    ceiling: float


class Part(NamedTuple):
    """Everything that is known of a part.

    Attributes:
        name: of the part.
        recipe: what decides scores beside the photographs.
        state: of the method, a tree of arrays.
        stages: of the good photographs, (k, h_i, w_i, c_i) each, to which more can be added; empty if left out.
        good: the photographs, k.
        limits: from their held-out scores.
    """

    name: str
    recipe: Recipe
    state: PyTree[np.ndarray]
    stages: tuple[Float[np.ndarray, "k _ _ _"], ...]
    good: tuple[Good, ...]
    limits: Limits


class Fitted(NamedTuple):
    """A part with what its photographs gave cause to say.

    Attributes:
        part: that was fitted.
        warnings: sentences for people.
    """

    part: Part
    warnings: tuple[str, ...]


def fit(engine: Engine, photos: Sequence[Photo], *, name: str, rate: float) -> Fitted:
    """Fit and calibrate a part on good photographs alone.

    Args:
        engine: encoder and method.
        photos: at least one; exact copies count once.
        name: of the part.
        rate: of false positives among good photographs, in (0, 1).

    Returns:
        The part and warnings.

    Raises:
        InputError: no photograph, or a rate that is not allowed.
    """
    chosen = distinct(photos)
    stages = encode(engine, np.stack([photo.pixels for photo in chosen]))
    return _fit(engine, chosen, stages, name, rate, _copies(photos, chosen))


def distinct(photos: Sequence[Photo]) -> tuple[Photo, ...]:
    """Photographs without exact copies.

    Args:
        photos: at least one.

    Returns:
        Each once, in order.

    Raises:
        InputError: no photograph.
    """
    if not photos:
        raise InputError("there is no image to fit: pass at least one good one")
    return tuple({photo.sha256: photo for photo in photos}.values())


def extend(engine: Engine, part: Part, photos: Sequence[Photo]) -> Fitted:
    """Add good photographs, without those that the part was fitted on.

    Args:
        engine: of the part's recipe.
        part: fitted before, with its stages.
        photos: that are added; those that it knows already count once.

    Returns:
        The same as a fit on all of them, and warnings.

    Raises:
        InputError: the part was kept without what this needs, or no photograph is new.
    """
    if not part.stages:
        raise InputError(f"part {part.name} cannot be extended: it was fitted with --extendable=false")
    known = {good.sha256 for good in part.good}
    chosen = tuple({photo.sha256: photo for photo in photos if photo.sha256 not in known}.values())
    if not chosen:
        raise InputError(f"part {part.name} knows all of these images already: there is nothing to add")
    new = encode(engine, np.stack([photo.pixels for photo in chosen]))
    stages = tuple(np.concatenate(pair) for pair in zip(part.stages, new, strict=True))
    return _fit(engine, (*part.good, *chosen), stages, part.name, part.limits.rate, _copies(photos, chosen))


def encode(engine: Engine, pixels: UInt8[np.ndarray, "n H W 3"]) -> tuple[Float[np.ndarray, "n _ _ _"], ...]:
    """Stages of photographs, a batch at a time.

    Args:
        engine: whose encoder.
        pixels: preprocessed, RGB, (n, H, W, 3).

    Returns:
        (n, h_i, w_i, c_i) each.
    """
    encode = functools.partial(engine.encode, engine.encoder)
    return devices.in_batches(encode, pixels, over=None, batch_size=min(BATCH, len(pixels)))


def _fit(
    engine: Engine,
    photos: Sequence[Photo | Good],
    stages: tuple[Float[np.ndarray, "k _ _ _"], ...],
    name: str,
    rate: float,
    warnings: tuple[str, ...],
) -> Fitted:
    if not 0 < rate < 1:
        raise InputError(f"a false-positive rate of {rate} is not allowed: it must be above 0 and below 1")
    support = tuple(jnp.asarray(stage) for stage in stages)
    state = jax.tree.map(np.asarray, engine.fit(support, jax.random.key(0)))
    if len(photos) > 1:
        scores, maps = (np.asarray(x) for x in engine.leave_one_out(support, jax.random.key(0)))
        of_scores, of_peaks = (calibration.fit(x.tolist()) for x in (scores, maps.max((1, 2))))
    else:
        scores, maps, of_scores, of_peaks = _single(engine, photos[0], support, state)
    good = tuple(
        Good(photo.name, photo.sha256, photo.width, photo.height, float(score))
        for photo, score in zip(photos, scores, strict=False)
    )
    limits = _limits(rate, of_scores, of_peaks, maps)
    found = (
        *doubts.about_sizes([(one.name, one.width, one.height) for one in good]),
        *doubts.about_pairs([one.name for one in good], stages),
        *doubts.about_odd_ones([one.name for one in good], [one.score for one in good]),
        *(doubts.about_rate(rate, of_scores) if len(good) > 1 else doubts.about_a_single_one()),
    )
    return Fitted(Part(name, engine.recipe, state, stages, good, limits), (*warnings, *found))


def _single(
    engine: Engine, photo: Photo, support: Stages, state: PyTree[np.ndarray]
) -> tuple[list[float], Float[np.ndarray, "n H W"], Calibration, Calibration]:
    """A photograph by itself: changed copies score too low, halves by models of the other half too high."""
    copies = encode(engine, augment.changed_copies(photo.pixels))
    scores, maps = (np.asarray(x) for x in engine.inspect_stages(state, tuple(map(jnp.asarray, copies))))
    halves = [_half(engine, support, axis=axis, first=first) for axis in (1, 2) for first in (True, False)]
    of_scores = calibration.fit_single(scores.tolist(), [score for score, _ in halves])
    of_peaks = calibration.fit_single(maps.max((1, 2)).tolist(), [peak for _, peak in halves])
    (score,), _ = engine.inspect_stages(state, support)
    return [float(score)], maps, of_scores, of_peaks


def _half(engine: Engine, support: Stages, *, axis: int, first: bool) -> tuple[float, float]:
    """Score and largest value of the map of a half by a model of the other half."""
    known, other = [], []
    for stage in support:
        size = stage.shape[axis]
        ends = [
            jax.lax.slice_in_dim(stage, start, start + max(size // 2, 1), axis=axis) for start in (0, size - size // 2)
        ]
        known.append(ends[0 if first else 1])
        other.append(ends[1 if first else 0])
    (score,), maps = engine.inspect_stages(engine.fit(tuple(known), jax.random.key(0)), tuple(other))
    return float(score), float(maps.max())


def _limits(rate: float, scores: Calibration, peaks: Calibration, maps: Float[np.ndarray, "n H W"]) -> Limits:
    floor, extent = (float(x) for x in np.quantile(maps, [0.5, _EXTENT]))
    unknown = float("nan")
    return limits_at(Limits(rate, scores, peaks, unknown, unknown, unknown, extent, floor, unknown), rate)


def limits_at(limits: Limits, rate: float) -> Limits:
    """The limits for another false-positive rate.

    Args:
        limits: of a part.
        rate: of false positives, in (0, 1).

    Returns:
        Limits from the same calibration.
    """
    threshold, seed = (calibration.threshold(x, rate) for x in (limits.scores, limits.peaks))
    return limits._replace(
        rate=rate,
        threshold=threshold,
        borderline=min(calibration.lower_threshold(limits.scores, rate), threshold),
        seed=seed,
        extent=min(limits.extent, seed),
        ceiling=seed + max(seed - limits.floor, 0.0),
    )


def _copies(photos: Sequence[Photo], chosen: Sequence[Photo]) -> tuple[str, ...]:
    surplus = len(photos) - len(chosen)
    if not surplus:
        return ()
    return (f"{surplus} of {len(photos)} images are copies of others or known already, and do not count",)
