"""scores.csv of any program: the score of each test image, by part, method, number of shots and draw."""

import csv
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrecon_jax import files
from fastrecon_jax.command_line.fields import shortened
from fastrecon_jax.errors import InputError

REQUIRED = ("path", "label", "score")
OPTIONAL = ("dataset", "category", "method", "shots", "seed", "fit_seconds", "image_seconds")
SECONDS = ("fit_seconds", "image_seconds")


class Group(NamedTuple):
    """What the scores of one fit have in common; None where the file does not say."""

    dataset: str | None
    category: str | None
    method: str | None
    shots: int | None
    seed: int | None


class Images(NamedTuple):
    """The test images of one group.

    Attributes:
        labels: whether each is defective, by its name within the category.
        scores: by the same names.
        seconds: `fit_seconds` and `image_seconds`, None where the file has no such column, or an empty one.
    """

    labels: dict[str, bool]
    scores: dict[str, float]
    seconds: dict[str, float | None]


class Table(NamedTuple):
    """A file: the names of its columns, and its groups in the order of their first lines."""

    columns: tuple[str, ...]
    groups: dict[Group, Images]


def read(file: Path) -> Table:
    """Read a file of scores; InputError names the line that cannot be used, and what is allowed there."""
    found: dict[Group, Images] = {}
    columns, lines = rows(file, REQUIRED, OPTIONAL)
    for line, row in lines:
        path, label, score = (row[name] for name in REQUIRED)
        if label not in ("0", "1"):
            raise _refused(file, line, "label", label, "0, good, or 1, defective")
        category = row.get("category") or _category_of(path)
        shots, seed = (_number(file, line, row, name, int) for name in ("shots", "seed"))
        group = Group(row.get("dataset") or None, category, row.get("method") or None, shots, seed)
        seconds = {name: _number(file, line, row, name, float) for name in SECONDS}
        images = found.setdefault(group, Images({}, {}, seconds))
        name = within(path, category)
        if name in images.labels:
            raise InputError(
                f"{file}, line {line}: {shortened(path)} has two scores of one fit; columns shots, seed and method "
                "tell fits apart"
            )
        images.labels[name] = label == "1"
        images.scores[name] = _finite(file, line, "score", score)
    if not found:
        raise InputError(f"{file} has no line of scores below its header")
    return Table(columns, found)


def rows(
    file: Path, required: Sequence[str], optional: Sequence[str]
) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """The columns of a CSV file, and its rows with the numbers of their lines; columns of other names are left out.

    InputError where it cannot be read, lacks a required column, or has a line of another length.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened)
            head = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except OSError as error:
        raise InputError(f"{file} cannot be read: {files.reason(error)}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is not a CSV file in UTF-8: {error}") from None
    missing = [name for name in required if name not in head]
    if missing:
        also = f"; {', '.join(optional)} are read too" if optional else ""
        raise InputError(f"{file} has no column {', '.join(missing)}: needed are {', '.join(required)}{also}")
    twice = [name for name in (*required, *optional) if head.count(name) > 1]
    if twice:
        raise InputError(f"{file} has the column {twice[0]} twice")
    known = {name: i for i, name in enumerate(head) if name in required or name in optional}
    found = []
    for line, cells in lines:
        if len(cells) != len(head):
            raise InputError(f"{file}, line {line} has {len(cells)} values for {len(head)} columns")
        found.append((line, {name: cells[i].strip() for name, i in known.items()}))
    return tuple(known), found


def within(path: str, category: str | None) -> str:
    """A path as all programs may have it: with slashes, below the folder of the category, or from `test/` on."""
    path = re.sub(r"[\\/]+", "/", path).removeprefix("./")
    if category and (found := f"/{path}".rpartition(f"/{category}/"))[1]:
        path = found[2]
    if path.startswith(("test/", "train/")):
        return path
    below = re.fullmatch(r".*/((?:test|train)/[^/]+/.+)", path)
    return below[1] if below else path


def _category_of(path: str) -> str | None:
    """The folder above `test`, where a file has no column of categories."""
    folders = re.sub(r"[\\/]+", "/", path).split("/")
    places = [i for i, name in enumerate(folders[:-1]) if name == "test" and i > 0]
    return folders[places[-1] - 1] if places and folders[places[-1] - 1] not in ("", ".", "..") else None


def _number(file: Path, line: int, row: dict[str, str], name: str, kind: Callable[[str], Any]) -> Any:
    text = row.get(name)
    if not text:
        return None
    if kind is float:
        return _finite(file, line, name, text, least=0.0)
    if not text.isascii() or not text.isdecimal():
        raise _refused(file, line, name, text, "a whole number from 0, or nothing")
    return int(text)


def _finite(file: Path, line: int, name: str, text: str, least: float = -math.inf) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < least:
        rule = "a finite number" if least < 0 else "a finite number from 0, or nothing"
        raise _refused(file, line, name, text, rule)
    return value


def _refused(file: Path, line: int, name: str, text: str, rule: str) -> InputError:
    return InputError(f"{file}, line {line}: {name} is {shortened(text)!r}; allowed is {rule}")
