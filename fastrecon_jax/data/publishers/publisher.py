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
    """

    train: int
    good: int
    defective: int


class Publisher(NamedTuple):
    """A published data set.

    Attributes:
        name: of the data set, as in `--dataset`.
        title: for people.
        layout: what is expected in the folder, for messages.
        homepage: where it can be had.
        licence: as its publisher states it.
        counts: of each category; its keys are all the categories.
        archives: patterns of the archives' names; `{category}` stands for an archive of one category.
        holds: whether a folder holds a category as published.
        open: lists a category of such a folder.
        expected: names of files, relative to the folder, that a category is known to have.
        default: a place that needs no `--data_dir`; None where there is none.
        masks: whether defective images come with masks.
        grey: the categories whose images have one channel.
    """

    name: str
    title: str
    layout: str
    homepage: str
    licence: str
    counts: dict[str, Counts]
    archives: tuple[str, ...]
    holds: Callable[[Path, str], bool]
    open: Callable[[Path, str], Category]
    expected: Callable[[Path, str], Sequence[str]] = lambda root, category: ()
    default: Callable[[], Path] | None = None
    masks: bool = True
    grey: frozenset[str] = frozenset()


def find(publisher: Publisher, place: Path) -> dict[str, Path]:
    """The folder or the archive that holds each category.

    Args:
        publisher: of the data set.
        place: its folder, its archive, or a folder that holds either.

    Returns:
        For each category that is there, in the published order, a folder as published or an archive not opened yet.

    Raises:
        InputError: nothing of the data set is there, or the place cannot be listed.
    """
    if not files.exists(place):
        raise InputError(f"data directory {place} does not exist")
    if files.is_file(place):
        found = _archived(publisher, [place]) or _any_archive(publisher, place)
    else:
        found = _archived(publisher, files.children(place)) | _roots(publisher, place)
    if found:
        return {category: found[category] for category in publisher.counts if category in found}
    above, name = place.resolve().parent, place.resolve().name
    if name in publisher.counts and files.forgiving(publisher.holds, above, name):
        raise InputError(f"{place} is itself a category: pass its parent {above}")
    raise InputError(f"{place} holds nothing of {publisher.title}: expected {publisher.layout}")


def root(publisher: Publisher, place: Path, category: str) -> Path:
    """The folder that holds a category as published, after its archive is unpacked.

    Args:
        publisher: of the data set.
        place: see `find`.
        category: its name.

    Returns:
        The folder.

    Raises:
        InputError: the category is not there, or its archive cannot be used.
    """
    found = find(publisher, place).get(category)
    if found is not None and files.is_file(found):
        archive, found = found, _roots(publisher, archives.unpacked(found)).get(category)
        place = archive
    if found is None:
        raise InputError(f"{place} does not hold {category} of {publisher.title}: expected {publisher.layout}")
    return found


def open_category(publisher: Publisher, place: Path, category: str) -> Category:
    """List the images of a category, whole or not; none is decoded.

    Args:
        publisher: of the data set.
        place: see `find`.
        category: its name.

    Returns:
        The category.

    Raises:
        InputError: the category is not there, its archive cannot be used, or a defective image has no mask.
    """
    opened = publisher.open(root(publisher, place, category), category)
    whole = counts(opened) == publisher.counts[category] and opened.has_masks >= publisher.masks
    return opened._replace(partial=not whole)


def check_complete(publisher: Publisher, place: Path, category: Category) -> None:
    """Compare a category with what was published.

    Args:
        publisher: of the data set.
        place: see `find`.
        category: listed from there.

    Raises:
        InputError: other numbers of images, or files that are missing; it says which.
    """
    folder = root(publisher, place, category.name)
    names = ("training images", "good test images", "defective test images")
    wrong = [
        f"{have} of {published} {name}"
        for have, published, name in zip(counts(category), publisher.counts[category.name], names, strict=True)
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
    """The numbers of images of a category.

    Args:
        category: listed.

    Returns:
        The numbers.
    """
    defective = sum(sample.defective for sample in category.test)
    return Counts(len(category.train), len(category.test) - defective, defective)


def hold_out(good: Sequence[Sample]) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """A split for data sets that come without one: every fifth good image by name is a test image.

    Args:
        good: all good images, sorted by name.

    Returns:
        Training images and good test images.
    """
    return (
        tuple(sample for i, sample in enumerate(good) if i % 5 != 4),
        tuple(sample for i, sample in enumerate(good) if i % 5 == 4),
    )


def matching(folder: Path, pattern: str) -> list[Path]:
    """Files of a folder by their names.

    Args:
        folder: which may be absent.
        pattern: as in a shell, upper and lower case told apart.

    Returns:
        Their paths, sorted.

    Raises:
        InputError: the folder cannot be listed.
    """
    if not files.is_dir(folder):
        return []
    return [path for path in files.children(folder) if fnmatch.fnmatchcase(path.name, pattern)]


def by_name(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Samples in the order of their names.

    Args:
        samples: in any order.

    Returns:
        The same, sorted.
    """
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
        found = {
            name: folder
            for name in publisher.counts
            for folder in level
            if files.forgiving(publisher.holds, folder, name)
        }
        if found:
            return found
    return {}


def _levels(place: Path) -> Iterator[list[Path]]:
    level = [place]
    for _ in range(_DEPTH + 1):
        yield level
        level = [child for folder in level for child in _children(folder)][:_WIDTH]


def _children(folder: Path) -> list[Path]:
    try:
        found = files.children(folder)
    except InputError:
        return []
    return [path for path in found if not path.name.startswith(".") and files.forgiving(files.is_dir, path)]


def _archived(publisher: Publisher, candidates: Sequence[Path]) -> dict[str, Path]:
    """Archives by the categories that they should hold, going by their names."""
    found = {}
    for file in candidates:
        if not (file.name.lower().endswith(archives.ENDINGS) and files.is_file(file)):
            continue
        for category in publisher.counts:
            patterns = [pattern.format(category=category) for pattern in publisher.archives]
            if any(fnmatch.fnmatch(file.name.lower(), pattern.lower()) for pattern in patterns):
                found.setdefault(category, file)
    return found


def _any_archive(publisher: Publisher, file: Path) -> dict[str, Path]:
    """All categories, for an archive that the user named."""
    return dict.fromkeys(publisher.counts, file) if file.name.lower().endswith(archives.ENDINGS) else {}
