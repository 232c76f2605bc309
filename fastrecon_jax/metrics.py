"""How well scores separate anomalous from normal, exact with ties: AUROC, AP, F1-max and AUPRO.

The figures of images, of which there are hundreds, are scikit-learn's. Those of pixels, of which there are millions,
come from one sort, since each is a function of a few counts: at each distinct score of a positive, how many positives
lie at or above it and how many negatives above it, and at or above it. `rank` counts them once, the figures read them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import ndimage

from fastrecon_jax.errors import InputError

_EIGHT_CONNECTED = np.ones((3, 3), bool)


class Ranking(NamedTuple):
    """Where p positives stand among the negatives; the d distinct scores of the positives ascend.

    Attributes:
        scores: the distinct scores of the positives.
        places: for each positive, in the order given, where in `scores` its score stands.
        positives: positives that score as much or more.
        above: negatives that score more.
        at_or_above: negatives that score as much or more.
        num_positives: all positives.
        num_negatives: all negatives.
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
        """Whether both classes are present: every figure compares the two."""
        return self.num_positives > 0 and self.num_negatives > 0


def rank(labels: Shaped[np.ndarray, "..."], scores: Shaped[np.ndarray, "..."]) -> Ranking:
    """Counts positives and negatives at every distinct score of a positive.

    The negatives are copied and sorted once in their own type. Beside the arguments the peak is the bytes of one score
    + 1 for each negative (5 for float32) and about 50 bytes for each positive.

    Args:
        labels: bool, any shape, true for positive (anomalous).
        scores: floating point, the shape of `labels`, finite; higher is more anomalous.

    Returns:
        The counts that the figures are computed from.

    Raises:
        InputError: if scores are NaN or infinite.
        ValueError: if shapes differ or labels are not bool.
    """
    _check(labels, scores)
    values, places, counts = np.unique(scores[labels], return_inverse=True, return_counts=True)
    negatives = scores[~labels]
    negatives.sort()
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
        ranking: from `rank`.

    Returns:
        A fraction in [0, 1]; None where only one class is present.

    References:
        Hanley and McNeil, The meaning and use of the area under a ROC curve, Radiology 1982.
    """
    if not ranking.defined:
        return None
    outranked = 1 - (ranking.above + ranking.at_or_above) / (2 * ranking.num_negatives)
    return float(np.sum(_per_score(ranking) * outranked) / ranking.num_positives)


def average_precision(ranking: Ranking) -> float | None:
    """Average precision: the precision at each threshold, weighted by the recall it adds, without interpolation.

    Only thresholds at the score of a positive add recall.

    Args:
        ranking: from `rank`.

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
    """The highest F1 over all thresholds; it lies at the score of a positive, since between two only negatives join.

    Args:
        ranking: from `rank`.

    Returns:
        A fraction in [0, 1]; None where only one class is present.

    References:
        F1 = 2 TP / (2 TP + FP + FN) = 2 TP / (TP + FP + P), with P all positives.
    """
    if not ranking.defined:
        return None
    f1 = 2 * ranking.positives / (ranking.positives + ranking.at_or_above + ranking.num_positives)
    return float(f1.max())


def region_weights(masks: Bool[np.ndarray, "..."]) -> Float[np.ndarray, " p"]:
    """The share of each anomalous pixel in the mean over regions: 1 / (number of regions * pixels of its region).

    Regions are the 8-connected components of each mask.

    Args:
        masks: (n, H, W) bool, true where anomalous.

    Returns:
        (p,) float64, in the order of `masks[masks]`; they sum to 1 where there is any region.

    Raises:
        ValueError: if masks are not (n, H, W).
    """
    if masks.ndim != 3:
        raise ValueError(f"masks have shape {masks.shape}, expected (n, H, W)")
    num_regions, weights = 0, [np.zeros(0)]
    for mask in masks[masks.any(axis=(1, 2))]:
        mask = mask[np.ix_(_span(mask.any(axis=1)), _span(mask.any(axis=0)))]  # labelling costs more than the crop
        regions, count = ndimage.label(mask, _EIGHT_CONNECTED)
        regions = regions[mask]
        weights.append(1 / np.bincount(regions)[regions])
        num_regions += count
    return np.concatenate(weights) / max(num_regions, 1)


def aupro(ranking: Ranking, weights: Float[np.ndarray, " p"], *, limit: float = 0.3) -> float | None:
    """Area under the per-region overlap curve up to a false positive rate, divided by that rate.

    The curve is the mean share of a region at or above a threshold against the share of normal pixels at or above it,
    joined by straight lines and cut at `limit`. An anomalous pixel with the score s adds its weight times a ramp that
    rises from 0 at a = FPR(> s) to 1 at b = FPR(>= s), and the area is the sum of the areas of those ramps.

    Args:
        ranking: from `rank(masks, maps)`.
        weights: (p,) from `region_weights(masks)`.
        limit: the highest false positive rate, in (0, 1].

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
    rise = np.clip(limit, a, b) - a
    # on the slope rise^2 / (2 (b - a)), beyond it limit - b; without a tie there is no slope and rise = 0
    areas = rise**2 / np.where(b > a, 2 * (b - a), 1) + np.maximum(limit - b, 0)
    return float(np.sum(np.bincount(ranking.places, weights) * areas) / limit)


def image_metrics(labels: Bool[np.ndarray, "..."], scores: Float[np.ndarray, "..."]) -> dict[str, float | None]:
    """Image-level figures.

    Args:
        labels: (n,) bool, true for an anomalous image.
        scores: (n,) finite anomaly scores, higher is more anomalous.

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
    # here, since importing it takes most of a second
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

    precision, recall, _ = precision_recall_curve(labels, scores)
    # F1 = 2 P R / (P + R), and 0 where both are 0
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    return {
        "image_auroc": float(roc_auc_score(labels, scores)),
        "image_ap": float(average_precision_score(labels, scores)),
        "image_f1max": float(f1.max()),
    }


def pixel_metrics(
    masks: Bool[np.ndarray, "..."], maps: Float[np.ndarray, "..."], *, limit: float = 0.3
) -> dict[str, float | None]:
    """Pixel-level figures over all pixels of all images, and AUPRO.

    Memory grows with the pixels: beside the masks and float32 maps the peak is 5 bytes for each normal pixel, as much
    as the arguments take, and about 90 for each anomalous one.

    Args:
        masks: (n, H, W) bool, true where anomalous.
        maps: (n, H, W) finite anomaly maps, higher is more anomalous; float32 stays float32.
        limit: the highest false positive rate of AUPRO, in (0, 1].

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
    """Positives at each distinct score."""
    return -np.diff(ranking.positives, append=0)


def _span(present: Bool[np.ndarray, " k"]) -> Int[np.ndarray, " s"]:
    """All places from the first true to the last."""
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
