"""Figures from papers, which stand beside what was measured and are in no difference."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fastrecon_jax import files
from fastrecon_jax.command_line.console import count
from fastrecon_jax.command_line.fields import shortened
from fastrecon_jax.comparing import scores
from fastrecon_jax.comparing.systems import System
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import tables

COLUMNS = ("dataset", "categories", "method", "encoder", "metric", "shots", "percent", "source")


class Published(NamedTuple):
    """A line of published figures.

    Attributes:
        dataset, categories, method, encoder, source: as the file has them.
        shots: support images.
        percent: figures as they were printed, by metric.
    """

    dataset: str
    categories: int
    method: str
    encoder: str
    source: str
    shots: int
    percent: dict[str, str]


def read(text: str, systems: Sequence[System], metrics: Sequence[str]) -> tuple[list[Published], list[str]]:
    """The figures of the data sets and numbers of shots that were measured, and what must be said of them.

    InputError where the file cannot be used, or holds figures of none of these.
    """
    file = Path(files.expanded(text, "published"))
    groups: dict[tuple, dict[str, str]] = {}
    for line, row in scores.rows(file, COLUMNS, ())[1]:
        for name in ("categories", "shots"):
            if not row[name].isascii() or not row[name].isdecimal():
                raise InputError(f"{file}, line {line}: {name} is {shortened(row[name])!r}; allowed is a whole number")
        try:
            percent = float(row["percent"])
        except ValueError:
            percent = -1.0
        if not 0 <= percent <= 100:
            raise InputError(
                f"{file}, line {line}: percent is {shortened(row['percent'])!r}; allowed is a number from 0 to 100"
            )
        key = (row["dataset"], int(row["categories"]), row["method"], row["encoder"], row["source"], int(row["shots"]))
        groups.setdefault(key, {})[row["metric"]] = row["percent"]
    measured = datasets(systems)
    shots = {k for system in systems for k in system.shots()}
    order = list(dict.fromkeys(key[:-1] for key in groups))
    found = [
        Published(*key, percent)
        for key, percent in sorted(groups.items(), key=lambda group: (order.index(group[0][:-1]), group[0][-1]))
        if key[0] in measured and key[-1] in shots and percent.keys() & set(metrics)
    ]
    if not found:
        known = dict.fromkeys(f"{key[0]} with {key[-1]} shots" for key in groups)
        raise InputError(
            f"--published={text} has no figures of {', '.join(measured)} with "
            f"{', '.join(map(str, sorted(shots)))} shots: it has {shortened(', '.join(known)) or 'none'}"
        )
    return found, list(_sayings(found, measured))


def datasets(systems: Sequence[System]) -> dict[str, list[str]]:
    """The parts that were measured, by their data set."""
    found: dict[str, list[str]] = {}
    for system in systems:
        for key in system.cells:
            dataset = key.part.partition("/")[0]
            if key.part not in found.setdefault(dataset, []):
                found[dataset].append(key.part)
    return found


def _sayings(found: Sequence[Published], measured: dict[str, list[str]]) -> list[str]:
    lines = []
    for (dataset, categories), _ in tables.grouped([one._asdict() for one in found], "dataset", "categories").items():
        if categories != len(measured[dataset]):
            lines.append(
                f"Published figures of {dataset} are means over {count(categories, 'category', 'categories')}, those "
                f"here over {len(measured[dataset])}: they do not compare."
            )
    if len(measured) > 1:
        lines.append("Published figures are of one data set each; the means here are over parts of several.")
    return lines
