"""Rows of batches as Parquet: their types, what a directory of them holds, and what is not inspected yet."""

import collections
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from fastrecon_jax import files
from fastrecon_jax.batch.inspector import COLUMNS, Columns
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place

ENDING = ".parquet"
_REGION = pa.struct(
    [*((name, pa.int32()) for name in ("x", "y", "width", "height")), ("area", pa.int64()), ("peak", pa.float64())]
)
_TYPES = {name: pa.float64() for name in ("score", "threshold", "p_value", "confidence")} | {
    "regions": pa.list_(_REGION)
}
SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in COLUMNS])


def table(columns: Columns) -> pa.Table:
    """What an `Inspector` gives, with one type for each column however the pictures are."""
    return pa.table(columns, schema=SCHEMA)


def system(place: Place) -> tuple[pyarrow.fs.FileSystem, str]:
    """The file system of a place, as pyarrow and the engines on it take it, and the path in it."""
    if isinstance(place, Path):
        return pyarrow.fs.LocalFileSystem(), str(place.absolute())
    fsspec_system, path = place.file_system()
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fsspec_system)), path


def inspected(directory: Place) -> set[str]:
    """The paths that have a row in a directory, with an error or without; a file that was not ended is removed."""
    found: set[str] = set()
    for file, rows in _read(directory, ["path"]):
        if rows is None:
            opened, path = system(file)
            opened.delete_file(path)
        else:
            found.update(rows["path"].to_pylist())
    return found


def counts(directory: Place) -> collections.Counter[str]:
    """How many rows there are of each verdict; without one the key is empty."""
    total: collections.Counter[str] = collections.Counter()
    for _, rows in _read(directory, ["verdict"]):
        total.update(verdict or "" for verdict in (rows["verdict"].to_pylist() if rows is not None else ()))
    return total


def _read(directory: Place, columns: Sequence[str]) -> Iterator[tuple[Place, Any]]:
    """Each file with these columns, one in memory at a time; None where a killed process has not ended the file."""
    for file in files.children(directory):
        if file.suffix != ENDING:
            continue
        opened, path = system(file)
        try:
            yield file, pq.read_table(path, columns=list(columns), filesystem=opened)
        except pa.ArrowInvalid:
            yield file, None
        except (OSError, KeyError, pa.ArrowException) as error:
            raise InputError(f"{file} cannot be read: {error}; name another directory as --output_dir") from None
