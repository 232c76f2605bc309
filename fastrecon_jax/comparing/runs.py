"""Runs to compare: output directories of `eval`, and scores of other programs."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from fastrecon_jax import files, metrics
from fastrecon_jax.command_line.console import count
from fastrecon_jax.comparing import scores
from fastrecon_jax.comparing.scores import Group, Images
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import results, support_file, tables
from fastrecon_jax.evaluation.tables import Row

SCORES, RESULTS = "scores.csv", "results.json"
_FACTS = set(results.COLUMNS) - set(tables.METRICS)  # columns of a row that are no metrics
_IDENTITY = ("dataset", "category", "method", "shots", "seed")
_AGREE = 1e-6  # by which a recorded AUROC may differ from that of the scores


class Cell(NamedTuple):
    """One fit and what it scored.

    Attributes:
        images: names of the test images, sorted.
        labels: whether each is defective, (n,).
        scores: (n,).
        metrics: fractions of 1 by name, None where undefined.
        support: names of the support images; None where they are unknown.
        fit_seconds, image_seconds: of the fit, and of one test image; None where unknown.
    """

    images: tuple[str, ...]
    labels: Bool[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    metrics: dict[str, float | None]
    support: frozenset[str] | None
    fit_seconds: float | None
    image_seconds: float | None


class Run(NamedTuple):
    """One of the runs that the command line names.

    Attributes:
        label: the name that the user gave it; mostly empty.
        path: directory or file.
        config: the settings that `eval` recorded; None for another program.
        encoders: by method, of `eval` alone.
        memory: peak bytes of the process that `eval` recorded, by kind; empty where unknown.
        cells: its fits.
    """

    label: str
    path: Path
    config: Row | None
    encoders: dict[str, str]
    memory: dict[str, int]
    cells: dict[Group, Cell]

    @property
    def name(self) -> str:
        """A short name: the one given, or that of the directory."""
        own = self.path.parent if self.path.name == SCORES else self.path
        return self.label or own.resolve().name or str(own)


def read(text: str) -> Run:
    """A run as the command line names it, `DIRECTORY` or `NAME=DIRECTORY`; InputError where it cannot be used."""
    label, path = _named(text)
    if files.is_file(path):
        return _of_others(label, path, path)
    if not files.is_dir(path):
        raise InputError(f"{path} is no directory of results: allowed are directories of eval, or with a {SCORES}")
    if files.exists(path / RESULTS):
        return _of_eval(label, path)
    if files.exists(path / SCORES):
        return _of_others(label, path, path / SCORES)
    if files.exists(path / "results.jsonl"):
        raise InputError(f"{path} holds results of predict, which have no labels: allowed are directories of eval")
    raise InputError(f"{path} holds neither {RESULTS} of eval nor {SCORES} of another program")


def _named(text: str) -> tuple[str, Path]:
    """Name and path; a path that exists is meant as it is, with an equals sign too."""
    path = files.expanded(text)
    label, sign, rest = text.partition("=")
    if files.exists(path) or not sign or "/" in label:
        return "", path
    if not label.strip() or not rest:
        raise InputError(f"{text} is not allowed: it must be DIRECTORY or NAME=DIRECTORY")
    return label.strip(), files.expanded(rest)


def _of_others(label: str, path: Path, file: Path) -> Run:
    support = support_file.read(file.with_name(support_file.NAME))
    cells = {}
    for group, images in scores.read(file).groups.items():
        names, labels, values = _sorted(images)
        figures = metrics.image_metrics(labels, values)
        cells[group] = Cell(names, labels, values, figures, _support_of(support, group), *images.seconds.values())
    return Run(label, path, None, {}, {}, cells)


def _of_eval(label: str, path: Path) -> Run:
    summary = _summary(path / RESULTS)
    if not files.exists(path / SCORES):
        raise InputError(f"{path / SCORES} is missing, though {RESULTS} is there: eval writes both")
    table, support = scores.read(path / SCORES), support_file.read(path / support_file.NAME)
    cells = {}
    for row in summary["rows"]:
        group = Group(*(row[name] for name in _IDENTITY))
        if group not in table.groups:
            raise InputError(f"{path / SCORES} has no scores of {described(group)}, which {RESULTS} lists")
        names, labels, values = _sorted(table.groups[group])
        figures = {name: _float(row[name]) for name in row if name not in _FACTS and _is_metric(row[name])}
        _check_agree(path, group, figures, labels, values)
        speed = row.get("score_images_per_second")
        cells[group] = Cell(
            names,
            labels,
            values,
            figures,
            _support_of(support, group),
            _float(row.get("fit_seconds")),
            1 / speed if speed else None,
        )
    memory = summary.get("memory")
    known = {name: value for name, value in memory.items() if value} if isinstance(memory, dict) else {}
    encoders = {row["method"]: row.get("encoder") or "" for row in summary["rows"]}
    return Run(label, path, summary["config"], encoders, known, cells)


def _summary(file: Path) -> Row:
    """What `eval` recorded, of this version or an earlier one; InputError says what is damaged."""
    summary = files.read_json(file)
    if not isinstance(summary, dict) or not isinstance(summary.get("config"), dict):
        raise InputError(f"{file} is damaged: it does not hold the settings of eval")
    rows = summary.get("rows")
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{file} holds no results yet: let the evaluation finish a category")
    for i, row in enumerate(rows):
        wrong = [name for name in _IDENTITY if not _fits(row, name)] if isinstance(row, dict) else ["category"]
        wrong += [name for name in (*tables.METRICS, *_TIMES) if not wrong and not _is_metric(row.get(name))]
        if wrong:
            raise InputError(f"{file} is damaged: row {i} has no usable {wrong[0]}")
    return summary


_TIMES = ("fit_seconds", "score_images_per_second")


def _fits(row: Row, name: str) -> bool:
    value = row.get(name)
    if name == "seed":
        return value is None or type(value) is int
    return type(value) is int if name == "shots" else isinstance(value, str) and bool(value)


def _is_metric(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and math.isfinite(value))


def _float(value: float | int | None) -> float | None:
    return None if value is None else float(value)


def _check_agree(path: Path, group: Group, figures: Row, labels: np.ndarray, values: np.ndarray) -> None:
    """Refuse files of two runs: the recorded AUROC must be that of the scores."""
    recorded, own = figures.get("image_auroc"), metrics.auroc(metrics.rank(labels, values))
    if (recorded is None) != (own is None) or (own is not None and abs(recorded - own) > _AGREE):
        raise InputError(
            f"{path}: {SCORES} and {RESULTS} are not of one run: the image AUROC of {described(group)} is {own} by its "
            f"scores and {recorded} as recorded"
        )


def described(group: Group) -> str:
    """A fit for people."""
    parts = [group.method, group.category, count(group.shots, "shot") if group.shots is not None else None]
    parts += [f"draw {group.seed}"] if group.seed is not None else []
    return ", ".join(part for part in parts if part) or "the only fit"


def _sorted(images: Images) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Names, labels and scores in the order of the names."""
    names = tuple(sorted(images.labels))
    labels, values = (np.array([of[name] for name in names]) for of in (images.labels, images.scores))
    return names, labels, values


def _support_of(support: Mapping[tuple, Sequence[str]], group: Group) -> frozenset[str] | None:
    """Names below the category; a file without a column of data sets is meant for the scores beside it."""
    for dataset in (group.dataset, None):
        names = support.get((dataset, group.category, group.shots, group.seed))
        if names is not None:
            return frozenset(scores.within(name, group.category) for name in names)
    return None
