"""What the demo does, without its page: fit a part, look at a photograph, judge it by any threshold, draw it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from fastrecon_jax.data.images import Preprocessing
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import calibration, inspector, part_file, photos, pictures
from fastrecon_jax.parts import part as parts
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.inspector import Finding, PartInspector
from fastrecon_jax.parts.part import Part
from fastrecon_jax.parts.photos import Photo
from fastrecon_jax.serving.engines import Opener

_THUMBNAIL = 96
_SHOWN = 5
_RATES = 1e-9, 1 - 1e-9
Named = tuple[str, Image.Image]


class Bounds(NamedTuple):
    """What is accepted.

    Attributes:
        images: at most so many good photographs.
        pixels: width times height of a photograph.
    """

    images: int
    pixels: int


class Session(NamedTuple):
    """A part in use.

    Attributes:
        inspector: of the part.
        warnings: of its fit, sentences.
        thumbnails: of the good photographs; none for a part from a file.
    """

    inspector: PartInspector
    warnings: tuple[str, ...]
    thumbnails: tuple[Image.Image, ...]

    @property
    def part(self) -> Part:
        """The part."""
        return self.inspector.part


class View(NamedTuple):
    """A photograph that was looked at; judging and drawing it computes nothing anew.

    Attributes:
        name: for people.
        size: (width, height) in pixels.
        small: the whole of it, to draw on.
        score: by the part.
        map: anomaly map of the inspected centre.
    """

    name: str
    size: tuple[int, int]
    small: Image.Image
    score: float
    map: Float[np.ndarray, "H W"]


def read(paths: Sequence[str | Path], bounds: Bounds) -> list[Named]:
    """Decode uploaded photographs.

    Args:
        paths: of the files, whose last parts are their names.
        bounds: what is accepted.

    Returns:
        Name and photograph of each.

    Raises:
        InputError: none, too many, or some that cannot be used, which it names.
    """
    if not paths:
        raise InputError("there is no image: pass at least one good one")
    if len(paths) > bounds.images:
        raise InputError(f"{len(paths)} images are more than --max_images={bounds.images}: choose some of them")
    found, errors = [], []
    for path in map(Path, paths):
        try:
            found.append((path.name, photos.decode(path, path.name, bounds.pixels)))
        except InputError as error:
            errors.append(str(error))
    if errors:
        more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise InputError(f"{len(errors)} of {len(paths)} images cannot be used: {'; '.join(errors[:_SHOWN])}{more}")
    return found


def fit(engine: Engine, photographs: Sequence[Named], *, name: str, rate: float) -> Session:
    """Fit a part on good photographs.

    Args:
        engine: of the recipe.
        photographs: name and picture of each, at least one.
        name: of the part.
        rate: share of good photographs that may be judged defective.

    Returns:
        The part, ready for inspection.

    Raises:
        InputError: there is no image.
    """
    sizes = _sizes(engine)
    fitted = parts.fit(
        engine, [photos.prepare(image, sizes, name=known) for known, image in photographs], name=name, rate=rate
    )
    small = tuple(_thumbnail(image) for _, image in photographs)
    return Session(inspector.create(fitted.part, engine), fitted.warnings, small)


def load(path: str | Path, opener: Opener, *, name: str = "") -> Session:
    """A part from its file.

    Args:
        path: of the file.
        opener: of engines.
        name: of the file, for people; the path by default.

    Returns:
        The part, ready for inspection.

    Raises:
        InputError: it is damaged, no part, or its engine cannot be opened.
    """
    file = Path(path)
    try:
        part, engine = part_file.load(file, opener)
    except InputError as error:
        raise InputError(str(error).replace(str(file), name) if name else str(error)) from None
    return Session(inspector.create(part, engine), (), ())


def look(session: Session, path: str | Path, bounds: Bounds) -> View:
    """Score an uploaded photograph.

    Args:
        session: the part.
        path: of the file, whose last part is its name.
        bounds: what is accepted.

    Returns:
        All that judging and drawing needs.

    Raises:
        InputError: it cannot be used.
    """
    return look_at(session, Path(path).name, photos.decode(path, Path(path).name, bounds.pixels))


def look_at(session: Session, name: str, image: Image.Image) -> View:
    """Score a photograph.

    Args:
        session: the part.
        name: of the photograph.
        image: of mode RGB.

    Returns:
        All that judging and drawing needs.
    """
    photo: Photo = photos.prepare(image, _sizes(session.inspector.engine), name=name)
    (score,), (map_,) = inspector.score(session.inspector, photo.pixels[None], batch_size=1)
    return View(name, image.size, _drawable(image), float(score), map_)


def judge(session: Session, view: View, threshold: float | None = None) -> Finding:
    """Verdict and regions by a threshold.

    Args:
        session: the part.
        view: of the photograph.
        threshold: of the score; the calibrated one by default.

    Returns:
        The finding.
    """
    return inspector.judge(at_threshold(session.part, threshold), view.score, view.map, view.size)


def at_threshold(part: Part, threshold: float | None) -> Part:
    """The part as if it had been calibrated for the share of false positives that belongs to a threshold.

    Args:
        part: fitted.
        threshold: of the score; None for its own.

    Returns:
        The part with this threshold, and the level of the map where regions begin moved along; the colours stay.
    """
    if threshold is None or threshold == part.limits.threshold:
        return part
    limits = part.limits
    rate = min(max(calibration.p_value(limits.scores, threshold), _RATES[0]), _RATES[1])
    seed = calibration.threshold(limits.peaks, rate)
    moved = limits._replace(
        rate=rate,
        threshold=threshold,
        borderline=min(limits.borderline, threshold),
        seed=seed,
        extent=min(limits.extent, seed),
    )
    return part._replace(limits=moved)


def draw(session: Session, view: View, finding: Finding) -> Image.Image:
    """The photograph with its map and regions, in the colours of the part.

    Args:
        session: the part.
        view: of the photograph.
        finding: on it.

    Returns:
        At most 640 pixels wide and high, mode RGB.
    """
    limits = session.part.limits
    return pictures.draw(view.small, finding, session.part.recipe, view.size, low=limits.floor, high=limits.ceiling)


def slider(session: Session, view: View | None) -> tuple[float, float, float]:
    """Ends and step of the threshold's slider.

    Args:
        session: the part.
        view: a photograph, if there is one.

    Returns:
        From below all scores that are known to above them, in a thousand steps.
    """
    limits = session.part.limits
    scores = [one.score for one in session.part.good] + ([view.score] if view else [])
    low = 0.8 * min(*scores, limits.borderline)
    high = 1.15 * max(*scores, limits.threshold)
    step = _rounded((high - low) / 1000)
    return _multiple(low, step), _multiple(high, step), step


def _rounded(step: float) -> float:
    """To a power of ten, so that thresholds are short numbers."""
    return float(10.0 ** np.floor(np.log10(max(step, 1e-12))))


def _multiple(value: float, step: float) -> float:
    """The nearest one, without the digits that a product of floats has at its end."""
    return float(f"{step * round(value / step):.12g}")


def _sizes(engine: Engine) -> Preprocessing:
    return Preprocessing(engine.recipe.image_size, engine.recipe.crop_size)


def _thumbnail(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return small


def _drawable(image: Image.Image) -> Image.Image:
    """Neither larger nor much smaller than the picture on the page, so that outlines are crisp."""
    factor = pictures.SIDE // max(image.size)
    return image.resize((image.width * factor, image.height * factor)) if factor > 1 else pictures.shrink(image)
