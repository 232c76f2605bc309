"""Compares two runs number by number, prints the largest differences, and exits with 1 if any is too large.

    python scripts/compare_runs.py --first=results/before --second=results/after

takes two directories of `eval` or `predict`: figures, scores, regions, parts and pictures. Times do not count.

    python scripts/compare_runs.py --checkout=../before --data_dir=DATA --category=bottle --shots=2 --max_queries=20

makes both runs itself, by this checkout and by another one: scores and anomaly maps of all methods in full precision,
the results of `eval`, a part that `fit` made of the good images, and what `predict` says by it. `--python` names the
interpreter of the other checkout, if it is not its .venv/bin/python.
"""

import collections
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from absl import flags
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # it runs from a checkout that is not installed, too

from fastrecon_jax.command_line import flags as command_line  # noqa: E402
from fastrecon_jax.errors import InputError  # noqa: E402

_FIRST = flags.DEFINE_string("first", "", "directory of results")
_SECOND = flags.DEFINE_string("second", "", "directory of results to compare with it")
_TOLERANCE = flags.DEFINE_float("tolerance", 0.0, "largest difference that passes; 0: none", lower_bound=0)
_CHECKOUT = flags.DEFINE_string("checkout", "", "another checkout, to make both runs here")
_PYTHON = flags.DEFINE_string("python", "", "its interpreter; by default .venv/bin/python in it, else this one")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "directory that holds the categories; by default the demo set")
_CATEGORY = flags.DEFINE_list("category", ["all"], "categories, or all")
_METHOD = flags.DEFINE_list("method", ["all"], "methods, or all")
_SETTINGS = flags.DEFINE_list("settings", [], "settings of the methods, as NAME=VALUE")
_SHOTS = flags.DEFINE_list("shots", ["2"], "numbers of support images")
_SEEDS = flags.DEFINE_list("seeds", [], "seeds of random draws of the support; by default the first images")
_ENCODER = flags.DEFINE_string("encoder", "efficientnet_lite0", "encoder")
_WEIGHTS = flags.DEFINE_string("weights", "", "weights of the encoder; by default its pretrained ones")
_MAX_QUERIES = flags.DEFINE_integer("max_queries", 0, "at most this many test images a category")
_GOOD = flags.DEFINE_string("good", "", "pattern of good images for `fit`; by default neither fit nor predict runs")
_IMAGES = flags.DEFINE_string("images", "", "pattern of images for `predict`")

# Columns that name a record, and those that no two runs share.
_IDENTITY = ("dataset", "category", "method", "shots", "seed", "path", "part")
_TIMES = ("fit_seconds", "score_images_per_second", "milliseconds", "time")

Values = Mapping[str, np.ndarray]  # by what they are


class Comparison(NamedTuple):
    """How a file of two runs compares.

    Attributes:
        file: its path within both directories.
        count: how many values both have.
        difference: the largest one, infinite where something is missing, of another shape or another text.
        where: which value that is.
    """

    file: str
    count: int
    difference: float
    where: str


def compare(first: Path, second: Path) -> list[Comparison]:
    """All files that both directories could share, one by one."""
    names = [{path.relative_to(top).as_posix() for path in top.rglob("*") if _reader(path)} for top in (first, second)]
    comparisons = []
    for name in sorted(names[0] | names[1]):
        if name not in names[0] & names[1]:
            comparisons.append(Comparison(name, 0, float("inf"), f"only in {first if name in names[0] else second}"))
        else:
            comparisons.append(_compared(name, *(_reader(top / name)(top / name) for top in (first, second))))
    return comparisons


def _reader(path: Path) -> Any:
    if path.name in ("config.json", "run.json", "support.csv"):  # no figures
        return None
    return {
        ".json": _read_summary,
        ".jsonl": _read_lines,
        ".csv": _read_table,
        ".npz": lambda path: dict(np.load(path)),
        ".safetensors": safetensors.numpy.load_file,
        ".png": lambda path: {"pixels": np.asarray(Image.open(path).convert("RGB"))},
    }.get(path.suffix)


def _read_summary(path: Path) -> Values:
    return _records(json.loads(path.read_text(encoding="utf-8"))["rows"])


