"""The data sets by name."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fastrecon_jax import files
from fastrecon_jax.data import folder, publishers
from fastrecon_jax.data.publishers import PUBLISHERS
from fastrecon_jax.data.samples import Category
from fastrecon_jax.data.tfds import prepared
from fastrecon_jax.errors import InputError

NAMES = ("demo", "folder", *(name for name in PUBLISHERS if name != "demo"))


class Dataset(NamedTuple):
    """A data set that is there.

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
    """Find a data set, prepared by TFDS or as published; the built-in one is made on first use.

    Args:
        name: one of `NAMES`; empty for `folder` with a directory and `demo` without.
        data_dir: TFDS's directory with the prepared set, or the publisher's folder or archive; for `demo` where to keep
            it, by default the user's cache.

    Returns:
        The data set; if published, with the categories that are there.

    Raises:
        InputError: unknown name, no directory, or nothing in it that can be used.
    """
    name = name or ("folder" if data_dir else "demo")
    if name not in NAMES:
        raise InputError(f"unknown dataset {name!r}: allowed are {', '.join(NAMES)}")
    place = files.expanded(data_dir) if data_dir else None
    if name == "folder":
        if place is None:
            raise InputError("--dataset=folder needs --data_dir, the directory that holds the categories")
        return _folder("", place)
    if place is not None and prepared.find(place, name):
        return _prepared(name, place)
    if name == "demo":
        return _folder("demo", publishers.demo.built(place), synthetic=True)
    return _published(PUBLISHERS[name], place)


def select(dataset: Dataset, wanted: Sequence[str]) -> tuple[str, ...]:
    """The categories asked for, in that order; `all` stands for all. InputError for an unknown name."""
    if tuple(wanted) == ("all",):
        return dataset.categories
    for name in wanted:
        if name not in dataset.categories:
            raise InputError(
                f"unknown category {name!r} of {dataset.name}: allowed are all, {', '.join(dataset.categories)}"
            )
    return tuple(wanted)


def _folder(name: str, directory: Path, *, synthetic: bool = False) -> Dataset:
    categories = folder.categories(directory)
    return Dataset(
        name or Path(files.text(directory.resolve())).name,
        directory,
        categories,
        lambda category: folder.open_category(directory, category),
        synthetic,
    )


def _prepared(name: str, directory: Path) -> Dataset:
    places = prepared.find(directory, name)
    return Dataset(
        name, directory, tuple(places), lambda category: prepared.open_category(places[category]), name == "demo"
    )


def _published(publisher: publishers.Publisher, place: Path | None) -> Dataset:
    if place is None and publisher.default is None:
        raise InputError(
            f"--dataset={publisher.name} needs --data_dir: the prepared data, or the publisher's folder or archive"
        )
    place = place or publisher.default()
    names = tuple(publishers.find(publisher, place))
    return Dataset(publisher.name, place, names, lambda category: publishers.open_category(publisher, place, category))
