"""Folders that are watched for new images, which count once they are complete."""

import functools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fastrecon_jax.files import Place
from fastrecon_jax.inspection import reading
from fastrecon_jax.remote import RemotePath

PATIENCE = 5.0  # seconds without change after which a file that cannot be decoded will never be
_GONE = 100_000  # files that are remembered as inspected after they have gone, should a network folder come back
_FOLDERS = 1000  # whose place relative to the results is remembered

Stamp = tuple[int, int]


class Watcher:
    """The files in watched folders: those that are still growing, and those that were inspected as they are.

    Memory is that of the files which are there, however many have come and gone.

    Attributes:
        patterns: paths, patterns and folders, with commas between them.
        wanted: whether a path is to be inspected at all.
    """

    def __init__(self, patterns: str, *, wanted: Callable[[Path], bool], done: Mapping[str, Stamp]):
        self.patterns = patterns
        self.wanted = wanted
        self._done = dict(done)  # by the text of the path; what has gone longest comes first
        self._pending: dict[Path, tuple[Stamp, float]] = {}  # stamp, and when it was first seen

    def look(self) -> list[Path]:
        """Look at the folders once: the files that have not changed since the look before, and are not finished."""
        now, before = time.monotonic(), self._pending
        self._pending = {}
        complete, there = [], {}
        for path in dict.fromkeys(reading.listed(self.patterns)):
            stamp, text = reading.stamp(path), reading.path_text(path)
            if text in self._done:
                there[text] = self._done.pop(text)
            if stamp == (0, 0) or there.get(text) == stamp or not self.wanted(path):
                continue
            # Two looks with the same size and time: whoever writes the file has most likely ended.
            unchanged = path in before and before[path][0] == stamp
            self._pending[path] = before[path] if unchanged else (stamp, now)
            if unchanged:
                complete.append(path)
        self._forget(there)
        return complete

    def _forget(self, there: Mapping[str, Stamp]) -> None:
        """Keep what is finished and there, and of what has gone only the latest."""
        for text in list(self._done)[: max(len(self._done) - _GONE, 0)]:
            del self._done[text]
        self._done.update(there)

    def finish(self, path: str, stamp: Stamp) -> None:
        """Name a file no more, by the text of its path, unless it changes from its size and time when it was read."""
        self._done[path] = stamp

    def is_hopeless(self, path: Path) -> bool:
        """Whether a file that the last look named, and that cannot be decoded, has not changed for 5 seconds."""
        return path in self._pending and time.monotonic() - self._pending[path][1] >= PATIENCE


def outside(directory: Path, written: str = "") -> Callable[[Place], bool]:
    """Tells images from pictures in the directory of the results: whether a path, links followed, lies elsewhere.

    `written` is that directory as the user wrote it, perhaps an address.
    """
    root = os.path.realpath(directory)

    @functools.lru_cache(_FOLDERS)  # not for each image anew
    def is_outside(folder: str) -> bool:
        return os.path.commonpath([root, os.path.realpath(folder or ".")]) != root

    def wanted(path: Place) -> bool:
        if isinstance(path, RemotePath):
            return not path.url.startswith(f"{written.rstrip('/')}/")
        return is_outside(os.path.dirname(path))  # noqa: PTH120

    return wanted
