"""Fills the paper's table on MVTec AD, MPDD and VisA for several encoders and the methods that are not trained.

    scripts/reproduce.sh --data_dir=DIR
    python scripts/reproduce.py --data_dir=DIR --dataset=mpdd --encoder=dinov2_vits14 --estimate_only

DIR holds mvtec_ad, mpdd and visa, each as published or as `prepare` made it, or their archives. For each data set and
encoder it runs one evaluation; before the first it measures for about a minute how fast this machine is, and prints how
long everything will take. The same command goes on where an interrupted one stopped. What cannot be run, such as an
encoder whose weights cannot be had, is left out by name; the exit code is 1 then. OUTPUT_DIR/report.md has the tables.
"""

import dataclasses
import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from absl import flags

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # it runs from a checkout that is not installed, too

from reproducing import plan, report, speed  # noqa: E402

from fastrecon_jax import files, locks  # noqa: E402
from fastrecon_jax.command_line import commands, console  # noqa: E402
from fastrecon_jax.command_line import flags as command_line  # noqa: E402
from fastrecon_jax.errors import InputError  # noqa: E402
from fastrecon_jax.evaluation import run as evaluation  # noqa: E402
from fastrecon_jax.evaluation import setup  # noqa: E402
from fastrecon_jax.evaluation.config import EvalConfig  # noqa: E402
from fastrecon_jax.runtime import compilation_cache  # noqa: E402

_DATA_DIR = flags.DEFINE_string("data_dir", "", "directory that holds the data sets, or their archives")
_DATASET = flags.DEFINE_list("dataset", list(plan.DATASETS), "data sets, as the evaluation has them")
_CATEGORY = flags.DEFINE_list("category", ["all"], "categories, of whichever data set has them, or all")
_ENCODER = flags.DEFINE_list("encoder", list(plan.ENCODERS), "encoders")
_WEIGHTS = flags.DEFINE_list(
    "weights", [], "ENCODER=SOURCE of some encoders, or one SOURCE for all, such as random; by default pretrained ones"
)
_METHOD = flags.DEFINE_list("method", list(plan.METHODS), "methods, or all; by default those that are not trained")
_SHOTS = flags.DEFINE_list("shots", ["1", "2", "4", "8"], "numbers of support images")
_DRAWS = flags.DEFINE_integer("draws", 5, "random draws of the support, of the seeds from 0")
_SIZE = flags.DEFINE_integer("transformer_size", 448, "side in pixels for transformers; CNNs have 256, cropped to 224")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "images in a batch of the encoder")
_MAX_QUERIES = flags.DEFINE_integer("max_queries", 0, "at most this many test images a category; 0 for all")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "results/reproduction", "where the results and the report go")
_ESTIMATE_ONLY = flags.DEFINE_bool("estimate_only", False, "print how long it will take, and end")

_LEFT_OUT = 1  # exit code
_ROOM = 0.8  # share of the free disk that features may take
Tell = Callable[[str], object]


def planned(directory: Path) -> tuple[list[plan.Run], dict[str, str]]:
    """The runs that the flags ask for, and the reasons why others cannot be made, by their names."""
    if _DRAWS.value < 1:
        raise InputError(f"--draws={_DRAWS.value} is not allowed: it must be at least 1")
    settings = {
        "method": tuple(_METHOD.value),
        "shots": command_line.integers("shots", _SHOTS.value),
        "support": "random",
        "seeds": tuple(range(_DRAWS.value)),
        "batch_size": _BATCH_SIZE.value,
        "max_queries": _MAX_QUERIES.value,
    }
    EvalConfig(**settings)  # refused once, and not for each data set
    sources = plan.weights_of(_ENCODER.value, _WEIGHTS.value)
    runs, missing = [], {}
    for dataset in _DATASET.value:
        try:
            data = plan.open_data(dataset, _DATA_DIR.value, _CATEGORY.value, _MAX_QUERIES.value)
        except InputError as error:
            missing[dataset] = str(error)
            continue
        for encoder in _ENCODER.value:
            own = settings | {"weights": sources[encoder]}
            runs.append(plan.run(data, encoder, directory, transformer_size=_SIZE.value, **own))
    if not runs:
        raise InputError(f"there is nothing to run: {'; '.join(dict.fromkeys(missing.values()))}")
    return runs, missing


class Need(NamedTuple):
    """What a run needs: seconds, and bytes of disk while it lasts."""

    seconds: float
    disk: int


