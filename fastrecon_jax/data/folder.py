"""A folder in the layout of MVTec AD.

CATEGORY/train/good/NAME.png
CATEGORY/test/good/NAME.png
CATEGORY/test/DEFECT/NAME.png
CATEGORY/ground_truth/DEFECT/NAME_mask.png, or NAME.png
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.data import picture_files, samples
from fastrecon_jax.data.picture_files import Skipped
from fastrecon_jax.data.samples import GOOD, Category
from fastrecon_jax.errors import InputError

# Names of folders that say `good` in another way: whether their images are good, only their owner can say.
_GOOD = frozenset(
    ("good", "goods", "ok", "okay", "io", "i.o.", "normal", "normals", "pass", "passed", "fine", "clean", "healthy")
) | frozenset(("correct", "perfect", "accept", "accepted", "non_defective", "nondefective", "no_defect", "defect_free"))


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
    folders = [path for path in _entries(directory) if files.false_if_unreadable(files.is_dir, path / "train")]
    for folder in folders:
        if not holds(folder, "."):
            with contextlib.suppress(OSError):  # what cannot be read is left out
                _refuse_other_names(list((folder / "train").iterdir()), GOOD)
    names = tuple(Path(files.text(path)).name for path in folders if holds(path, "."))
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

    InputError where a folder cannot be listed, a name is not UTF-8, a folder's name says good in another way than
    `good`, or a defective image has no mask though there is a folder of masks.
    """
    root = directory / name
    has_masks = files.is_dir(root / "ground_truth")
    train = tuple(samples.from_file(root, path) for path in _images(root / "train" / good))
    test = []
    kinds = [path for path in _entries(root / "test") if files.is_dir(path)]
    _refuse_other_names([*_entries(root / "train"), *kinds], good)
    for folder in kinds:
        masks = {path.stem: path for path in _images(root / "ground_truth" / folder.name)}
        for path in _images(folder):
            defect = GOOD if folder.name == good else folder.name
            mask = _mask(root, path, masks) if has_masks and defect != GOOD else None
            test.append(samples.from_file(root, path, defect=defect, mask=mask))
    skipped = sum((picture_files.skipped(_entries(path)) for path in (root / "train" / good, *kinds)), Skipped())
    strays = len(_images(root / "train")) + len(_images(root / "test"))
    return Category(name, train, tuple(test), has_masks, skipped=skipped._replace(strays=strays))


def _refuse_other_names(folders: Sequence[Path], good: str) -> None:
    """Refuse to count as defective, or to leave out, what is good by the name of its folder."""
    for folder in folders:
        plain = folder.name.casefold().replace("-", "_").replace(" ", "_")
        if folder.name != good and plain in _GOOD and files.false_if_unreadable(files.is_dir, folder):
            raise InputError(
                f"{folder} sounds like good images, but only a folder named {good} counts as good: rename it to "
                f"{good}, or, if its images are defective, to another name"
            )


def _mask(root: Path, image: Path, masks: dict[str, Path]) -> Path:
    for stem in (f"{image.stem}_mask", image.stem):
        if stem in masks:
            return masks[stem]
    expected = root / "ground_truth" / image.parent.name / image.stem
    raise InputError(f"defective image {image} has no mask: expected {expected}_mask.png or {expected}.png")


def _images(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if picture_files.is_image(path)]


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, if it is there, without what is hidden."""
    return [path for path in files.children(folder) if not files.is_hidden(path)] if files.is_dir(folder) else []
