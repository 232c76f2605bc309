"""What the evaluation sees of a data set, wherever the images come from."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from fastrecon_jax import files
from fastrecon_jax.data import geometry, images, masks
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.picture_files import Skipped
from fastrecon_jax.data.saturation import Saturation
from fastrecon_jax.errors import InputError

GOOD = "good"
UNKNOWN = "unknown"  # in place of the kind of defect, where only the publisher knows the label


class Sample(NamedTuple):
    """One photograph, not read yet.

    Attributes:
        name: the file relative to its category, such as `test/broken_large/000.png`.
        path: where it is, for people.
        defective: the label.
        defect: the kind of defect; `good` for none, `unknown` where the label is not published.
        read: gives the encoded file.
        read_mask: gives the encoded mask; None for good images and where the data set has no masks.
        files: those that hold the image and its mask.
        is_file: whether the image is the first of these files, and not in a record of it.
        group: the object that it shows, where several photographs show one; otherwise empty.
        read_defects: gives the encoded masks of its defects one by one, where they were published so.
    """

    name: str
    path: str
    defective: bool
    defect: str
    read: Callable[[], bytes]
    read_mask: Callable[[], bytes] | None = None
    files: tuple[Path, ...] = ()
    is_file: bool = False
    group: str = ""
    read_defects: Callable[[], Sequence[bytes]] | None = None


class Category(NamedTuple):
    """One kind of part.

    Attributes:
        name: the category.
        train: good images, sorted by name.
        test: good and defective images, sorted by name.
        has_masks: whether every defective test image has a mask.
        partial: whether it is known to lack something of what was published.
        skipped: what lies beside its images and is not looked at.
        validation: good images that are neither trained nor tested on, sorted by name.
        private: test images whose labels are not published, sorted by name.
        figures: names of the figures that its publisher prescribes besides the usual ones.
        saturation: how much of a defect must be found, by kinds of defects.
    """

    name: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    has_masks: bool
    partial: bool = False
    skipped: Skipped = Skipped()
    validation: tuple[Sample, ...] = ()
    private: tuple[Sample, ...] = ()
    figures: tuple[str, ...] = ()
    saturation: tuple[Saturation, ...] = ()


class Picture(NamedTuple):
    """One photograph, read.

    Attributes:
        pixels: what the encoder sees of it, RGB, 0 to 255.
        size: width and height of the file, in pixels.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    size: tuple[int, int]


def from_file(root: Path, path: Path, *, defect: str = GOOD, mask: Path | None = None, group: str = "") -> Sample:
    """A photograph in the folder of its category, not read yet; InputError where it lies elsewhere or is not UTF-8."""
    if not path.is_relative_to(root):
        raise InputError(f"image {path} does not lie in {root}")
    return Sample(
        name=path.relative_to(root).as_posix(),
        path=files.text(path),
        defective=defect not in (GOOD, UNKNOWN),
        defect=defect,
        read=path.read_bytes,
        read_mask=mask.read_bytes if mask else None,
        files=(path, mask) if mask else (path,),
        is_file=True,
        group=group,
    )


def fingerprints(category: Category) -> list[Any]:
    """What changes when an image of a category is replaced, without reading any; as JSON holds it.

    For each image its name and, of each of its files, the size in bytes and the time of its last change in nanoseconds.
    """
    all_samples = (*category.train, *category.test, *category.validation)
    facts = {file: _facts(file) for file in {file for sample in all_samples for file in sample.files}}
    return [[sample.name, *(facts[file] for file in sample.files)] for sample in all_samples]


def _facts(file: Path) -> list[int]:
    try:
        status = file.stat()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {files.reason(error)}") from None
    return [status.st_size, status.st_mtime_ns]


def read(sample: Sample) -> bytes:
    """The encoded image file; InputError where it cannot be read."""
    return _bytes(sample.read, sample.path)


def load_image(sample: Sample, data: bytes, preprocessing: Preprocessing) -> Picture:
    """Decode and preprocess a photograph whose encoded file was read; InputError where it cannot be decoded."""
    image = images.decode(data, sample.path, max_pixels=preprocessing.max_pixels, depth=preprocessing.bit_depth)
    return Picture(geometry.preprocess(image, preprocessing), image.size)


def load_mask(sample: Sample, size: tuple[int, int], preprocessing: Preprocessing) -> Bool[np.ndarray, "H W"]:
    """Read, decode and preprocess the mask of a photograph; all false for good images and where there is no mask.

    InputError where it cannot be used, or is of another (width, height) than `size`, the photograph's.
    """
    if sample.read_mask is None:
        return np.zeros(preprocessing.kept, bool)
    return geometry.preprocess_mask(_mask(sample, size, preprocessing.max_pixels), preprocessing)


def whole_mask(sample: Sample, size: tuple[int, int], max_pixels: int) -> Bool[np.ndarray, "H W"]:
    """The mask of a photograph of (width, height) as published, neither resized nor cut; see `load_mask`."""
    if sample.read_mask is None:
        return np.zeros(size[::-1], bool)
    return np.asarray(_mask(sample, size, max_pixels)) > 0


def _mask(sample: Sample, size: tuple[int, int], max_pixels: int) -> Image.Image:
    name = f"the mask of {sample.path}"
    mask = masks.decode(_bytes(sample.read_mask or bytes, name), name, max_pixels=max_pixels)
    if mask.size != size:
        raise InputError(f"{name} is {mask.width}x{mask.height}, it must be of the image's size, {size[0]}x{size[1]}")
    return mask


def marked_share(sample: Sample, max_pixels: int) -> float:
    """The share of the whole picture that the mask of a defective photograph marks, 0 to 1; see `load_mask`."""
    name = f"the mask of {sample.path}"
    return masks.share(masks.decode(_bytes(sample.read_mask or bytes, name), name, max_pixels=max_pixels))


def peak(sample: Sample, max_pixels: int) -> int | None:
    """The largest value of a photograph of more than 8 bits; None for others, of whose files only the head is read.

    Photographs in records, which hold published sets, count as those of 8 bits that they are.
    """
    if not sample.is_file:
        return None
    try:
        return images.peak(sample.files[0], sample.path, max_pixels=max_pixels)
    except InputError:  # which is said when the photograph is used
        return None


def lies_outside(sample: Sample, preprocessing: Preprocessing) -> bool:
    """Whether a mask marks something, and all of it outside of the inspected area; InputError as in `load_mask`."""
    if sample.read_mask is None:
        return False
    name = f"the mask of {sample.path}"
    mask = masks.decode(_bytes(sample.read_mask, name), name, max_pixels=preprocessing.max_pixels)
    inside = mask.crop(geometry.frame(preprocessing, mask.size).inspected)
    return mask.getbbox() is not None and inside.getbbox() is None


def _bytes(read: Callable[[], bytes], name: str) -> bytes:
    try:
        return read()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {files.reason(error)}") from None


def check(category: Category, *, shots: int) -> None:
    """Refuse a category with fewer good training images than shots, or without good or defective test images."""
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
    """At most `limit` (at least 2; 0 for all) test images in their order, good and defective ones in their proportion.

    They are spread evenly over either kind, and there is at least one of each.
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
