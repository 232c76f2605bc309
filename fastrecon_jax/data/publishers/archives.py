"""Archives as publishers ship them: unpacked once into the cache, a folder from then on.

A compressed tar cannot be read at random places, so it is unpacked whole: memory stays at one file, the disk holds one
copy more, which may be deleted at any time.
"""

import hashlib
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from fastrecon_jax.data import cache
from fastrecon_jax.errors import InputError

ENDINGS = (".zip", ".tar", ".tar.xz", ".tar.gz", ".tgz", ".tar.bz2")
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, NotImplementedError)


def unpacked(archive: Path) -> Path:
    """The folder with an archive's files, made on first use in the user's cache.

    Args:
        archive: a zip or tar file, compressed or not; another one of the same name, size and time counts as the same.

    Returns:
        The folder.

    Raises:
        InputError: the archive cannot be read or is damaged, or the cache cannot be written.
    """
    directory = _directory(archive)
    if directory.is_dir():
        return directory
    draft = directory.with_name(f".{directory.name}.{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        for _ in tqdm(_extract(archive, draft), desc=f"unpacking {archive.name}", unit="file", disable=None):
            pass
        draft.rename(directory)
    except _DAMAGED as error:
        raise InputError(f"archive {archive} is damaged or not of a kind that can be read: {error}") from None
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"archive {archive} cannot be unpacked into {directory}: {reason}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return directory


def _directory(archive: Path) -> Path:
    try:
        facts = archive.stat()
    except OSError as error:
        raise InputError(f"archive {archive} cannot be read: {error.strerror}") from None
    identity = f"{archive.resolve()}:{facts.st_size}:{facts.st_mtime_ns}"
    return cache.directory() / "unpacked" / f"{archive.name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def _extract(archive: Path, into: Path) -> Iterator[str]:
    """Unpack file by file; neither kind writes outside of `into`."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                yield file.extract(name, into)
    else:
        with tarfile.open(archive) as file:
            for member in file:
                file.extract(member, into, filter="data")
                yield member.name
