"""The rows of an inspection: results.jsonl and results.csv, each row as it is done, whole or not at all."""

import collections
import json
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from fastrecon_jax import files, locks
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place
from fastrecon_jax.inspection import rows
from fastrecon_jax.inspection.rows import Row
from fastrecon_jax.parts.records import MalformedError, build

RUN, LINES, TABLE = "run.json", "results.jsonl", "results.csv"
FORMAT = 1


class Ledger:
    """The two files, open for more rows; the files hold all rows, memory the last ones.

    Attributes:
        count: number of rows, those of earlier runs included.
    """

    def __init__(self, directory: Path, earlier: Iterable[Row], descriptors: tuple[int, int], end: ExitStack):
        self.count = 0
        self._end = end
        self._open = tuple(zip((directory / LINES, directory / TABLE), descriptors, strict=True))
        self._recent: collections.OrderedDict[str, Row] = collections.OrderedDict()
        self._lock = threading.Lock()  # rows are appended by one thread and read by another
        for row in earlier:
            self._remember(row)

    def append(self, row: Row) -> None:
        """Write a row into both files; if InputError is raised it is in neither, and all others are complete."""
        sizes = [os.fstat(descriptor).st_size for _, descriptor in self._open]
        texts = (rows.line(row), rows.cells(row))
        for (file, descriptor), text in zip(self._open, texts, strict=True):
            try:
                _write(descriptor, text.encode())
            except OSError as error:
                for (_, opened), size in zip(self._open, sizes, strict=True):
                    os.ftruncate(opened, size)
                raise InputError(f"{file} cannot be written: {files.reason(error)}") from None
        self._remember(row)

    def _remember(self, row: Row) -> None:
        with self._lock:
            self.count += 1
            self._recent[row.path] = row  # an image that is there keeps its place
            if len(self._recent) > rows.RECENT:
                self._recent.popitem(last=False)

    def close(self) -> None:
        """Close the files; another process may go on then."""
        self._end.close()

    def recent(self) -> list[Row]:
        """The last row of each of the last images, in the order in which they were first inspected."""
        with self._lock:
            return list(self._recent.values())

    def latest(self, paths: Collection[str]) -> dict[str, Row]:
        """The last row of each of these images that has one, read from the disk; one row at a time is in memory."""
        wanted = set(paths)
        return {row.path: row for row in rows_of(self._open[0][0], wanted)} if wanted else {}


def open_ledger(directory: Path, run: Mapping[str, Any]) -> Ledger:
    """Begin in a new or empty directory, or resume what an earlier run of the same parts left.

    `run` says what decides the rows beside the images, as JSON; what must not change is under `same`. InputError if the
    directory cannot be written, holds something else, results of other parts or damaged ones, or if another process
    writes them.
    """
    files.make_directory(directory, f"--output_dir={directory}")
    with ExitStack() as opened:
        opened.enter_context(locks.directory(directory))
        _prepare(directory, run)
        descriptors = []
        for name in (LINES, TABLE):
            descriptors.append(_open_file(directory / name))
            opened.callback(os.close, descriptors[-1])
        _drop_half_a_line(directory / LINES, descriptors[0])
        return Ledger(directory, _repaired(directory), tuple(descriptors), opened.pop_all())  # all stays open


def _prepare(directory: Path, run: Mapping[str, Any]) -> None:
    files.sweep(directory)
    record = directory / RUN
    if files.exists(record):
        compare(directory, read_record(record)["same"], run["same"])
    elif [child for child in files.children(directory) if child.name != locks.NAME]:
        raise other_files(str(directory))
    else:
        files.write_text(record, json.dumps(run, indent=1))


def other_files(directory: str) -> InputError:
    """The error for a directory that is not empty and holds no results."""
    return InputError(
        f"--output_dir={directory} holds other files: name a new or empty directory, or one of an earlier run of this "
        "command"
    )


def compare(directory: Place, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse a directory of results whose run was another than this one, by what both have under `same`."""
    if before == now:
        return
    keys = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    changes = [f"{key} was {_short(before.get(key))} and is {_short(now.get(key))}" for key in keys]
    raise InputError(
        f"--output_dir={directory} holds results of other parts or settings: {'; '.join(changes)}; name another "
        "directory"
    )


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {str(entry)[:12]}" for name, entry in value.items())
    return "not given" if value is None else str(value)


def read_record(file: Path) -> dict[str, Any]:
    """What a run has recorded of itself, see `open_ledger`; InputError if it is damaged."""
    record = _json(file)
    if not isinstance(record, dict) or not isinstance(record.get("same"), dict):
        raise InputError(f"{file} is damaged: name another directory as --output_dir")
    return record


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


def _drop_half_a_line(file: Path, descriptor: int) -> None:
    """A process that was killed may have left one at the end."""
    end = 0
    with file.open("rb") as opened:
        for line in opened:
            end += len(line) if line.endswith(b"\n") else 0
    os.ftruncate(descriptor, end)


def rows_of(file: Path, paths: Collection[str] | None = None) -> Iterator[Row]:
    """The rows, all or those of some images, one after the other from the disk."""
    with file.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            try:
                value = json.loads(line)
                if paths is None or value["path"] in paths:
                    yield build(Row, value, "row")
            except (ValueError, RecursionError, OverflowError, MalformedError) as error:
                raise InputError(
                    f"{file}, line {number} is damaged: {error}; remove the line, or name another directory as "
                    "--output_dir"
                ) from None


def _repaired(directory: Path) -> Iterator[Row]:
    """All rows, while the table is made to hold the same: from where it differs it is written anew."""
    try:
        with (directory / TABLE).open("r+b") as opened:
            differs = _put(opened, rows.header(), differs=False)
            for row in rows_of(directory / LINES):
                differs = _put(opened, rows.cells(row), differs=differs)
                yield row
            opened.truncate(opened.tell())
    except OSError as error:
        raise InputError(f"{directory / TABLE} cannot be written: {files.reason(error)}") from None


def _put(opened: BinaryIO, text: str, *, differs: bool) -> bool:
    """Go past a line of the table, written if it is not there; gives whether the table differs from here on."""
    data, start = text.encode(), opened.tell()
    if not differs and opened.read(len(data)) == data:
        return False
    if not differs:
        opened.seek(start)
        opened.truncate()
    opened.write(data)
    return True


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
