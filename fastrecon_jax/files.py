"""Files and directories that appear whole or not at all, and listings whose failures name the path."""

import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from jaxtyping import Shaped

from fastrecon_jax.errors import InputError

_ENDING = ".fastrecon_draft"  # of what is being written; nothing else has it
DRAFTS = f".*{_ENDING}"
_STALE = 24 * 3600  # seconds after which a draft was left by a process that was killed


def reason(error: OSError) -> str:
    """Why the system refused, without the number and the path.

    Args:
        error: as raised.

    Returns:
        Such as `Permission denied`.
    """
    return error.strerror or str(error)


def expanded(path: str) -> Path:
    """A path with `~` replaced by the home directory.

    Args:
        path: as the user wrote it.

    Returns:
        The path.

    Raises:
        InputError: there is no such user, or no home directory.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: {error}") from None


def text(path: Path) -> str:
    """A path as it can be written into results.

    Args:
        path: of a file or a directory.

    Returns:
        Its text.

    Raises:
        InputError: it holds bytes that are not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise InputError(f"{shown}: the name is not UTF-8, results could not hold it; rename it") from None
    return str(path)


def exists(path: Path) -> bool:
    """Whether something is there.

    Args:
        path: to look at.

    Returns:
        True if it is.

    Raises:
        InputError: it cannot be looked at: no permission, or a name that is too long.
    """
    return _mode(path) != 0


def is_dir(path: Path) -> bool:
    """Whether a directory is there; see `exists`.

    Args:
        path: to look at.

    Returns:
        True if it is.

    Raises:
        InputError: it cannot be looked at.
    """
    return stat.S_ISDIR(_mode(path))


def is_file(path: Path) -> bool:
    """Whether a file is there; see `exists`.

    Args:
        path: to look at.

    Returns:
        True if it is.

    Raises:
        InputError: it cannot be looked at.
    """
    return stat.S_ISREG(_mode(path))


def forgiving(look: Callable[..., bool], *arguments: Any) -> bool:
    """A question about files where what cannot be read counts as not there.

    Args:
        look: such as `is_dir`.
        arguments: of it.

    Returns:
        Its answer; false where it raises InputError.
    """
    try:
        return look(*arguments)
    except InputError:
        return False


def children(directory: Path) -> list[Path]:
    """What a directory holds.

    Args:
        directory: to list.

    Returns:
        The paths, sorted.

    Raises:
        InputError: it cannot be listed.
    """
    try:
        return sorted(directory.iterdir())
    except OSError as error:
        raise InputError(f"{directory} cannot be listed: {reason(error)}") from None


def write(file: Path, data: bytes) -> None:
    """Write a file whole or not at all: beside it, to the disk, then in its place.

    Args:
        file: to write; its directory exists. What is there is replaced.
        data: its contents.

    Raises:
        InputError: it cannot be written; what was there stays.
    """
    draft = _draft(file)
    try:
        with draft.open("xb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {reason(error)}") from None
    finally:  # after an interrupt too
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text(file: Path, contents: str) -> None:
    """Write UTF-8 text; see `write`.

    Args:
        file: to write.
        contents: text.

    Raises:
        InputError: it cannot be written, or the text holds what UTF-8 cannot.
    """
    try:
        data = contents.encode()
    except UnicodeEncodeError as error:
        line = contents[contents.rfind("\n", 0, error.start) + 1 :].split("\n", 1)[0]
        shown = line.encode(errors="backslashreplace").decode()
        raise InputError(f"{file} cannot be written: a name in it is not UTF-8: {shown}") from None
    write(file, data)


def write_arrays(file: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]], known: Mapping[str, str]) -> None:
    """Write arrays as safetensors; see `write`.

    Args:
        file: to write.
        arrays: by name.
        known: what the file says of itself, beside them.

    Raises:
        InputError: it cannot be written.
    """
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write(file, safetensors.numpy.save(contiguous, dict(known)))


def make_directory(directory: Path, fill: Callable[[Path], object]) -> None:
    """Make a directory with its contents, whole or not at all.

    If another process makes it meanwhile, that one is kept.

    Args:
        directory: to make; it is absent or empty.
        fill: writes the contents into the directory that it is given, which takes this one's place afterwards.

    Raises:
        OSError: it cannot be written; nothing of it stays.
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
    """Remove what processes that were killed left half written: drafts that have not changed for a day.

    Args:
        directory: in which they lie; it may be absent.
        pattern: of their paths under it; by default of the drafts of this module.
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


def _mode(path: Path) -> int:
    """Of the file that is there, 0 if there is none."""
    try:
        return path.stat().st_mode
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
