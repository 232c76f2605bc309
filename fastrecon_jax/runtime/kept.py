"""What an earlier start has worked out, kept on disk: results of pure functions, by all that they depend on.

Values are pickled, and a compiled program is machine code in any case: nothing is read from a directory or file that
another user could have written. A value that is damaged, foreign or of other versions is worked out again.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import pickle
import platform
import stat
import sys
import zlib
from pathlib import Path
from typing import Any

import jax

from fastrecon_jax import files
from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import cpu
from fastrecon_jax.version import __version__

SUFFIX = ".kept"
LARGEST = 2**28  # bytes of a value
_PACKAGE = Path(__file__).resolve().parents[1]
_VERSIONS = ("jax", "jaxlib", "numpy", "flax", "ml_dtypes", "pillow", "safetensors")
# Variables that begin so, or are these, decide what XLA compiles or which packages are found.
_PREFIXES, _VARIABLES = ("XLA_", "JAX_", "LIBTPU_", "CUDA_", "TF_"), ("NPROC", "OMP_NUM_THREADS", "PYTHONPATH")
_IDLE = ("jax_log_", "jax_logging_", "jax_compilation_cache_", "jax_persistent_cache_")  # settings that decide nothing
_OTHERS = stat.S_IWGRP | stat.S_IWOTH  # may write
_place: list[Path] = []  # the directory in use; none until a command asks for it
_written: list[Path] = []  # by this process


def use(directory: Path) -> None:
    """Keep values in a directory of the user's own from now on; where others may write it nothing is kept."""
    stop()
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, exist_ok=True)
        if _is_private(directory.lstat()):
            _place.append(directory)


def stop() -> None:
    """Keep and read nothing from now on."""
    _place.clear()


def is_used() -> bool:
    """Whether values are kept."""
    return bool(_place)


def written() -> bool:
    """Whether this process has written a value."""
    return bool(_written)


def read(purpose: str, facts: object) -> Any:
    """The value kept for these facts, whose `repr` says all that it depends on beside `surroundings`; None if none is.

    The file of a value that cannot be read is removed.
    """
    if not _place:
        return None
    file = _file(purpose, facts)
    with contextlib.suppress(OSError):
        # Not through a link, which may lead to where others write.
        with open(os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as opened:  # noqa: PTH123
            found = os.fstat(opened.fileno())
            data = opened.read() if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() else b""
        if zlib.crc32(data[4:]).to_bytes(4, "little") == data[:4]:
            with contextlib.suppress(Exception):  # whatever a class that has changed brings about
                return pickle.loads(data[4:])
        file.unlink(missing_ok=True)
    return None


def write(purpose: str, facts: object, value: object) -> None:
    """Keep a value; nothing happens where that is not possible, or the value is too large."""
    if not _place:
        return
    with contextlib.suppress(OSError, InputError, pickle.PicklingError, TypeError, AttributeError):
        data = pickle.dumps(value, protocol=5)
        if len(data) <= LARGEST:
            file = _file(purpose, facts)
            files.write(file, zlib.crc32(data).to_bytes(4, "little") + data)
            _written.append(file)


def stamp(file: Path) -> tuple[int, ...]:
    """What changes whenever a file does: device, number, size and times of a file; OSError if there is none."""
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _file(purpose: str, facts: object) -> Path:
    key = hashlib.sha256(repr((purpose, facts, surroundings())).encode()).hexdigest()
    return _place[0] / f"{purpose}-{key}{SUFFIX}"


def _is_private(found: os.stat_result) -> bool:
    """Whether it is a directory of this user's, in which nobody else may write; False where a system has no users."""
    own = hasattr(os, "geteuid") and found.st_uid == os.geteuid()
    return own and stat.S_ISDIR(found.st_mode) and not found.st_mode & _OTHERS


def surroundings() -> tuple[Any, ...]:
    """All that decides values beside their facts: versions, this program's files, devices, settings of JAX and XLA."""
    settings = sorted((key, repr(value)) for key, value in jax.config.values.items() if not key.startswith(_IDLE))
    chosen = {name: value for name, value in os.environ.items() if name.startswith(_PREFIXES) or name in _VARIABLES}
    return *_fixed(), settings, sorted(chosen.items())


@functools.cache
def _fixed() -> tuple[Any, ...]:
    versions = []
    for name in _VERSIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append((name, importlib.metadata.version(name)))
    devices = [(device.platform, device.device_kind, device.id) for device in jax.local_devices()]
    client = jax.local_devices()[0].client
    return (
        (__version__, sys.version, platform.platform(), sys.prefix, *versions),
        (client.platform_version, devices, jax.process_count(), cpu.cores(), os.cpu_count()),
        sources(_PACKAGE),
    )


def sources(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of each Python file below a folder: another version of one may compute something else."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    found += sources(Path(entry.path))
            elif entry.name.endswith(".py"):
                facts = entry.stat()
                found.append((entry.path, facts.st_size, facts.st_mtime_ns))
    return sorted(found)
