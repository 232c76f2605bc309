"""What the evaluation sees of a data set, wherever the images come from."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from fastrecon_jax.data import images
from fastrecon_jax.errors import InputError


class Sample(NamedTuple):
    """One photograph, not read yet.

    Attributes:
        name: of the file relative to its category, such as `test/broken_large/000.png`.
        path: where it is, for people.
        defective: the label.
        defect: the kind of defect; `good` for none.
        read: gives the encoded file.
        read_mask: gives the encoded mask; None for good images and where the data set has no masks.
    """

    name: str
    path: str
    defective: bool
    defect: str
    read: Callable[[], bytes]
    read_mask: Callable[[], bytes] | None = None


class Category(NamedTuple):
    """One kind of part.

    Attributes:
        name: of the category.
        train: good images, sorted by name.
        test: good and defective images, sorted by name.
        has_masks: whether every defective test image has a mask.
    """

    name: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    has_masks: bool


class Picture(NamedTuple):
    """One photograph, read.

    Attributes:
        pixels: what the encoder sees of it, RGB, (crop_size, crop_size, 3).
        size: of the file, (width, height) in pixels.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    size: tuple[int, int]


def read(sample: Sample) -> bytes:
    """The encoded image file.

    Args:
        sample: which.

    Returns:
        Its bytes.

    Raises:
        InputError: it cannot be read.
    """
    return _bytes(sample.read, sample.path)


def load_image(
    sample: Sample, data: bytes, *, image_size: int, crop_size: int, max_pixels: int = images.MAX_PIXELS
) -> Picture:
    """Decode and preprocess a photograph.

    Args:
        sample: which.
        data: from `read`.
        image_size: side of the resized image, in pixels.
        crop_size: side of the part that is kept.
        max_pixels: of the file up to which it is decoded.

    Returns:
        What the encoder sees of it, and its size.

    Raises:
        InputError: it cannot be decoded.
    """
    image = images.decode(data, sample.path, max_pixels=max_pixels)
    return Picture(images.preprocess(image, image_size=image_size, crop_size=crop_size), image.size)


def load_mask(
    sample: Sample, size: tuple[int, int], *, image_size: int, crop_size: int, max_pixels: int = images.MAX_PIXELS
) -> Bool[np.ndarray, "crop_size crop_size"]:
    """Read, decode and preprocess the mask of a photograph.

    Args:
        sample: which.
        size: of the photograph, (width, height), which the mask must have too.
        image_size: side of the resized mask, in pixels.
        crop_size: side of the part that is kept.
        max_pixels: of the file up to which it is decoded.

    Returns:
        True for defective pixels, (crop_size, crop_size); all false for good images and where there is no mask.

    Raises:
        InputError: it cannot be read or decoded, or it has another size than the image.
    """
    if sample.read_mask is None:
        return np.zeros((crop_size, crop_size), bool)
    name = f"the mask of {sample.path}"
    mask = images.decode_mask(_bytes(sample.read_mask, name), name, max_pixels=max_pixels)
    if mask.size != size:
        raise InputError(f"{name} is {mask.width}x{mask.height}, it must be of the image's size, {size[0]}x{size[1]}")
    return images.preprocess_mask(mask, image_size=image_size, crop_size=crop_size)


def _bytes(read: Callable[[], bytes], name: str) -> bytes:
    try:
        return read()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from None


def check(category: Category, *, shots: int) -> None:
    """Refuse a category that cannot be evaluated.

    Args:
        category: to check.
        shots: the largest number of support images.

    Raises:
        InputError: too few good training images, or a test set without good or without defective images.
    """
    if len(category.train) < shots:
        raise InputError(
            f"category {category.name} has {len(category.train)} good training images, "
            f"--shots={shots} needs at least {shots}"
        )
    for defective, kind in ((False, "good"), (True, "defective")):
        if not any(sample.defective == defective for sample in category.test):
            raise InputError(
                f"category {category.name} has no {kind} test images: both good and defective ones are needed"
            )


def subset(test: Sequence[Sample], limit: int) -> tuple[Sample, ...]:
    """At most `limit` test images, spread evenly over the good and over the defective ones.

    Args:
        test: good and defective images.
        limit: how many, at least 2; 0 for all.

    Returns:
        The images kept, in their order, both kinds in their proportion and at least one of each.
    """
    if not 0 < limit < len(test):
        return tuple(test)
    defective = [i for i, sample in enumerate(test) if sample.defective]
    good = [i for i, sample in enumerate(test) if not sample.defective]
    share = min(max(round(limit * len(defective) / len(test)), 1), limit - 1)
    kept = [
        group[i * len(group) // count]
        for group, count in ((defective, share), (good, limit - share))
        for i in range(min(count, len(group)))
    ]
    return tuple(test[i] for i in sorted(kept))
