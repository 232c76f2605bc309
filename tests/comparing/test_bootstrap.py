"""Resamples against scikit-learn, SciPy and slow loops."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from fastrecon_jax import metrics
from fastrecon_jax.comparing import bootstrap

NAMES = bootstrap.IMAGE_METRICS
RNG = np.random.default_rng(3)
LABELS = RNG.random(40) < 0.6
SCORES = [RNG.normal(size=40) + LABELS, np.round(RNG.normal(size=40) + LABELS), np.zeros(40)]  # the last two have ties


def f1_max(labels, scores, weights):
    values = [
        sklearn.f1_score(labels, scores >= at, sample_weight=weights, zero_division=0) for at in np.unique(scores)
    ]
    return max(values)


def test_images_as_they_are_have_the_metrics_of_the_evaluation():
    found = bootstrap.exact(LABELS, SCORES, NAMES)
    for i, scores in enumerate(SCORES):
        assert {name: found[name][i] for name in NAMES} == pytest.approx(metrics.image_metrics(LABELS, scores))


@pytest.mark.parametrize("scores", SCORES, ids=["distinct", "ties", "all equal"])
def test_a_resample_has_the_metrics_of_its_images_as_scikit_learn_weighs_them(scores):
    rng = np.random.default_rng(0)
    good, defective = (rng.multinomial(n, np.full(n, 1 / n), size=20) for n in ((~LABELS).sum(), LABELS.sum()))
    found = bootstrap._Sorted(LABELS, scores).metrics(good.astype(float), defective.astype(float), NAMES)
    for r in range(20):
        weights = np.zeros(40)
        weights[~LABELS], weights[LABELS] = good[r], defective[r]
        assert found["image_auroc"][r] == pytest.approx(sklearn.roc_auc_score(LABELS, scores, sample_weight=weights))
        precision = sklearn.average_precision_score(LABELS, scores, sample_weight=weights)
        assert found["image_ap"][r] == pytest.approx(precision)
        assert found["image_f1max"][r] == pytest.approx(f1_max(LABELS, scores, weights))


def test_good_and_defective_images_are_resampled_apart_and_alike_for_all_scores():
    found = bootstrap.of_images(LABELS, [SCORES[0], SCORES[0], 2 * SCORES[0]], ["image_auroc"], resamples=300, seed=1)
    same, again, scaled = found["image_auroc"]
    np.testing.assert_array_equal(same, again)
    np.testing.assert_array_equal(same, scaled)
    assert np.ptp(same) > 0.1
    # Against the textbook: images drawn one by one.
    rng, slow = np.random.default_rng(5), []
    for _ in range(2000):
        places = [rng.choice(np.flatnonzero(kind == LABELS), size=(kind == LABELS).sum()) for kind in (False, True)]
        places = np.concatenate(places)
        slow.append(sklearn.roc_auc_score(LABELS[places], SCORES[0][places]))
    quick = bootstrap.of_images(LABELS, [SCORES[0]], ["image_auroc"], resamples=2000, seed=2)["image_auroc"][0]
    np.testing.assert_allclose(np.percentile(quick, [2.5, 50, 97.5]), np.percentile(slow, [2.5, 50, 97.5]), atol=0.015)


def test_blocks_change_nothing(monkeypatch):
    whole = bootstrap.of_images(LABELS, SCORES, NAMES, resamples=50, seed=1)
    monkeypatch.setattr(bootstrap, "_VALUES", 7 * LABELS.size)
    parts = bootstrap.of_images(LABELS, SCORES, NAMES, resamples=50, seed=1)
    for name in NAMES:
        assert parts[name].shape == (3, 50)
        assert parts[name].mean() == pytest.approx(whole[name].mean(), abs=0.05)


def test_draws_of_one_part_are_resampled_as_scipy_does():
    values = np.random.default_rng(1).normal(size=30)
    (means,) = bootstrap.hierarchical(values[None, None, :])
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, rng=0).confidence_interval
    np.testing.assert_allclose(bootstrap.interval(means), theirs, atol=0.03)


def test_each_level_adds_its_variance():
    """Parts, images within them and draws within them, by their known variances."""
    rng = np.random.default_rng(0)
    p, m, d = 30, 400, 4
    values = rng.normal(size=(p, 1, 1)) + rng.normal(size=(p, m, 1)) + rng.normal(size=(p, 1, d))
    of_parts = values.mean(axis=(1, 2)).var() / p
    of_images = values.mean(axis=2).var(axis=1).mean() / p
    of_draws = values.mean(axis=1).var(axis=1).mean() / (p * d)
    (same,) = bootstrap.hierarchical(values, same_parts=True)
    (other,) = bootstrap.hierarchical(values)
    assert same.var() == pytest.approx(of_images + of_draws, rel=0.05)
    assert other.var() == pytest.approx(of_parts + of_images + of_draws, rel=0.05)
    assert same.mean() == pytest.approx(values.mean(), abs=0.01)


def test_two_arrays_share_parts_and_images_and_not_draws():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(6, 50, 1))
    ours, theirs = bootstrap.hierarchical(shared, shared + np.zeros(3), resamples=200)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    ours, theirs = bootstrap.hierarchical(rng.normal(size=(6, 1, 5)), rng.normal(size=(6, 1, 5)), same_parts=True)
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 0.05
