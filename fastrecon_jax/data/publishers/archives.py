"""Archives as publishers ship them: unpacked once into the cache, a folder from then on.

A compressed tar cannot be read at random places, so it is unpacked whole: memory stays at one file, the disk holds one
copy more, which may be deleted at any time.
"""

import hashlib
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from tqdm import tqdm

from fastrecon_jax import files
from fastrecon_jax.data import cache
from fastrecon_jax.errors import InputError

ENDINGS = (".zip", ".tar", ".tar.xz", ".tar.gz", ".tgz", ".tar.bz2")
_DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError),
    ValueError,  # names that are no text
    RuntimeError,  # a zip with a password, or of a method of compression that is not known
)


def unpacked(archive: Path, beside: Mapping[str, bytes] | None = None) -> Path:
    """The folder with a zip or tar archive's files, made on first use in the user's cache.

    `beside` are small files that belong to it, by their paths in the folder. An archive of the same path, size and time
    with the same files beside it counts as the same. Two processes may unpack it at the same time; both
    then use what the faster one made. InputError where it cannot be read or is damaged, or the cache cannot be written.
    """
    beside = beside or {}
    directory = _directory(archive, beside)
    if files.is_dir(directory):
        return directory
    try:
        files.build_directory(directory, lambda draft: _extract_all(archive, draft, beside))
    except _DAMAGED as error:
        raise InputError(f"archive {archive} is damaged or not of a kind that can be read: {error}") from None
    except OSError as error:
        raise InputError(f"archive {archive} cannot be unpacked into {directory}: {files.reason(error)}") from None
    return directory


def _directory(archive: Path, beside: Mapping[str, bytes]) -> Path:
    try:
        facts = archive.stat()
    except OSError as error:
        raise InputError(f"archive {archive} cannot be read: {files.reason(error)}") from None
    identity = f"{files.text(archive.resolve())}:{facts.st_size}:{facts.st_mtime_ns}"
    for name, data in sorted(beside.items()):
        identity += f":{name}:{hashlib.sha256(data).hexdigest()}"
    return cache.directory() / "unpacked" / f"{archive.name[:48]}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def _extract_all(archive: Path, into: Path, beside: Mapping[str, bytes]) -> None:
    for _ in tqdm(_extract(archive, into), desc=f"unpacking {archive.name}", unit="file", disable=None):
        pass
    for name, data in beside.items():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_bytes(data)


def _extract(archive: Path, into: Path) -> Iterator[str]:
    """Unpack file by file; neither kind writes outside of `into`."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            changed = archive.stat().st_mtime_ns
            for name in file.namelist():
                path = file.extract(name, into)
                os.utime(path, ns=(changed, changed))  # as with tar, the same whenever it is unpacked
                yield path
    else:
        with tarfile.open(archive) as file:
            for member in file:
                file.extract(member, into, filter="data")
                yield member.name
