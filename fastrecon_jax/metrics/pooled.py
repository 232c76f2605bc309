"""Metrics of pixels above one threshold, pooled over images, and of objects that several images show."""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Bool, Float


def f1(true_positives: int, false_positives: int, false_negatives: int) -> float | None:
    """F1 = 2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall.

    Args:
        true_positives: number of anomalous pixels above the threshold.
        false_positives: number of normal pixels above it.
        false_negatives: number of anomalous pixels that are not.

    Returns:
        A fraction in [0, 1]; None where nothing is anomalous.
    """
    if not true_positives + false_negatives:
        return None
    return 2 * true_positives / (2 * true_positives + false_positives + false_negatives)


class PooledF1:
    """SegF1: the F1 of all pixels of all images together, above a threshold that good images gave.

    The threshold is the mean of the scores of good images that are neither trained nor tested on, plus three of their
    standard deviations (population formula).

    References:
        Heckler-Kram et al., The MVTec AD 2 Dataset: Advanced Scenarios for Unsupervised Anomaly Detection,
        arXiv:2503.21622; the threshold is the baseline that the publisher's script for submissions names.
    """

    def __init__(self):
        self._count, self._sum, self._squares = 0, 0.0, 0.0
        self._true = self._false = self._missed = 0

    def add_good(self, scores: Float[np.ndarray, "H W"]) -> None:
        """Add the anomaly map of a good image to those that give the threshold.

        Args:
            scores: finite anomaly map, (H, W).
        """
        flat = scores.astype(np.float64).ravel()
        self._count += flat.size
        self._sum += float(flat.sum())
        self._squares += float(flat @ flat)

    @property
    def threshold(self) -> float | None:
        """Mean + 3 standard deviations of the scores of the good images; None without any."""
        if not self._count:
            return None
        mean = self._sum / self._count
        return mean + 3 * max(self._squares / self._count - mean**2, 0.0) ** 0.5

    def add(self, scores: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> None:
        """Add a test image, once the threshold is there.

        Args:
            scores: its anomaly map, (H, W); a pixel above the threshold is anomalous.
            mask: true where anomalous, (H, W).

        Raises:
            ValueError: if no good image was added before.
        """
        if self.threshold is None:
            raise ValueError("the threshold needs the scores of a good image")
        found = scores > self.threshold
        self._true += int(np.count_nonzero(found & mask))
        self._false += int(np.count_nonzero(found & ~mask))
        self._missed += int(np.count_nonzero(~found & mask))

    @property
    def value(self) -> float | None:
        """The F1, a fraction in [0, 1]; None where no pixel is anomalous."""
        return f1(self._true, self._false, self._missed)


def worst(
    groups: Sequence[Hashable], labels: Bool[np.ndarray, " n"], scores: Float[np.ndarray, " n"]
) -> tuple[list[Hashable], Bool[np.ndarray, " g"], Float[np.ndarray, " g"]]:
    """Labels and scores of objects that several images show: an object is as bad as its worst image.

    Args:
        groups: which object each of the n images shows.
        labels: (n,) bool, true for an anomalous image.
        scores: (n,) image scores; higher is more anomalous.

    Returns:
        The objects in the order of their first images; whether any image of each is anomalous, (g,); and the highest
        score of its images, (g,).

    References:
        Wang et al., Real-IAD: A Real-World Multi-View Dataset for Benchmarking Versatile Industrial Anomaly Detection,
        CVPR 2024 (S-AUROC).
    """
    place = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    rows = np.array([place[group] for group in groups], dtype=int)
    any_label = np.zeros(len(place), bool)
    np.logical_or.at(any_label, rows, labels)
    highest = np.full(len(place), -np.inf)
    np.maximum.at(highest, rows, scores)
    return list(place), any_label, highest
