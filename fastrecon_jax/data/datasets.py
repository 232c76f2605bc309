"""The data sets by name."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fastrecon_jax.data import demo, folder
from fastrecon_jax.data.samples import Category
from fastrecon_jax.errors import InputError

NAMES = ("demo", "folder")


class Dataset(NamedTuple):
    """A data set that was found.

    Attributes:
        name: for the results.
        directory: where it is.
        categories: all their names.
        open_category: lists the images of one.
        synthetic: whether the images are made by a program.
    """

    name: str
    directory: Path
    categories: tuple[str, ...]
    open_category: Callable[[str], Category]
    synthetic: bool = False


def open_dataset(name: str, data_dir: str) -> Dataset:
    """Find a data set; the built-in one is made on first use.

    Args:
        name: one of `NAMES`; empty for `folder` with a directory and `demo` without.
        data_dir: its directory; for `demo` where to keep it, by default the user's cache.

    Returns:
        The data set.

    Raises:
        InputError: unknown name, no directory, or nothing in it that can be used.
    """
    match name or ("folder" if data_dir else "demo"):
        case "demo":
            return _demo(Path(data_dir) if data_dir else _cache() / f"demo-{demo.VERSION}")
        case "folder":
            if not data_dir:
                raise InputError("--dataset=folder needs --data_dir, the directory that holds the categories")
            return _folder(Path(data_dir).resolve().name, Path(data_dir))
    raise InputError(f"unknown dataset {name!r}: allowed are {', '.join(NAMES)}")


def select(dataset: Dataset, wanted: Sequence[str]) -> tuple[str, ...]:
    """The categories asked for.

    Args:
        dataset: to choose from.
        wanted: names, or `all`.

    Returns:
        Their names, in the order asked for.

    Raises:
        InputError: an unknown name.
    """
    if tuple(wanted) == ("all",):
        return dataset.categories
    for name in wanted:
        if name not in dataset.categories:
            raise InputError(
                f"unknown category {name!r} of {dataset.name}: allowed are all, {', '.join(dataset.categories)}"
            )
    return tuple(wanted)


def _folder(name: str, directory: Path, *, synthetic: bool = False) -> Dataset:
    found = folder.categories(directory)
    return Dataset(name, directory, found, lambda category: folder.open_category(directory, category), synthetic)


def _demo(directory: Path) -> Dataset:
    if not directory.exists():
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            demo.build(directory)
        except OSError as error:
            raise InputError(
                f"the demo set cannot be written to {directory}: {error.strerror}; pass another place as --data_dir"
            ) from None
    return _folder("demo", directory, synthetic=True)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastrecon_jax"
