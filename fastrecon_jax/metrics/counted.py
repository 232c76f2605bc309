"""Per-region overlap curves of large images, image by image: scores are counted, never kept.

AU-PRO and AU-sPRO need to know how many normal pixels score at least as much as each anomalous one. `ranking` sorts
them, which takes several bytes a pixel; here each pixel adds 1 to the counter of its score, and memory stays the same
however many images there are. A score is told apart from others by its sign, exponent and first twelve bits: two that
differ by less than 1 part in 4,096 may count as a tie. Those of float16, as evaluation servers take them, are exact.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fastrecon_jax.errors import InputError
from fastrecon_jax.metrics.ranking import pixel_shares, ramp_areas

_BITS = 21  # of the 32 of a float that are kept: sign, 8 of the exponent, 12 of the fraction
_SIZE = 1 << _BITS


class Defect(NamedTuple):
    """One annotated defect of an image.

    Attributes:
        mask: true for its pixels, (H, W).
        saturation: number of pixels that, once found, count as the whole defect, at least 1.
    """

    mask: Bool[np.ndarray, "H W"]
    saturation: int


class OverlapCurve:
    """The mean overlap of defects against the false positive rate, from images that are added one by one.

    Without saturation this is the PRO curve, whose regions are the 8-connected components of the masks. With saturation
    it is the sPRO curve: of a defect A with saturation s the overlap with the pixels P above a threshold is
    min(|A ∩ P| / s, 1), so that finding a part of it may be enough.

    References:
        Bergmann et al., The MVTec Anomaly Detection Dataset, IJCV 2021, section 4.1.2 (PRO).
        Bergmann et al., Beyond Dents and Scratches: Logical Constraints in Unsupervised Anomaly Detection and
        Localization, IJCV 2022, section 4 (sPRO).
    """

    def __init__(self):
        self._normal = np.zeros(_SIZE, np.int64)  # normal pixels by their code
        self._overlap = np.zeros(_SIZE)  # overlap that is gained at each code, summed over the defects
        self._defects = 0

    def add_regions(self, scores: Float[np.ndarray, "..."], mask: Bool[np.ndarray, "..."]) -> None:
        """Add an image whose defects are the regions of its mask.

        Args:
            scores: its finite anomaly map, (H, W); higher is more anomalous.
            mask: true where anomalous, (H, W); all false for a good image.

        Raises:
            InputError: if scores are NaN or infinite.
            ValueError: if shapes differ.
        """
        coded = self._count_normal(scores, mask)
        if mask.any():
            shares, count = pixel_shares(mask)
            np.add.at(self._overlap, coded[mask], shares)
            self._defects += count

    def add_defects(
        self, scores: Float[np.ndarray, "..."], mask: Bool[np.ndarray, "..."], defects: Sequence[Defect]
    ) -> None:
        """Add an image whose defects were annotated one by one, and may overlap.

        Args:
            scores: its finite anomaly map, (H, W); higher is more anomalous.
            mask: true where any defect is, (H, W): what is not normal.
            defects: those of the image; empty for a good image.

        Raises:
            InputError: if scores are NaN or infinite.
            ValueError: if shapes differ, a defect has no pixel or a saturation below 1.
        """
        coded = self._count_normal(scores, mask)
        for defect in defects:
            found = np.sort(coded[defect.mask])[::-1]
            if not found.size or defect.saturation < 1:
                raise ValueError(f"a defect has {found.size} pixels and saturation {defect.saturation}, at least 1")
            # Only the s highest pixels matter: lowering the threshold further adds nothing to min(n / s, 1). A tie at
            # the end of these is cut in the same way, since all of it is gained at one threshold.
            np.add.at(self._overlap, found[: defect.saturation], 1 / defect.saturation)
        self._defects += len(defects)

    def area(self, *, limit: float) -> float | None:
        """Area under the curve up to a false positive rate, divided by that rate.

        The curve's points, one for each distinct score, are joined by straight lines.

        Args:
            limit: highest false positive rate, in (0, 1].

        Returns:
            A fraction in [0, 1]; None without a defect or without a normal pixel.

        Raises:
            ValueError: if limit is outside (0, 1].
        """
        if not 0 < limit <= 1:
            raise ValueError(f"limit is {limit}, expected a false positive rate in (0, 1]")
        at_or_above = np.cumsum(self._normal[::-1])[::-1]
        total = int(at_or_above[0])
        if not total or not self._defects:
            return None
        codes = np.flatnonzero(self._overlap)
        b = at_or_above[codes] / total
        a = (at_or_above[codes] - self._normal[codes]) / total
        return float(np.sum(self._overlap[codes] * ramp_areas(a, b, limit)) / (self._defects * limit))

    def _count_normal(self, scores: Float[np.ndarray, "..."], mask: Bool[np.ndarray, "..."]) -> Int[np.ndarray, "H W"]:
        if scores.shape != mask.shape:
            raise ValueError(f"scores have shape {scores.shape} and the mask {mask.shape}, expected the same shape")
        coded = _codes(scores)
        # All less the few marked ones: cheaper than to pick the normal pixels out.
        self._normal += np.bincount(coded.ravel(), minlength=_SIZE)
        if mask.any():
            self._normal -= np.bincount(coded[mask], minlength=_SIZE)
        return coded


def _codes(scores: Float[np.ndarray, "*s"]) -> Int[np.ndarray, "*s"]:
    """Numbers from 0 in the order of the scores, the same for scores that are nearly the same."""
    if not np.isfinite(scores).all():
        raise InputError(f"{np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are NaN or infinite")
    # Read as integers, the bits of positive floats are in the order of the floats, those of negative ones in the
    # reverse: of the former the sign is flipped, of the latter every bit (>> 31 repeats the sign).
    bits = (np.asarray(scores, np.float32) + np.float32(0)).view(np.int32)  # -0 becomes 0
    ordered = (bits ^ ((bits >> 31) | np.int32(-(2**31)))).view(np.uint32)
    return (ordered >> np.uint32(32 - _BITS)).astype(np.int64)  # as `bincount` counts
