"""Bootstrap resamples: of parts, of the draws within each, and of the test images of each, good and defective apart."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float

RESAMPLES = 10_000
_VALUES = 2_000_000  # counts that are held at once
IMAGE_METRICS = ("image_auroc", "image_ap", "image_f1max")  # which follow from the image scores


def hierarchical(
    *values: Float[np.ndarray, "p m _"], resamples: int = RESAMPLES, same_parts: bool = False
) -> list[Float[np.ndarray, " r"]]:
    """Means of hierarchical bootstrap resamples of values by part, resample of its images, and draw; fixed seed.

    The draws of a part share its test images and are no independent samples: parts are drawn with replacement first,
    then for each part drawn one of its m image resamples (where m is 1, there are none), and as many of its draws as it
    has. Several arrays share the parts and the image resamples, not the draws. With `same_parts`, each part is there
    once.
    """
    rng = np.random.default_rng(0)
    p, m, _ = values[0].shape
    parts = np.arange(p)[None, :, None] if same_parts else rng.integers(p, size=(resamples, p, 1))
    images = rng.integers(m, size=(resamples, p, 1)) if m > 1 else 0
    means = []
    for own in values:
        draws = rng.integers(own.shape[2], size=(resamples, p, own.shape[2]))
        means.append(own[parts, images, draws].mean(axis=(1, 2)))
    return means


def resampled(values: Float[np.ndarray, "p d"]) -> Float[np.ndarray, " r"]:
    """The same of values by part and draw alone."""
    return hierarchical(values[:, None, :])[0]


def interval(resampled: Float[np.ndarray, " r"]) -> tuple[float, float]:
    """The 95 % percentile interval."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(low), float(high)


def of_images(
    labels: Bool[np.ndarray, " n"],
    scores: Sequence[Float[np.ndarray, " n"]],
    metrics: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> dict[str, Float[np.ndarray, "c r"]]:
    """Metrics of several scores of the same images on the same bootstrap resamples of them, by name.

    Good and defective images are resampled apart, so that their numbers stay and every metric is defined.
    """
    rng = np.random.default_rng([0, seed])
    found = {name: np.empty((len(scores), resamples)) for name in metrics}
    sorted_scores = [_Sorted(labels, own) for own in scores]
    for rows in _blocks(resamples, labels.size):
        size = rows.stop - rows.start
        good, defective = (_counts(rng, size, int(np.count_nonzero(labels == kind))) for kind in (False, True))
        for i, own in enumerate(sorted_scores):
            for name, values in own.metrics(good, defective, metrics).items():
                found[name][i, rows] = values
    return found


def exact(
    labels: Bool[np.ndarray, " n"], scores: Sequence[Float[np.ndarray, " n"]], metrics: Sequence[str]
) -> dict[str, Float[np.ndarray, " c"]]:
    """The metrics of the images as they are, each once."""
    once = [np.ones((1, int(np.count_nonzero(labels == kind)))) for kind in (False, True)]
    found = [_Sorted(labels, own).metrics(*once, metrics) for own in scores]
    return {name: np.concatenate([of[name] for of in found]) for name in metrics}


def _blocks(resamples: int, images: int) -> Iterator[slice]:
    step = max(1, _VALUES // max(images, 1))
    yield from (slice(start, min(start + step, resamples)) for start in range(0, resamples, step))


def _counts(rng: np.random.Generator, resamples: int, images: int) -> Float[np.ndarray, "r n"]:
    """How often each image is drawn in each of some resamples of as many images."""
    chosen = rng.integers(images, size=(resamples, images)) + images * np.arange(resamples)[:, None]
    return np.bincount(chosen.ravel(), minlength=resamples * images).reshape(resamples, images).astype(float)


class _Sorted:
    """Scores of good and defective images, sorted once for all resamples."""

    def __init__(self, labels: np.ndarray, scores: np.ndarray):
        defective, good = scores[labels], scores[~labels]
        self.defective = np.argsort(-defective)
        self.good = np.argsort(-good)
        descending, others = defective[self.defective], np.sort(good)
        # One threshold for each distinct score of a defective image: the place of the last image that has it.
        self.last = np.flatnonzero(np.append(descending[1:] != descending[:-1], True))
        thresholds = descending[self.last]
        self.above = good.size - np.searchsorted(others, thresholds, side="right")
        self.at_or_above = good.size - np.searchsorted(others, thresholds, side="left")

    def metrics(
        self, good: Float[np.ndarray, "r n"], defective: Float[np.ndarray, "r p"], names: Sequence[str]
    ) -> dict[str, Float[np.ndarray, " r"]]:
        """The metrics of `fastrecon_jax.metrics`, each image counted as often as it was drawn, (r,) each."""
        p, n = defective.shape[1], good.shape[1]
        positives = defective[:, self.defective].cumsum(axis=1)[:, self.last]  # (r, t), at or above each threshold
        negatives = np.pad(good[:, self.good].cumsum(axis=1), ((0, 0), (1, 0)))  # (r, n + 1), among the first ones
        at_or_above = negatives[:, self.at_or_above]
        new = np.diff(positives, axis=1, prepend=0)
        found = {}
        if "image_auroc" in names:
            outranked = 1 - (negatives[:, self.above] + at_or_above) / (2 * n)
            found["image_auroc"] = (new * outranked).sum(axis=1) / p
        if "image_ap" in names:
            precision = positives / np.maximum(positives + at_or_above, 1)  # 0 before the first positive
            found["image_ap"] = (new * precision).sum(axis=1) / p
        if "image_f1max" in names:
            found["image_f1max"] = (2 * positives / (positives + at_or_above + p)).max(axis=1)
        return found
