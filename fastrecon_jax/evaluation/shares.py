"""Who does what where several processes evaluate, and what one of them hands to another."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from jaxtyping import Bool

from fastrecon_jax.detector import Scores


class Share(NamedTuple):
    """What a process found out about its part of a category's test images.

    Attributes:
        masks: (n, H, W), of its part.
        scores: for each method and number of shots those of all d draws, (d, n, h, w) and (d, n).
        fit_seconds: for each of them, to encode the support of a draw and fit it; None if all came from the cache.
        score_seconds: likewise, to encode and score the n images.
    """

    masks: Bool[np.ndarray, "n H W"]
    scores: tuple[Scores, ...]
    fit_seconds: tuple[float | None, ...]
    score_seconds: tuple[float | None, ...]


def teams(sizes: Sequence[int], processes: int) -> tuple[tuple[int, ...], ...]:
    """Divide categories among processes.

    With as many categories as processes or more each category belongs to one process, which then fits it once and
    computes its figures; the largest are given away first, each to whom has least to do. With fewer, all processes
    work, and those of a category divide its test images.

    Args:
        sizes: images of each category.
        processes: how many there are.

    Returns:
        For each category its processes; the first of them puts the shares together. A process is in one team or, alone,
        in several. They follow from the arguments, so that processes need not ask each other.
    """
    largest_first = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
    if len(sizes) < processes:
        members = [1] * len(sizes)
        for _ in range(processes - sum(members) if sizes else 0):
            members[max(largest_first, key=lambda i: sizes[i] / members[i])] += 1
        ends = np.cumsum(members)
        return tuple(tuple(range(end - n, end)) for end, n in zip(ends.tolist(), members, strict=True))
    owners, work = [0] * len(sizes), [0] * processes
    for i in largest_first:
        owners[i] = work.index(min(work))
        work[owners[i]] += sizes[i]
    return tuple((owner,) for owner in owners)


def part(length: int, member: int, members: int) -> slice:
    """The part of a list that belongs to a member of a team; the first parts are the larger ones.

    Args:
        length: of the list.
        member: from 0.
        members: of the team.

    Returns:
        A slice; those of all members in order are the list.
    """
    each, more = divmod(length, members)
    start = member * each + min(member, more)
    return slice(start, start + each + (member < more))


def joined(shares: Sequence[Share]) -> Share:
    """The shares of a team as if one process had done everything, as long as its slowest member took.

    Args:
        shares: in the order of the members, of the same methods, shots and draws.

    Returns:
        One share; the fit's seconds are those of the first, since each member fits for itself.
    """
    scores = zip(*(share.scores for share in shares), strict=True)
    seconds = zip(*(share.score_seconds for share in shares), strict=True)
    return Share(
        np.concatenate([share.masks for share in shares]),
        tuple(Scores(*(np.concatenate(x, axis=1) for x in zip(*several, strict=True))) for several in scores),
        shares[0].fit_seconds,
        tuple(max((x for x in several if x is not None), default=None) for several in seconds),
    )


def pack(share: Share) -> bytes:
    """A share to send.

    Args:
        share: of this process.

    Returns:
        Safetensors, the masks by bits and None as not a number.
    """
    arrays = {
        "masks": np.packbits(share.masks),
        "shape": np.array(share.masks.shape),
        "fit_seconds": np.array(share.fit_seconds, np.float64),
        "score_seconds": np.array(share.score_seconds, np.float64),
    }
    for i, scores in enumerate(share.scores):
        arrays |= {
            f"patches{i}": np.ascontiguousarray(scores.patches),
            f"images{i}": np.ascontiguousarray(scores.images),
        }
    return safetensors.numpy.save(arrays)


def unpack(data: bytes) -> Share:
    """A share as it was sent.

    Args:
        data: from `pack`.

    Returns:
        The share.
    """
    arrays = safetensors.numpy.load(data)
    shape = tuple(arrays["shape"].tolist())
    fit_seconds, score_seconds = (
        tuple(None if np.isnan(x) else float(x) for x in arrays[name]) for name in ("fit_seconds", "score_seconds")
    )
    return Share(
        np.unpackbits(arrays["masks"], count=int(np.prod(shape))).astype(bool).reshape(shape),
        tuple(Scores(arrays[f"patches{i}"], arrays[f"images{i}"]) for i in range(len(fit_seconds))),
        fit_seconds,
        score_seconds,
    )
