"""What a report measures: a part tried on painted defects, on frames without the part and on harmless changes."""

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from fastrecon_jax.data import sized_defects
from fastrecon_jax.parts import calibration, empty_frames, inspector
from fastrecon_jax.parts.calibration import Calibration
from fastrecon_jax.parts.inspector import DEFECTIVE, GOOD, PartInspector
from fastrecon_jax.reporting.changes import CHANGES, Change
from fastrecon_jax.reporting.subjects import Subject

Pixels = UInt8[np.ndarray, "H W 3"]
SHARE = 0.9  # share of copies that must be found for a size to count as found, or stay good for a change to be forgiven
SIZES = (0.01, 0.02, 0.03, 0.045, 0.07, 0.1, 0.15, 0.22, 0.33)  # of the shorter side of what is inspected
_COPIES = 16  # copies of each kind and size, at least
_COUNTS = (2, 4, 8, 16, 32, 64, 100)


class Trial(NamedTuple):
    """One image that was tried.

    Attributes:
        score: its score.
        verdict: good, borderline or defective.
    """

    score: float
    verdict: str


class Shown(NamedTuple):
    """A trial with its picture, for the page alone."""

    trial: Trial
    pixels: Pixels
    map: Float[np.ndarray, "H W"]


class Size(NamedTuple):
    """Defects of one kind and size.

    Attributes:
        pixels: largest extent, in pixels of what is inspected.
        side: the same as a share of its shorter side.
        found: share that is judged defective.
        borderline: share that is judged borderline.
        count: how many were tried.
    """

    pixels: float
    side: float
    found: float
    borderline: float
    count: int


class Amount(NamedTuple):
    """A harmless change by one amount.

    Attributes:
        amount: in the change's unit; 0 for photographs as they are.
        good: share that is judged good, of those that are good as they are.
        passed: share that is not judged defective, of those that pass as they are.
        median: median of the scores, in thresholds.
        highest: the highest of them.
    """

    amount: float
    good: float
    passed: float
    median: float
    highest: float


class Span(NamedTuple):
    """The amounts from `low` to `high` around 0 within which 9 of 10 copies stay as they were; None if none do."""

    low: float | None
    high: float | None


class Sensitivity(NamedTuple):
    """How a part takes a harmless change: amount by amount, and within which span photographs stay good, or pass."""

    name: str
    unit: str
    amounts: tuple[Amount, ...]
    good: Span
    passed: Span


class Defect(NamedTuple):
    """How a part finds painted defects of a kind: size by size, and the smallest from which on 9 of 10 are found."""

    kind: str
    sizes: tuple[Size, ...]
    smallest: Size | None
    shown: Shown


class Precision(NamedTuple):
    """What a number of good images tells of the false-positive rate, with 90 % confidence, and the threshold then."""

    images: int
    low: float
    high: float
    threshold: float


Progress = Callable[[int], object]


def number_of_images(subjects: Sequence[Subject]) -> int:
    """How many images `defects` and `sensitivities` try together."""
    painted = len(sized_defects.KINDS) * len(SIZES) * len(subjects) * _each(subjects)
    changed = sum(len(change.apply(subjects[0].pixels, amount)) for change in CHANGES for amount in change.amounts)
    return painted + changed * len(subjects)


