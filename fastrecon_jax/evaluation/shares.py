"""The scores of a category, or of some of its images, by method and number of shots; and how shares become one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Key(NamedTuple):
    """What a result belongs to: the name of a method, and the number of support images."""

    method: str
    shots: int


class Scored(NamedTuple):
    """The scores of n test images by one method and number of shots, for d draws of the support.

    Attributes:
        patches: patch scores, (d, n, h, w).
        images: image scores, (d, n).
        fit_seconds: to encode the support of one draw and fit it, without compilation, decoding and resizing; None if
            all features came from the cache.
        score_seconds: likewise, to encode and score the n images.
    """

    patches: Float[np.ndarray, "d n h w"]
    images: Float[np.ndarray, "d n"]
    fit_seconds: float | None
    score_seconds: float | None


class Share(NamedTuple):
    """What was found out about some test images of a category, or all of them.

    Attributes:
        masks: true for defective pixels, (n, H, W).
        scored: the scores of the n images, by method and number of shots.
    """

    masks: Bool[np.ndarray, "n H W"]
    scored: dict[Key, Scored]


def joined(shares: Sequence[Share]) -> Share:
    """Shares of one category, in the order of its images, as if one process had computed them all.

    The time to score is that of the slowest share; each share was fitted by itself, and the first one's time counts.
    """

    def join(scored: Sequence[Scored]) -> Scored:
        return Scored(
            np.concatenate([x.patches for x in scored], axis=1),
            np.concatenate([x.images for x in scored], axis=1),
            scored[0].fit_seconds,
            max((x.score_seconds for x in scored if x.score_seconds is not None), default=None),
        )

    masks = np.concatenate([share.masks for share in shares])
    return Share(masks, {key: join([share.scored[key] for share in shares]) for key in shares[0].scored})
