"""The parts of several finished runs as those of one."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrecon_jax.encoders.encoder import NONE
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import results, tables
from fastrecon_jax.evaluation.tables import Row

_OF_ALL = ("support", "max_queries")  # what the runs of one table have in common
_OF_IMAGES = ("dtype", "image_size", "crop_size", "image_score")
_OF_WEIGHTS = ("encoder", "weights", "weights_sha256")


class Joined(NamedTuple):
    """What finished runs say together.

    Attributes:
        rows: one for each part, method, number of shots and draw, as `results.Results` has them; the data set stands
            before the name of the part.
        training: mean seconds of meta-training a part, by method, of those whose encoder was meta-trained.
    """

    rows: list[Row]
    training: dict[str, float]


def read(directories: Sequence[Path]) -> Joined:
    """Join the runs of some directories.

    Runs have their encoder and sizes in common, but for methods that have an encoder of their own: those that were
    meta-trained, and those that see pixels alone.

    InputError where a run is not finished, where two have other settings, or where draws do not pair up.
    """
    rows: list[Row] = []
    facts: Row = {}
    seconds: dict[str, list[float]] = {}
    for directory in directories:
        summary = results.read(directory)
        config = summary["config"]
        left = set(config["category"]) - {row["category"] for row in summary["rows"]}
        if left:
            raise InputError(f"{directory} has no results of {', '.join(sorted(left))} yet: let the evaluation finish")
        for name, value in _facts(config).items():
            if facts.setdefault(name, value) != value:
                raise InputError(f"{directory} cannot join the table: {name} was {facts[name]!r} and is {value!r}")
        known = [of["seconds"] for of in config.get("meta_training", {}).values() if of["seconds"] is not None]
        for method in config["settings"]:
            seconds.setdefault(method, []).extend(known)
        rows += [row | {"category": f"{row['dataset']}/{row['category']}"} for row in summary["rows"]]
    datasets = ", ".join(dict.fromkeys(row["dataset"] for row in rows))
    # `tables.means` keeps data sets and weights apart; the weights are the same, as was checked by their hashes.
    rows = [row | {"dataset": datasets, "weights": ""} for row in rows]
    require_pairs(rows)
    return Joined(rows, {method: sum(of) / len(of) for method, of in seconds.items() if of})


def _facts(config: Row) -> dict[str, Any]:
    """What must be equal in all runs of a table, by a name for messages."""
    facts = {name: config[name] for name in _OF_ALL}
    facts |= {f"settings of {method}": values for method, values in config["settings"].items()}
    trained = config.get("meta_training", {})
    if not trained and config["encoder"] != NONE:
        return facts | {name: config[name] for name in (*_OF_IMAGES, *_OF_WEIGHTS)}
    own = {name: config[name] for name in (*_OF_IMAGES, "encoder")}
    if trained:  # weights differ from part to part, but all are made in one way
        ways = [{name: of[name] for name in ("method", "settings", "began_with_sha256")} for of in trained.values()]
        own["meta-training"] = [way for i, way in enumerate(ways) if way not in ways[:i]]
    return facts | {f"{name} of {method}": value for method in config["settings"] for name, value in own.items()}


def require_pairs(rows: Sequence[Row]) -> None:
    """InputError unless every method has every part with every number of shots and every draw, once."""
    keys = ("method", "shots", "category", "seed")
    there = tables.grouped(rows, *keys)
    twice = [key for key, same in there.items() if len(same) > 1]
    wanted = itertools.product(*(dict.fromkeys(row[key] for row in rows) for key in keys))
    missing = [key for key in wanted if key not in there]
    for found, words in ((twice, "there twice"), (missing, "missing")):
        if found:
            method, shots, category, seed = found[0]
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            raise InputError(
                f"results do not pair up: {method} on {category} with {shots} shots, draw {seed}, is {words}{more}; "
                "every method needs the same parts, shots and draws"
            )
