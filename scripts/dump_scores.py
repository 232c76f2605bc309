"""Writes image scores, patch scores and anomaly maps of an evaluation in full precision, for compare_runs.py.

    python scripts/dump_scores.py scores.npz '{"data_dir": "DATA", "category": ["bottle"], "method": ["all"]}' '{}'

The second argument holds fields of `EvalConfig`, the third settings of methods. It runs with this checkout and with
those from before the evaluation had a folder of its own: PYTHONPATH says which.
"""

import importlib.util
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

Arrays = Iterator[tuple[str, np.ndarray]]


def scored(fields: dict[str, Any], settings: dict[str, Any]) -> Arrays:
    """Arrays by category, method, number of shots and draw."""
    from fastrecon_jax.evaluation import setup
    from fastrecon_jax.evaluation.config import EvalConfig
    from fastrecon_jax.evaluation.run import score
    from fastrecon_jax.runtime import devices

    opened = setup.open_setup(EvalConfig(**fields, settings=settings))
    programs, config = opened.programs, opened.config
    for category in opened.categories:
        share = score(opened, category)
        yield f"{category.name} masks", share.masks
        for key, of_key in share.scored.items():
            for i in range(len(of_key.patches)):
                patches = of_key.patches[i]
                maps = devices.in_batches(programs.maps, patches, over=programs.mesh, batch_size=config.batch_size)
                yield from _named(category.name, key.method, key.shots, i, of_key.images[i], patches, maps)


def scored_before(fields: dict[str, Any], settings: dict[str, Any]) -> Arrays:
    """The same in a checkout whose modules lie side by side."""
    from fastrecon_jax.config import EvalConfig

    from fastrecon_jax import context, experiment

    opened = context.open_context(EvalConfig(**fields, **settings))
    for category in opened.categories:
        what = (opened.detector, category, opened.draws[category.name], opened.config)
        evaluated = experiment.together(*what, [experiment.score(*what)])
        yield f"{category.name} masks", evaluated.masks
        place = {}
        for run in evaluated.runs:
            place[run.method.name, run.shots] = i = place.get((run.method.name, run.shots), -1) + 1
            maps = experiment.maps(opened.detector, run.patches, batch_size=opened.config.batch_size)
            yield from _named(category.name, run.method.name, run.shots, i, run.images, run.patches, maps)


def _named(category: str, method: str, shots: int, draw: int, *arrays: np.ndarray) -> Arrays:
    for kind, array in zip(("image scores", "patch scores", "anomaly maps"), arrays, strict=True):
        yield f"{category} {method} {shots} shots draw {draw} {kind}", np.asarray(array)


def main() -> None:
    """Score, and write the file."""
    file, fields, settings = sys.argv[1], *map(json.loads, sys.argv[2:4])
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    has_folder = importlib.util.find_spec("fastrecon_jax.evaluation").submodule_search_locations is not None
    np.savez(file, **dict((scored if has_folder else scored_before)(fields, settings)))


if __name__ == "__main__":
    main()
