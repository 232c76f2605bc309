"""The published figures of published.csv, which the tables of two scripts stand beside."""

import csv
from pathlib import Path

from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.tables import Row

_FILE = Path(__file__).with_name("published.csv")


def by_dataset() -> dict[str, list[Row]]:
    """The rows of the file by the name of their data set."""
    with _FILE.open(encoding="utf-8", newline="") as file:
        groups = tables.grouped(list(csv.DictReader(file)), "dataset")
    return {name: rows for (name,), rows in groups.items()}
