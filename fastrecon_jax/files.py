"""Files and directories that appear whole or not at all, and listings whose failures name the path."""

import contextlib
import json
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import safetensors.numpy
from jaxtyping import Shaped

from fastrecon_jax import remote
from fastrecon_jax.errors import InputError
from fastrecon_jax.remote import RemotePath

Place: TypeAlias = Path | RemotePath

_ENDING = ".fastrecon_draft"  # the name of what is being written ends so, and nothing else's does
DRAFTS = f".*{_ENDING}"
_STALE = 24 * 3600  # seconds after which a draft must have been left by a process that was killed
# What archives, file servers and systems put beside a user's files; names with a dot in front are hidden anyway.
_SERVICE_NAMES = frozenset(
    name.casefold()
    for name in (
        *("__MACOSX", "Network Trash Folder", "Temporary Items", "Icon\r"),
        *("$RECYCLE.BIN", "RECYCLER", "System Volume Information", "Thumbs.db", "ehthumbs.db", "desktop.ini"),
        *("@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "lost+found", "__pycache__"),
    )
)


def reason(error: OSError) -> str:
    """Why the system refused, without the number and the path, such as `Permission denied`."""
    return error.strerror or str(error)


def expanded(path: str, flag: str = "") -> Path:
    """A path as the user wrote it, with a leading `~` or `~user` replaced; InputError where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"--{flag}={path}: {error}" if flag else f"{path}: {error}") from None


def place(path: str, flag: str = "") -> Place:
    """A path as in `expanded`, or an address such as `s3://bucket/a.png`."""
    return RemotePath(path) if remote.is_remote(path) else expanded(path, flag)


def at(path: str | os.PathLike) -> Place:
    """The same for a path to be taken as it is, with a `~` that is part of its name."""
    return RemotePath(os.fspath(path)) if remote.is_remote(os.fspath(path)) else Path(path)


@contextlib.contextmanager
def local(file: Place) -> Iterator[Path]:
    """A file on this machine with the same contents: the file itself, or a copy for as long as the context lasts.

    InputError, which names the address, where it cannot be read.
    """
    if isinstance(file, Path):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="fastrecon_") as directory:
        copy = Path(directory) / file.name
        try:
            copy.write_bytes(file.read_bytes())
            yield copy
        except OSError as error:
            raise InputError(f"{file} cannot be read: {reason(error)}") from None
        except InputError as error:
            raise InputError(str(error).replace(str(copy), str(file))) from None


def text(path: Place) -> str:
    """A path as results can hold it; InputError where its name has bytes that are not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise InputError(f"{shown}: the name is not UTF-8, results could not hold it; rename it") from None
    return str(path)


def read_json(file: Path) -> Any:
    """What a JSON file holds; InputError where it cannot be read or is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {reason(error)}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged: {error}") from None


def exists(path: Place) -> bool:
    """Whether anything is there; InputError where the system refuses to look, or the name is too long."""
    return _mode(path) != 0


def is_dir(path: Place) -> bool:
    """Whether a directory is there; see `exists`."""
    return stat.S_ISDIR(_mode(path))


def is_file(path: Place) -> bool:
    """Whether a file is there; see `exists`."""
    return stat.S_ISREG(_mode(path))


def false_if_unreadable(question: Callable[..., bool], *arguments: Any) -> bool:
    """The answer to a question such as `is_dir`, where what cannot be read counts as not there."""
    try:
        return question(*arguments)
    except InputError:
        return False


def is_hidden(path: Place) -> bool:
    """Whether a program put a file or folder there rather than the user: `.cache`, `__MACOSX`, `@eaDir` and others."""
    return path.name.startswith(".") or path.name.casefold() in _SERVICE_NAMES


def children(directory: Place) -> list[Place]:
    """The sorted paths that a directory holds; InputError where it cannot be listed."""
    try:
        return sorted(directory.iterdir())
    except OSError as error:
        raise InputError(f"{directory} cannot be listed: {reason(error)}") from None


def names(directory: Place) -> list[str]:
    """The sorted names that a directory holds, none where there is no directory; the errors are those of `children`."""
    return [path.name for path in children(directory)] if is_dir(directory) else []


def globbed(pattern: RemotePath, flag: str = "") -> list[Place]:
    """The sorted files and folders that an address means as a pattern; InputError where it cannot be listed."""
    try:
        return sorted(pattern.glob())
    except OSError as error:
        named = f"--{flag}={pattern}" if flag else str(pattern)
        raise InputError(f"{named} cannot be listed: {reason(error)}") from None


def write(file: Place, data: bytes) -> None:
    """Write a file whole or not at all: beside it, to the disk, then in its place.

    InputError where it cannot be written; what was there stays. Its directory must exist.
    """
    with draft(file) as opened:
        opened.write(data)


@contextlib.contextmanager
def draft(file: Place) -> Iterator[BinaryIO]:
    """The same for contents that are written piece by piece; after an exception there is nothing new."""
    if isinstance(file, RemotePath):
        with tempfile.TemporaryFile() as opened, _naming(file):
            yield opened
            opened.seek(0)
            file.write_bytes(opened.read())
        return
    beside = _draft(file)
    try:
        with _naming(file):
            with beside.open("xb") as opened:
                yield opened
                opened.flush()
                os.fsync(opened.fileno())
            beside.replace(file)
    finally:  # after an interrupt too
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


@contextlib.contextmanager
def _naming(file: Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{file} cannot be written: {reason(error)}") from None


def write_text(file: Place, contents: str) -> None:
    """Write UTF-8 text; see `write`. InputError shows the line that UTF-8 cannot hold."""
    try:
        data = contents.encode()
    except UnicodeEncodeError as error:
        line = contents[contents.rfind("\n", 0, error.start) + 1 :].split("\n", 1)[0]
        shown = line.encode(errors="backslashreplace").decode()
        raise InputError(f"{file} cannot be written: a name in it is not UTF-8: {shown}") from None
    write(file, data)


def write_arrays(file: Place, arrays: Mapping[str, Shaped[np.ndarray, "..."]], metadata: Mapping[str, str]) -> None:
    """Write named arrays and text about them as safetensors; see `write`."""
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write(file, safetensors.numpy.save(contiguous, dict(metadata)))


def make_directory(directory: Path, title: str = "") -> None:
    """Make a directory and those above it, unless it is there; InputError says what cannot be made, by its title."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{title or directory} cannot be made: {reason(error)}") from None


