"""Figures that some data sets prescribe agree with slow versions of their definitions and with examples by hand."""

import itertools

import numpy as np
import pytest

from fastrecon_jax import metrics
from fastrecon_jax.errors import InputError
from fastrecon_jax.metrics import Defect, OverlapCurve, PooledF1


def images(seed, count=5, levels=20):
    """Masks with a few defects, some of which overlap, and maps with many ties, whose values float16 holds exactly."""
    rng = np.random.default_rng(seed)
    maps, masks, defects = [], [], []
    for i in range(count):
        maps.append(rng.integers(-3, levels, (9, 12)).astype(np.float32) / 8)
        own = []
        for _ in range(0 if i == 0 else rng.integers(1, 4)):
            mask = np.zeros((9, 12), bool)
            top, left = rng.integers(0, 6), rng.integers(0, 8)
            mask[top : top + rng.integers(1, 4), left : left + rng.integers(1, 5)] = True
            own.append(Defect(mask, int(rng.integers(1, mask.sum() + 1))))
        defects.append(own)
        masks.append(np.any([defect.mask for defect in own], axis=0) if own else np.zeros((9, 12), bool))
    return maps, masks, defects


def slow_spro(maps, masks, defects, limit):
    """The curve point by point, mean of min(|A ∩ P| / s, 1) against FP / N, then trapezoids up to the limit."""
    normal = np.concatenate([scores[~mask] for scores, mask in zip(maps, masks, strict=True)])
    points = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate([scores.ravel() for scores in maps]))[::-1]:
        overlaps = [
            min(np.sum((scores >= threshold) & defect.mask) / defect.saturation, 1)
            for scores, own in zip(maps, defects, strict=True)
            for defect in own
        ]
        points.append((np.mean(normal >= threshold), np.mean(overlaps)))
    area = 0.0
    for (x, y), (next_x, next_y) in itertools.pairwise(points):
        if x < limit and next_x > x:
            end = min(next_x, limit)
            height = y + (next_y - y) * (end - x) / (next_x - x)
            area += (end - x) * (y + height) / 2
    return area / limit


