"""The rows of an inspection, as lines of JSON and of a table, and how many there are of each kind."""

import collections
import csv
import io
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from fastrecon_jax.command_line import console
from fastrecon_jax.data import images
from fastrecon_jax.parts.inspector import VERDICTS
from fastrecon_jax.parts.regions import Region
from fastrecon_jax.parts.warnings import SHAPE

UNREADABLE = "unreadable"
_SHAPES = 100  # sizes of images that are told apart in the counts
_TOLD = {
    images.PAGES: "more than one page or frame, of which the first alone was inspected",
    images.CLIPPED: "values above the white of the part's bit depth, which became white",
    images.DARK: "less than an eighth of the range of their values in use",
    SHAPE: "of another shape than the good ones",
}
RECENT = 20_000  # images that are remembered by their paths
_BOX = ("x", "y", "width", "height", "area")
COLUMNS = (
    *("path", "part", "picked", "verdict", "score", "threshold", "p_value", "peak", "regions"),
    *(f"region_{name}" for name in (*_BOX, "peak")),
    *("milliseconds", "overlay", "time", "error", "note", "warning", "confidence", "reason"),
)


class Row(NamedTuple):
    """What came of one image.

    Attributes:
        path: path of the image, as it was found.
        part: name of the part that it was inspected by; empty if none could be picked.
        picked: how the part was picked, see `routing`.
        verdict: good, borderline or defective; empty if the image could not be read.
        score: image score; None without a verdict, as the following.
        threshold: score above which it is defective.
        p_value: probability that a good image scores at least as high.
        peak: largest value of the anomaly map.
        regions: the highest peak first, in pixels of the photograph.
        milliseconds: from reading the file to the verdict; of a batch an equal share.
        overlay: path of the picture, relative to the directory of the results; empty if there is none.
        time: when the row was made, ISO 8601, UTC.
        size: size of the file, in bytes.
        modified: when the file was last written, in nanoseconds.
        error: why there is no verdict; empty if there is one.
        note: drift that this image was the last to show, see `drift`; mostly empty.
        warning: what is odd about the image, each `KIND: text`, with semicolons between them; empty if nothing is.
        confidence: from 0, surely good, to 1, surely defective, a half at the threshold; None without a verdict, and in
            rows of older versions.
        reason: why the verdict is what it is, where the score alone does not say so; empty otherwise.
        inspected: x, y, width and height of the inspected area, in pixels of the photograph; empty without a verdict.
    """

    path: str
    part: str
    picked: str
    verdict: str
    score: float | None
    threshold: float | None
    p_value: float | None
    peak: float | None
    regions: tuple[Region, ...]
    milliseconds: float
    overlay: str
    time: str
    size: int
    modified: int
    error: str
    note: str = ""
    warning: str = ""
    confidence: float | None = None
    reason: str = ""
    inspected: tuple[int, ...] = ()


def kind(row: Row) -> str:
    """The verdict, or `unreadable`."""
    return row.verdict or UNREADABLE


class Counts:
    """How many images there are of each kind; one that is inspected again counts once, as it was the last time.

    Only the last images are remembered by their paths, so that memory does not grow with them.
    """

    def __init__(self, rows: Iterable[Row] = ()):
        self._kinds: collections.OrderedDict[str, tuple[str, ...]] = collections.OrderedDict()
        self._numbers: collections.Counter[str] = collections.Counter()
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Count an image."""
        self._numbers.subtract(self._kinds.pop(row.path, ()))
        self._kinds[row.path] = (kind(row), *map(self._note, filter(None, row.warning.split("; "))))
        self._numbers.update(self._kinds[row.path])
        if len(self._kinds) > RECENT:
            self._kinds.popitem(last=False)

    def __getitem__(self, kind: str) -> int:
        return self._numbers[kind]

    def __str__(self) -> str:
        return ", ".join(f"{self[kind]} {kind}" for kind in (*VERDICTS, UNREADABLE))

    def _note(self, warning: str) -> str:
        """What a warning counts as: its kind, and of a shape the sizes, unless there are too many of them."""
        name, _, text = warning.partition(": ")
        shape = name == SHAPE and (text in self._numbers or len(self._numbers) < _SHAPES)
        return text if shape else name

    def warnings(self) -> str:
        """A line for each kind of warning, with the number of images; empty if there is none."""
        known = dict.fromkeys((*VERDICTS, UNREADABLE), 0)
        noted = [(name, number) for name, number in self._numbers.items() if number and name not in known]
        return "".join(
            f"warning: {console.count(number, 'image')}: {_TOLD.get(name, name)}\n" for name, number in noted
        )


def line(row: Row) -> str:
    """The row in results.jsonl."""
    values = row._asdict() | {"regions": [region._asdict() for region in row.regions]}
    return json.dumps(values, allow_nan=False, ensure_ascii=False) + "\n"


def header() -> str:
    """The names of the columns in results.csv."""
    return _csv(COLUMNS)


def cells(row: Row) -> str:
    """The row in results.csv; of its regions the number and the first one."""
    first = list(row.regions[0]) if row.regions else [None] * (len(_BOX) + 1)
    values = row._asdict() | {"regions": len(row.regions) if row.verdict else None}
    values |= dict(zip((f"region_{name}" for name in (*_BOX, "peak")), first, strict=True))
    return _csv([values[column] for column in COLUMNS])


def _csv(values: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
