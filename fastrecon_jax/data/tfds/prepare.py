"""Runs the TFDS builders of `datasets/`: published folders and archives to array_record."""

import contextlib
import importlib.util
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from fastrecon_jax import files
from fastrecon_jax.command_line.console import shown
from fastrecon_jax.data import publishers
from fastrecon_jax.data.publishers import PUBLISHERS, Publisher
from fastrecon_jax.data.tfds import prepared
from fastrecon_jax.data.tfds.config import PrepareConfig
from fastrecon_jax.errors import InputError


def builder_class(name: str, builders: Path) -> Any:
    """The TFDS builder of a data set, loaded from its file in the folder of builders, which is no package by intent.

    InputError where there is no such file.
    """
    module = f"{name}_dataset_builder"
    if module not in sys.modules:
        file = builders / name / f"{module}.py"
        if not file.is_file():
            raise InputError(f"there is no builder {file}")
        spec = importlib.util.spec_from_file_location(module, file)
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        sys.modules[module] = loaded
    return sys.modules[module].Builder


def run(config: PrepareConfig, *, builders: Path, tell: Callable[[str], object]) -> list[Path]:
    """Prepare what the settings name; what is prepared already is left as it is, so that a repeated call goes on.

    Args:
        config: the settings.
        builders: the folder with the builders.
        tell: takes lines for people.

    Returns:
        The directories of the prepared categories.

    Raises:
        InputError: something that the user gave cannot be used; categories that were finished before it stay.
    """
    if config.dataset not in (*PUBLISHERS, "all"):
        raise InputError(f"unknown --dataset={config.dataset}: allowed are {', '.join(PUBLISHERS)}, all")
    done = []
    for name in PUBLISHERS if config.dataset == "all" else (config.dataset,):
        try:
            place, wanted = _choose(PUBLISHERS[name], config)
        except InputError as error:
            if config.dataset != "all":
                raise
            tell(f"{shown(name)}: left out, {shown(error)}\n")
            continue
        for category in wanted:
            done.append(_prepare(builder_class(name, builders), category, place, config, tell))
    if not done:
        raise InputError(f"--manual_dir={config.manual_dir} holds none of {', '.join(PUBLISHERS)}")
    return done


def _choose(publisher: Publisher, config: PrepareConfig) -> tuple[Path, Sequence[str]]:
    """Where a data set is, and which of its categories to prepare."""
    place = _place(publisher, config)
    present = publishers.find(publisher, place)
    wanted = tuple(publisher.counts) if config.category == ("all",) else config.category
    for category in wanted:
        if category not in publisher.counts:
            raise InputError(
                f"unknown --category={category} of {publisher.name}: allowed are all, {', '.join(publisher.counts)}"
            )
    missing = [category for category in wanted if category not in present]
    if missing and not (config.allow_partial or config.dataset == "all"):
        raise InputError(
            f"{place} holds {len(present)} of {len(publisher.counts)} categories of {publisher.title}; missing are "
            f"{', '.join(missing)}: name those that are there as --category, or pass --allow_partial"
        )
    return place, [category for category in wanted if category in present]


def _place(publisher: Publisher, config: PrepareConfig) -> Path:
    if not config.manual_dir or publisher.name == "demo":
        if publisher.default is None:
            raise InputError(f"--dataset={publisher.name} needs --manual_dir with {publisher.layout}")
        return publisher.default()
    place = files.expanded(config.manual_dir)
    if config.dataset != "all":
        return place
    own = place / publisher.name
    if files.is_dir(own):
        return own
    return place if publisher.default is None else publisher.default()


def _prepare(builder: Any, category: str, place: Path, config: PrepareConfig, tell: Callable[[str], object]) -> Path:
    data_dir, beam = files.expanded(config.data_dir), _beam(config)
    before = prepared.find(data_dir, builder.name).get(category)
    if before is not None and prepared.is_partial(before) and not config.allow_partial:
        raise InputError(f"{before} was prepared with --allow_partial: remove it, or pass --allow_partial again")
    files.sweep(data_dir / builder.name / category, "incomplete.*")  # TFDS's drafts
    try:
        with _quiet():
            made = builder(data_dir=data_dir, config=category, source=place, allow_partial=config.allow_partial)
            made.download_and_prepare(download_config=beam)
    except OSError as error:
        raise InputError(f"{builder.name} cannot be written to {data_dir}: {files.reason(error)}") from None
    splits = {split: info.num_examples for split, info in made.info.splits.items()}
    state = "prepared" if before is None else "was prepared before"
    tell(f"{builder.name}/{shown(category)}: {splits['train']} training and {splits['test']} test images, {state}\n")
    return Path(made.data_dir)


def _beam(config: PrepareConfig) -> Any:
    """How TFDS is to write the shards, one for each worker of Beam at a time; None for one after the other, here."""
    if not config.beam_runner:
        return None
    import tensorflow_datasets as tfds

    try:
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners import runner
    except ModuleNotFoundError:
        raise InputError("--beam_runner needs Apache Beam: run `pip install 'fastrecon_jax[beam]'`") from None
    try:
        chosen = runner.create_runner(config.beam_runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise InputError(f"--beam_runner={config.beam_runner} is not allowed: {error}") from None
    options = PipelineOptions([f"--{option.lstrip('-')}" for option in config.beam_options])
    known, given = (options.get_all_options(drop_default=True, retain_unknown_options=kept) for kept in (False, True))
    if unknown := sorted(given.keys() - known.keys()):
        raise InputError(f"--beam_options: Apache Beam knows no {', '.join(unknown)}")
    return tfds.download.DownloadConfig(beam_runner=chosen, beam_options=options)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what TFDS prints and logs of its progress."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(before)
