"""How large the cache of compiled programs grows, and what becomes of damaged ones: looked at when a command ends.

JAX evicts only where `jax_compilation_cache_max_size` is set. It then lists the directory and reads a file for each
entry whenever it writes one, locks the directory for each read, and fails where an entry is older than the setting.
"""

import atexit
import contextlib
import os
import time
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from fastrecon_jax import files
from fastrecon_jax.runtime import kept

VARIABLE = "FASTRECON_COMPILATION_CACHE_MB"
DEFAULT = 1024  # MiB of entries in a directory
LEFT = 0.8  # of the limit, so that not every command evicts
_MISS = "/jax/compilation_cache/cache_misses"  # jax tells of it before it writes an entry
_UNREADABLE = "Error reading persistent compilation cache entry"  # so jax warns of an entry that is mended here
_ENTRY = "-cache"
_ZLIB = b"\x78"  # first byte of an entry; with the zstandard package entries start otherwise and are not checked


class _Entry(NamedTuple):
    path: Path
    size: int
    written: float
    used: float


class _Writes:
    """How many entries this process was about to write, and since when."""

    def __init__(self, directories: Sequence[Path]):
        self.directories, self.start, self.misses = directories, time.time(), 0

    def hear(self, event: str, **_: object) -> None:
        self.misses += event == _MISS

    def end(self) -> None:
        """Look through the directories if something was written there; nothing that fails here is of interest."""
        if self.misses or kept.written():
            with contextlib.suppress(OSError):
                _mend(_entries(self.directories), since=self.start, expected=self.misses)
                evict(self.directories, limit())
                for directory in self.directories:
                    files.sweep(directory)


def watch(*directories: Path) -> None:
    """Look through directories when the process ends, if it has written something there."""
    writes = _Writes(directories)
    jax.monitoring.register_event_listener(writes.hear)
    warnings.filterwarnings("ignore", _UNREADABLE)
    atexit.register(writes.end)


def limit() -> int:
    """The bytes that entries of a directory may have together: the variable's, where it is a whole number of MiB."""
    asked = os.environ.get(VARIABLE, "")
    return 2**20 * (int(asked) if asked.isascii() and asked.isdecimal() else DEFAULT)


def evict(directories: Sequence[Path], most: int) -> None:
    """Remove the entries that were not used for the longest time, where all together have more than so many bytes."""
    entries = sorted(_entries(directories), key=lambda entry: entry.used)
    total = sum(entry.size for entry in entries)
    if total <= most:
        return
    for entry in entries:
        if total <= LEFT * most:
            break
        entry.path.unlink(missing_ok=True)
        total -= entry.size


def _mend(entries: Sequence[_Entry], *, since: float, expected: int) -> None:
    """Remove entries cut short by a full disk or a killed process, which jax reads in vain and never writes anew.

    Each program that was compiled is a new entry, unless a damaged one is in its way. Those are looked for from the
    newest on, as long as some are missing.
    """
    programs = [entry for entry in entries if entry.path.name.endswith(_ENTRY)]
    for entry in sorted(programs, key=lambda entry: -entry.written):
        new = entry.written >= since - 1  # file systems round times
        if not new and expected <= 0:
            return
        whole = _is_whole(entry)
        if not whole:
            entry.path.unlink(missing_ok=True)
        if new or not whole:  # what was written, or what was in the way of it
            expected -= 1


def _is_whole(entry: _Entry) -> bool:
    data = entry.path.read_bytes()
    if not data.startswith(_ZLIB):
        return bool(data)
    stream = zlib.decompressobj()
    with contextlib.suppress(zlib.error):
        stream.decompress(data)
    return stream.eof


def _entries(directories: Sequence[Path]) -> list[_Entry]:
    """The programs and kept values; drafts of other processes are left alone."""
    found = []
    for directory in filter(Path.is_dir, directories):
        with os.scandir(directory) as scanned:
            for entry in scanned:
                if entry.name.endswith((_ENTRY, kept.SUFFIX)):
                    with contextlib.suppress(FileNotFoundError):  # another process may evict, too
                        facts = entry.stat()
                        used = max(facts.st_atime, facts.st_mtime)
                        found.append(_Entry(Path(entry.path), facts.st_size, facts.st_mtime, used))
    return found
