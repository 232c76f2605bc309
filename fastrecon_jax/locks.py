"""One writer at a time: locks that the system lifts when their process ends, however it ends."""

import contextlib
import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from fastrecon_jax import files
from fastrecon_jax.errors import InputError

NAME = ".fastrecon_lock"  # in a directory that one process writes
PATIENCE = 600.0  # seconds to wait for another writer of a file
_LOOK = 0.2  # seconds between two tries
_LENGTH = 60  # signs of a file's name in that of its lock
_WITHOUT = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)  # of file systems that have no locks


@contextlib.contextmanager
def writing(file: files.Place, tell: Callable[[str], object]) -> Iterator[None]:
    """Be the only one who reads and replaces a file; where another process does, wait for up to ten minutes.

    A file elsewhere has no lock: who writes it last wins.

    `tell` takes the line that says so. InputError after that time, or where the file's directory cannot be written.
    """
    if not isinstance(file, Path):
        yield
        return
    lock = _lock(file.with_name(f".{file.name[:_LENGTH]}.lock"))
    if not _acquired(lock, file, seconds=0.0):
        tell(f"waiting up to {PATIENCE / 60:g} minutes for another process that is writing {str(file)!r}\n")
        if not _acquired(lock, file, seconds=PATIENCE):
            raise InputError(
                f"{file} was not written: another process has been writing it for {PATIENCE / 60:g} minutes; run the "
                "command again when that one has ended"
            )
    with _held(lock):
        yield


@contextlib.contextmanager
def directory(path: Path, flag: str = "output_dir") -> Iterator[None]:
    """Be the only one who writes into a directory, which exists; InputError names the flag where another process is."""
    lock = _lock(path / NAME)
    if not _acquired(lock, path, seconds=0.0):
        raise InputError(
            f"--{flag}={path}: another process is writing results there; wait for its end, or name another directory"
        )
    with _held(lock):
        yield


def _lock(path: Path) -> filelock.BaseFileLock:
    # Not bound to a thread: a lock may be lifted by another one than took it.
    return filelock.FileLock(path, thread_local=False, poll_interval=_LOOK)


def _acquired(lock: filelock.BaseFileLock, target: Path, *, seconds: float) -> bool:
    if not files.is_dir(Path(lock.lock_file).parent):  # else it would be made
        raise InputError(f"{target} cannot be written: there is no directory {target.parent}")
    try:
        lock.acquire(timeout=seconds)
    except filelock.Timeout:
        return False
    except OSError as error:
        if error.errno not in _WITHOUT:
            raise InputError(
                f"{target} cannot be written, nor its lock {lock.lock_file}: {files.reason(error)}"
            ) from None
    return True


@contextlib.contextmanager
def _held(lock: filelock.BaseFileLock) -> Iterator[None]:
    try:
        yield
    finally:
        # Removed while it is held: who waits for it finds that it has gone and makes a new one.
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()
