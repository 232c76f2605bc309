"""Results of an evaluation: rows and scores, and their files."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrecon_jax import files
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.tables import Row

BASELINE = "fastrecon"
COLUMNS = (
    *("dataset", "category", "shots", "support", "seed", "method", "encoder", "weights"),
    *tables.METRICS,
    *("coreset_rows", "support_images", "query_images", "fit_seconds", "score_images_per_second"),
)
SCORE_COLUMNS = ("dataset", "category", "seed", "shots", "path", "label", "score", "method")
_TEXTS = ("dataset", "category", "support", "method", "encoder", "weights")
_COUNTS = ("shots", "support_images", "query_images")  # the other columns hold a number or nothing


class Results(NamedTuple):
    """What was computed so far.

    Attributes:
        config: the settings and what they led to, as JSON.
        rows: one for each category, method, number of shots and draw, with the keys `COLUMNS`; metrics are fractions of
            1, None where undefined.
        scores: one for each of those and each test image, with the keys `SCORE_COLUMNS`.
    """

    config: Row
    rows: list[Row]
    scores: list[Row]


def write(directory: Path, results: Results) -> None:
    """Write results.json, results.csv, results.md and scores.csv, each whole or not at all.

    results.json comes last: what it lists is in the other files too.

    Args:
        directory: that exists.
        results: all so far.

    Raises:
        InputError: a file cannot be written.
    """
    pairs = tables.paired(results.rows, baseline=BASELINE)
    summary = {"config": results.config, "rows": results.rows, "mean": tables.means(results.rows), "paired": pairs}
    files.write_text(directory / "scores.csv", _csv(SCORE_COLUMNS, results.scores))
    files.write_text(directory / "results.csv", _csv(COLUMNS, results.rows))
    files.write_text(directory / "results.md", _markdown(results, pairs))
    files.write_text(directory / "results.json", json.dumps(summary, indent=1, allow_nan=False))


def _markdown(results: Results, pairs: Sequence[Row]) -> str:
    parts = [tables.markdown(tables.by_category(results.rows))]
    if len({row["method"] for row in results.rows}) > 1:
        parts.insert(0, tables.markdown(tables.by_method(results.rows)))
    if pairs:
        parts.insert(1, tables.markdown(tables.of_pairs(pairs)))
    note = f"{results.config['description']} Percent; means over {results.config['draws']} draw(s) of the support.\n"
    return "\n".join([*parts, note])


def start(directory: Path, config: Row) -> Results:
    """Begin in an empty directory, or take up what an interrupted run of the same settings left.

    Args:
        directory: made if it is not there.
        config: the settings, as JSON.

    Returns:
        The results so far.

    Raises:
        InputError: the directory cannot be written, or holds results of other settings, or damaged or incomplete ones.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output directory {directory} cannot be made: {files.reason(error)}") from None
    files.sweep(directory)
    known, results = directory / "config.json", directory / "results.json"
    if files.exists(known):
        _same(directory, _parse(known, _object), config)
    elif files.exists(results):
        raise InputError(f"output directory {directory} holds results without their config.json: choose another")
    else:
        files.write_text(known, json.dumps(config, indent=1))
    rows = _parse(results, _rows) if files.exists(results) else []
    return Results(config, rows, _scores(directory, {row["category"] for row in rows}))


def _same(directory: Path, known: Row, config: Row) -> None:
    differing = [key for key in known | config if known.get(key) != config.get(key) and key != "description"]
    if differing:
        changes = "; ".join(f"{key} was {known.get(key)!r} and is {config.get(key)!r}" for key in differing)
        raise InputError(f"output directory {directory} holds results of other settings, choose another: {changes}")


def _parse(file: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {files.reason(error)}") from None
    except (ValueError, RecursionError, csv.Error) as error:
        raise InputError(f"{file} is damaged, remove it or choose another output directory: {error}") from None


def _object(text: str) -> Row:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("it does not hold an object")
    return found


def _rows(text: str) -> list[Row]:
    rows = _object(text).get("rows")
    if not isinstance(rows, list):
        raise ValueError("it has no list of rows")
    for i, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != set(COLUMNS):
            raise ValueError(f"row {i} does not have the columns {', '.join(COLUMNS)}")
        wrong = [column for column, value in row.items() if not _fits(column, value)]
        if wrong:
            raise ValueError(f"row {i} has {row[wrong[0]]!r} as {wrong[0]}")
    return rows


def _fits(column: str, value: Any) -> bool:
    if column in _TEXTS:
        return isinstance(value, str)
    if column in _COUNTS:
        return type(value) is int  # not a bool
    return value is None or (type(value) in (int, float) and math.isfinite(value))


def _scores(directory: Path, finished: set[str]) -> list[Row]:
    """Those of the finished categories, each of which has some."""
    file = directory / "scores.csv"
    if not finished:
        return []
    if not files.exists(file):
        raise InputError(
            f"{file} is missing though results.json lists finished categories: remove that too, or choose another "
            "output directory"
        )
    scores = [score for score in _parse(file, _score_rows) if score["category"] in finished]
    without = finished - {score["category"] for score in scores}
    if without:
        raise InputError(
            f"{file} has no scores of {', '.join(sorted(without))}, which results.json lists as finished: remove both, "
            "or choose another output directory"
        )
    return scores


def _score_rows(text: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text))
    if tuple(reader.fieldnames or ()) != SCORE_COLUMNS:
        raise ValueError(f"it does not have the columns {', '.join(SCORE_COLUMNS)}")
    rows = list(reader)
    for i, row in enumerate(rows, 2):
        if None in row or None in row.values() or row["label"] not in ("0", "1"):
            raise ValueError(f"line {i} does not hold the columns {', '.join(SCORE_COLUMNS)}")
        float(row["score"])  # says what it cannot read
    return rows


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read(directory: Path) -> Row:
    """The summary that `write` left.

    Args:
        directory: of the results.

    Returns:
        config, rows, mean and paired, of which the rows are checked.

    Raises:
        InputError: there is none, or it is damaged.
    """
    file = directory / "results.json"
    _parse(file, _rows)
    return _parse(file, _object)


def replace(file: Path, text: str) -> None:
    """Write a file whole or not at all.

    Args:
        file: to write.
        text: its contents.

    Raises:
        InputError: it cannot be written.
    """
    files.write_text(file, text)
