"""Results of an evaluation: rows and scores, their files, and the table for people."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastrecon_jax.errors import InputError

METRICS = ("image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_f1max", "aupro")
COLUMNS = (
    *("dataset", "category", "shots", "support", "seed", "method", "encoder", "weights"),
    *METRICS,
    *("coreset_rows", "support_images", "query_images", "fit_seconds", "score_images_per_second"),
)
SCORE_COLUMNS = ("dataset", "category", "seed", "shots", "path", "label", "score")
_GROUP = ("dataset", "shots", "support", "method", "encoder", "weights")

Row = dict[str, Any]


class Results(NamedTuple):
    """What was computed so far.

    Attributes:
        config: the settings and what they led to, as JSON.
        rows: one for each category, number of shots and draw, with the keys `COLUMNS`; metrics are fractions of 1, None
            where undefined.
        scores: one for each of those and each test image, with the keys `SCORE_COLUMNS`.
    """

    config: Row
    rows: list[Row]
    scores: list[Row]


def means(rows: Sequence[Row]) -> list[Row]:
    """Means over categories and draws, for each number of shots.

    Args:
        rows: with the keys `COLUMNS`.

    Returns:
        One row for each group, with each metric's mean and, as `METRIC_std`, the standard deviation over the draws of
        the mean over categories; None where a category has none, or for the deviation of a single draw.
    """
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in _GROUP), []).append(row)
    return [_mean(dict(zip(_GROUP, key, strict=True)), group) for key, group in groups.items()]


def _mean(group: Row, rows: Sequence[Row]) -> Row:
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    mean = group | {"categories": len({row["category"] for row in rows}), "draws": len(seeds)}
    for metric in METRICS:
        values = [[row[metric] for row in rows if row["seed"] == seed] for seed in seeds]
        if any(value is None for draw in values for value in draw):
            mean |= {metric: None, f"{metric}_std": None}
        else:
            draws = [np.mean(draw) for draw in values]
            mean |= {metric: float(np.mean(draws)), f"{metric}_std": float(np.std(draws)) if len(seeds) > 1 else None}
    return mean


def table(rows: Sequence[Row]) -> list[list[str]]:
    """The table for people, in percent: categories with the mean (± deviation over the draws), then the mean of all.

    Args:
        rows: with the keys `COLUMNS`.

    Returns:
        Lines of cells, the head first.
    """
    lines = [["category", "shots", *(metric.replace("_", " ") for metric in METRICS)]]
    for shots in dict.fromkeys(row["shots"] for row in rows):
        of_shots = [row for row in rows if row["shots"] == shots]
        for category in dict.fromkeys(row["category"] for row in of_shots):
            lines += [_line(category, mean) for mean in means([row for row in of_shots if row["category"] == category])]
        lines += [_line(f"mean of {mean['categories']}", mean) for mean in means(of_shots)]
    return lines


def _line(name: str, mean: Row) -> list[str]:
    return [name, str(mean["shots"]), *(_percent(mean[metric], mean[f"{metric}_std"]) for metric in METRICS)]


def _percent(value: float | None, deviation: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def plain(lines: Sequence[Sequence[str]]) -> str:
    """A table in columns for a terminal.

    Args:
        lines: of cells, the head first.

    Returns:
        Text.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown.

    Args:
        lines: of cells, the head first.

    Returns:
        Text.
    """
    rule = ["---", *("---:" for _ in lines[0][1:])]
    return "".join(f"| {' | '.join(line)} |\n" for line in (lines[0], rule, *lines[1:]))


def write(directory: Path, results: Results) -> None:
    """Write results.json, results.csv, results.md and scores.csv, each whole or not at all.

    results.json comes last: what it lists is in the other files too.

    Args:
        directory: that exists.
        results: all so far.

    Raises:
        InputError: a file cannot be written.
    """
    summary = {"config": results.config, "rows": results.rows, "mean": means(results.rows)}
    note = f"\n{results.config['description']}. Percent; means over {results.config['draws']} draw(s) of the support.\n"
    _replace(directory / "scores.csv", _csv(SCORE_COLUMNS, results.scores))
    _replace(directory / "results.csv", _csv(COLUMNS, results.rows))
    _replace(directory / "results.md", markdown(table(results.rows)) + note)
    _replace(directory / "results.json", json.dumps(summary, indent=1, allow_nan=False))


def start(directory: Path, config: Row) -> Results:
    """Begin in an empty directory, or take up what an interrupted run of the same settings left.

    Args:
        directory: made if it is not there.
        config: the settings, as JSON.

    Returns:
        The results so far.

    Raises:
        InputError: the directory cannot be written, or holds results of other settings or damaged ones.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output directory {directory} cannot be made: {error.strerror}") from None
    known = directory / "config.json"
    if known.exists():
        _same(directory, _parse(known, json.loads), config)
    else:
        if (directory / "results.json").exists():
            raise InputError(f"output directory {directory} holds results without their config.json: choose another")
        _replace(known, json.dumps(config, indent=1))
    if not (directory / "results.json").exists():
        return Results(config, [], [])
    rows = _parse(directory / "results.json", lambda text: json.loads(text)["rows"])
    finished = {row["category"] for row in rows}
    scores = _parse(directory / "scores.csv", lambda text: list(csv.DictReader(io.StringIO(text))))
    return Results(config, rows, [score for score in scores if score["category"] in finished])


def _same(directory: Path, known: Row, config: Row) -> None:
    differing = [key for key in known | config if known.get(key) != config.get(key)]
    if differing:
        changes = "; ".join(f"{key} was {known.get(key)!r} and is {config.get(key)!r}" for key in differing)
        raise InputError(f"output directory {directory} holds results of other settings, choose another: {changes}")


def _parse(file: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged, remove it or choose another output directory: {error}") from None


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _replace(file: Path, text: str) -> None:
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"{file} cannot be written: {error.strerror}") from None