@pytest.mark.parametrize("limit", [0.02, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_saturated_overlap_agrees_with_its_definition(seed, limit):
    maps, masks, defects = images(seed)
    curve = OverlapCurve()
    for scores, mask, own in zip(maps, masks, defects, strict=True):
        curve.add_defects(scores, mask, own)
    assert curve.area(limit=limit) == pytest.approx(slow_spro(maps, masks, defects, limit), rel=1e-12)


def test_saturated_overlap_by_hand():
    """Of a defect of four pixels two are enough, of one of two both are needed; ten pixels are normal."""
    first, second = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    first[0], second[3, :2] = True, True
    scores = np.zeros((4, 4), np.float32)
    scores[0] = 9, 7, 1, 1
    scores[3, :2] = 9, 3
    scores[1, 0], scores[1, 1] = 8, 5  # normal
    defects = [Defect(first, 2), Defect(second, 2)]
    curve = OverlapCurve()
    curve.add_defects(scores, first | second, defects)
    # Down the thresholds 9, 8, 7, 5, 3: sPRO 1/2, 1/2, 3/4, 3/4, 1 at FPR 0, 0.1, 0.1, 0.2, 0.2.
    assert curve.area(limit=0.1) == pytest.approx(0.5)
    assert curve.area(limit=0.2) == pytest.approx((0.05 + 0.075) / 0.2)
    # Then one line from (0.2, 1) to (1, 1), since everything is found.
    assert curve.area(limit=1.0) == pytest.approx(0.05 + 0.075 + 0.8)


@pytest.mark.parametrize("limit", [0.05, 0.3])
def test_regions_agree_with_the_metric_that_sorts(limit):
    maps, masks, _ = images(7, count=8)
    curve = OverlapCurve()
    for scores, mask in zip(maps, masks, strict=True):
        curve.add_regions(scores, mask)
    stacked = np.stack(masks)
    expected = metrics.aupro(metrics.rank(stacked, np.stack(maps)), metrics.region_weights(stacked), limit=limit)
    assert curve.area(limit=limit) == pytest.approx(expected, rel=1e-12)


def test_scores_of_any_size_are_nearly_exact():
    rng = np.random.default_rng(3)
    _, masks, _ = images(3, count=8)
    maps = np.exp(rng.normal(0, 6, (8, 9, 12))).astype(np.float32) * rng.choice([-1, 1], (8, 9, 12)).astype(np.float32)
    curve = OverlapCurve()
    for scores, mask in zip(maps, masks, strict=True):
        curve.add_regions(scores, mask)
    stacked = np.stack(masks)
    expected = metrics.aupro(metrics.rank(stacked, maps), metrics.region_weights(stacked), limit=0.3)
    assert curve.area(limit=0.3) == pytest.approx(expected, abs=2e-3)


def test_curves_without_a_defect_or_a_normal_pixel_have_no_area():
    good, defective = OverlapCurve(), OverlapCurve()
    good.add_regions(np.ones((3, 3), np.float32), np.zeros((3, 3), bool))
    defective.add_defects(np.ones((3, 3), np.float32), np.ones((3, 3), bool), [Defect(np.ones((3, 3), bool), 2)])
    assert good.area(limit=0.3) is defective.area(limit=0.3) is OverlapCurve().area(limit=0.3) is None


def test_what_cannot_be_counted_is_refused():
    curve, clean = OverlapCurve(), np.zeros((2, 2), bool)
    with pytest.raises(InputError, match="1 of 4 scores are NaN or infinite"):
        curve.add_regions(np.array([[0, 1], [2, np.nan]], np.float32), clean)
    with pytest.raises(ValueError, match="expected the same shape"):
        curve.add_regions(np.zeros((3, 2), np.float32), clean)
    with pytest.raises(ValueError, match="a defect has 0 pixels and saturation 1"):
        curve.add_defects(np.zeros((2, 2), np.float32), clean, [Defect(clean, 1)])
    with pytest.raises(ValueError, match="limit is 0"):
        curve.area(limit=0.0)


def test_seg_f1_is_pooled_above_the_threshold_of_good_images():
    maps, masks, _ = images(5)
    rng = np.random.default_rng(0)
    good = [rng.normal(0.4, 0.2, (9, 12)).astype(np.float32) for _ in range(3)]
    figure = PooledF1()
    for scores in good:
        figure.add_good(scores)
    flat = np.stack(good).astype(np.float64)
    assert figure.threshold == pytest.approx(flat.mean() + 3 * flat.std())
    for scores, mask in zip(maps, masks, strict=True):
        figure.add(scores, mask)
    found, marked = np.stack(maps) > figure.threshold, np.stack(masks)
    precision, recall = np.mean(marked[found]), np.mean(found[marked])
    assert figure.value == pytest.approx(2 * precision * recall / (precision + recall))


def test_seg_f1_needs_good_images_and_a_defect():
    figure = PooledF1()
    with pytest.raises(ValueError, match="the threshold needs"):
        figure.add(np.zeros((2, 2), np.float32), np.zeros((2, 2), bool))
    figure.add_good(np.zeros((2, 2), np.float32))
    figure.add(np.zeros((2, 2), np.float32), np.zeros((2, 2), bool))
    assert figure.value is None
    assert metrics.f1(0, 5, 3) == 0


def test_an_object_is_as_bad_as_its_worst_view():
    groups = ["b", "a", "b", "a", "c"]
    names, labels, scores = metrics.worst(
        groups, np.array([False, False, True, False, False]), np.array([0.1, 0.3, 0.2, 0.5, 0.4])
    )
    assert names == ["b", "a", "c"]
    assert labels.tolist() == [True, False, False]
    assert scores.tolist() == [0.2, 0.5, 0.4]