def remove_directory(directory: Path) -> None:
    """Remove a directory and all that is in it; what cannot be removed stays."""
    shutil.rmtree(directory, ignore_errors=True)


def build_directory(directory: Path, fill: Callable[[Path], object]) -> None:
    """Make a directory, which is absent or empty, with its contents: whole or not at all.

    `fill` writes the contents into the directory that it is given, which takes this one's place afterwards. If another
    process makes it meanwhile, that one is kept. OSError where it cannot be written; nothing of it stays.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    sweep(directory.parent)
    draft = _draft(directory)
    try:
        draft.mkdir()
        fill(draft)
        _publish(draft, directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def sweep(directory: Path, pattern: str = DRAFTS) -> None:
    """Remove the drafts under a directory that have not changed for a day: processes that were killed left them.

    `pattern` says where they lie, by default the drafts of this module in the directory itself, which may be absent.
    """
    for draft in directory.glob(pattern):
        with contextlib.suppress(OSError):
            facts = draft.lstat()
            if time.time() - facts.st_mtime < _STALE:
                continue
            if stat.S_ISDIR(facts.st_mode):
                shutil.rmtree(draft, ignore_errors=True)
            else:
                draft.unlink()


def _mode(path: Place) -> int:
    """The mode of the file that is there, 0 if there is none."""
    try:
        return path.stat().st_mode
    except InputError:  # a ValueError, too
        raise
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name with a zero byte
        return 0
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason(error)}") from None


def _draft(target: Path) -> Path:
    """A name of its own in the same directory; the middle tells processes and threads apart."""
    return target.with_name(f".{target.name[:40]}.{os.getpid()}-{secrets.token_hex(4)}{_ENDING}")


def _publish(draft: Path, directory: Path) -> None:
    try:
        draft.rename(directory)
    except OSError:
        if not (directory.is_dir() and any(directory.iterdir())):  # else another process was faster
            raise
