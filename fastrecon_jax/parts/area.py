"""What of the photographs of a part is inspected: decided from the good ones, and said in words."""

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool
from PIL import Image

from fastrecon_jax import encoders, files
from fastrecon_jax.command_line.fields import SIDES
from fastrecon_jax.data import geometry, images, masks
from fastrecon_jax.data.geometry import CROP, KEEP, RESIZES
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import photos
from fastrecon_jax.parts.engine import Engine, Recipe
from fastrecon_jax.parts.photos import Source

_KEPT = 7 / 8  # share of the side that a crop keeps by default, as published: 224 of 256 pixels


def crop_size(resize: str, image_size: int, asked: int = 0) -> int:
    """The side of the centre that is kept, 0 where nothing is cut off; InputError for sizes that are not possible.

    `asked` is the user's, 0 for the default.
    """
    least, most = SIDES
    if resize not in RESIZES:
        raise InputError(f"--resize={resize} is not allowed: allowed are {', '.join(RESIZES)}")
    if not least <= image_size <= most:
        raise InputError(f"--image_size={image_size} is not allowed: it must be from {least} to {most}")
    if resize != CROP:
        if asked:
            raise InputError(
                f"--crop_size={asked} needs --resize={CROP}: with --resize={resize} the whole photograph is inspected"
            )
        return 0
    size = asked or max(round(_KEPT * image_size), least)
    if not least <= size <= image_size:
        raise InputError(f"--crop_size={size} is not allowed: it must be from {least} to --image_size={image_size}")
    return size


def usual_size(sources: Sequence[Source]) -> tuple[int, int] | None:
    """The most frequent (width, height) of photographs, of equally frequent ones the first.

    Those that cannot be read do not count; None if none can.
    """
    sizes = Counter(size for source in sources if (size := _size(source)))
    return sizes.most_common(1)[0][0] if sizes else None


def _size(source: Source) -> tuple[int, int] | None:
    """(width, height); whoever reads the photograph says why that is not possible."""
    try:
        if isinstance(source, str | os.PathLike):
            return images.size(files.at(source).read_bytes(), str(source), max_pixels=sys.maxsize)
        return photos.decode(source, "").size
    except (OSError, ValueError):
        return None


def decide(recipe: Recipe, usual: tuple[int, int] | None, region: Sequence[int] = ()) -> Recipe:
    """The recipe for good photographs of the usual (width, height), of which perhaps only a region is inspected.

    `region` is (x, y, width, height) in their pixels. Photographs that are resized as a whole get the nearest size that
    the encoder takes. InputError if the region does not lie in them, or the centre has another size than the encoder
    takes.
    """
    if usual is None:
        usual = recipe.image_size, recipe.image_size
    cut: tuple[int, ...] = ()
    if region:
        cut = (*region, *usual)
        if len(region) != 4 or not lies_inside(*cut):
            raise InputError(
                f"--region={','.join(map(str, region))} is not allowed: it must be x,y,width,height of a rectangle "
                f"inside of the good images, which have {usual[0]}x{usual[1]} pixels"
            )
    encoder = encoders.registration(recipe.encoder)
    if recipe.resize == CROP:
        encoder.check_size(recipe.crop_size, recipe.crop_size, f"--crop_size={recipe.crop_size}")
        return dataclasses.replace(recipe, shape=(), region=cut)
    longest = _longest(recipe.image_size, encoder.multiple)
    shape = (longest, longest)
    if recipe.resize == KEEP:
        step = encoder.multiple if encoder.multiple > 1 else geometry.STEP
        shape = geometry.in_proportion(cut[2:4] or usual, longest, step=step)
    return dataclasses.replace(recipe, image_size=longest, shape=shape, region=cut)


def _longest(asked: int, multiple: int) -> int:
    """The longer side of what is resized as a whole: the nearest that an encoder takes."""
    least, most = SIDES
    return min(max(round(asked / multiple), -(-least // multiple)), most // multiple) * multiple


def lies_inside(x: int, y: int, width: int, height: int, of_width: int, of_height: int) -> bool:
    """Whether a rectangle of at least one pixel lies in a photograph."""
    return 0 <= x < x + width <= of_width and 0 <= y < y + height <= of_height


def read_ignore(source: Source, recipe: Recipe, usual: tuple[int, int] | None) -> Bool[np.ndarray, "H W"]:
    """The pixels of the map that a mask marks: white or opaque ones, resized by the nearest neighbour.

    InputError if the mask cannot be read, has other proportions than the good photographs, or marks nothing or
    everything that is inspected.
    """
    name = f"--ignore={source}" if isinstance(source, str | os.PathLike) else "the mask of what is ignored"
    mask = _mask(source, name)
    if usual and abs(mask.width * usual[1] - mask.height * usual[0]) > max(mask.width, *usual):
        raise InputError(
            f"{name} has {mask.width}x{mask.height} pixels, other proportions than the good images of "
            f"{usual[0]}x{usual[1]}"
        )
    ignore = geometry.preprocess_mask(mask, recipe.preprocessing)
    if not ignore.any() or ignore.all():
        raise InputError(
            f"{name} marks {'everything' if ignore.any() else 'nothing'} that is inspected: white or opaque pixels are "
            "never scored, black or transparent ones are"
        )
    return ignore


def _mask(source: Source, name: str) -> Image.Image:
    if isinstance(source, str | os.PathLike):
        try:
            data = files.place(os.fspath(source)).read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(f"{name} cannot be read: {error}") from None
        return masks.decode(data, name)
    return photos.decode(source, name).convert("L").point(lambda value: 255 * (value > 127))


def describe(engine: Engine) -> str:
    """Which part of a photograph is inspected, in one line."""
    recipe = engine.recipe
    height, width = recipe.preprocessing.kept
    whole = "the whole photograph"
    if recipe.region:
        x, y, across, down, *of = recipe.region
        whole = f"{across}x{down} pixels from ({x}, {y}) on, of photographs of {of[0]}x{of[1]}"
    if recipe.resize == CROP and recipe.crop_size < recipe.image_size:
        share = recipe.crop_size / recipe.image_size
        of_what = f" of {whole}" if recipe.region else ""
        said = (
            f"inspected: the middle {100 * share:.0f} % of each side{of_what}, {100 * share**2:.0f} % of the area; "
            f"--resize={KEEP} inspects all"
        )
    else:
        said = f"inspected: {whole}, at {width}x{height} pixels"
    if recipe.tile:
        said += ", encoded in tiles of {} pixels with an overlap of {}".format(*recipe.tile)
    if engine.ignore is not None:
        said += f"; {100 * engine.ignore.mean():.0f} % of it is ignored"
    return said
