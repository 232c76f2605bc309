"""Results of an evaluation and their files; a category that another process finished waits as a file of its own."""

import csv
import io
import json
import math
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrecon_jax import files
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import objects, tables
from fastrecon_jax.evaluation.tables import Row
from fastrecon_jax.runtime import memory

BASELINE = "fastrecon"
SHARES = "shares"  # the folder of what several processes have finished and process 0 has not gathered yet
_BEFORE = ("dataset", "category", "shots", "support", "seed", "method", "encoder", "weights")
_BEHIND = ("coreset_rows", "support_images", "query_images", "fit_seconds", "score_images_per_second")
COLUMNS = (*_BEFORE, *tables.METRICS, *_BEHIND)  # and `tables.PRESCRIBED` of some data sets
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

    Where several photographs show one object, samples.csv has its score, that of the worst photograph. results.json
    comes last: what it lists is in the other files too. InputError where a file cannot be written.
    """
    pairs = tables.paired(results.rows, baseline=BASELINE)
    summary = {"config": results.config, "rows": results.rows, "mean": tables.means(results.rows), "paired": pairs}
    files.write_text(directory / "scores.csv", _csv(_score_columns(results.scores), results.scores))
    if shown := objects.rows(results.scores):
        files.write_text(directory / "samples.csv", _csv(objects.COLUMNS, shown))
    columns = (*_BEFORE, *tables.metrics_of(results.rows), *_BEHIND)
    files.write_text(directory / "results.csv", _csv(columns, results.rows))
    files.write_text(directory / "results.md", _markdown(results, pairs))
    summary["memory"] = memory.peak()
    files.write_text(directory / "results.json", json.dumps(summary, indent=1, allow_nan=False))


def add(results: Results, rows: Sequence[Row], scores: Sequence[Row]) -> Results:
    """The results with those of one more category, all in the order of the categories."""
    place = {name: i for i, name in enumerate(results.config["category"])}
    ordered = (
        sorted([*before, *more], key=lambda row: place[row["category"]])
        for before, more in ((results.rows, rows), (results.scores, scores))
    )
    return Results(results.config, *ordered)


def finished(results: Results) -> set[str]:
    """The categories that are in the results."""
    return {row["category"] for row in results.rows}


def leave(directory: Path, category: str, rows: Sequence[Row], scores: Sequence[Row]) -> None:
    """Write the results of one category for process 0 to gather."""
    contents = json.dumps({"rows": rows, "scores": scores}, allow_nan=False)
    files.write_text(directory / SHARES / f"{category}.json", contents)


def gather(directory: Path, results: Results, categories: Iterable[str]) -> Results:
    """The results with those of the given categories that other processes have finished and left meanwhile."""
    for category in categories:
        file = directory / SHARES / f"{category}.json"
        if category not in finished(results) and files.exists(file):
            contents = _parse(file, _left)
            results = add(results, contents["rows"], contents["scores"])
    return results


def clear_shares(directory: Path) -> None:
    """Remove what several processes left, once everything is in the results."""
    shutil.rmtree(directory / SHARES, ignore_errors=True)


def _markdown(results: Results, pairs: Sequence[Row]) -> str:
    parts = [tables.markdown(tables.by_category(results.rows))]
    if len({row["method"] for row in results.rows}) > 1:
        parts.insert(0, tables.markdown(tables.by_method(results.rows)))
    if pairs:
        parts.insert(1, tables.markdown(tables.of_pairs(pairs)))
    note = f"{results.config['description']} Percent; means over {results.config['draws']} draw(s) of the support.\n"
    return "\n".join([*parts, note])


def start(directory: Path, config: Row) -> Results:
    """Begin in a directory, or resume there what an interrupted run of the same settings left.

    InputError where the directory cannot be written, or holds results of other settings, or damaged or incomplete ones.
    """
    files.make_directory(directory, f"output directory {directory}")
    files.sweep(directory)
    settings, results = directory / "config.json", directory / "results.json"
    if files.exists(settings):
        _same(directory, _parse(settings, _object), config)
    elif files.exists(results):
        raise InputError(f"output directory {directory} holds results without their config.json: choose another")
    elif files.exists(directory / "results.jsonl"):
        raise InputError(f"output directory {directory} holds results of predict: choose another")
    else:
        files.write_text(settings, json.dumps(config, indent=1))
    rows = _parse(results, _rows) if files.exists(results) else []
    before = Results(config, rows, _scores(directory, {row["category"] for row in rows}))
    gathered = gather(directory, before, config["category"])
    if gathered is not before:
        write(directory, gathered)
    return gathered


def _same(directory: Path, before: Row, config: Row) -> None:
    before, config = _flat(before), _flat(config)
    differing = [key for key in before | config if before.get(key) != config.get(key) and key != "description"]
    if differing:
        changes = "; ".join(f"{key} was {before.get(key)!r} and is {config.get(key)!r}" for key in differing)
        raise InputError(f"output directory {directory} holds results of other settings, choose another: {changes}")


def _flat(config: Row) -> Row:
    """The settings with those of the methods one by one, as `METHOD SETTING`."""
    flat = {key: value for key, value in config.items() if key != "settings"}
    methods = config.get("settings")
    for method, values in methods.items() if isinstance(methods, dict) else ():
        flat |= {f"{method} {name}": value for name, value in (values if isinstance(values, dict) else {}).items()}
    return flat


def _parse(file: Path, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {files.reason(error)}") from None
    except (ValueError, RecursionError, csv.Error) as error:
        raise InputError(f"{file} is damaged, remove it or choose another output directory: {error}") from None


def _object(text: str) -> Row:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("it does not hold an object")
    return value


def _left(text: str) -> Row:
    """What `leave` wrote."""
    _rows(text)
    contents = _object(text)
    if not isinstance(contents.get("scores"), list):
        raise ValueError("it has no list of scores")
    return contents


def _rows(text: str) -> list[Row]:
    rows = _object(text).get("rows")
    if not isinstance(rows, list):
        raise ValueError("it has no list of rows")
    for i, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() - set(tables.PRESCRIBED) != set(COLUMNS):
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


def _scores(directory: Path, categories: set[str]) -> list[Row]:
    """The image scores of the finished categories, each of which has some."""
    file = directory / "scores.csv"
    if not categories:
        return []
    if not files.exists(file):
        raise InputError(
            f"{file} is missing though results.json lists finished categories: remove that too, or choose another "
            "output directory"
        )
    scores = [score for score in _parse(file, _score_rows) if score["category"] in categories]
    without = categories - {score["category"] for score in scores}
    if without:
        raise InputError(
            f"{file} has no scores of {', '.join(sorted(without))}, which results.json lists as finished: remove both, "
            "or choose another output directory"
        )
    return scores


def _score_rows(text: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text))
    if tuple(reader.fieldnames or ()) not in (SCORE_COLUMNS, (*SCORE_COLUMNS, objects.SAMPLE)):
        raise ValueError(f"it does not have the columns {', '.join(SCORE_COLUMNS)}")
    rows = list(reader)
    for i, row in enumerate(rows, 2):
        if None in row or None in row.values() or row["label"] not in ("0", "1"):
            raise ValueError(f"line {i} does not hold the columns {', '.join(SCORE_COLUMNS)}")
        float(row["score"])  # its ValueError quotes what is no number
    return rows


def _score_columns(scores: Sequence[Row]) -> tuple[str, ...]:
    return (*SCORE_COLUMNS, objects.SAMPLE) if scores and objects.SAMPLE in scores[0] else SCORE_COLUMNS


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read(directory: Path) -> Row:
    """The summary that `write` left: config, rows, mean and paired; InputError where it is missing or damaged."""
    file = directory / "results.json"
    _parse(file, _rows)
    return _parse(file, _object)
