"""All that a comparison holds, as numbers; pages and tables are made of it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fastrecon_jax.command_line.fields import shortened
from fastrecon_jax.comparing import checks, differences, published, runs, summary, systems
from fastrecon_jax.comparing.config import CompareConfig
from fastrecon_jax.comparing.differences import Difference
from fastrecon_jax.comparing.published import Published
from fastrecon_jax.comparing.summary import Line
from fastrecon_jax.comparing.systems import System
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.tables import Row
from fastrecon_jax.version import __version__


class Comparison(NamedTuple):
    """A comparison.

    Attributes:
        metrics: names of the metrics, the one that decides the order first.
        systems: what was compared, in the order of the leaderboard.
        lines: the leaderboard, each system with each number of shots.
        differences: of pairs of systems.
        published: figures of papers to stand beside.
        warnings: what a reader must know; mostly not empty.
        resamples: of the bootstrap.
    """

    metrics: tuple[str, ...]
    systems: list[System]
    lines: list[Line]
    differences: list[Difference]
    published: list[Published]
    warnings: list[str]
    resamples: int


def make(config: CompareConfig, progress: Callable[[int], Any] = lambda n: None) -> Comparison:
    """Read the runs and compare them; InputError where a run, a file or a name cannot be used."""
    gathered, taken = systems.gather([runs.read(text) for text in config.runs])
    _check(config, gathered)
    known, said = published.read(config.published, gathered, config.metrics) if config.published else ([], [])
    lines = summary.lines(gathered, config.metrics)
    order = list(dict.fromkeys(line.name for line in lines))
    gathered = sorted(gathered, key=lambda system: order.index(system.name))
    found = differences.compute(
        gathered, config.metrics, reference=config.reference, resamples=config.resamples, progress=progress
    )
    return Comparison(
        config.metrics,
        gathered,
        lines,
        found,
        known,
        [*taken, *checks.warnings(gathered, config.metrics), *apart(gathered), *said],
        config.resamples,
    )


def _check(config: CompareConfig, gathered: Sequence[System]) -> None:
    recorded = dict.fromkeys(name for system in gathered for cell in system.cells.values() for name in cell.metrics)
    absent = [name for name in config.metrics if name not in recorded]
    if absent:
        default = set(config.metrics) <= set(tables.SUMMARY.values())
        if not default or config.metrics[0] in absent:
            raise InputError(f"--metrics has {absent[0]}, which no run has: allowed are {', '.join(recorded)}")
    names = [system.name for system in gathered]
    if config.reference and config.reference not in names:
        listed = shortened(", ".join(names))
        raise InputError(f"--reference={config.reference} is none of the systems: they are {listed}")


def apart(gathered: Sequence[System]) -> list[str]:
    """Lines on pairs that have nothing in common to subtract."""
    lines = []
    for i, one in enumerate(gathered):
        for other in gathered[i + 1 :]:
            if not {key[:2] for key in one.cells} & {key[:2] for key in other.cells}:
                lines.append(f"{one.name} and {other.name} have no part with one number of shots in common.")
    return lines


def numbers(comparison: Comparison) -> Row:
    """A comparison for programs: fractions of 1, seconds, bytes."""
    means: dict[str, list[Row]] = {}
    for line in comparison.lines:
        figures = {name: figure and _figure(figure._asdict()) for name, figure in line.figures.items()}
        costs = {name: getattr(line, name) for name in ("fit_seconds", "image_seconds", "memory")}
        row = {"shots": line.shots, "draws": line.draws} | costs | {"figures": figures, "parts": line.parts}
        means.setdefault(line.name, []).append(row)
    return {
        "version": __version__,
        "metrics": comparison.metrics,
        "resamples": comparison.resamples,
        "warnings": comparison.warnings,
        "systems": [
            {
                "name": system.name,
                "method": system.method,
                "encoder": system.encoder,
                "runs": [str(run.path) for run in system.runs],
                "means": means[system.name],
            }
            for system in comparison.systems
        ],
        "differences": [one._asdict() | {"clear": one.clear()} for one in comparison.differences],
        "published": [one._asdict() for one in comparison.published],
    }


def _figure(figure: Row) -> Row:
    part, value = figure["worst"]
    return {
        "mean": figure["mean"],
        "error_over_draws": figure["error"],
        "error_over_parts": figure["parts_error"],
        "worst_part": part,
        "worst": value,
    }
