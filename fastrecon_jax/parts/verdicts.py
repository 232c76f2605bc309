"""Good, borderline or defective: what score, what is missing and what was seen before mean by a part's limits."""

import math
from typing import NamedTuple

from fastrecon_jax.parts import calibration
from fastrecon_jax.parts.limits import TENTH, Limits

GOOD, BORDERLINE, DEFECTIVE = VERDICTS = ("good", "borderline", "defective")
LACKS = "something that all good images show is not found"
MAY_LACK = "something that all good images show may be missing"
LOW = "it scores lower than any good image would: is the part there?"


class Decision(NamedTuple):
    """A verdict and what it rests on.

    Attributes:
        verdict: good, borderline or defective.
        reason: why, where the score alone does not say so, and which picture it repeats; empty otherwise.
        p_value: probability that a good photograph scores at least as high, by the part's calibration.
        confidence: from 0, surely good, to 1, surely defective; a half at the threshold.
    """

    verdict: str
    reason: str
    p_value: float
    confidence: float


def decide(
    limits: Limits, score: float, missing: float | None = None, *, known: str = "", before: str = ""
) -> Decision:
    """The verdict on a photograph.

    It is defective if its score is above the threshold or it lacks more than good ones do, borderline if that would be
    so if the few good images told everything, if its score is lower than any of theirs, or if it repeats the picture
    `before` it, as a stuck camera does. `known` names the good photograph of the part that it is.
    """
    lacks = missing if limits.missing is not None else None
    defective = score > limits.threshold or (lacks is not None and lacks > limits.missing)
    may_lack = lacks is not None and lacks > limits.missing_borderline
    low = limits.lowest is not None and score < limits.lowest and not known
    borderline = score > limits.borderline or may_lack or low or bool(before)
    verdict = DEFECTIVE if defective else BORDERLINE if borderline else GOOD
    reasons = (
        LACKS if lacks is not None and lacks > limits.missing else MAY_LACK if may_lack else "",
        LOW if low else "",
        f"the same picture as {before} before it" if before else "",
        f"the same picture as {known}, one of the good images" if known else "",
    )
    p_value = calibration.p_value(limits.scores, score)
    confidence = _confidence(limits, verdict, p_value, lacks)
    return Decision(verdict, "; ".join(reason for reason in reasons if reason), p_value, confidence)


def _confidence(limits: Limits, verdict: str, p_value: float, lacks: float | None) -> float:
    """The rate relative to it and the p-value, r / (r + p), of the score or of what is missing, the larger one.

    It is a half where the p-value is the rate, which is at the threshold. What else makes a verdict keeps it within
    that verdict's part of the scale.
    """
    value = _share(limits.rate, p_value)
    if lacks is not None and limits.lacks is not None:
        value = max(value, _share(TENTH * limits.rate, calibration.p_value(limits.lacks, lacks)))
    at_borderline = min(_share(limits.rate, calibration.p_value(limits.scores, limits.borderline)), 0.5)
    lowest, highest = {
        GOOD: (0.0, at_borderline),
        BORDERLINE: (at_borderline, 0.5),
        DEFECTIVE: (math.nextafter(0.5, 1), 1.0),
    }[verdict]
    return min(max(value, lowest), highest)


def _share(rate: float, p_value: float) -> float:
    return rate / (rate + p_value)
