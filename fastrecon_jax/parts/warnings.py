"""What the good photographs of a part leave in doubt, in sentences for people."""

import collections
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from fastrecon_jax.data import images
from fastrecon_jax.parts import calibration
from fastrecon_jax.parts.calibration import Calibration
from fastrecon_jax.parts.part import GoodPhoto
from fastrecon_jax.parts.photos import Photo

_UNLIKELY = 0.005  # p-value below which an image does not look like the others
_LIKE = 0.5  # share of the median distance between two images below which they are nearly the same
_ALIKE = 0.1  # distance relative to the features themselves, likewise
_LISTED = 3  # names in a sentence
SHAPE = "shape"  # the kind of a note
_SAME_SHAPE = 0.02  # difference of proportions that rounding and cutting bring about
_PAIRS = 32  # images of which all pairs are compared


def about_copies(surplus: int, given: int) -> list[str]:
    """Exact copies among the photographs that were given."""
    if not surplus:
        return []
    return [f"{surplus} of {given} images are copies of others or known already, and do not count"]


_NOTES = {
    images.PAGES: "more than one page or frame, of which the first alone is used",
    images.CLIPPED: "values above the white of their bit depth, which became white; pass --bit_depth",
    images.DARK: "less than an eighth of the range of their values in use: is the light on, and --bit_depth right?",
}


def about_notes(photos: Sequence[Photo]) -> tuple[str, ...]:
    """What is odd about single photographs, with the number of those that it concerns."""
    named: dict[str, list[str]] = {}
    for photo in photos:
        for note in photo.notes:
            kind, _, text = note.partition(": ")
            named.setdefault(kind, []).append(f"{photo.name} ({text})")
    return tuple(
        f"{len(names)} of {len(photos)} images have {_NOTES[kind]}: {_names(names)}" for kind, names in named.items()
    )


def about_photo(photo: Photo, good: Sequence[GoodPhoto]) -> tuple[str, ...]:
    """What is odd about a photograph, each `KIND: text`: its notes, and another shape than all good ones."""
    same = _SAME_SHAPE * photo.height
    if any(abs(photo.width * other.height - photo.height * other.width) <= same * other.width for other in good):
        return photo.notes
    (width, height), _ = collections.Counter((other.width, other.height) for other in good).most_common(1)[0]
    return (*photo.notes, f"{SHAPE}: {photo.width}x{photo.height}, the good ones are {width}x{height}")


def about_sizes(photos: Sequence[tuple[str, int, int]]) -> list[str]:
    """Photographs (name, width, height) of different sizes: other distances or another camera."""
    sizes: dict[tuple[int, int], list[str]] = {}
    for name, width, height in photos:
        sizes.setdefault((width, height), []).append(name)
    if len(sizes) < 2:
        return []
    listed = ", ".join(f"{width}x{height} ({_names(names)})" for (width, height), names in sizes.items())
    return [
        f"the images are of different sizes: {listed}; all are resized to the same shape, "
        "so the part must fill each of them alike"
    ]


def about_pairs(names: Sequence[str], stages: Sequence[Float[np.ndarray, "k _ _ _"]]) -> list[str]:
    """Photographs that are nearly the same, which make the held-out scores too low."""
    # All pairs of k images are k (k - 1) / 2: beyond the first 32 it would take longer than the fit.
    pairs = list(itertools.combinations(range(min(len(names), _PAIRS)), 2))
    if not pairs:
        return []
    distances = np.array([np.mean([_distance(stage[i], stage[j]) for stage in stages]) for i, j in pairs])
    # Of two images alone there is no median to compare their distance with.
    limit = max(_ALIKE, _LIKE * float(np.median(distances))) if len(pairs) > 1 else _ALIKE
    alike = [
        f"{names[i]} and {names[j]}" for (i, j), distance in zip(pairs, distances, strict=True) if distance < limit
    ]
    if not alike:
        return []
    return [
        f"nearly the same image twice: {_names(alike)}; they add little, and the threshold comes out too low: "
        "photograph another part, or the same one again from scratch"
    ]


def _distance(a: Float[np.ndarray, "h w c"], b: Float[np.ndarray, "h w c"]) -> float:
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(a), np.linalg.norm(b), 1e-12))


def about_outliers(names: Sequence[str], scores: Sequence[float]) -> list[str]:
    """A photograph whose held-out score is unlikely by those of the others: a defective part among the good ones."""
    if len(names) < 4:  # fewer say nothing of their spread
        return []
    sentences = []
    for i, name in enumerate(names):
        others = [score for j, score in enumerate(scores) if j != i]
        if calibration.p_value(calibration.fit(others), scores[i]) < _UNLIKELY:
            low, high = min(others), max(others)
            sentences.append(
                f"{name} is the odd one out: held out it scores {scores[i]:.4g}, the others {low:.4g} to {high:.4g}; "
                "is it a good part, and photographed like them?"
            )
    return sentences


def about_rate(rate: float, scores: Calibration) -> list[str]:
    """A false-positive rate beyond what so few photographs can show: n scores show rates down to 1 / (n + 1)."""
    if rate * (scores.count + 1) >= 1:
        return []
    needed = int(np.ceil(1 / rate)) - 1
    return [
        f"{scores.count} held-out scores cannot show a false-positive rate of {100 * rate:g} %: the threshold rests on "
        f"the assumption that logarithms of good scores are normally distributed; {needed} images would show it without"
    ]


def about_hurry(at_once: int, count: int, seconds: float) -> tuple[str, ...]:
    """A calibration that held more images out together than it would have, to be done in time."""
    return (
        f"the calibration held out {at_once} of {count} images at a time to take about {seconds:g} s, and comes out a "
        "little higher than with fewer of them; raise --max_seconds if that matters",
    )


def about_a_single_image() -> list[str]:
    """One photograph: nothing tells how much good parts differ."""
    return [
        "one image says nothing of how much good parts differ: the threshold is a guess between changed copies of it, "
        "which score too low, and its halves, which score too high; add images with python -m fastrecon_jax.extend"
    ]


def about_empty_frames(names: Sequence[str]) -> list[str]:
    """Frames without the part that would be good."""
    if not names:
        return []
    return [
        f"a frame without the part, or half of it, would pass: {', '.join(names)}; that is right where images show a "
        "texture alone, of which tiles are good; otherwise add images, or see to it that the part is there"
    ]


def _names(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
