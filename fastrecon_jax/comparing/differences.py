"""Paired differences of two systems with bootstrap intervals.

What is resampled: the test images of each part, good and defective apart, the same ones for both systems and all draws;
the draws of each part, the same ones for both where they have draws in common; and, for the wider interval, before
either of them the parts.
"""

import itertools
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastrecon_jax.comparing import bootstrap
from fastrecon_jax.comparing.systems import Key, System

Interval = tuple[float, float]
_LEAST = 6  # independent differences
_Cell = tuple[int, Key]  # of which system
_Images = tuple[str, tuple[str, ...]]  # a part, and test images of it


class Difference(NamedTuple):
    """By how much the first system is above the second, as a fraction.

    Attributes:
        first, second: their names.
        shots: support images of both.
        metric: which figure.
        parts: the difference in each part that both have, mean over draws.
        draws: of the first and the second.
        paired: whether these are the same draws.
        images: test images of all parts that both have scored.
        value: mean over parts.
        same_parts: 95 % interval for other test images and draws of these parts; None with nothing to resample.
        other_parts: 95 % interval for other parts of their kind; None with one part.
    """

    first: str
    second: str
    shots: int
    metric: str
    parts: dict[str, float]
    draws: tuple[int, int]
    paired: bool
    images: int
    value: float
    same_parts: Interval | None
    other_parts: Interval | None

    def clear(self) -> tuple[bool, bool]:
        """Whether each interval is wholly on one side of 0 and made of enough to say so.

        Where all of n independent differences have one sign, chance alone does that in one of 2^(n-1) cases, and any
        bootstrap interval of them excludes 0: with fewer than 6 this is no 95 %.
        """
        independent = self.images if self.metric in bootstrap.IMAGE_METRICS else len(self.parts) * min(self.draws)
        return (
            independent >= _LEAST and _one_sided(self.same_parts),
            len(self.parts) >= _LEAST and _one_sided(self.other_parts),
        )


def _one_sided(interval: Interval | None) -> bool:
    return interval is not None and (interval[0] > 0 or interval[1] < 0)


class _Pair(NamedTuple):
    """Two systems with one number of shots.

    Attributes:
        systems: their places.
        shots: of both.
        images: by part, which test images both have with equal labels: the number of these images.
        equal: parts in which these are all of either.
    """

    systems: tuple[int, int]
    shots: int
    images: dict[str, int]
    equal: frozenset[str]


def compute(
    systems: Sequence[System],
    metrics: Sequence[str],
    *,
    reference: str = "",
    resamples: int,
    progress: Callable[[int], Any] = lambda n: None,
) -> list[Difference]:
    """The differences of all pairs, or of all others from a reference, for every number of shots that both have."""
    known: dict[_Images, int] = {}
    pairs = _pairs(systems, reference, known)
    of_images = [name for name in metrics if name in bootstrap.IMAGE_METRICS]
    pools = _pools(systems, pairs, list(known), of_images, resamples, progress)
    found = (_difference(systems, pair, metric, pools, list(known), resamples) for pair in pairs for metric in metrics)
    return [difference for difference in found if difference is not None]


def _pairs(systems: Sequence[System], reference: str, known: dict[_Images, int]) -> list[_Pair]:
    """Pairs to compare; `known` gets the numbers of their images."""
    found = []
    for a, b in itertools.combinations(range(len(systems)), 2):
        if reference and reference not in (systems[a].name, systems[b].name):
            continue
        pair = (b, a) if systems[a].name == reference else (a, b)
        for shots in sorted(set(systems[a].shots()) & set(systems[b].shots())):
            parts = [part for part in systems[a].parts(shots) if part in systems[b].parts(shots)]
            shared = {part: _shared(systems[a], systems[b], part, shots) for part in parts}
            images = {part: known.setdefault((part, names), len(known)) for part, (names, _) in shared.items() if names}
            equal = frozenset(part for part, (_, same) in shared.items() if same)
            if images:
                found.append(_Pair(pair, shots, images, equal))
    return found


def _shared(a: System, b: System, part: str, shots: int) -> tuple[tuple[str, ...], bool]:
    """The images that all fits of both have with one label, and whether no fit has any other."""
    cells = [cell for of in (a, b) for key, cell in of.cells.items() if key[:2] == (part, shots)]
    first = cells[0]
    if all(cell.images == first.images and np.array_equal(cell.labels, first.labels) for cell in cells):
        return first.images, True
    common = set(zip(first.images, first.labels.tolist(), strict=True))
    for cell in cells[1:]:
        common &= set(zip(cell.images, cell.labels.tolist(), strict=True))
    return tuple(sorted(name for name, _ in common)), False


