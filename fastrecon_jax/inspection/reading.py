"""From what a user writes as --images to photographs: files are found, read and decoded by threads."""

import contextlib
import functools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm

from fastrecon_jax import files, patterns, remote
from fastrecon_jax.data import picture_files
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.picture_files import Skipped, is_image
from fastrecon_jax.data.prefetch import prefetch
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place
from fastrecon_jax.inspection.routing import Choice
from fastrecon_jax.parts import photos, pictures
from fastrecon_jax.parts.photos import Photo

FIT, EXTEND, PREDICT = "fit", "extend", "predict"
DEMO = "demo:"
_DEMO_FIT = 4  # photographs that `demo:CATEGORY` means in a fit: the first of those that it means in an extension
_LISTED = 5  # errors in a message
_PREFETCHED = 16


class Job(NamedTuple):
    """A photograph that is to be inspected.

    Attributes:
        path: path of its file.
        choice: the part to inspect it by; None if its likeness decides.
        preprocessing: as that part, or any of them, needs it.
    """

    path: Place
    choice: Choice | None
    preprocessing: Preprocessing


class ReadImage(NamedTuple):
    """A photograph that was read, or why it could not be.

    Attributes:
        job: what was to be read.
        size: size of the file in bytes, 0 if there is none.
        modified: when the file was last written, in nanoseconds; 0 if there is none.
        photo: preprocessed; None if it cannot be used.
        small: the whole of it, small enough for a picture; None if no picture is wanted.
        seconds: time that reading, decoding and preprocessing took.
        error: why it cannot be used; empty if it can.
    """

    job: Job
    size: int
    modified: int
    photo: Photo | None
    small: Image.Image | None
    seconds: float
    error: str


def find(wanted: str, *, flag: str = "images", purpose: str = PREDICT) -> list[Place]:
    """The image files that a user means.

    Args:
        wanted: a path, a pattern such as `parts/*.png`, or a folder, whose images are meant, or an address of one of
            these such as `s3://bucket/parts/`; several with commas. A
            name that exists is taken as it is, whatever brackets and commas are in it. `demo:CATEGORY` means built-in
            photographs: good ones for a fit (the first 4) or an extension, test ones for a prediction.
        flag: name of the flag that they come from, for messages.
        purpose: fit, extend or predict.

    Returns:
        Paths, sorted within each pattern, each once.

    Raises:
        InputError: a pattern matches nothing, there is no such category, or a name is not UTF-8.
    """
    paths = [path for pattern in patterns.split(wanted) for path in _matches(pattern, flag=flag, purpose=purpose)]
    for path in paths:
        files.text(path)
    return list(dict.fromkeys(paths))


def _matches(pattern: str, *, flag: str, purpose: str) -> list[Place]:
    if pattern.startswith(DEMO):
        return built_in(pattern.removeprefix(DEMO), flag=flag, purpose=purpose)
    if not pattern.strip():
        raise InputError(f"--{flag}={pattern} names no image: pass a file, a folder, or a pattern such as 'good/*.png'")
    path = files.place(pattern)
    if files.is_dir(path):
        return _not_empty([child for child in files.children(path) if is_image(child)], pattern, flag)
    if files.exists(path):
        return [path]
    if isinstance(path, Path):
        matched = _globbed(str(path))
    else:
        matched = [found for found in files.globbed(path) if not files.is_hidden(found)]
    return _not_empty([path for path in matched if not files.is_dir(path)], pattern, flag)


def _globbed(pattern: str) -> list[Path]:
    """Sorted paths that match a pattern, without what systems put into folders, unless the pattern names it."""
    matched = map(Path, patterns.matches(pattern))
    named = Path(pattern).parts
    return sorted(
        path for path in matched if not any(files.is_hidden(Path(part)) for part in set(path.parts) - set(named))
    )


def _not_empty(paths: list[Place], pattern: str, flag: str) -> list[Place]:
    if not paths:
        allowed = ", ".join(picture_files.ENDINGS)
        there = "; ".join(str(skipped(pattern)).splitlines())
        brackets = patterns.BRACKETS if "[" in pattern else ""
        raise InputError(
            f"--{flag}={pattern} matches no image: allowed are files that end in {allowed}{brackets}"
            f"{there and f'; {there}'}"
        )
    return paths


