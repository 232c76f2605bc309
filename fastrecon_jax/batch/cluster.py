"""`predict --engine_cluster=ray`: images that are not inspected yet, through the workers of a cluster, into Parquet."""

import contextlib
import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrecon_jax import files, locks
from fastrecon_jax.batch.inspector import Inspector
from fastrecon_jax.command_line import console
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place
from fastrecon_jax.inspection import ledger, models, reading
from fastrecon_jax.inspection.predict import SOME_UNREADABLE
from fastrecon_jax.inspection.predict_config import PredictConfig
from fastrecon_jax.parts import part_file
from fastrecon_jax.parts.verdicts import VERDICTS

RUN = "_run.json"  # readers of Parquet pass over what begins so
_NEEDS = ("ray", "pandas", "pyarrow")


class Workers(NamedTuple):
    """What the workers of a cluster are.

    Attributes:
        address: where the cluster is; empty for one of this machine alone.
        number: how many there are; 0 for as many as the cluster has room for.
        cpus: cores of each.
        gpus: GPUs, or parts of one, of each.
    """

    address: str
    number: int
    cpus: int
    gpus: float


def predict(config: PredictConfig, *, tell: Callable[[str], object]) -> int:
    """Inspect images by a cluster, and give the exit code: 0, or 3 if some could not be read or are of other formats.

    InputError if something that the user gave cannot be used; the rows that were written stay.
    """
    _check_packages()
    from fastrecon_jax.batch import ray_data, tables

    place, model, paths = files.place(config.output_dir, "output_dir"), _model(config), reading.find(config.images)
    workers = Workers(config.cluster_address, config.workers, config.cpus_per_worker, config.gpus_per_worker)
    if workers.address:
        _check_anywhere([place, model, *paths])
    with _directory(place, _facts(config, model)):
        wanted = dict.fromkeys(map(reading.path_text, paths))
        done = tables.inspected(place)
        new = [path for path in wanted if path not in done]
        already = f", {len(wanted) - len(new)} more were inspected before" if len(new) < len(wanted) else ""
        tell(f"{console.count(len(new), 'image')} to inspect{already}\n")
        if new:
            ray_data.inspect(_inspector(config, model), new, place, workers, tell=tell)
        counts = tables.counts(place)
    skipped = reading.skipped(config.images, results=place if isinstance(place, Path) else None)
    tell(f"{', '.join(f'{counts[verdict]} {verdict}' for verdict in VERDICTS)}, {counts['']} unreadable\n")
    tell(f"{skipped}results are in {console.shown(place)}/*{tables.ENDING}\n")
    return SOME_UNREADABLE if counts[""] or skipped.number else 0


def _check_packages() -> None:
    for name in _NEEDS:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            raise InputError(
                f"--engine_cluster=ray needs {name}, which is not installed: run `pip install 'fastrecon_jax[ray]'`"
            ) from None


def _model(config: PredictConfig) -> Place:
    found = models.find(config.model)
    if len(found) > 1:
        raise InputError(f"--model={config.model} names {len(found)} parts: --engine_cluster inspects by one, name it")
    return found[0] if not isinstance(found[0], Path) else found[0].absolute()


def _check_anywhere(places: Sequence[Place]) -> None:
    """The nodes of a cluster need not have this one's working directory."""
    for place in places:
        if isinstance(place, Path) and not place.is_absolute():
            raise InputError(
                f"{place} is relative to the working directory, which workers of --cluster_address may not have: pass "
                "an absolute path that all nodes see, or an address such as s3://bucket/line3/"
            )


def _facts(config: PredictConfig, model: Place) -> dict[str, Any]:
    header = part_file.read_header(model)
    same = {"format": ledger.FORMAT, "parts": {header.name: header.sha256}} | config.judging
    return {"same": same, "file": str(model)}


def _inspector(config: PredictConfig, model: Place) -> Inspector:
    return Inspector(
        model=str(model),
        weights=config.weights,
        batch_size=config.batch_size,
        target_fpr=config.target_fpr,
        threshold=config.threshold,
        max_pixels=config.max_pixels,
        threads=config.cpus_per_worker,
        plugin=config.plugin,
    )


@contextlib.contextmanager
def _directory(place: Place, facts: dict[str, Any]) -> Iterator[None]:
    """A directory of results of this run alone, new or to be resumed; InputError if it holds anything else."""
    if isinstance(place, Path):
        files.make_directory(place, f"--output_dir={place}")
    with locks.directory(place) if isinstance(place, Path) else contextlib.nullcontext():
        there = files.names(place)
        if RUN in there:
            with files.local(place / RUN) as record:
                ledger.compare(place, ledger.read_record(record)["same"], facts["same"])
        elif set(there) - {locks.NAME}:
            raise ledger.other_files(str(place))
        else:
            files.write_text(place / RUN, json.dumps(facts, indent=1))
        yield
