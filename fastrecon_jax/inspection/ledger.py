"""The rows of an inspection: results.jsonl and results.csv, each row as it is done, whole or not at all."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrecon_jax import files
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts.records import MalformedError, build
from fastrecon_jax.parts.regions import Region

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

RUN, LINES, TABLE = "run.json", "results.jsonl", "results.csv"
FORMAT = 1
_BOX = ("x", "y", "width", "height", "area")
COLUMNS = (
    *("path", "part", "picked", "verdict", "score", "threshold", "p_value", "peak", "regions"),
    *(f"region_{name}" for name in (*_BOX, "peak")),
    *("milliseconds", "overlay", "time", "error"),
)


class Row(NamedTuple):
    """What is known of an image that was looked at.

    Attributes:
        path: as it was found.
        part: that it was inspected by; empty if none could be picked.
        picked: how, see `routing`.
        verdict: one of `inspector.VERDICTS`; empty if the image could not be read.
        score: of the image, None without a verdict, as the following.
        threshold: above which it is defective.
        p_value: probability that a good image scores as high.
        peak: largest value of the map.
        regions: the highest peak first, in pixels of the photograph.
        milliseconds: from reading the file to the verdict, of a batch a share.
        overlay: the picture, relative to the directory; empty if there is none.
        time: when the row was written, ISO 8601, UTC.
        size: of the file, in bytes.
        modified: when the file was last written, in nanoseconds.
        error: why there is no verdict; empty if there is one.
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


class Ledger:
    """The two files, open for more rows.

    Attributes:
        rows: all so far, those of earlier runs first.
    """

    def __init__(self, directory: Path, rows: Sequence[Row], lines: int, table: int):
        self.rows = list(rows)
        self._directory = directory
        self._open = ((directory / LINES, lines), (directory / TABLE, table))

    def append(self, row: Row) -> None:
        """Write a row into both files.

        Args:
            row: to write.

        Raises:
            InputError: it cannot be written; then it is in neither file, and all others are complete.
        """
        sizes = [os.fstat(descriptor).st_size for _, descriptor in self._open]
        texts = (_line(row), _csv([row]))
        for (file, descriptor), text in zip(self._open, texts, strict=True):
            try:
                _write(descriptor, text.encode())
            except OSError as error:
                for (_, opened), size in zip(self._open, sizes, strict=True):
                    os.ftruncate(opened, size)
                raise InputError(f"{file} cannot be written: {files.reason(error)}") from None
        self.rows.append(row)

    def close(self) -> None:
        """Close the files; another process may go on then."""
        for _, descriptor in self._open:
            os.close(descriptor)

    def latest(self) -> dict[str, Row]:
        """The last row of each image, by path, in the order of the first."""
        return {row.path: row for row in self.rows}


def open_ledger(directory: Path, run: Mapping[str, Any]) -> Ledger:
    """Begin in a new or empty directory, or take up what an earlier run of the same parts left.

    Args:
        directory: of the results.
        run: what decides the rows beside the images, as JSON; what must not change is under `same`.

    Returns:
        The ledger, with the rows that are there.

    Raises:
        InputError: the directory cannot be written, holds something else, results of other parts or damaged ones, or
            another process writes them.
    """
    _prepare(directory, run)
    lines = _open_file(directory / LINES)
    try:
        _lock(lines, directory)
        rows = _read(directory / LINES, lines)
        expected = _csv(rows, header=True)
        if _text(directory / TABLE) != expected:
            files.write_text(directory / TABLE, expected)
        return Ledger(directory, rows, lines, _open_file(directory / TABLE))
    except BaseException:
        os.close(lines)
        raise


def _prepare(directory: Path, run: Mapping[str, Any]) -> None:
    files.make_directory(directory, f"--output_dir={directory}")
    files.sweep(directory)
    known = directory / RUN
    if files.exists(known):
        _compare(directory, _json(known), run)
    elif files.children(directory):
        raise InputError(
            f"--output_dir={directory} holds other files: name a new or empty directory, or one of an earlier run of "
            "this command"
        )
    else:
        files.write_text(known, json.dumps(run, indent=1))


def _compare(directory: Path, known: Any, run: Mapping[str, Any]) -> None:
    before, now = known.get("same") if isinstance(known, dict) else None, run["same"]
    if before == now:
        return
    if not isinstance(before, dict):
        raise InputError(f"{directory / RUN} is damaged: name another directory as --output_dir")
    changes = [f"{key} was {_short(before.get(key))} and is {_short(value)}" for key, value in now.items()]
    changes = [change for change, key in zip(changes, now, strict=True) if before.get(key) != now[key]]
    raise InputError(
        f"--output_dir={directory} holds results of other parts or settings: {'; '.join(changes)}; name another "
        "directory"
    )


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {str(one)[:12]}" for name, one in value.items())
    return str(value)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged, name another directory as --output_dir: {error}") from None


def _open_file(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {files.reason(error)}") from None


def _lock(descriptor: int, directory: Path) -> None:
    try:
        if fcntl:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"--output_dir={directory}: another process is writing results there") from None
    except OSError:  # a file system without locks
        return


def _read(file: Path, descriptor: int) -> list[Row]:
    """The rows; half a line at the end, of a process that was killed, is cut off."""
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    os.ftruncate(descriptor, whole)
    rows = []
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            rows.append(build(Row, json.loads(line), "row"))
        except (ValueError, RecursionError, OverflowError, MalformedError) as error:
            raise InputError(
                f"{file}, line {number} is damaged: {error}; remove the line, or name another directory as --output_dir"
            ) from None
    return rows


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _line(row: Row) -> str:
    values = row._asdict() | {"regions": [region._asdict() for region in row.regions]}
    return json.dumps(values, allow_nan=False, ensure_ascii=False) + "\n"


def _csv(rows: Sequence[Row], *, header: bool = False) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows(_cells(row) for row in rows)
    return text.getvalue()


def _cells(row: Row) -> list[Any]:
    """In the order of the columns; of the regions the number and the first one."""
    first = list(row.regions[0]) if row.regions else [None] * (len(_BOX) + 1)
    values = row._asdict() | {"regions": len(row.regions) if row.verdict else None}
    values |= dict(zip((f"region_{name}" for name in (*_BOX, "peak")), first, strict=True))
    return [values[column] for column in COLUMNS]