def built_in(category: str, *, flag: str = "images", purpose: str = PREDICT) -> list[Path]:
    """Photographs of a built-in category, which are made in the user's cache once; see `find`."""
    from fastrecon_jax.data import demo, publishers  # its painters and archives, which take a while to import

    if category not in demo.CATEGORIES:
        raise InputError(
            f"--{flag}={DEMO}{category} is not built in: allowed are "
            f"{', '.join(DEMO + name for name in demo.CATEGORIES)}"
        )
    folder = publishers.demo.built() / category
    folders = files.children(folder / "test") if purpose == PREDICT else [folder / "train" / "good"]
    paths = [path for kind in folders for path in files.children(kind) if is_image(path)]
    return paths[:_DEMO_FIT] if purpose == FIT else paths


def listed(wanted: str) -> Iterator[Path]:
    """The files that paths and patterns as in `find` mean now; folders that cannot be read are skipped."""
    for pattern in patterns.split(wanted):
        if pattern.startswith(DEMO):
            yield from built_in(pattern.removeprefix(DEMO))
            continue
        path = str(files.expanded(pattern))
        try:
            children = [os.path.join(path, name) for name in os.listdir(path)]  # noqa: PTH118, PTH208 (quick)
            yield from sorted(child for child in map(Path, children) if is_image(child))
        except NotADirectoryError:
            yield Path(path)
        except (OSError, ValueError):
            yield from _globbed(path)


def skipped(wanted: str, *, results: Path | None = None) -> Skipped:
    """What lies in the folders that are meant, see `find`, and is not looked at; the results do not count.

    Folders elsewhere are not listed again for this.
    """
    own = os.path.realpath(results) if results else ""
    total = Skipped()
    for pattern in dict.fromkeys(patterns.split(wanted)):
        if remote.is_remote(pattern):
            continue
        path = files.expanded(pattern)
        if pattern.strip() and not pattern.startswith(DEMO) and files.false_if_unreadable(files.is_dir, path):
            with contextlib.suppress(OSError):  # it may vanish while it is watched
                children = list(path.iterdir())
                total += picture_files.skipped(child for child in children if not _leads_to(child, own))
    return total


def _leads_to(folder: Path, place: str) -> bool:
    """Whether a place is a folder or lies in it."""
    return bool(place) and f"{place}{os.sep}".startswith(f"{os.path.realpath(folder)}{os.sep}")


def path_text(path: Place) -> str:
    """A path as rows of results hold it; bytes that are not UTF-8 as backslashes and numbers."""
    try:
        return files.text(path)
    except InputError:
        return os.fsencode(path).decode(errors="backslashreplace")


def stamp(path: Place) -> tuple[int, int]:
    """What tells whether a file has changed: its size and when it was last written, in ns; zeros if it is not there."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return 0, 0
    return facts.st_size, facts.st_mtime_ns


def read(job: Job, *, small: bool = True) -> ReadImage:
    """Read, decode and preprocess a photograph, and keep a small copy for a picture."""
    size, modified = stamp(job.path)
    start = time.perf_counter()
    try:
        decoded = photos.read(job.path, str(job.path), job.preprocessing.max_pixels, job.preprocessing.bit_depth)
        photo = photos.prepare(decoded.image, job.preprocessing, name=str(job.path), notes=decoded.notes)
        seconds = time.perf_counter() - start
        return ReadImage(job, size, modified, photo, pictures.shrink(decoded.image) if small else None, seconds, "")
    except InputError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 (whatever one image brings about, the line goes on)
        reason = f"{job.path} cannot be read: {error!r}"
    return ReadImage(job, size, modified, None, None, time.perf_counter() - start, reason)


def stream(jobs: Iterable[Job], *, small: bool, buffer_size: int) -> Iterator[ReadImage]:
    """Photographs in order, at most `buffer_size` of them read in advance."""
    yield from prefetch(functools.partial(read, small=small), jobs, buffer_size=buffer_size)


def read_all(paths: Sequence[Place], preprocessing: Preprocessing) -> list[Photo]:
    """All photographs, with a progress bar; InputError names those that cannot be read."""
    jobs = [Job(path, None, preprocessing) for path in paths]
    with tqdm(total=len(paths), desc="reading", unit="image", disable=None, leave=False) as progress:
        done = []
        for image in stream(jobs, small=False, buffer_size=_PREFETCHED):
            done.append(image)
            progress.update()
    errors = [image.error for image in done if image.error]
    if errors:
        more = f"; and {len(errors) - _LISTED} more" if len(errors) > _LISTED else ""
        raise InputError(f"{len(errors)} of {len(paths)} images cannot be used: {'; '.join(errors[:_LISTED])}{more}")
    return [image.photo for image in done]
