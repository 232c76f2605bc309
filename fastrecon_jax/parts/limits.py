"""What the scores and maps of a part's good photographs say about those to come: thresholds and colours."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fastrecon_jax.parts import calibration
from fastrecon_jax.parts.calibration import Calibration

_EXTENT = 0.999  # share of the pixels of held-out good maps below the level where a region ends
_RATES = 1e-9, 1 - 1e-9  # the quantiles of a distribution are finite between these


class Limits(NamedTuple):
    """What the scores and maps of good photographs tell about those to come.

    Attributes:
        rate: the false-positive rate that was asked for, a share of good photographs in (0, 1).
        scores: calibration of the image scores.
        peaks: calibration of the largest values of the maps.
        threshold: image score above which a photograph is defective.
        borderline: image score above which it is at least borderline, at most the threshold.
        seed: value of the map that a defect region reaches somewhere.
        extent: value of the map above which such a region extends, at most `seed`.
        floor: median of the maps of good photographs, the first colour of every picture.
        ceiling: value of the map that has the last colour of every picture.
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


def from_held_out(rate: float, scores: Calibration, peaks: Calibration, maps: Float[np.ndarray, "n H W"]) -> Limits:
    """The limits at a false-positive rate, from two calibrations and the maps of good photographs, held out."""
    floor, extent = (float(x) for x in np.quantile(maps, [0.5, _EXTENT]))
    unknown = float("nan")
    return at_rate(Limits(rate, scores, peaks, unknown, unknown, unknown, extent, floor, unknown), rate)


def at_rate(limits: Limits, rate: float) -> Limits:
    """The limits for another false-positive rate, by the same calibrations."""
    threshold, seed = (calibration.threshold(x, rate) for x in (limits.scores, limits.peaks))
    return limits._replace(
        rate=rate,
        threshold=threshold,
        # Above a rate of one half the two would change places.
        borderline=min(calibration.lower_threshold(limits.scores, rate), threshold),
        seed=seed,
        extent=min(limits.extent, seed),
        # The seed lies in the middle of the colours, so that good parts stay in their lower half.
        ceiling=seed + max(seed - limits.floor, 0.0),
    )


def at_threshold(limits: Limits, threshold: float) -> Limits:
    """The limits for the false-positive rate that belongs to a threshold of the image score.

    What regions need moves along; the colours stay, so that pictures of one part can be compared.
    """
    if threshold == limits.threshold:
        return limits
    rate = float(np.clip(calibration.p_value(limits.scores, threshold), *_RATES))
    return at_rate(limits, rate)._replace(
        threshold=threshold, borderline=min(limits.borderline, threshold), ceiling=limits.ceiling
    )
