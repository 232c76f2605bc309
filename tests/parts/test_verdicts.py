"""Verdicts, their reasons and their confidence, by limits made by hand."""

import math

import numpy as np
import pytest

from fastrecon_jax.parts import calibration, limits, repeats, verdicts
from fastrecon_jax.parts.limits import EmptyFrame
from tests.parts.helpers import photo

SCORES = [3.1, 2.7, 3.6, 3.0, 2.9, 3.3, 3.4, 2.8]
MAPS = np.linspace(0, 4, 200).reshape(2, 10, 10)


def made(rate=0.01, *, lacks=SCORES, scores=SCORES, empty=()):
    of_lacks = None if lacks is None else calibration.fit(lacks, typical=True)
    of_scores = calibration.fit(scores)
    return limits.from_held_out(rate, of_scores, of_scores, MAPS, of_lacks, empty)


def test_sides_of_a_verdict():
    by = made()
    ordinary, above, below = 3.0, 1.01 * by.threshold, 0.99 * by.lowest
    assert verdicts.decide(by, ordinary, ordinary)[:2] == ("good", "")
    assert verdicts.decide(by, above, ordinary)[:2] == ("defective", "")
    assert verdicts.decide(by, (by.borderline + by.threshold) / 2, ordinary)[:2] == ("borderline", "")
    assert verdicts.decide(by, below, ordinary)[:2] == ("borderline", verdicts.LOW)
    assert verdicts.decide(by, ordinary, 1.01 * by.missing)[:2] == ("defective", verdicts.LACKS)
    assert verdicts.decide(by, ordinary, 1.01 * by.missing_borderline)[:2] == ("borderline", verdicts.MAY_LACK)
    assert verdicts.decide(by, below, 1.01 * by.missing)[:2] == ("defective", f"{verdicts.LACKS}; {verdicts.LOW}")


def test_pictures_that_were_seen():
    by = made()
    assert verdicts.decide(by, 3.0, 3.0, before="a.png")[:2] == ("borderline", "the same picture as a.png before it")
    known = verdicts.decide(by, 0.0, 0.0, known="a.png")
    assert known[:2] == ("good", "the same picture as a.png, one of the good images")


def test_limits_of_older_parts_have_one_side():
    now = made()
    older = now._replace(extent=1e9, lacks=None, missing=None, missing_borderline=None, lowest=None, empty=())
    assert limits.at_rate(older, 0.05)._replace(extent=None)[:9] == made(0.05)[:9]
    assert limits.at_rate(older, 0.05).extent == made(0.05).seed  # regions extend to what they must reach, at least
    assert limits.at_rate(older._replace(extent=0.5), 0.05).extent == 0.5
    for some in (older, limits.at_rate(older, 0.05), limits.at_threshold(older, 5.0)):
        assert verdicts.decide(some, 0.0, None)[:2] == ("good", "")
        assert some.lowest is None


@pytest.mark.parametrize("rate", [0.3, 0.01, 1e-6])
@pytest.mark.parametrize("threshold", [None, 1e-3, 3.2, 1e6])
@pytest.mark.parametrize("lacks", [None, SCORES])
def test_confidence_rises_with_the_score_and_agrees_with_the_verdict(rate, threshold, lacks):
    by = made(rate, lacks=lacks)
    by = by if threshold is None else limits.at_threshold(by, threshold)
    scores = np.geomspace(by.lowest or 1e-6, max(1e3 * by.threshold, 1e3), 400)
    decided = [verdicts.decide(by, score, 3.0 if lacks else None) for score in scores.tolist()]
    confidence = [one.confidence for one in decided]
    assert confidence == sorted(confidence)
    assert min(confidence) >= 0 and max(confidence) <= 1
    assert [one.confidence > 0.5 for one in decided] == [one.verdict == "defective" for one in decided]
    order = [verdicts.VERDICTS.index(one.verdict) for one in decided]
    assert order == sorted(order)


def test_confidence_is_a_half_at_the_threshold_and_orders_verdicts_by_other_reasons():
    by = made()
    assert verdicts.decide(by, by.threshold, 3.0).confidence == pytest.approx(0.5)
    assert verdicts.decide(by, 3.0, by.missing).confidence == pytest.approx(0.5)
    good, low, missing = (
        verdicts.decide(by, score, lacks).confidence
        for score, lacks in ((3.6, 3.0), (0.5 * by.lowest, 3.0), (3.0, 2 * by.missing))
    )
    assert good < low <= 0.5 < missing
    assert verdicts.decide(by, 3.0, 3.0, before="a").confidence >= good


def test_both_sides_together_keep_the_rate():
    """At 8 good images, false alarms of the score at the rate and of what is missing at a tenth, of one more image."""
    rng, rate, alarms = np.random.default_rng(0), 0.05, []
    for _ in range(400):
        scores, lacks = np.exp(rng.normal(0, 0.1, (2, 8)))
        by = made(rate, lacks=lacks.tolist(), scores=scores.tolist())
        of_new = np.exp(rng.normal(0, 0.1, (50, 2))).tolist()
        alarms += [verdicts.decide(by, *one).verdict == "defective" for one in of_new]
    assert np.mean(alarms) == pytest.approx(1.1 * rate, abs=0.012)


def test_frames_without_the_part_lower_what_is_borderline_but_no_further_than_good_images_reach():
    centre = math.exp(made().lacks.centre)
    plain = made()
    clear = calibration.lower_threshold(plain.lacks, plain.rate)
    between = (clear * plain.missing_borderline) ** 0.5
    caught, near = EmptyFrame("white", 3.0, between), EmptyFrame("tiles", 3.0, centre)
    by = made(empty=(caught, near))
    assert clear <= by.missing_borderline < between
    assert by[:9] == plain[:9] and by.missing == plain.missing
    assert limits.passing(by) == (near,)
    assert verdicts.decide(by, 3.0, between).verdict == "borderline"
    assert limits.at_rate(by, 0.2).empty == by.empty
    # One frame never undoes what another has lowered.
    farther = EmptyFrame("grey", 3.0, 1.001 * between)
    assert made(empty=(caught, farther)).missing_borderline == by.missing_borderline


def test_a_score_of_few_images_is_lowered_where_the_method_cannot_tell_what_is_missing():
    few = [2.0, 4.5]
    plain = made(lacks=None, scores=few)
    frame = EmptyFrame("white", 0.95 * plain.borderline, None)
    assert limits.passing(made(lacks=None, scores=few, empty=(frame,))) == ()
    many = made(lacks=None, empty=(EmptyFrame("white", 0.95 * made().borderline, None),))
    assert many.borderline == made().borderline and len(limits.passing(many)) == 1


def test_the_picture_before_of_each_source():
    seen, first, second = repeats.Repeats(), photo(0), photo(1)
    again = first._replace(name="again.png")
    assert [seen.before(one, "a") for one in (first, again, second, first)] == ["", "0.png", "", ""]
    assert seen.before(first, "b") == ""
    assert seen.before(again, "b") == "0.png"
