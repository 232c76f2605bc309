"""Masks that may not mean what they should, in lines for people."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from fastrecon_jax.data import samples
from fastrecon_jax.data.geometry import Preprocessing

_MOST = 0.5  # share of a picture from which a mask marks most of it


def doubts(category: str, queries: Sequence[samples.Sample], masks: Bool[np.ndarray, "n H W"], max_pixels: int) -> str:
    """A line on masks of defective images that mark nothing, and one on those that mark most of the picture.

    A mask is looked at as a whole only where what the evaluation keeps of it is suspicious: one whose defect lies
    outside the inspected area is not empty.
    """
    defective = [i for i, sample in enumerate(queries) if sample.read_mask is not None]
    kept = {i: float(masks[i].mean()) for i in defective}
    whole = [samples.marked_share(queries[i], max_pixels) for i, share in kept.items() if not 0 < share <= _MOST]
    counts = (
        (sum(share == 0 for share in whole), "mark nothing, which lowers the pixel figures or leaves them out"),
        (sum(share > _MOST for share in whole), "mark more than half of the picture: is it the defect that they mark?"),
    )
    return "".join(
        f"warning: {category}: {number} of {len(defective)} masks of defective images {what}\n"
        for number, what in counts
        if number
    )


def outside(
    category: str, queries: Sequence[samples.Sample], masks: Bool[np.ndarray, "n H W"], preprocessing: Preprocessing
) -> str:
    """A line on defective images that show nothing of their defect in the inspected area, if there are any."""
    unseen = [sample for sample, mask in zip(queries, masks, strict=True) if not mask.any()]
    count = sum(samples.lies_outside(sample, preprocessing) for sample in unseen)
    defective = sum(sample.defective for sample in queries)
    said = (
        f"{category}: {count} of {defective} defective images have all of their defect outside of the inspected area\n"
    )
    return said if count else ""