def _read_lines(path: Path) -> Values:
    return _records(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def _read_table(path: Path) -> Values:
    with path.open(encoding="utf-8", newline="") as file:
        return _records(csv.DictReader(file))


def _records(records: Iterable[Mapping[str, Any]]) -> Values:
    """Each value of each record, by what names the record."""
    values, places = {}, collections.Counter()
    for record in records:
        name = " ".join(str(record[key]) for key in _IDENTITY if record.get(key) not in (None, ""))
        place = f" ({places[name] + 1})" if places[name] else ""  # several regions of an image
        places[name] += 1
        for column, value in record.items():
            if column not in _IDENTITY and column not in _TIMES:
                values[f"{name} {column}{place}"] = _array(value)
    return values


def _array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return np.asarray(value if isinstance(value, str) else json.dumps(value))


def _compared(file: str, first: Values, second: Values) -> Comparison:
    largest, where = 0.0, ""
    for name in [*first, *(name for name in second if name not in first)]:
        difference = _difference(first[name], second[name]) if name in first and name in second else float("inf")
        if difference > largest:
            largest, where = difference, name
    return Comparison(file, sum(first[name].size for name in first.keys() & second.keys()), largest, where)


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return float("inf")
    if a.dtype.kind not in "fiub":
        return 0.0 if (a == b).all() else float("inf")
    if np.array_equal(a, b, equal_nan=a.dtype.kind == "f") or not a.size:
        return 0.0
    return float(np.nan_to_num(np.abs(a.astype(np.float64) - b.astype(np.float64)), nan=np.inf).max())


def make_runs(checkout: Path, python: str, out: Path) -> None:
    """Evaluate, fit and predict with one checkout."""
    out.mkdir(parents=True)
    fields = {
        "data_dir": _DATA_DIR.value and str(Path(_DATA_DIR.value).expanduser().resolve()),
        "category": _CATEGORY.value,
        "method": _METHOD.value,
        "shots": [int(k) for k in _SHOTS.value],
        "seeds": [int(seed) for seed in _SEEDS.value],
        "encoder": _ENCODER.value,
        "weights": _WEIGHTS.value,
        "max_queries": _MAX_QUERIES.value,
    }
    settings = {name: _number(value) for name, _, value in (text.partition("=") for text in _SETTINGS.value)}
    arguments = [str(out / "scores.npz"), json.dumps(fields), json.dumps(settings)]
    _call(checkout, [python, str(ROOT / "scripts/dump_scores.py"), *arguments])
    given = {name: ",".join(map(str, value)) if isinstance(value, list) else value for name, value in fields.items()}
    evaluation = [f"--{name}={value}" for name, value in (given | settings).items() if value not in ("", None)]
    _call(checkout, [python, "-m", "fastrecon_jax.eval", *evaluation, f"--output_dir={out / 'eval'}"])
    if _GOOD.value:
        model, encoder = out / "part.safetensors", [f"--encoder={_ENCODER.value}", f"--weights={_WEIGHTS.value}"]
        _call(checkout, [python, "-m", "fastrecon_jax.fit", f"--images={_GOOD.value}", f"--model={model}", *encoder])
        images = [f"--images={_IMAGES.value}", f"--output_dir={out / 'predict'}", "--overlays=all"]
        _call(checkout, [python, "-m", "fastrecon_jax.predict", f"--model={model}", *images])


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _call(checkout: Path, command: Sequence[str]) -> None:
    ran = subprocess.run(
        command, cwd=checkout, env=os.environ | {"PYTHONPATH": str(checkout)}, capture_output=True, text=True
    )
    if ran.returncode:
        raise InputError(f"{checkout}: {' '.join(command[1:4])} ended with {ran.returncode}: {ran.stderr[-600:]}")


def main() -> int:
    """Compare, print a line for each file, and say by the exit code whether all differences pass."""
    if bool(_CHECKOUT.value) == bool(_FIRST.value and _SECOND.value):
        raise InputError("pass --first and --second, two directories of results, or --checkout")
    with tempfile.TemporaryDirectory() as temporary:
        first, second = Path(_FIRST.value), Path(_SECOND.value)
        if _CHECKOUT.value:
            other = Path(_CHECKOUT.value).expanduser().resolve()
            own = other / ".venv/bin/python"
            first, second = Path(temporary, "first"), Path(temporary, "second")
            make_runs(other, _PYTHON.value or (str(own) if own.exists() else sys.executable), first)
            make_runs(ROOT, sys.executable, second)
        for directory in (first, second):
            if not directory.is_dir():
                raise InputError(f"{directory} is no directory")
        comparisons = compare(first, second)
    if not comparisons:
        raise InputError(f"{first} and {second} hold no results")
    for comparison in comparisons:
        result = f"largest difference {comparison.difference:.2g}, {comparison.where}" if comparison.where else "equal"
        sys.stdout.write(f"{comparison.file}: {comparison.count} values, {result}\n")
    return int(any(comparison.difference > _TOLERANCE.value for comparison in comparisons))


if __name__ == "__main__":
    command_line.run(main)
