"""Drift: whether images that pass (good or borderline) have come to look or score otherwise than the part's good ones.

For each of four quantities (score, brightness, contrast, sharpness) the logarithms of the last 20, 50 and 200 images
that passed are compared with those of the good photographs by Student's t for two samples: with few good photographs it
asks for as large a difference as their own mean is uncertain. The tests of a part share one rate of false alarms over a
run of any length: test number j of a window takes 1 / (j (j + 1)) of its window's share, which sums to 1.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from fastrecon_jax.parts import appearance
from fastrecon_jax.parts.part import Part

WINDOWS = (20, 50, 200)  # images that passed
RATE = 0.001  # share of runs without drift in which anything is said of a part, at most
UNKNOWN = "the part was fitted before brightness, contrast and sharpness were kept: drift in them is not noticed"
_SPREAD = 0.01  # least spread of a logarithm: differences far below 1 % are of no interest
_MINIMUM = 1e-6  # a quantity of zero has no logarithm
_WORDS = {
    "score": ("score {} lower", "score {} higher"),
    "brightness": ("are {} darker", "are {} brighter"),
    "contrast": ("have {} less contrast", "have {} more contrast"),
    "sharpness": ("are {} less sharp", "are {} sharper"),
}


class Reference(NamedTuple):
    """The logarithms of a quantity on the good photographs.

    Attributes:
        centre: their mean.
        spread: their standard deviation, 0 if it is not known.
        degrees: degrees of freedom of the spread, 0 if it is not known.
        count: how many they are.
    """

    centre: float
    spread: float
    degrees: int
    count: int


class Monitor:
    """Hears of each image that passed, in a memory that does not grow; says each kind of drift once.

    It compares the quantities of which the part knows something, see `references`.
    """

    def __init__(self, known: Mapping[str, Reference], *, rate: float = RATE):
        self._rate, self._references = rate, known
        self._share = rate / max(1, len(known) * len(WINDOWS))
        self._windows = {name: [_Window(size) for size in WINDOWS] for name in known}

    def add(self, score: float, pixels: UInt8[np.ndarray, "H W 3"]) -> str:
        """Take an image that passed, its score and its preprocessed pixels; what is to be said, mostly nothing."""
        return self.take({"score": score} | appearance.measure(pixels)._asdict())

    def take(self, values: Mapping[str, float]) -> str:
        """The same for quantities by name."""
        said = []
        for name in list(self._windows):
            logarithm = _logarithm(values[name])
            for window in self._windows[name]:
                window.add(logarithm)
            found = [text for window in self._windows[name] if (text := self._look(name, window))]
            if found:
                said.append(found[-1])  # of several windows that end together the longest
                del self._windows[name]
        return "; ".join(said)

    def _look(self, name: str, window: "_Window") -> str:
        """Test a window that is full, and begin it anew."""
        if window.count < window.size:
            return ""
        reference, mean = self._references[name], window.mean
        p = p_value(reference, window.size, mean, window.squares, one_sided=name == "score")
        window.restart()
        if p >= self._share / (window.tests * (window.tests + 1)):
            return ""
        change = math.expm1(mean - reference.centre)
        words = _WORDS[name][change > 0].format(f"{100 * abs(change):.2g} %")
        return f"the last {window.size} images that passed {words} than the good ones (p < {self._rate:g})"


class _Window:
    """Mean and sum of squared deviations of at most `size` numbers, one after the other (Welford), and tests so far."""

    def __init__(self, size: int):
        self.size, self.tests = size, 0
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        self.count += 1
        before = value - self.mean
        self.mean += before / self.count
        self.squares += before * (value - self.mean)

    def restart(self) -> None:
        self.tests += 1
        self.count, self.mean, self.squares = 0, 0.0, 0.0


def references(part: Part) -> dict[str, Reference]:
    """What the good photographs of a part say of each quantity.

    Without the score if there is one photograph, which no other can score; without the rest in parts of older files.
    """
    scores = part.limits.scores
    known = {"score": Reference(scores.centre, scores.spread, scores.degrees, scores.count)}
    if len(part.good) < 2:
        known = {}
    for name in appearance.Appearance._fields if part.appearance else ():
        known[name] = summarise([getattr(one, name) for one in part.appearance])
    return known


def summarise(values: Sequence[float]) -> Reference:
    """Mean and spread of the logarithms of at least one value."""
    logarithms = np.array([_logarithm(value) for value in values])
    spread = float(logarithms.std(ddof=1)) if len(values) > 1 else 0.0
    return Reference(float(logarithms.mean()), spread, len(values) - 1, len(values))


def p_value(reference: Reference, count: int, mean: float, squares: float, *, one_sided: bool) -> float:
    """Probability of a mean of `count` images as far from the good ones, or as far above them, without drift.

    Both samples are taken as normal with the same spread, `squares` being the sum of squared deviations in the window.
    The spread is that of both together, or that of the good photographs where it is larger, which is cautious.
    """
    from scipy import special  # not above: it takes a while to import

    degrees = reference.degrees + count - 1
    pooled = (reference.degrees * reference.spread**2 + squares) / degrees
    spread = max(math.sqrt(pooled), reference.spread, _SPREAD)
    t = (mean - reference.centre) / (spread * math.sqrt(1 / reference.count + 1 / count))
    return float(special.stdtr(degrees, -t)) if one_sided else 2 * float(special.stdtr(degrees, -abs(t)))


def _logarithm(value: float) -> float:
    return math.log(max(value, _MINIMUM))
