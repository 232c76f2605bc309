"""Photographs that visitors of the demo upload."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fastrecon_jax.data.bit_depth import CONTAINER
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import photos

_LISTED = 5  # errors in a message


class Accepted(NamedTuple):
    """What is accepted.

    Attributes:
        images: number of good photographs, at most.
        pixels: width times height of a photograph, at most.
    """

    images: int
    pixels: int


class Upload(NamedTuple):
    """A decoded photograph.

    Attributes:
        name: name of its file, without the server's directory.
        image: the photograph, RGB.
        notes: what is odd about it, see `images.Decoded`.
    """

    name: str
    image: Image.Image
    notes: tuple[str, ...] = ()


def read(path: str | Path, accepted: Accepted, *, depth: int = CONTAINER) -> Upload:
    """Decode an uploaded photograph, whose pixels with more than 8 bits fill `depth`; InputError if it is unusable."""
    name = Path(path).name
    return Upload(name, *photos.read(path, name, accepted.pixels, depth))


def read_all(paths: Sequence[str | Path], accepted: Accepted, *, depth: int = CONTAINER) -> list[Upload]:
    """Decode uploaded photographs; InputError if there are none or too many, or naming those that cannot be used."""
    if not paths:
        raise InputError("there is no image: pass at least one good one")
    if len(paths) > accepted.images:
        raise InputError(f"{len(paths)} images are more than --max_images={accepted.images}: choose some of them")
    uploads, errors = [], []
    for path in paths:
        try:
            uploads.append(read(path, accepted, depth=depth))
        except InputError as error:
            errors.append(str(error))
    if errors:
        more = f"; and {len(errors) - _LISTED} more" if len(errors) > _LISTED else ""
        raise InputError(f"{len(errors)} of {len(paths)} images cannot be used: {'; '.join(errors[:_LISTED])}{more}")
    return uploads