def _each(subjects: Sequence[Subject]) -> int:
    return -(-_COPIES // len(subjects))


def _try(subject: Subject, images: Sequence[Pixels], batch_size: int) -> list[Shown]:
    found = inspector.measure(subject.inspector, np.stack(images), batch_size=batch_size)
    missing = [None] * len(images) if found.missing is None else found.missing.tolist()
    tried = []
    for image, score, anomaly_map, lacks in zip(images, found.score.tolist(), found.map, missing, strict=True):
        part, name, size = subject.inspector.part, subject.name, subject.size
        verdict = inspector.judge(part, name, score, anomaly_map, size, missing=lacks).verdict
        tried.append(Shown(Trial(score, verdict), image, anomaly_map))
    return tried


def defects(subjects: Sequence[Subject], *, batch_size: int, progress: Progress) -> tuple[Defect, ...]:
    """Painted defects of each kind at each size, on each photograph at the same places for all sizes."""
    return tuple(
        _defect(kind, subjects, number, batch_size, progress) for number, kind in enumerate(sized_defects.KINDS)
    )


def _defect(kind: str, subjects: Sequence[Subject], number: int, batch_size: int, progress: Progress) -> Defect:
    tried: list[list[Shown]] = [[] for _ in SIZES]
    for subject in subjects:
        seed = zlib.crc32(subject.pixels.tobytes())
        places = sized_defects.places(subject.pixels, _each(subjects), np.random.default_rng([seed, number]))
        for several, size in zip(tried, SIZES, strict=True):
            # A defect of one place has the same form and colour at all sizes.
            copies = [
                sized_defects.paint(
                    kind, subject.pixels, _extent(subject, size), place, np.random.default_rng([seed, number, i])
                )
                for i, place in enumerate(places)
            ]
            several += _try(subject, copies, batch_size)
            progress(len(copies))
    sizes = tuple(_size(subjects[0], size, several) for size, several in zip(SIZES, tried, strict=True))
    smallest = _smallest(sizes)
    at = sizes.index(smallest) if smallest else len(sizes) - 1
    # The one in the middle by its score stands for the others.
    shown = sorted(tried[at], key=lambda one: one.trial.score)[len(tried[at]) // 2]
    return Defect(kind, sizes, smallest, shown)


def _extent(subject: Subject, size: float) -> float:
    return size * min(subject.pixels.shape[:2])


def _size(subject: Subject, size: float, tried: Sequence[Shown]) -> Size:
    shares = [float(np.mean([one.trial.verdict == verdict for one in tried])) for verdict in inspector.VERDICTS]
    return Size(round(_extent(subject, size), 2), size, shares[2], shares[1], len(tried))


def _smallest(sizes: Sequence[Size]) -> Size | None:
    """The smallest size that is found, as are all larger ones."""
    found = None
    for size in reversed(sizes):
        if size.found < SHARE:
            break
        found = size
    return found


def frames(whole: PartInspector, good: UInt8[np.ndarray, "k H W 3"], *, batch_size: int) -> dict[str, Shown]:
    """Frames without the part, or without half of it, by name."""
    made = empty_frames.make(good)
    size = whole.part.good[0].width, whole.part.good[0].height
    tried = _try(Subject("frame", good[0], size, whole), list(made.values()), batch_size)
    return dict(zip(made, tried, strict=True))


def sensitivities(subjects: Sequence[Subject], *, batch_size: int, progress: Progress) -> tuple[Sensitivity, ...]:
    """How far good photographs may move, turn, darken, lighten or blur."""
    return tuple(_sensitivity(change, subjects, batch_size, progress) for change in CHANGES)


def _sensitivity(change: Change, subjects: Sequence[Subject], batch_size: int, progress: Progress) -> Sensitivity:
    tried: dict[float, list[list[Trial]]] = {amount: [] for amount in change.amounts}
    for subject in subjects:
        for amount in change.amounts:
            copies = change.apply(subject.pixels, amount)
            tried[amount].append([one.trial for one in _try(subject, copies, batch_size)])
            progress(len(copies))
    # Photographs that are not good as they are say nothing of the change.
    before = [several[0].verdict for several in tried[0.0]]
    good = [i for i, verdict in enumerate(before) if verdict == GOOD] or list(range(len(before)))
    passing = [i for i, verdict in enumerate(before) if verdict != DEFECTIVE] or list(range(len(before)))
    threshold = subjects[0].inspector.part.limits.threshold

    def at(amount: float) -> Amount:
        of_good, of_passing = ([trial for i in some for trial in tried[amount][i]] for some in (good, passing))
        scores = [trial.score / threshold for several in tried[amount] for trial in several]
        return Amount(
            amount,
            float(np.mean([trial.verdict == GOOD for trial in of_good])),
            float(np.mean([trial.verdict != DEFECTIVE for trial in of_passing])),
            float(np.median(scores)),
            max(scores),
        )

    amounts = tuple(map(at, change.amounts))
    spans = [span(change.amounts, [getattr(one, name) >= SHARE for one in amounts]) for name in ("good", "passed")]
    return Sensitivity(change.name, change.unit, amounts, *spans)


def span(amounts: Sequence[float], stays: Sequence[bool]) -> Span:
    """The run of amounts around 0 for which photographs stay as they were."""
    start = list(amounts).index(0.0)
    if not stays[start]:
        return Span(None, None)
    low = high = start
    while low > 0 and stays[low - 1]:
        low -= 1
    while high + 1 < len(amounts) and stays[high + 1]:
        high += 1
    return Span(amounts[low], amounts[high])


def precision(scores: Calibration, rate: float) -> tuple[Precision, ...]:
    """The interval of the false-positive rate as it is, and with more good images whose scores spread alike."""
    more = [count for count in _COUNTS if count > scores.count]
    return (_precision(scores, rate), *(_precision(_with(scores, count), rate) for count in more))


def _with(scores: Calibration, count: int) -> Calibration:
    few = calibration.TYPICAL_DEGREES if count < calibration.MEASURABLE else 0
    return scores._replace(degrees=count - 1 + few, count=count)


def _precision(scores: Calibration, rate: float) -> Precision:
    return Precision(scores.count, *calibration.rate_interval(scores, rate), calibration.threshold(scores, rate))
