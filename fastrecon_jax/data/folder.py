"""A folder in the layout of MVTec AD.

CATEGORY/train/good/NAME.png
CATEGORY/test/good/NAME.png
CATEGORY/test/DEFECT/NAME.png
CATEGORY/ground_truth/DEFECT/NAME_mask.png, or NAME.png
"""

from pathlib import Path

from fastrecon_jax.data.images import ENDINGS
from fastrecon_jax.data.samples import Category, Sample
from fastrecon_jax.errors import InputError

GOOD = "good"


def categories(directory: Path) -> tuple[str, ...]:
    """Names of the categories, found by looking for `train/good`.

    Args:
        directory: that holds the categories.

    Returns:
        Their names, sorted.

    Raises:
        InputError: there is no such directory, or no category in it.
    """
    if not directory.is_dir():
        raise InputError(f"data directory {directory} does not exist or is not a directory")
    if (directory / "train" / GOOD).is_dir():
        raise InputError(
            f"{directory} is itself a category: pass its parent {directory.resolve().parent} as --data_dir"
        )
    found = tuple(sorted(p.name for p in directory.iterdir() if (p / "train" / GOOD).is_dir()))
    if not found:
        raise InputError(
            f"{directory} holds no category: expected folders CATEGORY/train/{GOOD} and CATEGORY/test/DEFECT"
        )
    return found


def open_category(directory: Path, name: str, *, good: str = GOOD) -> Category:
    """List the images of a category; none is read.

    Args:
        directory: that holds the categories.
        name: of the category.
        good: name of the folders of good images.

    Returns:
        The category.

    Raises:
        InputError: a defective image has no mask though the category has a folder of masks.
    """
    root = directory / name
    has_masks = (root / "ground_truth").is_dir()
    train = tuple(_sample(root, path, GOOD, None) for path in _images(root / "train" / good))
    test = []
    for folder in sorted(p for p in _entries(root / "test") if p.is_dir()):
        masks = {path.stem: path for path in _images(root / "ground_truth" / folder.name)}
        for path in _images(folder):
            defect = GOOD if folder.name == good else folder.name
            mask = _mask(root, path, masks) if has_masks and defect != GOOD else None
            test.append(_sample(root, path, defect, mask))
    return Category(name, train, tuple(test), has_masks)


def _mask(root: Path, image: Path, masks: dict[str, Path]) -> Path:
    for stem in (f"{image.stem}_mask", image.stem):
        if stem in masks:
            return masks[stem]
    expected = root / "ground_truth" / image.parent.name / image.stem
    raise InputError(f"defective image {image} has no mask: expected {expected}_mask.png or {expected}.png")


def _sample(root: Path, path: Path, defect: str, mask: Path | None) -> Sample:
    return Sample(
        name=path.relative_to(root).as_posix(),
        path=str(path),
        defective=defect != GOOD,
        defect=defect,
        read=path.read_bytes,
        read_mask=mask.read_bytes if mask else None,
    )


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in _entries(folder) if p.suffix.lower() in ENDINGS and not p.name.startswith("."))


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
