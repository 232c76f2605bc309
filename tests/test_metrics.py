"""The figures of images and of pixels agree with loops over every pair, threshold and region, and with each other."""

import subprocess
import sys

import numpy as np
import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.metrics import (
    aupro,
    auroc,
    average_precision,
    f1_max,
    image_metrics,
    pixel_metrics,
    rank,
    region_weights,
)


def assert_same(got: dict, expected: dict) -> None:
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-12)


def slow_figures(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """AUROC over all pairs; AP and F1-max over all thresholds, each a count."""
    positives, negatives = scores[labels], scores[~labels]
    wins = np.sign(positives[:, None] - negatives) / 2 + 1 / 2
    ap, best, recall_before = 0.0, 0.0, 0.0
    for threshold in np.unique(scores)[::-1]:
        true, false = np.sum(positives >= threshold), np.sum(negatives >= threshold)
        recall = true / positives.size
        ap += (recall - recall_before) * true / (true + false)
        best = max(best, 2 * true / (true + false + positives.size))
        recall_before = recall
    return {"image_auroc": wins.mean(), "image_ap": ap, "image_f1max": best}


def label_regions(mask: np.ndarray) -> np.ndarray:
    """Numbers the 8-connected regions from 1, spreading from pixel to pixel."""
    regions, count = np.zeros(mask.shape, int), 0
    for start in zip(*np.nonzero(mask), strict=True):
        if regions[start]:
            continue
        count += 1
        border = [start]
        while border:
            row, column = border.pop()
            inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
            if inside and mask[row, column] and not regions[row, column]:
                regions[row, column] = count
                border += [(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return regions


def slow_aupro(masks: np.ndarray, maps: np.ndarray, limit: float) -> float:
    """One point of the curve a threshold, by counting; then trapezoids, the last one cut at the limit."""
    labelled = [label_regions(mask) for mask in masks]
    regions = [(i, part == r) for i, part in enumerate(labelled) for r in range(1, part.max() + 1)]
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        above = maps >= threshold
        rates.append(np.mean(above[~masks]))
        overlaps.append(np.mean([np.mean(above[i][region]) for i, region in regions]))
    area = 0.0
    for x0, x1, y0, y1 in zip(rates, rates[1:], overlaps, overlaps[1:], strict=False):
        if x0 < x1 and x0 < limit:
            end = min(x1, limit)
            area += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return area / limit


def random_case(seed: int, levels: int, *, density: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    """Six images, every second one good; `levels` distinct scores at most."""
    rng = np.random.default_rng(seed)
    masks = rng.random((6, 9, 11)) < density
    masks[::2] = False
    maps = rng.integers(0, levels, masks.shape) / levels + 0.3 * masks * rng.integers(0, 2, masks.shape)
    return masks, maps.astype(np.float32)


SCORES = {
    "random": lambda labels, rng: rng.normal(size=labels.size) + labels,
    "tied": lambda labels, rng: rng.integers(0, 4, labels.size) + labels.astype(float),
    "signed zeros": lambda labels, rng: rng.choice([-0.0, 0.0, 1.0], labels.size),
    "constant": lambda labels, rng: np.full(labels.size, 0.25),
    "perfect": lambda labels, rng: labels + rng.random(labels.size) / 2,
    "inverted": lambda labels, rng: rng.random(labels.size) / 2 - labels,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_figures_equal_the_loops(kind, share, dtype):
    rng = np.random.default_rng(7)
    labels = rng.random(400) < share
    scores = SCORES[kind](labels, rng).astype(dtype)
    expected = slow_figures(labels, scores)
    assert_same(image_metrics(labels, scores), expected)
    pixels = pixel_metrics(labels.reshape(4, 10, 10), scores.reshape(4, 10, 10))
    pixels.pop("aupro")
    assert_same(pixels, {name.replace("image", "pixel"): value for name, value in expected.items()})


def test_pixel_figures_are_those_of_all_pixels_together():
    masks, maps = random_case(0, 50)
    expected = slow_figures(masks.ravel(), maps.ravel())
    got = pixel_metrics(masks, maps)
    got.pop("aupro")
    assert_same(got, {name.replace("image", "pixel"): value for name, value in expected.items()})


def test_figures_by_hand():
    labels, scores = np.array([True, True, False, False]), np.array([3.0, 1.0, 2.0, 1.0])
    # pairs won: 2 by the first, 0 and a half by the second; precision 1 at recall 1/2, 2/4 at recall 1
    assert_same(image_metrics(labels, scores), {"image_auroc": 2.5 / 4, "image_ap": 0.75, "image_f1max": 2 / 3})


def test_rank_counts_ties_and_keeps_the_type():
    ranking = rank(np.array([True, False, True, False, True, False]), np.array([2, 2, 0, 3, 2, 1], np.float32))
    assert ranking.scores.dtype == np.float32
    assert [field.tolist() for field in ranking[:5]] == [[0, 2], [1, 0, 1], [3, 2], [3, 1], [3, 2]]
    assert (ranking.num_positives, ranking.num_negatives) == (3, 3)


@pytest.mark.parametrize("limit", [0.05, 0.3, 0.77, 1.0])
@pytest.mark.parametrize("levels", [1, 2, 5, 40, 10**6])
def test_aupro_equals_the_loop_over_thresholds(levels, limit):
    for seed in range(3):
        masks, maps = random_case(seed, levels)
        got = pixel_metrics(masks, maps, limit=limit)["aupro"]
        assert got == pytest.approx(slow_aupro(masks, maps, limit), rel=1e-9)


def test_aupro_of_dense_masks_equals_the_loop():
    masks, maps = random_case(3, 8, density=0.7)
    assert pixel_metrics(masks, maps)["aupro"] == pytest.approx(slow_aupro(masks, maps, 0.3), rel=1e-9)


def test_aupro_by_hand():
    masks, maps = np.zeros((2, 3, 4), bool), np.zeros((2, 3, 4), np.float32)
    masks[0, 0, :2] = True  # a region of two pixels, one of them found
    masks[1, 2, 3] = True  # a region of one pixel, found after 2 of 21 normal pixels
    maps[0, 0, 0] = 3
    maps[0, 2, :2] = 2
    maps[1, 2, 3] = 1
    # the missed pixel is tied with the 19 normal pixels that are left: its ramp starts at 2/21 and ends at 1
    a, limit = 2 / 21, 0.3
    area = 1 / 4 * limit + 1 / 2 * (limit - a) + 1 / 4 * (limit - a) ** 2 / (2 * (1 - a))
    assert pixel_metrics(masks, maps)["aupro"] == pytest.approx(area / limit, rel=1e-6)


def test_aupro_of_a_small_limit_within_one_tie():
    masks, maps = random_case(1, 1)
    maps[:] = 0.5  # the curve is the diagonal
    assert pixel_metrics(masks, maps, limit=0.2)["aupro"] == pytest.approx(0.1)


def test_perfect_maps_score_one_and_inverted_maps_zero():
    masks, _ = random_case(2, 5)
    maps = masks.astype(np.float32)
    assert_same(pixel_metrics(masks, maps), dict.fromkeys(["pixel_auroc", "pixel_ap", "pixel_f1max", "aupro"], 1.0))
    inverted = pixel_metrics(masks, -maps)
    assert (inverted["pixel_auroc"], inverted["aupro"]) == (0.0, 0.0)


def test_regions_join_along_diagonals_and_count_alike():
    mask = np.array(
        [[[1, 0, 0, 0, 1], [0, 1, 0, 0, 1], [0, 0, 0, 0, 1]], [[0] * 5] * 3, [[0] * 5, [0] * 5, [1] * 5]], bool
    )
    # 2 pixels on a diagonal, 3 in a column, 5 in a row of the last image: three regions
    order = [1 / 6, 1 / 9, 1 / 6, 1 / 9, 1 / 9] + [1 / 15] * 5
    np.testing.assert_allclose(region_weights(mask), order, rtol=1e-12)


def test_only_the_order_of_the_scores_counts():
    masks, maps = random_case(4, 30)
    assert_same(pixel_metrics(masks, np.exp(3 * maps.astype(np.float64)) - 7), pixel_metrics(masks, maps))


def test_the_order_of_the_images_does_not_count():
    masks, maps = random_case(5, 30)
    order = np.random.default_rng(0).permutation(len(masks))
    assert_same(pixel_metrics(masks[order], maps[order]), pixel_metrics(masks, maps))


def test_arguments_are_left_as_they_were():
    masks, maps = random_case(6, 30)
    before = masks.copy(), maps.copy()
    pixel_metrics(masks, maps)
    np.testing.assert_array_equal(masks, before[0])
    np.testing.assert_array_equal(maps, before[1])


def test_views_that_are_not_contiguous_are_read_right():
    masks, maps = random_case(8, 30)
    masks, maps = np.moveaxis(masks, 2, 1), np.moveaxis(maps, 2, 1)
    assert pixel_metrics(masks, maps) == pixel_metrics(masks.copy(), maps.copy())


@pytest.mark.parametrize("labels", [np.zeros(3, bool), np.ones(3, bool), np.zeros(0, bool)])
def test_image_figures_of_one_class_are_none(labels):
    scores = np.arange(labels.size, dtype=np.float32)
    assert image_metrics(labels, scores) == {"image_auroc": None, "image_ap": None, "image_f1max": None}


@pytest.mark.parametrize("anomalous", [False, True])
def test_pixel_figures_of_one_class_are_none(anomalous):
    masks, maps = np.full((2, 4, 4), anomalous), np.zeros((2, 4, 4), np.float32)
    assert pixel_metrics(masks, maps) == dict.fromkeys(["pixel_auroc", "pixel_ap", "pixel_f1max", "aupro"])


def test_every_figure_is_a_plain_float():
    ranking = rank(np.array([True, False]), np.array([1.0, 0.0], np.float32))
    figures = [auroc(ranking), average_precision(ranking), f1_max(ranking), aupro(ranking, np.ones(1))]
    figures += image_metrics(np.array([True, False]), np.array([1.0, 0.0], np.float32)).values()
    assert [type(figure) for figure in figures] == [float] * 7


def test_scikit_learn_is_imported_where_it_is_used():
    code = "import sys, fastrecon_jax.metrics; assert not {'sklearn', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scores_that_are_not_finite_are_counted():
    masks, maps = random_case(9, 5)
    maps[0, 0, :3] = [np.nan, np.nan, -np.inf]
    with pytest.raises(InputError, match="2 NaN and 1 infinite of 594 scores"):
        pixel_metrics(masks, maps)
    with pytest.raises(InputError, match="1 NaN and 0 infinite of 2 scores"):
        image_metrics(np.array([True, False]), np.array([np.nan, 0.0]))


def test_shapes_that_differ_are_quoted():
    masks, maps = random_case(9, 5)
    with pytest.raises(ValueError, match=r"labels have shape \(6, 9, 11\) and scores \(6, 9, 10\)"):
        pixel_metrics(masks, maps[:, :, 1:])
    with pytest.raises(ValueError, match=r"labels have shape \(6,\) and scores \(5,\)"):
        image_metrics(masks[:, 0, 0], maps[1:, 0, 0])


def test_masks_without_the_axis_of_images_are_refused():
    masks, maps = random_case(9, 5)
    with pytest.raises(ValueError, match=r"masks have shape \(9, 11\), expected \(n, H, W\)"):
        pixel_metrics(masks[1], maps[1])


def test_labels_that_are_not_bool_are_refused():
    with pytest.raises(ValueError, match="labels have dtype uint8, expected bool"):
        rank(np.array([0, 255], np.uint8), np.array([0.0, 1.0]))


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.5, float("nan")])
def test_limits_that_are_no_rate_are_refused(limit):
    masks, maps = random_case(9, 5)
    with pytest.raises(ValueError, match=r"limit is .*, expected a false positive rate in \(0, 1\]"):
        pixel_metrics(masks, maps, limit=limit)


def test_weights_of_other_masks_are_refused():
    masks, maps = random_case(9, 5)
    with pytest.raises(ValueError, match=r"weights have shape \(1,\), expected one for each of \d+ positives"):
        aupro(rank(masks, maps), np.ones(1))
