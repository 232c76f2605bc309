"""From the scores of a few held-out good images to a threshold, p-values, and what they are worth."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

TYPICAL_SPREAD, TYPICAL_DEGREES = 0.1, 4
MEASURABLE = 4  # scores whose spread is taken as it is
_GUESSED_SPREAD = 0.15  # of what a single image guesses about others: how they differ, and how far the guess is off
_MINIMUM = 1e-12  # a score of zero has no logarithm
_DRAWS, _CONFIDENCE = 20_000, 0.9  # of the simulated interval
_LARGEST = 700.0  # exp(709.8) is the largest double


class Calibration(NamedTuple):
    """The logarithm of a good image's score, as far as the held-out scores tell: a t distribution.

    Attributes:
        centre: mean of the logarithms.
        spread: their standard deviation.
        degrees: degrees of freedom of the spread, at least 1.
        count: number of held-out scores that these come from.
    """

    centre: float
    spread: float
    degrees: int
    count: int


def fit(scores: Sequence[float], *, typical: bool = False) -> Calibration:
    """Calibrate on at least 2 scores of good images, each by a model that has not seen it.

    Scores are positive, and their logarithms are taken as normal. The models know one image less than the one whose
    scores will be judged, which makes the threshold a little too high rather than too low. The spread of fewer than 4
    scores is hardly known, and two images score each other alike: there it is drawn to `TYPICAL_SPREAD` with the weight
    of `TYPICAL_DEGREES` more scores; with `typical` that of any number is. ValueError if scores are negative or not
    finite.

    References:
        Prediction intervals of a normal sample: Hahn and Meeker, Statistical Intervals, 1991, chapter 4.
    """
    logs = _logarithms(scores)
    if len(logs) < 2:
        raise ValueError(f"a calibration needs at least 2 scores, got {len(logs)}")
    # s^2 = sum (x - mean)^2 / (n - 1); for few scores pooled with the typical spread, by degrees of freedom.
    degrees, squares = len(logs) - 1, float(np.sum(np.square(logs - logs.mean())))
    if typical or len(logs) < MEASURABLE:
        degrees += TYPICAL_DEGREES
        squares += TYPICAL_DEGREES * TYPICAL_SPREAD**2
    return Calibration(float(logs.mean()), math.sqrt(squares / degrees), degrees, len(logs))


def fit_single(changed: Sequence[float], halves: Sequence[float]) -> Calibration:
    """A guess from one image: good images score higher than its changed copies and lower than its other half.

    It is centred between the scores of the copies and those of the halves (each half by a model of the other), as wide
    as they are apart, with the weight of 2 scores. ValueError if one of them is empty, negative or not finite.
    """
    low, high = (float(_logarithms(scores).mean()) for scores in (changed, halves))
    return fit([math.exp(low), math.exp(high)])


def guess_single(changed: Sequence[float], halves: Sequence[float]) -> Calibration:
    """A guess from one image with the same centre, where frames without the part are told by what they lack.

    They lack so much that a guess of the spread of good images will do. ValueError as by `fit_single`.
    """
    return fit_single(changed, halves)._replace(spread=_GUESSED_SPREAD, degrees=TYPICAL_DEGREES, count=1)


def _logarithms(scores: Sequence[float]) -> Float[np.ndarray, " n"]:
    values = np.asarray(scores, np.float64)
    if not len(values) or not np.all(np.isfinite(values)) or np.any(values < 0):
        raise ValueError(f"scores must be finite and at least 0, got {list(scores)}")
    return np.log(np.maximum(values, _MINIMUM))


def threshold(calibration: Calibration, rate: float) -> float:
    """The score that a good image exceeds with a probability of `rate`, averaged over what few images may mean.

    The end of the prediction interval of one more score: exp(centre + t_(1 - rate, degrees) spread sqrt(1 + 1 / n)).
    """
    return _score(calibration, _deviations(rate, calibration.degrees) * _widening(calibration))


def lower_threshold(calibration: Calibration, rate: float) -> float:
    """The same if the few images told the mean and the spread of all good images exactly, as a normal quantile.

    It is lower than `threshold`; between them more good images may decide either way.
    """
    from scipy import special  # not above: it takes a while to import

    return _score(calibration, -float(special.ndtri(rate)))


def low_threshold(calibration: Calibration, rate: float) -> float:
    """The score that a good image falls below with a probability of `rate`: the interval's other end."""
    return _score(calibration, -_deviations(rate, calibration.degrees) * _widening(calibration))


def p_value(calibration: Calibration, score: float) -> float:
    """Probability that a good image scores at least as high; below a rate exactly above that rate's `threshold`."""
    from scipy import special  # not above: it takes a while to import

    distance = math.log(max(score, _MINIMUM)) - calibration.centre
    scale = calibration.spread * _widening(calibration)
    if scale == 0:  # all held-out scores are equal
        return float(distance <= 0)
    return float(special.stdtr(calibration.degrees, -distance / scale))


def rate_interval(calibration: Calibration, rate: float) -> tuple[float, float]:
    """What the false-positive rate may really be at the threshold for `rate`, with 90 % confidence.

    These are the 5 % and 95 % quantiles of the true rate over repeated samples of as many images, by simulation with a
    fixed seed.
    """
    from scipy import special  # not above: it takes a while to import

    # In units of the true spread, with the true mean at 0: the mean of n scores is N(0, 1/n), their spread
    # sqrt(chi^2_d / d), and a good image exceeds the threshold t_(1 - rate) spread sqrt(1 + 1/n) + mean at the rate of
    # the normal tail beyond it.
    rng = np.random.default_rng(0)
    mean = rng.standard_normal(_DRAWS) / math.sqrt(calibration.count)
    spread = np.sqrt(rng.chisquare(calibration.degrees, _DRAWS) / calibration.degrees)
    true = special.ndtr(-mean - _deviations(rate, calibration.degrees) * _widening(calibration) * spread)
    low, high = np.quantile(true, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(low), float(high)


def _deviations(rate: float, degrees: int) -> float:
    """What Student's t exceeds with a probability of `rate`; scipy.stats says the same, and takes 0.6 s to import."""
    from scipy import special  # not above: it takes a while to import

    return -float(special.stdtrit(degrees, rate))


def _widening(calibration: Calibration) -> float:
    return math.sqrt(1 + 1 / calibration.count)


def _score(calibration: Calibration, deviations: float) -> float:
    return math.exp(min(calibration.centre + deviations * calibration.spread, _LARGEST))
