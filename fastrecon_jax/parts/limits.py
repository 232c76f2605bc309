"""What the scores and maps of a part's good photographs say about those to come: thresholds and colours."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fastrecon_jax.parts import calibration
from fastrecon_jax.parts.calibration import Calibration

TENTH = 0.1  # share of the rate at which a photograph lacks too much, and at which its score is too low
_RATES = 1e-9, 1 - 1e-9  # the quantiles of a distribution are finite between these
_CLEAR = 4 * calibration.TYPICAL_SPREAD  # above the centre, as a logarithm, where good images are hardly expected
_BELOW = 0.05  # how far below a frame without the part, as a logarithm, another such frame may lie


class EmptyFrame(NamedTuple):
    """How a frame without the part, or half of it, looks to the part.

    Attributes:
        name: name of the frame, see `empty_frames`.
        score: its image score.
        missing: what it lacks; None where the method cannot tell.
    """

    name: str
    score: float
    missing: float | None


class Limits(NamedTuple):
    """What the scores and maps of good photographs tell about those to come.

    Attributes:
        rate: the false-positive rate that was asked for, a share of good photographs in (0, 1).
        scores: calibration of the image scores.
        peaks: calibration of the largest values of the maps.
        threshold: image score above which a photograph is defective.
        borderline: image score above which it is at least borderline, at most the threshold.
        seed: value of the map that a defect region reaches somewhere.
        extent: value of the map above which such a region extends, at most `seed`, in parts of formats up to 5; None in
            those since, where it ends at a share of its own peak above `floor`, see `regions.masks`.
        floor: median of the maps of good photographs, the first colour of every picture.
        ceiling: value of the map that has the last colour of every picture.
        lacks: calibration of what photographs lack of the good ones; None where the method cannot tell.
        missing: what a photograph must lack more than to be defective; None likewise.
        missing_borderline: the same to be at least borderline, at most `missing`.
        lowest: image score below which a photograph is not good; None for parts of older formats, which had none.
        empty: frames without the part, which must not be good.
    """

    rate: float
    scores: Calibration
    peaks: Calibration
    threshold: float
    borderline: float
    seed: float
    extent: float | None
    floor: float
    ceiling: float
    lacks: Calibration | None = None
    missing: float | None = None
    missing_borderline: float | None = None
    lowest: float | None = None
    empty: tuple[EmptyFrame, ...] = ()


def from_held_out(
    rate: float,
    scores: Calibration,
    peaks: Calibration,
    maps: Float[np.ndarray, "..."],
    lacks: Calibration | None = None,
    empty: Sequence[EmptyFrame] = (),
) -> Limits:
    """The limits at a false-positive rate, from calibrations and maps of good photographs, held out."""
    floor, unknown = float(np.median(maps)), float("nan")
    limits = Limits(rate, scores, peaks, unknown, unknown, unknown, None, floor, unknown)
    return at_rate(limits._replace(lacks=lacks, lowest=unknown, empty=tuple(empty)), rate)


def at_rate(limits: Limits, rate: float) -> Limits:
    """The limits for another false-positive rate, by the same calibrations.

    What a photograph lacks is judged at a tenth of the rate, so that both together exceed it by no more than that.
    """
    threshold, seed = (calibration.threshold(x, rate) for x in (limits.scores, limits.peaks))
    limits = limits._replace(
        rate=rate,
        threshold=threshold,
        # Above a rate of one half the two would change places.
        borderline=min(calibration.lower_threshold(limits.scores, rate), threshold),
        seed=seed,
        extent=None if limits.extent is None else min(limits.extent, seed),
        # The seed lies in the middle of the colours, so that good parts stay in their lower half.
        ceiling=seed + max(seed - limits.floor, 0.0),
    )
    if limits.lowest is not None:
        limits = limits._replace(lowest=calibration.low_threshold(limits.scores, TENTH * rate))
    if limits.lacks is not None:
        missing = calibration.threshold(limits.lacks, TENTH * rate)
        borderline = min(calibration.lower_threshold(limits.lacks, TENTH * rate), missing)
        limits = limits._replace(missing=missing, missing_borderline=borderline)
    return _below_empty(limits)


def _below_empty(limits: Limits) -> Limits:
    """Lower borderlines below the frames without the part that would be good, where good images stay lower still."""
    for frame in limits.empty:
        if not passing(limits._replace(empty=(frame,))):
            continue
        if frame.missing is not None and frame.missing > (clear := _clear(limits.lacks, limits.rate)):
            limits = limits._replace(missing_borderline=max(clear, frame.missing * math.exp(-_BELOW)))
        elif frame.score > (clear := _clear(limits.scores, limits.rate)):
            limits = limits._replace(borderline=max(clear, frame.score * math.exp(-_BELOW)))
    return limits


def _clear(of: Calibration, rate: float) -> float:
    """What good images exceed at most at the rate, if the few that are there tell everything.

    The spread of fewer than 4 is a guess, and a wide one: there it is what they hardly reach with a typical spread.
    """
    limit = calibration.lower_threshold(of, rate)
    return limit if of.count >= calibration.MEASURABLE else min(limit, math.exp(of.centre + _CLEAR))


def passing(limits: Limits) -> tuple[EmptyFrame, ...]:
    """The frames without the part that would be good."""

    def passes(frame: EmptyFrame) -> bool:
        lacks = frame.missing is not None and frame.missing > limits.missing_borderline
        low = limits.lowest is not None and frame.score < limits.lowest
        return not (lacks or low or frame.score > limits.borderline)

    return tuple(frame for frame in limits.empty if passes(frame))


def at_threshold(limits: Limits, threshold: float) -> Limits:
    """The limits for the false-positive rate that belongs to a threshold of the image score.

    What regions need and what may be missing move along; the colours stay, so that pictures of one part can be
    compared.
    """
    if threshold == limits.threshold:
        return limits
    rate = float(np.clip(calibration.p_value(limits.scores, threshold), *_RATES))
    moved = at_rate(limits, rate)._replace(threshold=threshold, ceiling=limits.ceiling)
    lowest = None if moved.lowest is None else min(moved.lowest, threshold)
    return moved._replace(borderline=min(moved.borderline, threshold), lowest=lowest)
