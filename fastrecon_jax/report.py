"""Results of an evaluation: rows and scores, and their files."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrecon_jax import tables
from fastrecon_jax.errors import InputError
from fastrecon_jax.tables import Row

BASELINE = "fastrecon"
COLUMNS = (
    *("dataset", "category", "shots", "support", "seed", "method", "encoder", "weights"),
    *tables.METRICS,
    *("coreset_rows", "support_images", "query_images", "fit_seconds", "score_images_per_second"),
)
SCORE_COLUMNS = ("dataset", "category", "seed", "shots", "path", "label", "score", "method")


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
    replace(directory / "scores.csv", _csv(SCORE_COLUMNS, results.scores))
    replace(directory / "results.csv", _csv(COLUMNS, results.rows))
    replace(directory / "results.md", _markdown(results, pairs))
    replace(directory / "results.json", json.dumps(summary, indent=1, allow_nan=False))


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
        replace(known, json.dumps(config, indent=1))
    if not (directory / "results.json").exists():
        return Results(config, [], [])
    rows = _parse(directory / "results.json", lambda text: json.loads(text)["rows"])
    finished = {row["category"] for row in rows}
    scores = _parse(directory / "scores.csv", lambda text: list(csv.DictReader(io.StringIO(text))))
    return Results(config, rows, [score for score in scores if score["category"] in finished])


def _same(directory: Path, known: Row, config: Row) -> None:
    differing = [key for key in known | config if known.get(key) != config.get(key) and key != "description"]
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


def read(directory: Path) -> Row:
    """The summary that `write` left.

    Args:
        directory: of the results.

    Returns:
        config, rows, mean and paired.

    Raises:
        InputError: there is none, or it is damaged.
    """
    return _parse(directory / "results.json", json.loads)


def replace(file: Path, text: str) -> None:
    """Write a file whole or not at all.

    Args:
        file: to write.
        text: its contents.

    Raises:
        InputError: it cannot be written.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"{file} cannot be written: {error.strerror}") from None
