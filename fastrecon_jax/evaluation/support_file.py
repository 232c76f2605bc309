"""support.csv of an evaluation: the names of the support images of every category, number of shots and draw."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.data import samples
from fastrecon_jax.data.support import Draw
from fastrecon_jax.errors import InputError

NAME = "support.csv"
COLUMNS = ("dataset", "category", "shots", "seed", "path")
Key = tuple[str | None, str | None, int | None, int | None]  # data set, category, shots, seed


def write(
    directory: Path,
    dataset: str,
    categories: Iterable[samples.Category],
    draws: Mapping[str, Mapping[int, Iterable[Draw]]],
) -> None:
    """Write what was drawn, with empty seeds where a draw has none; InputError where it cannot be written."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for category in categories:
        for shots, of_shots in draws[category.name].items():
            for draw in of_shots:
                for i in draw.indices:
                    writer.writerow((dataset, category.name, shots, draw.seed, category.train[i].name))
    files.write_text(directory / NAME, text.getvalue())


def read(file: Path) -> dict[Key, list[str]]:
    """The names by what they are the support of; empty where there is no file, InputError where it is damaged."""
    if not files.exists(file):
        return {}
    found: dict[Key, list[str]] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            for row in csv.DictReader(opened):
                shots, seed = (int(row[name]) if row.get(name) else None for name in ("shots", "seed"))
                key = (row.get("dataset") or None, row.get("category") or None, shots, seed)
                if not row["path"]:
                    raise ValueError("a line has no path")
                found.setdefault(key, []).append(row["path"])
    except OSError as error:
        raise InputError(f"{file} cannot be read: {files.reason(error)}") from None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{file} is damaged, it must have the columns {', '.join(COLUMNS)}: {error!r}") from None
    return found
