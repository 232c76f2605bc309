"""How well scores separate anomalous from normal: AUROC, AP, F1-max and AUPRO, exact in the presence of ties.

Image-level metrics, over hundreds of scores, are scikit-learn's. Pixel-level metrics, over millions, come from a single
sort, since each is a function of a few counts: for each distinct score of a positive, the positives at or above it, the
negatives above it, and the negatives at or above it. `rank` counts once, and the metrics use its counts.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import ndimage

from fastrecon_jax.errors import InputError

_EIGHT_CONNECTED = np.ones((3, 3), bool)


class Ranking(NamedTuple):
    """Where the p positives stand among the negatives, counted at the d distinct scores of the positives.

    Attributes:
        scores: distinct scores of the positives, ascending, (d,).
        places: index into `scores` of each positive, in the order given, (p,).
        positives: number of positives that score at least as much, for each entry of `scores`, (d,).
        above: number of negatives that score more, (d,).
        at_or_above: number of negatives that score at least as much, (d,).
        num_positives: number of all positives, p.
        num_negatives: number of all negatives.
    """

    scores: Float[np.ndarray, " d"]
    places: Int[np.ndarray, " p"]
    positives: Int[np.ndarray, " d"]
    above: Int[np.ndarray, " d"]
    at_or_above: Int[np.ndarray, " d"]
    num_positives: int
    num_negatives: int

    @property
    def defined(self) -> bool:
        """Whether both classes are present: every metric compares the two."""
        return self.num_positives > 0 and self.num_negatives > 0


def rank(labels: Shaped[np.ndarray, "..."], scores: Shaped[np.ndarray, "..."]) -> Ranking:
    """Count positives and negatives at every distinct score of a positive.

    The negatives are copied and sorted once, in their own type. Beside the arguments, peak memory is the bytes of a
    score + 1 for each negative (5 for float32) and about 50 bytes for each positive.

    Args:
        labels: bool of any shape, true for positive (anomalous).
        scores: finite floating-point scores in the shape of `labels`; higher is more anomalous.

    Returns:
        The counts that the metrics are computed from.

    Raises:
        InputError: if scores are NaN or infinite.
        ValueError: if shapes differ or labels are not bool.
    """
    _check(labels, scores)
    # Only scores of positives matter as thresholds: between two of them nothing changes but the false positives.
    values, places, counts = np.unique(scores[labels], return_inverse=True, return_counts=True)
    negatives = scores[~labels]
    negatives.sort()
    # `values` ascend, so positives are summed from the end, and negatives are counted by binary search.
    return Ranking(
        scores=values,
        places=places,
        positives=np.cumsum(counts[::-1])[::-1],
        above=negatives.size - np.searchsorted(negatives, values, side="right"),
        at_or_above=negatives.size - np.searchsorted(negatives, values, side="left"),
        num_positives=places.size,
        num_negatives=negatives.size,
    )


def auroc(ranking: Ranking) -> float | None:
    """Area under the ROC curve: the chance that a positive outranks a negative, a tie counting one half.

    Args:
        ranking: what `rank` returned.

    Returns:
        A fraction in [0, 1]; None where only one class is present.

    References:
        Hanley and McNeil, The meaning and use of the area under a ROC curve, Radiology 1982.
    """
    if not ranking.defined:
        return None
    # The share of negatives below each score, a tie counting one half, is the average of (< s) and (<= s).
    outranked = 1 - (ranking.above + ranking.at_or_above) / (2 * ranking.num_negatives)
    return float(np.sum(_per_score(ranking) * outranked) / ranking.num_positives)


def average_precision(ranking: Ranking) -> float | None:
    """Average precision: the precision at each threshold, weighted by the recall it adds, without interpolation.

    Only thresholds equal to the score of a positive add recall.

    Args:
        ranking: what `rank` returned.

    Returns:
        A fraction in [0, 1]; None where only one class is present.

    References:
        scikit-learn, `sklearn.metrics.average_precision_score`: sum_n (R_n - R_{n-1}) P_n.
    """
    if not ranking.defined:
        return None
    precision = ranking.positives / (ranking.positives + ranking.at_or_above)
    return float(np.sum(_per_score(ranking) * precision) / ranking.num_positives)


def f1_max(ranking: Ranking) -> float | None:
    """The highest F1 over all thresholds, which is reached at the score of a positive.

    Args:
        ranking: what `rank` returned.

    Returns:
        A fraction in [0, 1]; None where only one class is present.

    References:
        F1 = 2 TP / (2 TP + FP + FN) = 2 TP / (TP + FP + P), with P all positives.
    """
    if not ranking.defined:
        return None
    # Lowering a threshold between the scores of two positives only adds false positives, so no other F1 is higher.
    f1 = 2 * ranking.positives / (ranking.positives + ranking.at_or_above + ranking.num_positives)
    return float(f1.max())


def region_weights(masks: Bool[np.ndarray, "..."]) -> Float[np.ndarray, " p"]:
    """Weight of each anomalous pixel in a mean over regions: 1 / (number of regions * pixels in its region).

    Regions are the 8-connected components of each mask.

    Args:
        masks: (n, H, W) bool, true where anomalous.

    Returns:
        The weights, (p,), float64, in the order of `masks[masks]`; they sum to 1 if there is any region.

    Raises:
        ValueError: if masks are not (n, H, W).
    """
    if masks.ndim != 3:
        raise ValueError(f"masks have shape {masks.shape}, expected (n, H, W)")
    num_regions, weights = 0, [np.zeros(0)]
    for mask in masks[masks.any(axis=(1, 2))]:
        shares, count = pixel_shares(mask)
        weights.append(shares)
        num_regions += count
    return np.concatenate(weights) / max(num_regions, 1)


def pixel_shares(mask: Bool[np.ndarray, "H W"]) -> tuple[Float[np.ndarray, " p"], int]:
    """What each anomalous pixel of one mask is of its region: 1 / (pixels in its 8-connected region).

    Args:
        mask: (H, W) bool, true where anomalous, at least one pixel.

    Returns:
        The shares, (p,), float64, in the order of `mask[mask]`, and the number of regions.
    """
    rows, columns = (_span(np.asarray(mask.any(axis=axis))) for axis in (1, 0))
    mask = mask[np.ix_(rows, columns)]  # labelling costs more than cropping
    regions, count = ndimage.label(mask, _EIGHT_CONNECTED)
    regions = regions[mask]
    return 1 / np.bincount(regions)[regions], count


def aupro(ranking: Ranking, weights: Float[np.ndarray, " p"], *, limit: float = 0.3) -> float | None:
    """Area under the per-region overlap curve up to a false positive rate, divided by that rate.

    The curve shows, for each threshold, the mean share of a region at or above it against the share of normal pixels at
    or above it. Its points are joined by straight lines, and it is cut at `limit`. An anomalous pixel with score s adds
    its weight times a ramp that rises from 0 at a = FPR(> s) to 1 at b = FPR(>= s), so the area is the weighted sum of
    the areas under these ramps.

    Args:
        ranking: what `rank(masks, maps)` returned.
        weights: what `region_weights(masks)` returned, (p,).
        limit: highest false positive rate, in (0, 1].

    Returns:
        A fraction in [0, 1]; None without an anomalous or without a normal pixel.

    Raises:
        ValueError: if limit is outside (0, 1], or there is not one weight for each positive.

    References:
        Bergmann et al., The MVTec Anomaly Detection Dataset, IJCV 2021, section 4.1.2.
    """
    if not 0 < limit <= 1:
        raise ValueError(f"limit is {limit}, expected a false positive rate in (0, 1]")
    if weights.shape != (ranking.num_positives,):
        raise ValueError(
            f"weights have shape {weights.shape}, expected one for each of {ranking.num_positives} positives"
        )
    if not ranking.defined:
        return None
    a, b = ranking.above / ranking.num_negatives, ranking.at_or_above / ranking.num_negatives
    return float(np.sum(np.bincount(ranking.places, weights) * ramp_areas(a, b, limit)) / limit)


def ramp_areas(a: Float[np.ndarray, " d"], b: Float[np.ndarray, " d"], limit: float) -> Float[np.ndarray, " d"]:
    """Area up to a limit under ramps that rise from 0 at a to 1 at b.

    Args:
        a: where each ramp begins, a false positive rate, (d,).
        b: where each ramp ends, at least `a`, (d,).
        limit: where the areas end, in (0, 1].

    Returns:
        The areas, (d,), 0 to `limit`.
    """
    rise = np.clip(limit, a, b) - a
    # The slope of a ramp, up to the limit, has the area rise² / (2 (b - a)), and the rest limit - b. Without a tie
    # there is no slope: a = b and rise = 0.
    return rise**2 / np.where(b > a, 2 * (b - a), 1) + np.maximum(limit - b, 0)


def image_metrics(labels: Bool[np.ndarray, "..."], scores: Float[np.ndarray, "..."]) -> dict[str, float | None]:
    """Image-level metrics.

    Args:
        labels: (n,) bool, true for an anomalous image.
        scores: (n,) finite image scores; higher is more anomalous.

    Returns:
        `image_auroc`, `image_ap`, `image_f1max`: fractions in [0, 1], None where only one class is present.

    Raises:
        InputError: if scores are NaN or infinite.
        ValueError: if shapes differ or labels are not bool.

    References:
        scikit-learn, `sklearn.metrics`: `roc_auc_score`, `average_precision_score`, `precision_recall_curve`.
    """
    _check(labels, scores)
    if labels.all() or not labels.any():
        return {"image_auroc": None, "image_ap": None, "image_f1max": None}
    # Imported here because the import takes most of a second.
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

    precision, recall, _ = precision_recall_curve(labels, scores)
    # F1 = 2 P R / (P + R), which is 0 where both are 0.
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    return {
        "image_auroc": float(roc_auc_score(labels, scores)),
        "image_ap": float(average_precision_score(labels, scores)),
        "image_f1max": float(f1.max()),
    }


def pixel_metrics(
    masks: Bool[np.ndarray, "..."], maps: Float[np.ndarray, "..."], *, limit: float = 0.3
) -> dict[str, float | None]:
    """Pixel-level metrics over all pixels of all images, and AUPRO.

    Memory grows with the number of pixels: beside the masks and float32 maps, the peak is 5 bytes for each normal
    pixel, as much as the arguments take, and about 90 bytes for each anomalous pixel.

    Args:
        masks: (n, H, W) bool, true where anomalous.
        maps: (n, H, W) finite anomaly maps; higher is more anomalous; float32 stays float32.
        limit: highest false positive rate of AUPRO, in (0, 1].

    Returns:
        `pixel_auroc`, `pixel_ap`, `pixel_f1max`, `aupro`: fractions in [0, 1], None without an anomalous or without
        a normal pixel.

    Raises:
        InputError: if maps hold NaN or infinite scores.
        ValueError: if shapes differ or are not (n, H, W), masks are not bool, or limit is outside (0, 1].
    """
    ranking = rank(masks, maps)
    return {
        "pixel_auroc": auroc(ranking),
        "pixel_ap": average_precision(ranking),
        "pixel_f1max": f1_max(ranking),
        "aupro": aupro(ranking, region_weights(masks), limit=limit),
    }


def _per_score(ranking: Ranking) -> Int[np.ndarray, " d"]:
    """Number of positives at each distinct score."""
    return -np.diff(ranking.positives, append=0)


def _span(present: Bool[np.ndarray, " k"]) -> Int[np.ndarray, " s"]:
    """All indices from the first true entry to the last."""
    first, last = np.flatnonzero(present)[[0, -1]]
    return np.arange(first, last + 1)


def _check(labels: np.ndarray, scores: np.ndarray) -> None:
    if labels.shape != scores.shape:
        raise ValueError(f"labels have shape {labels.shape} and scores {scores.shape}, expected the same shape")
    if labels.dtype != bool:
        raise ValueError(f"labels have dtype {labels.dtype}, expected bool")
    finite = np.isfinite(scores)
    if not finite.all():
        nans = np.count_nonzero(np.isnan(scores))
        infinite = scores.size - np.count_nonzero(finite) - nans
        raise InputError(f"{nans} NaN and {infinite} infinite of {scores.size} scores, expected all to be finite")