def estimate(runs: Sequence[plan.Run], directory: Path, tell: Tell) -> dict[str, Need]:
    """What each run needs by its name; speeds are measured once, and kept in the output directory."""
    file = directory / "speed.json"
    known = json.loads(file.read_text(encoding="utf-8")) if files.exists(file) else {}
    found = {}
    for run in runs:
        key = speed.key(run.config)
        if key not in known or not _covers(known[key], run.config):
            tell(f"measuring how fast {run.config.encoder} at {run.config.crop_size} px is, about a minute\n")
            known[key] = speed.as_json(speed.measure(run.config))
            files.write_text(file, json.dumps(known, indent=1))
            known = json.loads(file.read_text(encoding="utf-8"))
            jax.clear_caches()
        measured = speed.from_json(known[key])
        needs = (of(measured, run.config, run.data.images) for of in (speed.seconds, speed.disk))
        found[run.name] = Need(*needs)
    return found


def _covers(measured: dict, config: EvalConfig) -> bool:
    """Whether what was measured reaches from the fewest to the most shots."""
    shots = [int(k) for k in next(iter(measured["fit"].values()))]
    return min(shots) <= min(config.shots) and max(config.shots) <= max(shots)


def evaluate(run: plan.Run, need: Need, tell: Tell) -> None:
    """One run, resumed if it was begun; its features are kept on disk until it is finished, if there is room."""
    config, cache = run.config, Path(run.config.feature_cache)
    if not files.exists(cache) and need.disk > _ROOM * shutil.disk_usage(run.directory.parent).free:
        tell(f"its features would take {need.disk / 1e9:.1f} GB, more than there is: they are not kept\n")
        config = dataclasses.replace(config, feature_cache="")
    evaluation.run(config, tell=tell)
    shutil.rmtree(cache, ignore_errors=True)
    jax.clear_caches()


def weights_missing(runs: Sequence[plan.Run], tell: Tell) -> dict[str, str]:
    """Fetch the weights of every encoder before hours of work; the reasons of those runs that have none."""
    reasons: dict[str, str] = {}
    for config in {run.config.encoder: run.config for run in runs}.values():
        try:
            plan.fetch_weights(config.encoder, config.weights)
        except InputError as error:
            reasons[config.encoder] = str(error)
            tell(f"left out: {config.encoder}: {error}\n")
    return {run.name: reasons[run.config.encoder] for run in runs if run.config.encoder in reasons}


def reproduce(runs: Sequence[plan.Run], missing: dict[str, str], directory: Path, tell: Tell) -> dict[str, str]:
    """Evaluate what is not finished, and write the report after each run; returns what is missing."""
    left = [run for run in runs if not plan.finished(run)]
    for run in runs:
        if run not in left:
            tell(f"finished before: {run.name}\n")
    if not _ESTIMATE_ONLY.value:
        missing |= weights_missing(left, tell)
        left = [run for run in left if run.name not in missing]
    expected = estimate(left, directory, tell)
    for run in left:
        categories = console.count(len(run.data.images), "category", "categories")
        tell(f"  {speed.shown(expected[run.name].seconds):>7}  {run.name}, {categories}\n")
    total = sum(need.seconds for need in expected.values())
    tell(f"about {speed.shown(total)} on this machine for {len(left)} of {console.count(len(runs), 'run')}, ")
    tell(f"with up to {max((need.disk for need in expected.values()), default=0) / 1e9:.1f} GB of features on disk\n")
    if _ESTIMATE_ONLY.value:
        return missing
    command = shlex.join(["scripts/reproduce.sh", *sys.argv[1:]])
    measured = [0.0, 0.0]  # seconds of the runs that are over: as expected, and as they were
    report.write(directory, runs, missing, command)
    for i, run in enumerate(left, 1):
        ahead = sum(expected[later.name].seconds for later in left[i - 1 :])
        ahead *= measured[1] / measured[0] if measured[0] else 1
        tell(f"\nrun {i} of {len(left)}, about {speed.shown(ahead)} to go: {run.name}\n")
        start = time.perf_counter()
        try:
            evaluate(run, expected[run.name], tell)
        except InputError as error:
            missing[run.name] = str(error)
            tell(f"left out: {run.name}: {error}\n")
        else:
            measured = [measured[0] + expected[run.name].seconds, measured[1] + time.perf_counter() - start]
        finally:
            report.write(directory, runs, missing, command)
    return missing


def main() -> int:
    """Plan, estimate, evaluate, report."""
    compilation_cache.enable()
    directory = files.expanded(_OUTPUT_DIR.value, "output_dir")
    files.make_directory(directory, f"output directory {directory}")
    runs, missing = planned(directory)
    for name, reason in missing.items():
        commands.tell(f"left out: {name}: {reason}\n")
    setup.divide_cpu(runs[0].config)
    with locks.directory(directory):
        missing = reproduce(runs, missing, directory, commands.tell)
    if not _ESTIMATE_ONLY.value:
        commands.tell(f"\nthe report is {directory}/report.md, and as numbers {directory}/report.csv\n")
    if missing:
        commands.tell(f"missing: {', '.join(missing)}; the same command tries again what is missing, and only that\n")
    return _LEFT_OUT if missing else 0


if __name__ == "__main__":
    command_line.run(main)
