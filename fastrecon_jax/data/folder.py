"""A folder in the layout of MVTec AD.

CATEGORY/train/good/NAME.png
CATEGORY/test/good/NAME.png
CATEGORY/test/DEFECT/NAME.png
CATEGORY/ground_truth/DEFECT/NAME_mask.png, or NAME.png
"""

from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.data import samples
from fastrecon_jax.data.images import ENDINGS
from fastrecon_jax.data.samples import GOOD, Category
from fastrecon_jax.errors import InputError


def categories(directory: Path) -> tuple[str, ...]:
    """Names of the categories in a directory, sorted: the folders with `train/good`; unreadable ones are left out.

    InputError where the directory is absent, cannot be listed, holds no category or is itself one.
    """
    if not files.is_dir(directory):
        raise InputError(f"data directory {directory} does not exist or is not a directory")
    if holds(directory, "."):
        raise InputError(
            f"{directory} is itself a category: pass its parent {directory.resolve().parent} as --data_dir"
        )
    names = tuple(Path(files.text(path)).name for path in _entries(directory) if holds(path, "."))
    if not names:
        raise InputError(
            f"{directory} holds no category that can be read: expected folders CATEGORY/train/{GOOD} and "
            "CATEGORY/test/DEFECT"
        )
    return names


def holds(directory: Path, name: str, *, good: str = GOOD) -> bool:
    """Whether a category with good training images is there; false also where it cannot be read."""
    return files.false_if_unreadable(files.is_dir, directory / name / "train" / good)


def open_category(directory: Path, name: str, *, good: str = GOOD) -> Category:
    """List the images of a category, whose folders of good images are named `good`; none is read.

    InputError where a folder cannot be listed, a name is not UTF-8, or a defective image has no mask though there is a
    folder of masks.
    """
    root = directory / name
    has_masks = files.is_dir(root / "ground_truth")
    train = tuple(samples.from_file(root, path) for path in _images(root / "train" / good))
    test = []
    for folder in (path for path in _entries(root / "test") if files.is_dir(path)):
        masks = {path.stem: path for path in _images(root / "ground_truth" / folder.name)}
        for path in _images(folder):
            defect = GOOD if folder.name == good else folder.name
            mask = _mask(root, path, masks) if has_masks and defect != GOOD else None
            test.append(samples.from_file(root, path, defect=defect, mask=mask))
    return Category(name, train, tuple(test), has_masks)


def _mask(root: Path, image: Path, masks: dict[str, Path]) -> Path:
    for stem in (f"{image.stem}_mask", image.stem):
        if stem in masks:
            return masks[stem]
    expected = root / "ground_truth" / image.parent.name / image.stem
    raise InputError(f"defective image {image} has no mask: expected {expected}_mask.png or {expected}.png")


def _images(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.suffix.lower() in ENDINGS]


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, if it is there, without what is hidden."""
    return [path for path in files.children(folder) if not files.is_hidden(path)] if files.is_dir(folder) else []
