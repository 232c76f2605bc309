"""Images as they arrive in folders: named once they are complete."""

import glob
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.inspection import reading
from fastrecon_jax.parts import photos

PATIENCE = 5.0  # seconds without change after which a file that cannot be decoded will never be

Stamp = tuple[int, int]


class Arrivals:
    """What was seen at the looks so far.

    Attributes:
        patterns: paths, patterns and folders, with commas.
        wanted: whether a path is to be inspected at all.
    """

    def __init__(self, patterns: str, *, wanted: Callable[[Path], bool], done: Mapping[str, Stamp]):
        self.patterns = patterns
        self.wanted = wanted
        self._done = dict(done)  # by the text of the path
        self._seen: dict[Path, tuple[Stamp, float]] = {}

    def look(self) -> list[Path]:
        """Look at the folders once.

        Returns:
            Files that have not changed since the look before, and were not reported by `finish` as they are.
        """
        now, before = time.monotonic(), self._seen
        self._seen = {}
        complete = []
        for path in dict.fromkeys(listed(self.patterns)):
            stamp = reading.stamp(path)
            if stamp == (0, 0) or self._done.get(photos.shown(path)) == stamp or not self.wanted(path):
                continue
            known = before.get(path)
            unchanged = known is not None and known[0] == stamp
            self._seen[path] = known if unchanged else (stamp, now)
            if unchanged:
                complete.append(path)
        return complete

    def finish(self, path: Path, stamp: Stamp) -> None:
        """Name a file no more, unless it changes.

        Args:
            path: of the file.
            stamp: size and time that it had when it was read, see `shots.stamp`.
        """
        self._done[photos.shown(path)] = stamp

    def is_hopeless(self, path: Path) -> bool:
        """Whether a file that cannot be decoded has had its time.

        Args:
            path: of the file, named by the last look.

        Returns:
            True if it has not changed for 5 seconds.
        """
        return path in self._seen and time.monotonic() - self._seen[path][1] >= PATIENCE


def listed(patterns: str) -> Iterator[Path]:
    """The files that are there now; what cannot be read is passed over.

    Args:
        patterns: as `photos.find` takes them.

    Yields:
        Paths, sorted within each pattern.
    """
    whole = files.false_if_unreadable(files.exists, files.expanded(patterns))
    for pattern in [patterns] if whole else patterns.split(","):
        path = str(files.expanded(pattern))
        try:
            found = [os.path.join(path, name) for name in os.listdir(path)]  # noqa: PTH118, PTH208 (quick)
            yield from sorted(child for child in map(Path, found) if photos.is_image(child))
        except NotADirectoryError:
            yield Path(path)
        except (OSError, ValueError):
            yield from sorted(map(Path, glob.glob(path, recursive=True)))  # noqa: PTH207 (it may be absolute)


def outside(directory: Path) -> Callable[[Path], bool]:
    """Tells files from those in a directory, in which results go.

    Args:
        directory: of the results.

    Returns:
        Path to whether it lies elsewhere, symbolic links followed.
    """
    root = os.path.realpath(directory)
    known: dict[str, bool] = {}

    def is_outside(path: Path) -> bool:
        parent = os.path.dirname(path)  # noqa: PTH120
        if parent not in known:
            known[parent] = os.path.commonpath([root, os.path.realpath(parent or ".")]) != root
        return known[parent]

    return is_outside
