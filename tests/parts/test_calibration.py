import numpy as np
import pytest
from scipy import stats

from fastrecon_jax.parts import calibration

SCORES = [3.1, 2.7, 3.6, 3.0, 2.9, 3.3, 3.4, 2.8]


@pytest.mark.parametrize("rate", [0.2, 0.05, 0.01])
def test_p_value_and_threshold_belong_together(rate):
    fitted = calibration.fit(SCORES)
    threshold = calibration.threshold(fitted, rate)
    assert calibration.p_value(fitted, threshold) == pytest.approx(rate)
    assert calibration.p_value(fitted, 1.01 * threshold) < rate
    assert calibration.lower_threshold(fitted, rate) < threshold


@pytest.mark.parametrize("count", [4, 8, 30])
@pytest.mark.parametrize("rate", [0.05, 0.01])
def test_good_scores_pass_the_threshold_as_often_as_asked_for(count, rate):
    rng = np.random.default_rng(count)
    rates, inside = [], 0
    interval = calibration.rate_interval(calibration.fit(np.exp(rng.normal(size=count)).tolist()), rate)
    for _ in range(2000):
        fitted = calibration.fit(np.exp(rng.normal(2, 0.3, count)).tolist())
        rates.append(stats.norm.sf((np.log(calibration.threshold(fitted, rate)) - 2) / 0.3))
        inside += interval[0] <= rates[-1] <= interval[1]
    assert np.mean(rates) == pytest.approx(rate, rel=0.15)
    assert 0.88 <= inside / 2000 <= 0.92


def test_more_images_narrow_the_interval():
    few, many = (calibration.rate_interval(calibration.fit(SCORES * n), 0.05) for n in (1, 8))
    assert few[0] < many[0] < 0.05 < many[1] < few[1]


def test_the_spread_of_two_scores_is_not_taken_at_its_word():
    alike, apart = calibration.fit([3.0, 3.0]), calibration.fit([3.0, 6.0])
    assert alike.spread == pytest.approx(np.sqrt(4 * 0.1**2 / 5))
    assert apart.spread < np.std(np.log([3.0, 6.0]), ddof=1)
    assert calibration.fit([3.0] * 4).spread == 0


def test_one_image_is_judged_between_its_copies_and_its_halves():
    fitted = calibration.fit_single([2.0, 2.1, 1.9], [4.0, 4.4])
    assert np.log(2) < fitted.centre < np.log(4.2)
    assert calibration.threshold(fitted, 0.05) > 4.2


def test_equal_scores():
    fitted = calibration.fit([2.0] * 5)
    assert calibration.threshold(fitted, 0.01) == pytest.approx(2.0)
    assert (calibration.p_value(fitted, 1.9), calibration.p_value(fitted, 2.1)) == (1, 0)


def test_scores_of_zero_are_allowed():
    assert calibration.p_value(calibration.fit([0.0, 1.0, 2.0, 1.5]), 0.0) > 0.1


@pytest.mark.parametrize("scores", [[], [1.0], [1.0, float("nan")], [1.0, float("inf")], [1.0, -1.0]])
def test_scores_that_are_none(scores):
    with pytest.raises(ValueError, match="score"):
        calibration.fit(scores)
