"""What one method reaches and costs: means with standard errors, the worst part, seconds and memory."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastrecon_jax.comparing.systems import System
from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.tables import Row


class Figure(NamedTuple):
    """A metric of one method and number of shots, as fractions.

    Attributes:
        mean: over categories and draws.
        error: standard error of the mean over draws; None with one draw.
        draws: how many there are.
        worst: the category with the lowest mean over draws, and that mean.
        parts_error: standard error over the categories' means; None with one category.
    """

    mean: float
    error: float | None
    draws: int
    worst: tuple[str, float]
    parts_error: float | None


class Line(NamedTuple):
    """A line of the leaderboard: one system with one number of shots.

    Attributes:
        name: of the system.
        shots: support images.
        draws: of the support; where parts differ in them, all that there are.
        figures: by metric; None where it is defined nowhere.
        parts: each metric by part, mean over draws; None where undefined.
        fit_seconds, image_seconds: means over parts and draws; None where one is unknown.
        memory: peak bytes of the processes that ran it, by kind: the largest; empty where unknown.
    """

    name: str
    shots: int
    draws: int
    figures: dict[str, Figure | None]
    parts: dict[str, dict[str, float | None]]
    fit_seconds: float | None
    image_seconds: float | None
    memory: dict[str, int]


def figure(rows: Sequence[Row], metric: str) -> Figure | None:
    """The figure of rows of one method and number of shots; None where a category has no such metric."""
    if any(row[metric] is None for row in rows):
        return None
    of_draws = [np.mean([row[metric] for row in draw]) for draw in tables.grouped(rows, "seed").values()]
    by_category = tables.grouped(rows, "category")
    of_categories = {name: float(np.mean([row[metric] for row in same])) for (name,), same in by_category.items()}
    worst = min(of_categories, key=lambda name: of_categories[name])
    return Figure(
        float(np.mean(of_draws)),
        standard_error(of_draws),
        len(of_draws),
        (worst, of_categories[worst]),
        standard_error(list(of_categories.values())),
    )


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of independent values; None for a single one."""
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def known_mean(values: Sequence[float | int | None]) -> float | None:
    """The mean; None where a value is unknown."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def lines(systems: Sequence[System], metrics: Sequence[str]) -> list[Line]:
    """Every system with every number of shots that it has: the best by the first metric first, shots ascending."""
    found = {system.name: [_line(system, shots, metrics) for shots in system.shots()] for system in systems}

    def best(name: str) -> tuple[int, float]:
        known = [(line.shots, of) for line in found[name] if (of := line.figures[metrics[0]])]
        return (-known[-1][0], -known[-1][1].mean) if known else (1, 0.0)

    return [line for name in sorted(found, key=best) for line in found[name]]


def _line(system: System, shots: int, metrics: Sequence[str]) -> Line:
    cells = {key: cell for key, cell in system.cells.items() if key.shots == shots}
    rows = [{"category": key.part, "seed": key.seed} | cell.metrics for key, cell in cells.items()]
    groups = {part: same for (part,), same in tables.grouped(rows, "category").items()}
    parts = {
        part: {metric: known_mean([row.get(metric) for row in same]) for metric in metrics}
        for part, same in groups.items()
    }
    figures = {
        # Some data sets have no masks: the mean is over the parts that have the metric.
        metric: figure(defined, metric)
        if (defined := [row for row in rows if parts[row["category"]][metric] is not None])
        else None
        for metric in metrics
    }
    memory: dict[str, int] = {}
    for run in system.runs:
        memory |= {kind: max(size, memory.get(kind, 0)) for kind, size in run.memory.items()}
    return Line(
        system.name,
        shots,
        len({key.seed for key in cells}),
        figures,
        parts,
        known_mean([cell.fit_seconds for cell in cells.values()]),
        known_mean([cell.image_seconds for cell in cells.values()]),
        memory if all(run.memory for run in system.runs) else {},
    )