class _Pool(NamedTuple):
    """A metric of one fit on some images: as they are, and on resamples of them, (r,)."""

    value: float
    resampled: np.ndarray


def _pools(
    systems: Sequence[System],
    pairs: Sequence[_Pair],
    known: Sequence[_Images],
    metrics: Sequence[str],
    resamples: int,
    progress: Callable[[int], Any],
) -> dict[tuple[_Cell, int, str], _Pool]:
    """The metrics of the image scores of all fits, by the number of their images; fits of one part share resamples."""
    jobs: list[set[_Cell]] = [set() for _ in known]
    for pair in pairs:
        for part, number in pair.images.items():
            for i in pair.systems:
                jobs[number] |= {(i, key) for key in systems[i].cells if key[:2] == (part, pair.shots)}
    pools = {}
    for number, ((part, images), job) in enumerate(zip(known, jobs, strict=True)):
        progress(1)
        cells = sorted(job, key=str)
        scores, labels = [], np.zeros(0, bool)
        for i, key in cells:
            cell = systems[i].cells[key]
            place = {name: at for at, name in enumerate(cell.images)}
            chosen = [place[name] for name in images]
            labels = cell.labels[chosen]
            scores.append(cell.scores[chosen])
        if not metrics or labels.all() or not labels.any():
            continue
        seed = zlib.crc32(part.encode())
        values = bootstrap.exact(labels, scores, metrics)
        found = bootstrap.of_images(labels, scores, metrics, resamples=resamples, seed=seed)
        for name in metrics:
            for at, of in enumerate(cells):
                pools[of, number, name] = _Pool(values[name][at], found[name][at])
    return pools


def _difference(
    systems: Sequence[System],
    pair: _Pair,
    metric: str,
    pools: dict[tuple[_Cell, int, str], _Pool],
    known: Sequence[_Images],
    resamples: int,
) -> Difference | None:
    """None where the metric is defined in no part of both."""
    of_images = metric in bootstrap.IMAGE_METRICS
    usable = pair.images if of_images else [part for part in pair.images if part in pair.equal]

    def pool(i: int, key: Key) -> _Pool | None:
        if of_images:
            return pools.get(((i, key), pair.images[key.part], metric))
        value = systems[i].cells[key].metrics.get(metric)
        return None if value is None else _Pool(value, np.array([value]))

    def defined(part: str) -> bool:
        keys = [(i, Key(part, pair.shots, seed)) for i in pair.systems for seed in systems[i].draws(part, pair.shots)]
        return all(pool(i, key) is not None for i, key in keys)

    parts = [part for part in usable if defined(part)]
    if not parts:
        return None
    draws = [{part: systems[i].draws(part, pair.shots) for part in parts} for i in pair.systems]
    chosen, paired = _draws(draws, parts)
    found = [
        [[pool(i, Key(part, pair.shots, seed)) for seed in seeds[part]] for part in parts]
        for i, seeds in zip(pair.systems, chosen, strict=True)
    ]
    exact = [np.array([[one.value for one in of_part] for of_part in own]) for own in found]
    values = [np.array([[one.resampled for one in of_part] for of_part in own]).swapaxes(1, 2) for own in found]
    by_part = exact[0].mean(axis=1) - exact[1].mean(axis=1)
    counts = (exact[0].shape[1], exact[1].shape[1])

    def interval(*, same_parts: bool) -> Interval:
        arrays = [values[0] - values[1]] if paired else values
        means = bootstrap.hierarchical(*arrays, resamples=resamples, same_parts=same_parts)
        return bootstrap.interval(means[0] if paired else means[0] - means[1])

    return Difference(
        *(systems[i].name for i in pair.systems),
        pair.shots,
        metric,
        dict(zip(parts, by_part.tolist(), strict=True)),
        counts,
        paired,
        sum(len(known[pair.images[part]][1]) for part in parts),
        float(by_part.mean()),
        interval(same_parts=True) if of_images or max(counts) > 1 else None,
        interval(same_parts=False) if len(parts) > 1 else None,
    )


def _draws(draws: Sequence[dict[str, list[Any]]], parts: Sequence[str]) -> tuple[list[dict[str, list[Any]]], bool]:
    """The draws to take of each system and part, as many in each part, and whether they are those of the other one."""
    common = [seed for seed in draws[0][parts[0]] if all(seed in own[part] for own in draws for part in parts)]
    if common:
        return [dict.fromkeys(parts, common)] * 2, True
    least = [min(len(own[part]) for part in parts) for own in draws]
    return [{part: own[part][:n] for part in parts} for own, n in zip(draws, least, strict=True)], False
