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
    """Names of the categories, found by looking for `train/good`; folders that cannot be read are left out.

    Args:
        directory: that holds the categories.

    Returns:
        Their names, sorted.

    Raises:
        InputError: there is no such directory, it cannot be listed, there is no category in it, or a name is not UTF-8.
    """
    if not files.is_dir(directory):
        raise InputError(f"data directory {directory} does not exist or is not a directory")
    if holds(directory, "."):
        raise InputError(
            f"{directory} is itself a category: pass its parent {directory.resolve().parent} as --data_dir"
        )
    found = tuple(Path(files.text(path)).name for path in files.children(directory) if holds(path, "."))
    if not found:
        raise InputError(
            f"{directory} holds no category that can be read: expected folders CATEGORY/train/{GOOD} and "
            "CATEGORY/test/DEFECT"
        )
    return found


def holds(directory: Path, name: str, *, good: str = GOOD) -> bool:
    """Whether a category is there, with good training images.

    Args:
        directory: that holds the categories.
        name: of the category.
        good: name of the folders of good images.

    Returns:
        True if it is; false also where it cannot be read.
    """
    return files.forgiving(files.is_dir, directory / name / "train" / good)


def open_category(directory: Path, name: str, *, good: str = GOOD) -> Category:
    """List the images of a category; none is read.

    Args:
        directory: that holds the categories.
        name: of the category.
        good: name of the folders of good images.

    Returns:
        The category.

    Raises:
        InputError: a folder cannot be listed, a name is not UTF-8, or a defective image has no mask though the category
            has a folder of masks.
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
    return [p for p in _entries(folder) if p.suffix.lower() in ENDINGS and not p.name.startswith(".")]


def _entries(folder: Path) -> list[Path]:
    return files.children(folder) if files.is_dir(folder) else []
