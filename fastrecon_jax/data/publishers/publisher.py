"""What is known of a published data set, and how its files are found wherever the user put them."""

import fnmatch
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fastrecon_jax import files
from fastrecon_jax.data.publishers import archives
from fastrecon_jax.data.samples import Category, Sample
from fastrecon_jax.errors import InputError

_DEPTH = 3  # levels of folders under the given one in which the files may lie
_WIDTH = 2000  # folders of a level that are looked at
_SHOWN = 8  # names in a message


class Counts(NamedTuple):
    """Published numbers of images of a category.

    Attributes:
        train: good training images.
        good: good test images.
        defective: defective test images.
        validation: good images that are neither trained nor tested on.
        private: test images whose labels are not published.
    """

    train: int
    good: int
    defective: int
    validation: int = 0
    private: int = 0


class Publisher(NamedTuple):
    """A published data set.

    Attributes:
        name: as in `--dataset`.
        title: for people.
        layout: what is expected in the folder, for messages.
        homepage: where it can be had.
        licence: as its publisher states it.
        counts: numbers of images; its keys are all the categories. None where only `expected` knows.
        archives: patterns of the archives' names; `{category}` stands for an archive of one category.
        holds: whether a folder holds a category as published.
        open: lists a category of such a folder.
        expected: names of files, relative to the folder, that a category is known to have.
        default: a place that needs no `--data_dir`; None where there is none.
        masks: whether defective images come with masks.
        separate_masks: whether each of their defects has a mask of its own.
        grey: the categories whose images have one channel.
        beside: files that an archive of one category needs besides its own, by their paths in the unpacked folder.
        one_of: chooses among folders that lie side by side and each hold a category; by default the last by name.
    """

    name: str
    title: str
    layout: str
    homepage: str
    licence: str
    counts: dict[str, Counts | None]
    archives: tuple[str, ...]
    holds: Callable[[Path, str], bool]
    open: Callable[[Path, str], Category]
    expected: Callable[[Path, str], Sequence[str]] = lambda root, category: ()
    default: Callable[[], Path] | None = None
    masks: bool = True
    separate_masks: bool = False
    grey: frozenset[str] = frozenset()
    beside: Callable[[Path, str], dict[str, bytes]] = lambda archive, category: {}
    one_of: Callable[[Sequence[Path]], Path] = lambda folders: folders[-1]


def find(publisher: Publisher, place: Path) -> dict[str, Path]:
    """The folder as published, or the archive not opened yet, of each category that is there, in the published order.

    `place` is the folder or archive of the data set, or a folder that holds either. InputError where nothing of the
    data set is there, or the place cannot be listed.
    """
    if not files.exists(place):
        raise InputError(f"data directory {place} does not exist")
    if files.is_file(place):
        holders = _archived(publisher, [place]) or _any_archive(publisher, place)
    else:
        holders = _archived(publisher, files.children(place)) | _roots(publisher, place)
    if holders:
        return {category: holders[category] for category in publisher.counts if category in holders}
    above, name = place.resolve().parent, place.resolve().name
    if name in publisher.counts and files.false_if_unreadable(publisher.holds, above, name):
        raise InputError(f"{place} is itself a category: pass its parent {above}")
    raise InputError(f"{place} holds nothing of {publisher.title}: expected {publisher.layout}")


def root(publisher: Publisher, place: Path, category: str) -> Path:
    """The folder that holds a category as published, after its archive is unpacked; see `find` for the place.

    InputError where the category is not there, or its archive cannot be used.
    """
    folder = find(publisher, place).get(category)
    if folder is not None and files.is_file(folder):
        place = folder  # an archive
        folder = _roots(publisher, archives.unpacked(place, publisher.beside(place, category))).get(category)
    if folder is None:
        raise InputError(f"{place} does not hold {category} of {publisher.title}: expected {publisher.layout}")
    return folder


def open_category(publisher: Publisher, place: Path, category: str) -> Category:
    """List the images of a category, whole or not; none is decoded. See `find` for the place.

    InputError where the category is not there, its archive cannot be used, or a defective image has no mask.
    """
    folder = root(publisher, place, category)
    opened = publisher.open(folder, category)
    published = publisher.counts[category]
    # Private images have no part in the figures.
    whole = published is None or counts(opened)[:-1] == published[:-1]
    if published is None:
        whole = not _missing(publisher.expected(folder, category), folder)
    return opened._replace(partial=not (whole and opened.has_masks >= publisher.masks))


