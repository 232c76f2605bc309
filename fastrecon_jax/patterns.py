"""Paths with wildcards, several with commas: a name that exists stands for itself before it is a pattern or a list."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

_JOINED = 8  # pieces between commas that are looked for as one name

BRACKETS = "; [ and ] are a pattern where no file or folder of that very name exists, and [[] stands for a ["


def split(text: str) -> list[str]:
    """The paths and patterns of a list; a comma in the name of a file or folder that exists does not end one."""
    pieces, items, start = text.split(","), [], 0
    while start < len(pieces):
        last = min(start + _JOINED, len(pieces))
        joined = (",".join(pieces[start:end]) for end in range(last, start + 1, -1))
        taken = next((name for name in joined if _commas_are_in_names(name)), pieces[start])
        items.append(taken)
        start += taken.count(",") + 1
    return items


def _commas_are_in_names(path: str) -> bool:
    """Whether there is such a file, or such a folder up to the last comma."""
    end = path.find(os.sep, path.rfind(","))
    name = os.path.expanduser(path if end < 0 else path[:end])  # noqa: PTH111 (no error)
    return os.path.lexists(name) or next(matches(name), None) is not None


def matches(pattern: str) -> Iterator[str]:
    """The files and folders that a pattern means, sorted name by name; `**` spans folders, hidden ones not."""
    path = Path(pattern)
    return _matches(path.anchor, list(path.parts[1:] if path.anchor else path.parts))


def _matches(base: str, names: list[str]) -> Iterator[str]:
    if not names:
        yield base
        return
    first, rest = names[0], names[1:]
    for name in _children(base, first, last=not rest):
        yield from _matches(os.path.join(base, name), rest)  # noqa: PTH118 (quick)


def _children(base: str, name: str, *, last: bool) -> list[str]:
    """What one component of a pattern means in a folder."""
    if os.path.lexists(os.path.join(base, name)):  # noqa: PTH118 (quick)
        return [name]
    if not glob.has_magic(name):
        return []
    if name != "**":
        return sorted(glob.glob(name, root_dir=base or None))  # noqa: PTH207 (names alone)
    # `**` in the middle is the folder itself and all folders below it; at the end it is everything below it.
    below = glob.glob("**" if last else f"**{os.sep}", root_dir=base or None, recursive=True)  # noqa: PTH207
    return sorted(below if last else {"", *below})
