"""Compiled programs kept in the user's cache directory, so that only the first start of a command compiles them."""

import contextlib
import hashlib
import logging
import os
import platform
import time
import zlib
from pathlib import Path

import jax

from fastrecon_jax import files
from fastrecon_jax.errors import InputError

VARIABLE = "FASTRECON_COMPILATION_CACHE"
OFF = "off"
_SETTINGS = {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_persistent_cache_min_entry_size_bytes": -1}
_LOOKED, _SLACK = ".looked", 60.0  # file whose time says when entries were last checked; seconds clocks may differ
_ZLIB = b"\x78"  # first byte of an entry; with the zstandard package entries start otherwise and are not checked


def enable() -> Path | None:
    """Keep compiled programs on disk from now on, and return their directory; call it before anything is computed.

    The directory, one for each kind of processor, lies in the one that the environment variable
    FASTRECON_COMPILATION_CACHE names, by default fastrecon_jax/xla in the user's cache directory. The result is None if
    the variable is `off`, if jax already has a cache directory, or if the directory cannot be used, which is logged and
    costs nothing but speed.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked.lower() == OFF or jax.config.jax_compilation_cache_dir:
        return None
    parent = asked or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "fastrecon_jax" / "xla")
    try:
        directory = files.expanded(parent) / _processor()
        directory.mkdir(parents=True, exist_ok=True)
        _remove_damaged(directory)
        _try_to_write(directory)
    except (InputError, OSError, ValueError) as error:
        reason = files.reason(error) if isinstance(error, OSError) else error
        logging.getLogger(__name__).warning(
            f"{parent} cannot be used ({reason}): programs are compiled at each start; set {VARIABLE} to another "
            f"directory, or to {OFF}"
        )
        return None
    for name, value in _SETTINGS.items():
        jax.config.update(name, value)
    jax.config.update("jax_compilation_cache_dir", str(directory))
    return directory


def _processor() -> str:
    """The processor's architecture and a hash of its features, because machines may share a home directory."""
    instructions = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        instructions = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine() or 'any'}-{hashlib.sha256(instructions.encode()).hexdigest()[:8]}"


def _remove_damaged(directory: Path) -> None:
    """Remove entries cut short by a full disk or a killed process, which jax would warn of at each start.

    Only entries written since the last check are read, because a cache may hold thousands.
    """
    looked, now = directory / _LOOKED, time.time()
    since = looked.stat().st_mtime - _SLACK if looked.exists() else 0.0
    for entry in directory.glob("*-cache"):
        if entry.stat().st_mtime < since:
            continue
        data = entry.read_bytes()
        if not data or (data.startswith(_ZLIB) and not _is_whole(data)):
            entry.unlink(missing_ok=True)
    looked.touch()
    os.utime(looked, (now, now))  # entries written in the meantime are checked next time


def _is_whole(data: bytes) -> bool:
    stream = zlib.decompressobj()
    with contextlib.suppress(zlib.error):
        stream.decompress(data)
    return stream.eof


def _try_to_write(directory: Path) -> None:
    probe = directory / f".probe.{os.getpid()}"
    try:
        probe.write_bytes(b"0")
    finally:
        probe.unlink(missing_ok=True)