def check_complete(publisher: Publisher, place: Path, category: Category) -> None:
    """Compare a category, listed from a place, with what was published; see `find` for the place.

    InputError says which numbers of images differ and which files are missing.
    """
    folder = root(publisher, place, category.name)
    names = ("training images", "good test images", "defective test images", "validation images", "private images")
    wrong = [
        f"{have} of {published} {name}"
        for have, published, name in zip(
            counts(category), publisher.counts[category.name] or counts(category), names, strict=True
        )
        if have != published
    ]
    if publisher.masks and not category.has_masks:
        wrong.append("no masks")
    missing = _missing(publisher.expected(folder, category.name), folder)
    if wrong or missing:
        raise InputError(
            f"{category.name} of {publisher.title} in {folder} is not what was published: "
            f"{'; '.join([*wrong, *missing])}; --allow_partial prepares what is there"
        )


def counts(category: Category) -> Counts:
    """The numbers of images of a category."""
    defective = sum(sample.defective for sample in category.test)
    good = len(category.test) - defective
    return Counts(len(category.train), good, defective, len(category.validation), len(category.private))


def hold_out(good: Sequence[Sample]) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Training images and good test images of sets that come without a split.

    Every fifth of the good images, which are sorted by name, is a test image.
    """
    return (
        tuple(sample for i, sample in enumerate(good) if i % 5 != 4),
        tuple(sample for i, sample in enumerate(good) if i % 5 == 4),
    )


def matching(folder: Path, pattern: str) -> list[Path]:
    """Sorted files of a folder, if it is there, whose names match a pattern as in a shell, case told apart."""
    if not files.is_dir(folder):
        return []
    return [
        path for path in files.children(folder) if fnmatch.fnmatchcase(path.name, pattern) and not files.is_hidden(path)
    ]


def by_name(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Samples in the order of their names."""
    return tuple(sorted(samples, key=lambda sample: sample.name))


def _missing(names: Sequence[str], folder: Path) -> list[str]:
    """Names that are not there, neighbours of the list as one range."""
    runs = itertools.groupby(names, key=lambda name: files.exists(folder / name))
    ranges = [_range(list(run)) for there, run in runs if not there]
    if not ranges:
        return []
    more = f" and {len(ranges) - _SHOWN} more gaps" if len(ranges) > _SHOWN else ""
    return [f"missing are {', '.join(ranges[:_SHOWN])}{more}"]


def _range(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)})"


def _roots(publisher: Publisher, place: Path) -> dict[str, Path]:
    """The categories of the topmost level that holds any."""
    for level in _levels(place):
        categories = {
            name: [folder for folder in level if files.false_if_unreadable(publisher.holds, folder, name)]
            for name in publisher.counts
        }
        if any(categories.values()):
            return {name: publisher.one_of(folders) for name, folders in categories.items() if folders}
    return {}


def _levels(place: Path) -> Iterator[list[Path]]:
    level = [place]
    for _ in range(_DEPTH + 1):
        yield level
        level = [child for folder in level for child in _children(folder)][:_WIDTH]


def _children(folder: Path) -> list[Path]:
    try:
        paths = files.children(folder)
    except InputError:
        return []
    return [path for path in paths if not files.is_hidden(path) and files.false_if_unreadable(files.is_dir, path)]


def _archived(publisher: Publisher, candidates: Sequence[Path]) -> dict[str, Path]:
    """Archives by the categories that they should hold, going by their names."""
    archived: dict[str, Path] = {}
    for file in candidates:
        if not (file.name.lower().endswith(archives.ENDINGS) and files.is_file(file)):
            continue
        for category in publisher.counts:
            patterns = [pattern.format(category=category) for pattern in publisher.archives]
            if any(fnmatch.fnmatch(file.name.lower(), pattern.lower()) for pattern in patterns):
                archived.setdefault(category, file)
    return archived


def _any_archive(publisher: Publisher, file: Path) -> dict[str, Path]:
    """All categories, for an archive that the user named."""
    return dict.fromkeys(publisher.counts, file) if file.name.lower().endswith(archives.ENDINGS) else {}
