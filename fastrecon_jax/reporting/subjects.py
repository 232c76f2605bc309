"""Good photographs with a model that has not seen them, on copies of which a part is tried."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import fitting, inspector
from fastrecon_jax.parts.inspector import PartInspector
from fastrecon_jax.parts.photos import Photo

MOST = 8  # photographs that are tried, evenly spread over those that there are
HELD_OUT, NEW, SEEN = "held out", "new", "seen"


class Subject(NamedTuple):
    """A good photograph, and what scores copies of it.

    Attributes:
        name: its path, or what the caller called it.
        pixels: what the encoder sees.
        size: width and height of the photograph, in pixels.
        inspector: the part, or with another state a model of the part's other photographs.
    """

    name: str
    pixels: UInt8[np.ndarray, "H W 3"]
    size: tuple[int, int]
    inspector: PartInspector


def choose(whole: PartInspector, photos: Sequence[Photo]) -> tuple[tuple[Subject, ...], str]:
    """At most eight photographs to try a part on, and how they relate to it.

    Photographs that the part does not know are `new`. Without such ones each of the part's own is `held out` of a model
    of the others, as in the calibration; a single one is `seen`, since there are no others. InputError if the part's
    file lacks what this needs and the photographs do not make up for it.
    """
    part = whole.part
    known = {photo.sha256 for photo in part.good}
    new = [photo for photo in photos if photo.sha256 not in known]
    if new:
        return tuple(_subject(whole, photo) for photo in _spread(new)), NEW
    pixels = _own_pixels(whole, photos)
    own = [
        Photo(photo.name, photo.sha256, photo.width, photo.height, image)
        for photo, image in zip(part.good, pixels, strict=True)
    ]
    if len(own) == 1:
        return (_subject(whole, own[0]),), SEEN
    stages = part.stages or fitting.encode(whole.engine, pixels)
    copies = fitting.encode_copies(whole.engine, pixels)
    return tuple(_held_out(whole, own, stages, copies, i) for i in _spread(range(len(own)))), HELD_OUT


def _own_pixels(whole: PartInspector, photos: Sequence[Photo]) -> UInt8[np.ndarray, "k H W 3"]:
    part = whole.part
    if part.pixels is not None:
        return part.pixels
    given = {photo.sha256: photo.pixels for photo in photos}
    missing = sum(photo.sha256 not in given for photo in part.good)
    if not missing:
        return np.stack([given[photo.sha256] for photo in part.good])
    lacks = f"the file of part {part.name} does not hold the pixels of its good photographs: "
    if not photos:
        raise InputError(f"{lacks}pass them, or other good ones, as --images")
    raise InputError(
        f"{lacks}--images names {len(part.good) - missing} of them and no other good photograph: pass all "
        f"{len(part.good)}, or others"
    )


def _spread(items: Sequence) -> list:
    count = min(MOST, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _subject(scorer: PartInspector, photo: Photo) -> Subject:
    return Subject(photo.name, photo.pixels, (photo.width, photo.height), scorer)


def _held_out(
    whole: PartInspector,
    photos: Sequence[Photo],
    stages: Sequence[Float[np.ndarray, "k _ _ _"]],
    copies: Sequence[Float[np.ndarray, "k n _ _ _"]],
    index: int,
) -> Subject:
    others = np.arange(len(photos)) != index
    support, changed = (tuple(jnp.asarray(stage[others]) for stage in some) for some in (stages, copies))
    state = jax.tree.map(np.asarray, whole.engine.fit(support, jax.random.key(0), changed))
    return _subject(inspector.create(whole.part._replace(state=state), whole.engine), photos[index])
